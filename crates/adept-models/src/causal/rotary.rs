//! Frequencies of rotary positions (Su et al. 2021, arXiv 2104.09864): each pair of channels is rotated by its own
//! multiple of the position.

use adept_kernels::RotaryAngles;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// Rotation angles per position, one per pair of channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    frequencies: Vec<f32>,
}

impl Rotary {
    /// Frequencies `base^(-2i/channels)` for the pairs `i` of `channels` rotated channels.
    pub fn new(base: f64, channels: usize) -> Self {
        let frequency = |pair: usize| base.powf(-2.0 * pair as f64 / channels as f64) as f32;
        Self {
            frequencies: (0..channels / 2).map(frequency).collect(),
        }
    }

    /// Maps every frequency through `change`.
    #[must_use]
    pub fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        let changed = |&frequency: &f32| change(f64::from(frequency)) as f32;
        Self {
            frequencies: self.frequencies.iter().map(changed).collect(),
        }
    }

    /// Radians per position, one per pair.
    pub fn frequencies(&self) -> &[f32] {
        &self.frequencies
    }

    /// Cosines and sines of positions `[b, n]`, `[b, n, pairs]` each.
    pub fn angles<B: Backend>(&self, positions: Tensor<B, 2, Int>) -> RotaryAngles<B> {
        let [b, n] = positions.dims();
        let pairs = self.frequencies.len();
        let frequencies = TensorData::new(self.frequencies.clone(), [1, 1, pairs]);
        let frequencies = Tensor::<B, 3>::from_data(frequencies, &positions.device());
        let angles = positions.float().reshape([b, n, 1]) * frequencies;
        RotaryAngles {
            cos: angles.clone().cos(),
            sin: angles.sin(),
        }
    }
}
