//! Root-mean-square norm (T5's LayerNorm without mean and bias).

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
