//! The layers of a T5 block: linear maps, norm, attention, feed-forward.
//!
//! A linear weight is kept `[in, out]`, the transpose of Hugging Face's `[out, in]`, and contiguous: `x.matmul(w)` then
//! reads it along its rows. Shapes: `b` batch, `n` slots, `d` d_model, `i` heads × channels of a head.

use adept_kernels::{AttentionBias, attention, gated_gelu, relu, rms_norm};
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};

/// A linear map without bias.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// `[in, out]`: the transpose of the checkpoint's.
    pub weight: Param<Tensor<B, 2>>,
}

impl<B: Backend> Linear<B> {
    /// `[b, n, in]` to `[b, n, out]`, as one flat product: burn's batched product would go row by row.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [b, n, d] = x.dims();
        let weight = self.weight.val();
        let [_, out] = weight.dims();
        x.reshape([b * n, d]).matmul(weight).reshape([b, n, out])
    }
}

/// T5's LayerNorm: root mean square only, no mean, no bias.
#[derive(Module, Debug)]
pub struct Norm<B: Backend> {
    /// `[d]`.
    pub weight: Param<Tensor<B, 1>>,
}

impl<B: Backend> Norm<B> {
    /// `[b, n, d]` to the same shape.
    pub fn forward(&self, x: Tensor<B, 3>, epsilon: f64) -> Tensor<B, 3> {
        rms_norm(x, self.weight.val(), epsilon)
    }
}

/// Attention with its pre-norm; `SelfAttention` or `EncDecAttention` of the checkpoint. Scores are not scaled.
#[derive(Module, Debug)]
pub struct Attention<B: Backend> {
    /// Queries, `[d, i]`.
    pub q: Linear<B>,
    /// Keys, `[d, i]`.
    pub k: Linear<B>,
    /// Values, `[d, i]`.
    pub v: Linear<B>,
    /// Output, `[i, d]`.
    pub o: Linear<B>,
    /// The norm in front of the layer (`layer.N.layer_norm`).
    pub layer_norm: Norm<B>,
}

/// Settings every layer of a stack shares in one forward pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    pub heads: usize,
    pub epsilon: f64,
    /// 0.0 in evaluation.
    pub dropout: f64,
}

impl<B: Backend> Attention<B> {
    /// Keys and values `[b, n, i]` of (already normed) states.
    pub(super) fn keys_values(&self, states: Tensor<B, 3>) -> (Tensor<B, 3>, Tensor<B, 3>) {
        (self.k.forward(states.clone()), self.v.forward(states))
    }

    /// What the layer adds to the residual stream, from (already normed) queries.
    pub(super) fn attend(
        &self,
        queries: Tensor<B, 3>,
        keys: Tensor<B, 3>,
        values: Tensor<B, 3>,
        bias: &AttentionBias<B>,
        pass: Pass,
    ) -> Tensor<B, 3> {
        let context = attention(self.q.forward(queries), keys, values, pass.heads, bias, pass.dropout);
        dropout(self.o.forward(context), pass.dropout)
    }

    /// Self-attention with its residual.
    pub(super) fn self_attention(&self, x: Tensor<B, 3>, bias: &AttentionBias<B>, pass: Pass) -> Tensor<B, 3> {
        let normed = self.layer_norm.forward(x.clone(), pass.epsilon);
        let (keys, values) = self.keys_values(normed.clone());
        x + self.attend(normed, keys, values, bias, pass)
    }
}

/// The feed-forward layer with its pre-norm; `DenseReluDense` of the checkpoint.
#[derive(Module, Debug)]
pub struct FeedForward<B: Backend> {
    /// `wi` of v1.0 or `wi_0` (the one that is activated) of v1.1, `[d, d_ff]`.
    pub wi: Linear<B>,
    /// `wi_1` of v1.1, `[d, d_ff]`; its presence makes the layer a gated GELU.
    pub wi_1: Option<Linear<B>>,
    /// `[d_ff, d]`.
    pub wo: Linear<B>,
    /// The norm in front of the layer.
    pub layer_norm: Norm<B>,
}

impl<B: Backend> FeedForward<B> {
    /// The layer with its residual, `[b, n, d]` to the same shape.
    pub(super) fn forward(&self, x: Tensor<B, 3>, pass: Pass) -> Tensor<B, 3> {
        let normed = self.layer_norm.forward(x.clone(), pass.epsilon);
        let hidden = match &self.wi_1 {
            None => relu(self.wi.forward(normed)),
            Some(wi_1) => gated_gelu(self.wi.forward(normed.clone()), wi_1.forward(normed)),
        };
        let added = self.wo.forward(dropout(hidden, pass.dropout));
        x + dropout(added, pass.dropout)
    }
}

/// Zeroes values with probability `rate` and scales the rest by `1/(1 - rate)`; draws from the device's stream.
pub(super) fn dropout<B: Backend>(x: Tensor<B, 3>, rate: f64) -> Tensor<B, 3> {
    if rate == 0.0 {
        return x;
    }
    let keep = x
        .random_like(Distribution::Bernoulli(1.0 - rate))
        .mul_scalar(1.0 / (1.0 - rate));
    x * keep
}
