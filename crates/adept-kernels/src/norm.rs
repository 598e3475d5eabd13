//! Norms over the last dimension: RMS norm (T5, Llama), and layer norm with mean and bias (CodeGen).

use burn::tensor::{Tensor, backend::Backend};

/// `x / sqrt(mean(x²) + eps) · weight` over the last dimension; `x` is `[b, n, d]`, `weight` `[d]`.
pub fn rms_norm<B: Backend>(x: Tensor<B, 3>, weight: Tensor<B, 1>, eps: f64) -> Tensor<B, 3> {
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::rms_norm(route, x, weight, eps as f32);
    }
    let inverse = (x.clone() * x.clone()).mean_dim(2).add_scalar(eps).sqrt().recip();
    x * inverse * weight.unsqueeze()
}

/// `(x − mean(x)) / sqrt(var(x) + eps) · weight + bias` over the last dimension, with the biased variance; `x` is
/// `[b, n, d]`, `weight` and `bias` `[d]`.
pub fn layer_norm<B: Backend>(x: Tensor<B, 3>, weight: Tensor<B, 1>, bias: Tensor<B, 1>, eps: f64) -> Tensor<B, 3> {
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::layer_norm(route, x, weight, bias, eps as f32);
    }
    let centred = x.clone() - x.mean_dim(2);
    let variance = (centred.clone() * centred.clone()).mean_dim(2);
    centred * variance.add_scalar(eps).sqrt().recip() * weight.unsqueeze() + bias.unsqueeze()
}
