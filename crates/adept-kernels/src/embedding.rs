//! Token embedding look-up.

use burn::tensor::{Int, Tensor, backend::Backend};

use crate::Map;

/// Looks up rows of a table `[v, d]`, which may be prepared, by ids `[b, n]`: `[b, n, d]`.
pub fn embedding<B: Backend>(table: impl Into<Map<B>>, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::embedding(route, table.into(), ids);
    }
    burn::tensor::module::embedding(table.into().weight(), ids)
}
