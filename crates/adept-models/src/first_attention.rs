//! What the first self-attention of an encoder computes, head by head: the subject of the paper's section 3.4.

use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor};

/// The first self-attention of an encoder, before its heads are joined by the output projection.
#[derive(Debug, Clone)]
pub struct FirstAttention<B: Backend> {
    /// Scores `[batch, heads, queries, keys]`: q·kᵀ plus the relative bias, and the lowest finite float where the mask
    /// hides a key. T5 does not scale them.
    pub logits: Tensor<B, 4>,
    /// Values `[batch, heads, keys, channels]`.
    pub values: Tensor<B, 4>,
}

impl<B: Backend> FirstAttention<B> {
    /// From projected queries `[batch, queries, heads × channels]`, keys and values `[batch, keys, heads × channels]`, a
    /// position bias `[1, heads, queries, keys]` and a key mask `[batch, keys]`, true = attend.
    pub(crate) fn new(
        [queries, keys, values]: [Tensor<B, 3>; 3],
        bias: Tensor<B, 4>,
        mask: Tensor<B, 2, Bool>,
    ) -> Self {
        let heads = bias.dims()[1];
        let by_head = |states: Tensor<B, 3>| {
            let [b, n, width] = states.dims();
            states.reshape([b, n, heads, width / heads]).swap_dims(1, 2)
        };
        let logits = by_head(queries).matmul(by_head(keys).swap_dims(2, 3)) + bias;
        let [b, k] = mask.dims();
        let hidden = mask.bool_not().reshape([b, 1, 1, k]).expand(logits.dims());
        let lowest = logits.dtype().finfo().map_or(f64::from(f32::MIN), |info| info.min);
        Self {
            logits: logits.mask_fill(hidden, lowest),
            values: by_head(values),
        }
    }

    /// The attention pattern `[batch, heads, queries, keys]`.
    #[must_use]
    pub fn probabilities(&self) -> Tensor<B, 4> {
        softmax(self.logits.clone(), 3)
    }

    /// What the queries read, `[batch, heads, queries, channels]`: the paper's `o_i` of each head.
    #[must_use]
    pub fn outputs(&self) -> Tensor<B, 4> {
        self.probabilities().matmul(self.values.clone())
    }
}
