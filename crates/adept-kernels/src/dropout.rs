//! Dropout (Srivastava et al., 2014), scaled in training so that evaluation needs no change.

use burn::tensor::{Distribution, Tensor, backend::Backend};

/// Zeroes values with probability `rate` and scales the rest by `1/(1 − rate)`. What is dropped follows from the
/// device's random stream.
///
/// The flex kernel draws one seed from that stream and keeps no mask: both passes make it of the seed and an element's
/// place.
pub fn dropout<B: Backend, const D: usize>(x: Tensor<B, D>, rate: f64) -> Tensor<B, D> {
    assert!((0.0..1.0).contains(&rate), "dropout: the rate is {rate}");
    if rate == 0.0 {
        return x;
    }
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::dropout(route, x, rate);
    }
    let keep = x.random_like(Distribution::Bernoulli(1.0 - rate));
    x * keep.mul_scalar(1.0 / (1.0 - rate))
}
