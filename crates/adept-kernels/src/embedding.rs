//! Token embedding look-up.

use burn::tensor::{Int, Tensor, backend::Backend};

/// Looks up rows of `weight` `[v, d]` by ids `[b, n]`: `[b, n, d]`.
pub fn embedding<B: Backend>(weight: Tensor<B, 2>, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::embedding(route, weight, ids);
    }
    burn::tensor::module::embedding(weight, ids)
}
