//! The layers of a T5 block: attention and feed-forward, each with its norm.
//!
//! A layer in float32 without changes by a method is one call of a fused sublayer; otherwise it is composed of its
//! linear maps. Shapes: `b` batch, `n` slots, `d` d_model, `i` heads × channels per head.

use adept_core::Beside;
use adept_kernels::sublayer::{self, AttentionWeights, FeedForwardWeights, KeysValues, Settings};
use adept_kernels::{AttentionBias, attention, dropout, gated_gelu, relu};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::linear::Linear;
use crate::norm::RmsNorm;
use crate::places::Attached;

/// Pre-norm attention; `SelfAttention` or `EncDecAttention` in the checkpoint. Scores are not scaled.
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
    /// The norm before the layer (`layer.N.layer_norm`).
    pub layer_norm: RmsNorm<B>,
    /// What a method attaches.
    pub attached: Attached<B>,
}

impl<B: Backend> Attention<B> {
    /// Keys and values of (already normalised) states `[b, n, d]`, for one pass of `queries` a row or, if that is not
    /// known, for any number of them.
    pub(super) fn keys_values(&self, states: Tensor<B, 3>, queries: Option<usize>, pass: Settings) -> KeysValues<B> {
        let is_changed = self.k.is_changed() || self.v.is_changed() || self.attached.prefix.is_some();
        if let Some(queries) = queries.filter(|_| !is_changed)
            && let Some(absorbed) = KeysValues::absorbed(&states, [self.k.kept(), self.v.kept()], queries, pass)
        {
            return absorbed;
        }
        if !is_changed && self.k.is_plain() && self.v.is_plain() {
            return KeysValues::new(states, self.k.weight(), self.v.weight(), pass);
        }
        let (keys, values) = (self.k.forward(states.clone()), self.v.forward(states));
        let (keys, values) = self.attached.behind_prefix(keys, values);
        KeysValues::Apart(keys, values)
    }

    /// Queries, keys and values of self-attention on states `[b, n, d]` before their norm.
    pub(super) fn projected(&self, x: Tensor<B, 3>, pass: Settings) -> [Tensor<B, 3>; 3] {
        let normed = self.layer_norm.forward(x, pass.epsilon);
        let [query, keys, values] = [&self.q, &self.k, &self.v].map(|map| map.forward(normed.clone()));
        let (keys, values) = self.attached.behind_prefix(keys, values);
        [query, keys, values]
    }

    /// Self-attention with its residual connection.
    pub(super) fn self_attention(&self, x: Tensor<B, 3>, bias: &AttentionBias<B>, pass: Settings) -> Tensor<B, 3> {
        if !self.is_plain(&[&self.q, &self.k, &self.v, &self.o]) {
            let [query, keys, values] = self.projected(x.clone(), pass);
            let context = attention(query, keys, values, pass.heads, bias, pass.dropout);
            return x + dropout(self.attached.after(self.o.forward(context)), pass.dropout);
        }
        let inputs = [&self.q, &self.k, &self.v].map(|map| map.weight.val());
        sublayer::self_attention(x, self.weights(inputs.into()), bias, pass)
    }

    /// Cross-attention with its residual connection. Candidates of one row (`[b × c, t, d]`) are additional queries of
    /// that row.
    pub(super) fn cross_attention(
        &self,
        x: Tensor<B, 3>,
        memory: &KeysValues<B>,
        bias: &AttentionBias<B>,
        pass: Settings,
    ) -> Tensor<B, 3> {
        if !self.is_plain(&[&self.q, &self.o]) {
            let [rows, n, d] = x.dims();
            let b = memory.rows();
            let normed = self.layer_norm.forward(x.clone(), pass.epsilon);
            let query = self.q.forward(normed.reshape([b, rows / b * n, d]));
            let context = memory.attend(query, bias, pass);
            let added = dropout(self.attached.after(self.o.forward(context)), pass.dropout);
            return x + added.reshape([rows, n, d]);
        }
        sublayer::cross_attention(x, self.weights(vec![self.q.weight.val()]), memory, bias, pass)
    }

    /// Self-attention of the newest slot `[b, 1, d]` with its residual connection, for evaluation; `past` grows by that
    /// slot.
    pub(super) fn step(
        &self,
        x: Tensor<B, 3>,
        past: &mut Option<(Tensor<B, 3>, Tensor<B, 3>)>,
        bias: &AttentionBias<B>,
        pass: Settings,
    ) -> Tensor<B, 3> {
        let normed = self.layer_norm.forward(x.clone(), pass.epsilon);
        let (mut keys, mut values) = (self.k.forward(normed.clone()), self.v.forward(normed.clone()));
        match past.take() {
            Some((old_keys, old_values)) => {
                keys = Tensor::cat(vec![old_keys, keys], 1);
                values = Tensor::cat(vec![old_values, values], 1);
            }
            None => (keys, values) = self.attached.behind_prefix(keys, values),
        }
        *past = Some((keys.clone(), values.clone()));
        let context = attention(self.q.forward(normed), keys, values, pass.heads, bias, 0.0);
        x + self.attached.after(self.o.forward(context))
    }

    /// Whether self-attention is one fused kernel.
    pub(super) fn is_fused(&self, pass: Settings) -> bool {
        let elements = self.o.weight.shape().num_elements();
        self.is_plain(&[&self.q, &self.k, &self.v, &self.o]) && sublayer::is_fused::<B>(pass, elements)
    }

    /// Whether these maps and what surrounds them are what a fused sublayer computes.
    fn is_plain(&self, maps: &[&Linear<B>]) -> bool {
        maps.iter().all(|map| map.is_plain()) && self.layer_norm.bias.is_none() && self.attached.is_none()
    }

    fn weights(&self, inputs: Vec<Tensor<B, 2>>) -> AttentionWeights<B> {
        AttentionWeights {
            norm: self.layer_norm.weight.val(),
            inputs,
            output: self.o.weight.val(),
        }
    }
}

/// Pre-norm feed-forward layer; `DenseReluDense` in the checkpoint.
#[derive(Module, Debug)]
pub struct FeedForward<B: Backend> {
    /// `wi` of v1.0 or `wi_0` (the activated one) of v1.1, `[d, d_ff]`.
    pub wi: Linear<B>,
    /// `wi_1` of v1.1, `[d, d_ff]`; if present, the layer is a gated GELU.
    pub wi_1: Option<Linear<B>>,
    /// `[d_ff, d]`.
    pub wo: Linear<B>,
    /// The norm before the layer.
    pub layer_norm: RmsNorm<B>,
    /// What a method attaches.
    pub attached: Attached<B>,
}

impl<B: Backend> FeedForward<B> {
    /// The layer with its residual connection, `[b, n, d]` to the same shape; `made` stands beside it for this pass.
    pub(super) fn forward(&self, x: Tensor<B, 3>, made: Option<&Beside<B>>, pass: Settings) -> Tensor<B, 3> {
        let mut maps = [Some(&self.wi), self.wi_1.as_ref(), Some(&self.wo)]
            .into_iter()
            .flatten();
        let is_plain = maps.all(Linear::is_plain) && self.layer_norm.bias.is_none() && self.attached.is_none();
        if !is_plain || made.is_some() {
            let normed = self.layer_norm.forward(x.clone(), pass.epsilon);
            let mut x = self.attached.with_beside(x, normed.clone());
            if let Some(made) = made {
                x = x + made.forward(normed.clone());
            }
            let hidden = match &self.wi_1 {
                None => relu(self.wi.forward(normed)),
                Some(up) => gated_gelu(self.wi.forward(normed.clone()), up.forward(normed)),
            };
            let output = self.wo.forward(dropout(hidden, pass.dropout));
            return x + dropout(self.attached.after(output), pass.dropout);
        }
        let weights = FeedForwardWeights {
            norm: self.layer_norm.weight.val(),
            wi: self.wi.weight.val(),
            gate: self.wi_1.as_ref().map(|gate| gate.weight.val()),
            wo: self.wo.weight.val(),
        };
        sublayer::feed_forward(x, weights, pass)
    }
}
