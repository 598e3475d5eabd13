//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864): channels of queries and keys are turned in pairs by angles
//! that grow with the position.
//!
//! Which channels make a pair differs: CodeGen turns neighbours (`2i` and `2i + 1`) of its first channels, Llama channel `i`
//! with channel `i + c/2`.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// Angles a position, one a pair of channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    frequencies: Vec<f32>,
}

impl Rotary {
    /// `base^(-2i/channels)` for each pair `i` of `channels` turned channels.
    pub fn new(base: f64, channels: usize) -> Self {
        let frequency = |pair: usize| base.powf(-2.0 * pair as f64 / channels as f64) as f32;
        Self {
            frequencies: (0..channels / 2).map(frequency).collect(),
        }
    }

    /// The same with every frequency changed.
    pub fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self {
            frequencies: self.frequencies.iter().map(|&frequency| change(f64::from(frequency)) as f32).collect(),
        }
    }

    /// Radians a position, by pair.
    pub fn frequencies(&self) -> &[f32] {
        &self.frequencies
    }

    /// Cosines and sines of positions `[b, n]`.
    pub(crate) fn angles<B: Backend>(&self, positions: Tensor<B, 2, Int>) -> Angles<B> {
        let [b, n] = positions.dims();
        let pairs = self.frequencies.len();
        let frequencies = TensorData::new(self.frequencies.clone(), [1, 1, 1, pairs]);
        let frequencies = Tensor::<B, 4>::from_data(frequencies, &positions.device());
        let angles = positions.float().reshape([b, n, 1, 1]) * frequencies;
        Angles {
            cos: angles.clone().cos(),
            sin: angles.sin(),
        }
    }
}

/// Cosines and sines, `[b, n, 1, pairs]` each.
#[derive(Debug, Clone)]
pub(crate) struct Angles<B: Backend> {
    cos: Tensor<B, 4>,
    sin: Tensor<B, 4>,
}

impl<B: Backend> Angles<B> {
    /// Turns the pairs `(first, second)`, `[b, n, h, pairs]` each.
    fn turn(&self, first: Tensor<B, 4>, second: Tensor<B, 4>) -> (Tensor<B, 4>, Tensor<B, 4>) {
        (
            first.clone() * self.cos.clone() - second.clone() * self.sin.clone(),
            second * self.cos.clone() + first * self.sin.clone(),
        )
    }
}

/// Turns channel `i` with channel `i + c/2` of `[b, n, h, c]`.
pub(crate) fn halves<B: Backend>(x: Tensor<B, 4>, angles: &Angles<B>) -> Tensor<B, 4> {
    let [b, n, h, c] = x.dims();
    let half = |start: usize| x.clone().slice([0..b, 0..n, 0..h, start..start + c / 2]);
    let (first, second) = angles.turn(half(0), half(c / 2));
    Tensor::cat(vec![first, second], 3)
}

/// Turns neighbours among the first `turned` channels of `[b, n, h, c]`; the others stay.
pub(crate) fn interleaved<B: Backend>(x: Tensor<B, 4>, angles: &Angles<B>, turned: usize) -> Tensor<B, 4> {
    let [b, n, h, c] = x.dims();
    let pairs = x.clone().slice([0..b, 0..n, 0..h, 0..turned]).reshape([b, n, h, turned / 2, 2]);
    let of = |place: usize| {
        let one = pairs.clone().slice([0..b, 0..n, 0..h, 0..turned / 2, place..place + 1]);
        one.reshape([b, n, h, turned / 2])
    };
    let (first, second) = angles.turn(of(0), of(1));
    let turned_ones = Tensor::stack::<5>(vec![first, second], 4).reshape([b, n, h, turned]);
    if turned == c {
        return turned_ones;
    }
    Tensor::cat(vec![turned_ones, x.slice([0..b, 0..n, 0..h, turned..c])], 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    fn values(x: Tensor<Flex, 4>) -> Vec<f32> {
        x.into_data().into_vec().unwrap()
    }

    #[test]
    fn pairs_are_turned_by_their_angle() {
        let device = Default::default();
        let rotary = Rotary::new(100.0, 4);
        assert_eq!(rotary.frequencies(), [1.0, 0.1]);
        let positions = Tensor::<Flex, 2, Int>::from_data([[2]], &device);
        let angles = rotary.angles(positions);
        let x = || Tensor::<Flex, 4>::from_data([[[[1.0, 2.0, 3.0, 4.0, 9.0, 8.0]]]], &device);
        let (a, b) = (2.0_f32, 0.2_f32);
        let turned = |first: f32, second: f32, angle: f32| {
            (first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin())
        };
        let ((p, q), (r, s)) = (turned(1.0, 2.0, a), turned(3.0, 4.0, b));
        let close = |found: Vec<f32>, expected: &[f32]| {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
            }
        };
        close(values(interleaved(x(), &angles, 4)), &[p, q, r, s, 9.0, 8.0]);
        let four = x().slice([0..1, 0..1, 0..1, 0..4]);
        let ((p, q), (r, s)) = (turned(1.0, 3.0, a), turned(2.0, 4.0, b));
        close(values(halves(four, &angles)), &[p, r, q, s]);
    }
}
