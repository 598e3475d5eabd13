//! Adafactor (Shazeer and Stern 2018, algorithms 4 and 5) with the arithmetic of transformers' `Adafactor`, without
//! relative step sizes and first moment: learning rates are passed in.
//!
//! For a parameter p with gradient g at its t-th step (t = 1, 2, …), rms(x) the root of the mean square:
//!
//! ```text
//! β = 1 - t^-decay_rate
//! s = g² + ε₁
//! matrices:  R = β R + (1 - β) rowmean(s);  C = β C + (1 - β) columnmean(s);  u = g / sqrt(R/mean(R)) / sqrt(C)
//! others:    V = β V + (1 - β) s;                                            u = g / sqrt(V)
//! u = u / max(1, rms(u) / clip_threshold)
//! α = lr · max(ε₂, rms(p))
//! p -= α · decay · p;  p -= α u
//! ```
//!
//! A matrix keeps one value per row and per column. Linear weights are transposed with respect to Hugging Face's layout
//! here, which changes nothing: rows and columns play the same role in u, since mean(R) = mean(C). State is keyed by
//! module path.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::stepper::{self, Rule, root_mean_square};
use super::{GroupConfig, OptimizerState, ReadTensor};
use crate::gradient::GradientSet;

/// Constants of Adafactor, shared by all groups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdafactorConfig {
    /// Exponent of the second moment's decay, which is 1 - t^-decay_rate at step t.
    pub decay_rate: f64,
    /// Maximum root mean square of an update.
    pub clip_threshold: f64,
    /// Keep row and column means of matrices instead of all squares.
    pub factored: bool,
    /// Multiply learning rates by the parameter's root mean square.
    pub multiply_by_parameter_scale: bool,
    /// ε₁, added to the squares.
    pub square_epsilon: f64,
    /// ε₂, the minimum scale of a parameter.
    pub scale_epsilon: f64,
}

/// Running mean of a parameter's squared gradient.
#[derive(Debug, Clone)]
enum Second<B: Backend> {
    /// One value per element, flattened.
    Whole(Tensor<B, 1>),
    /// One value per row and per column of a matrix.
    Factored {
        /// `[rows]`
        row: Tensor<B, 1>,
        /// `[columns]`
        column: Tensor<B, 1>,
    },
}

#[derive(Debug, Clone)]
struct State<B: Backend> {
    second: Second<B>,
    steps: u64,
}

/// Adafactor over parameter groups.
#[derive(Debug, Clone)]
pub struct Adafactor<B: Backend> {
    config: AdafactorConfig,
    groups: Vec<GroupConfig>,
    state: BTreeMap<String, State<B>>,
}

impl<B: Backend> Adafactor<B> {
    /// An optimiser before its first step. A parameter belongs to the first group that contains its path.
    pub fn new(config: AdafactorConfig, groups: Vec<GroupConfig>) -> Self {
        Self {
            config,
            groups,
            state: BTreeMap::new(),
        }
    }

    /// Steps every parameter that has a gradient and a group; `rates` has one learning rate per group.
    pub fn step<AB, M>(&mut self, module: M, gradients: GradientSet<B>, rates: &[f64]) -> M
    where
        AB: AutodiffBackend<InnerBackend = B>,
        M: Module<AB>,
    {
        stepper::step::<AB, M, Self>(self, module, gradients, rates)
    }

    /// Updates the second moment and returns `g / sqrt(second)`, flattened.
    fn second(&mut self, path: &str, gradient: Tensor<B, 1>, matrix: Option<[usize; 2]>) -> Tensor<B, 1> {
        let state = self.state.remove(path);
        let steps = state.as_ref().map_or(0, |state| state.steps) + 1;
        // β of the first step is 0, so no initial state is needed.
        let beta = 1.0 - (steps as f64).powf(-self.config.decay_rate);
        let mix = |old: Option<Tensor<B, 1>>, new: Tensor<B, 1>| match old {
            Some(old) => old.mul_scalar(beta) + new.mul_scalar(1.0 - beta),
            None => new.mul_scalar(1.0 - beta),
        };
        let square = (gradient.clone() * gradient.clone()).add_scalar(self.config.square_epsilon);
        let (second, update) = match matrix {
            Some([rows, columns]) => {
                let square = square.reshape([rows, columns]);
                let (old_row, old_column) = match state.map(|state| state.second) {
                    Some(Second::Factored { row, column }) => (Some(row), Some(column)),
                    _ => (None, None),
                };
                let row = mix(old_row, square.clone().mean_dim(1).reshape([rows]));
                let column = mix(old_column, square.mean_dim(0).reshape([columns]));
                let row_factor = (row.clone() / row.clone().mean()).sqrt().recip().reshape([rows, 1]);
                let column_factor = column.clone().sqrt().recip().reshape([1, columns]);
                let update = gradient.reshape([rows, columns]) * row_factor * column_factor;
                (Second::Factored { row, column }, update.reshape([rows * columns]))
            }
            None => {
                let old = match state.map(|state| state.second) {
                    Some(Second::Whole(old)) => Some(old),
                    _ => None,
                };
                let second = mix(old, square);
                let update = gradient / second.clone().sqrt();
                (Second::Whole(second), update)
            }
        };
        self.state.insert(path.to_owned(), State { second, steps });
        update
    }
}

impl<B: Backend> Rule<B> for Adafactor<B> {
    fn groups(&self) -> &[GroupConfig] {
        &self.groups
    }

    fn update(
        &mut self,
        path: &str,
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
        shape: &[usize],
        rate: f64,
        decay: f64,
    ) -> Tensor<B, 1> {
        let config = self.config;
        let matrix = match *shape {
            [rows, columns] if config.factored => Some([rows, columns]),
            _ => None,
        };
        let update = self.second(path, gradient, matrix);
        if rate == 0.0 {
            return value;
        }
        // All factors stay on the device, so that no step waits for it.
        let clip = root_mean_square(&update)
            .div_scalar(config.clip_threshold)
            .clamp_min(1.0);
        let mut scale = clip.recip().mul_scalar(rate);
        let mut decay = Tensor::<B, 1>::full([1], rate * decay, &value.device());
        if config.multiply_by_parameter_scale {
            let size = root_mean_square(&value).clamp_min(config.scale_epsilon);
            scale = scale * size.clone();
            decay = decay * size;
        }
        value.clone() - value * decay - update * scale
    }
}

impl<B: Backend> OptimizerState<B> for Adafactor<B> {
    fn tensors(&self) -> Vec<(String, Tensor<B, 1>)> {
        let mut tensors = Vec::new();
        for (path, state) in &self.state {
            match &state.second {
                Second::Whole(second) => tensors.push((format!("second/{path}"), second.clone())),
                Second::Factored { row, column } => {
                    tensors.push((format!("row/{path}"), row.clone()));
                    tensors.push((format!("column/{path}"), column.clone()));
                }
            }
        }
        tensors
    }

    fn steps(&self) -> BTreeMap<String, u64> {
        self.state
            .iter()
            .map(|(path, state)| (path.clone(), state.steps))
            .collect()
    }

    fn put_back<E>(
        &mut self,
        steps: &BTreeMap<String, u64>,
        read: &mut ReadTensor<'_, B, E>,
        missing: &dyn Fn(String) -> E,
    ) -> Result<(), E> {
        let mut state = BTreeMap::new();
        for (path, steps) in steps {
            let second = match read(&format!("second/{path}"))? {
                Some(second) => Second::Whole(second),
                None => {
                    let mut part = |kind: &str| {
                        let name = format!("{kind}/{path}");
                        read(&name)?.ok_or_else(|| missing(name))
                    };
                    Second::Factored {
                        row: part("row")?,
                        column: part("column")?,
                    }
                }
            };
            state.insert(path.clone(), State { second, steps: *steps });
        }
        self.state = state;
        Ok(())
    }
}
