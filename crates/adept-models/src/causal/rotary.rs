//! Frequencies of rotary positions (Su et al. 2021, arXiv 2104.09864): each pair of channels is rotated by its own
//! multiple of the position.

use adept_kernels::RotaryAngles;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// Rotation angles per position, one per pair of channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    frequencies: Vec<f32>,
    /// What cosines and sines are multiplied by.
    amplitude: f64,
}

impl Rotary {
    /// Frequencies `base^(-2i/channels)` for the pairs `i` of `channels` rotated channels.
    pub fn new(base: f64, channels: usize) -> Self {
        let frequency = |pair: usize| base.powf(-2.0 * pair as f64 / channels as f64) as f32;
        Self {
            frequencies: (0..channels / 2).map(frequency).collect(),
            amplitude: 1.0,
        }
    }

    /// Maps every pair's number and frequency through `change`.
    #[must_use]
    pub fn map(&self, change: impl Fn(usize, f64) -> f64) -> Self {
        let changed = |(pair, &frequency): (usize, &f32)| change(pair, f64::from(frequency)) as f32;
        Self {
            frequencies: self.frequencies.iter().enumerate().map(changed).collect(),
            amplitude: self.amplitude,
        }
    }

    /// Cosines and sines multiplied by `amplitude`.
    #[must_use]
    pub fn with_amplitude(mut self, amplitude: f64) -> Self {
        self.amplitude = amplitude;
        self
    }

    /// Every `step`th pair: the frequencies of heads that are `step` times narrower.
    #[must_use]
    pub fn every(&self, step: usize) -> Self {
        Self {
            frequencies: self.frequencies.iter().copied().step_by(step).collect(),
            amplitude: self.amplitude,
        }
    }

    /// Radians per position, one per pair.
    pub fn frequencies(&self) -> &[f32] {
        &self.frequencies
    }

    /// What cosines and sines are multiplied by.
    pub fn amplitude(&self) -> f64 {
        self.amplitude
    }

    /// Cosines and sines of positions `[b, n]`, `[b, n, pairs]` each.
    pub fn angles<B: Backend>(&self, positions: Tensor<B, 2, Int>) -> RotaryAngles<B> {
        let [b, n] = positions.dims();
        let pairs = self.frequencies.len();
        let frequencies = TensorData::new(self.frequencies.clone(), [1, 1, pairs]);
        let frequencies = Tensor::<B, 3>::from_data(frequencies, &positions.device());
        let angles = positions.float().reshape([b, n, 1]) * frequencies;
        let scaled = |values: Tensor<B, 3>| match self.amplitude {
            1.0 => values,
            amplitude => values.mul_scalar(amplitude),
        };
        RotaryAngles {
            cos: scaled(angles.clone().cos()),
            sin: scaled(angles.sin()),
        }
    }
}
