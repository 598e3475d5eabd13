//! AdamW (Loshchilov and Hutter) with the arithmetic of `torch.optim.AdamW`.
//!
//! For a parameter p with gradient g at its t-th step (t = 1, 2, …):
//!
//! ```text
//! p -= lr · decay · p
//! m  = beta1 · m + (1 - beta1) · g
//! v  = beta2 · v + (1 - beta2) · g²
//! p -= lr / (1 - beta1^t) · m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//! ```
//!
//! With a parameter scale ([`AdamW::scaled`]) the last line's lr is multiplied by max(floor, rms(p)), as in Adafactor:
//! T5's matrices start with standard deviations from 1/64 to 1, and a single rate for all of them destabilises small
//! parameters.
//!
//! Bias corrections are computed in double precision on the host, tensors keep their precision. A step with rate 0
//! leaves parameters unchanged but advances moments and step counts, as in PyTorch. State is keyed by module path, so
//! that a rebuilt module finds it again.

use std::collections::BTreeMap;

use adept_kernels::optimizer::{self, AdamWStep};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::GroupConfig;
use super::stepper::{self, Rule, root_mean_square};
use crate::gradient::GradientSet;

/// Constants of AdamW, shared by all groups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
}

impl Default for AdamWConfig {
    /// PyTorch's defaults.
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }
}

/// Optimiser state of one parameter, flattened.
#[derive(Debug, Clone)]
pub struct Moments<B: Backend> {
    /// Running mean of the gradient.
    pub first: Tensor<B, 1>,
    /// Running mean of the squared gradient.
    pub second: Tensor<B, 1>,
    /// Number of steps taken.
    pub steps: u64,
}

/// AdamW over parameter groups.
#[derive(Debug, Clone)]
pub struct AdamW<B: Backend> {
    config: AdamWConfig,
    groups: Vec<GroupConfig>,
    /// Minimum scale of a parameter, if rates are multiplied by it.
    scale_floor: Option<f64>,
    state: BTreeMap<String, Moments<B>>,
}

impl<B: Backend> AdamW<B> {
    /// An optimiser before its first step. A parameter belongs to the first group that contains its path.
    pub fn new(config: AdamWConfig, groups: Vec<GroupConfig>) -> Self {
        Self {
            config,
            groups,
            scale_floor: None,
            state: BTreeMap::new(),
        }
    }

    /// Multiplies each parameter's rate by its root mean square, but at least by `floor`. Weight decay uses the
    /// unscaled rate.
    #[must_use]
    pub fn scaled(self, floor: f64) -> Self {
        Self {
            scale_floor: Some(floor),
            ..self
        }
    }

    /// The parameter groups.
    pub fn groups(&self) -> &[GroupConfig] {
        &self.groups
    }

    /// Learning rate of each group at optimiser step `step` (from 0) of `total`.
    pub fn rates(&self, step: usize, total: usize) -> Vec<f64> {
        self.groups.iter().map(|group| group.rate(step, total)).collect()
    }

    /// State by module path, for checkpoints.
    pub fn state(&self) -> &BTreeMap<String, Moments<B>> {
        &self.state
    }

    /// Restores the state from a checkpoint.
    pub fn restore(&mut self, state: BTreeMap<String, Moments<B>>) {
        self.state = state;
    }

    /// Steps every parameter that has a gradient and a group; `rates` has one learning rate per group.
    ///
    /// Gradients are consumed one by one, so that the peak extra memory is that of one parameter.
    pub fn step<AB, M>(&mut self, module: M, gradients: GradientSet<B>, rates: &[f64]) -> M
    where
        AB: AutodiffBackend<InnerBackend = B>,
        M: Module<AB>,
    {
        stepper::step::<AB, M, Self>(self, module, gradients, rates)
    }
}

impl<B: Backend> Rule<B> for AdamW<B> {
    fn groups(&self) -> &[GroupConfig] {
        &self.groups
    }

    fn update(
        &mut self,
        path: &str,
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
        _shape: &[usize],
        rate: f64,
        decay: f64,
    ) -> Tensor<B, 1> {
        let AdamWConfig { beta1, beta2, epsilon } = self.config;
        let state = self.state.remove(path);
        let steps = state.as_ref().map_or(0, |state| state.steps) + 1;
        // i32 covers every step count a run can reach, and powi of a number below one can only underflow to 0.
        let count = i32::try_from(steps).unwrap_or(i32::MAX);
        let step = AdamWStep {
            beta1,
            beta2,
            epsilon,
            shrink: 1.0 - rate * decay,
            step_size: rate / (1.0 - beta1.powi(count)),
            correction: (1.0 - beta2.powi(count)).sqrt(),
        };
        let moments = state.map(|state| [state.first, state.second]);
        // Relative to its scale, a parameter moves by the given rate; the scale stays on the device.
        let scale = self
            .scale_floor
            .filter(|_| rate != 0.0)
            .map(|floor| root_mean_square(&value).clamp_min(floor));
        let value = match &scale {
            Some(scale) => optimizer::scale(value, &scale.clone().recip()),
            None => value,
        };
        let (value, [first, second]) = optimizer::adamw(value, gradient, moments, step);
        let value = match &scale {
            Some(scale) => optimizer::scale(value, scale),
            None => value,
        };
        self.state.insert(path.to_owned(), Moments { first, second, steps });
        value
    }
}
