//! Attention with capped scores (Gemma 2, arXiv 2408.00118, section 2), in burn's own operations on every backend: the
//! fused kernels know no caps.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;

use super::attention::Scoring;

/// `softmax(cap·tanh(q·kᵀ / cap) + added)·v` for scaled queries `[b, n, h·c]`, keys and values `[b, k, g·c]`, and what
/// hides slots, `[b, 1, n, k]`: `[b, n, h·c]`. `dropout` is the rate on the attention weights.
pub(super) fn capped<B: Backend>(
    [query, keys, values]: [Tensor<B, 3>; 3],
    scoring: Scoring,
    added: &Tensor<B, 4>,
    dropout: f64,
) -> Tensor<B, 3> {
    let heads = scoring.heads;
    let [b, n, inner] = query.dims();
    let [_, k, narrow] = keys.dims();
    let channels = inner / heads;
    let groups = narrow / channels;
    // `[b, h, k, c]`: each key head serves the query heads of its group.
    let shared = |x: Tensor<B, 3>| {
        let x = x.reshape([b, k, groups, 1, channels]).repeat_dim(3, heads / groups);
        x.reshape([b, k, heads, channels]).swap_dims(1, 2)
    };
    let query = query.reshape([b, n, heads, channels]).swap_dims(1, 2);
    let mut scores = query.matmul(shared(keys).swap_dims(2, 3));
    if let Some(cap) = scoring.cap {
        scores = scores.div_scalar(cap).tanh().mul_scalar(cap);
    }
    let weights = adept_kernels::dropout(softmax(scores + added.clone(), 3), dropout);
    let read = weights.matmul(shared(values));
    read.swap_dims(1, 2).reshape([b, n, inner])
}
