//! Whole transformer sublayers, each with its pre-norm and residual connection: self-attention, cross-attention over a
//! memory, feed-forward.
//!
//! Composed of this crate's kernels and burn's products. On the flex backend, without dropout and if the weights are
//! small enough to stay in a processor's cache, a single fused kernel computes a sublayer: each thread processes a few
//! dozen rows from start to end, and one product yields queries, keys and values. With large weights the big products
//! dominate, and these are better split by columns, as in the composed form.

use burn::tensor::{Tensor, backend::Backend};

pub use crate::keys_values::{KeysValues, States};
use crate::{AttentionBias, Prepared, attention, dropout, gated_gelu, relu, rms_norm};

/// Maximum number of weight elements of a sublayer that is assumed to stay in a cache (2 MiB).
#[cfg(feature = "flex")]
const CACHED: usize = 512 * 1024;
/// Number of elements above which a weight is in no fused sublayer: each has at least two of its size.
#[cfg(feature = "flex")]
pub(crate) const LARGE: usize = CACHED / 2;

/// Settings shared by all sublayers of a pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Number of attention heads.
    pub heads: usize,
    /// Added to the mean square in the norm.
    pub epsilon: f64,
    /// Dropout rate within and after the sublayer; 0 in evaluation.
    pub dropout: f64,
}

/// Parameters of an attention sublayer.
#[derive(Debug, Clone)]
pub struct AttentionWeights<B: Backend> {
    /// Weight of the pre-norm, `[d]`.
    pub norm: Tensor<B, 1>,
    /// `[d, h·c]` each: query, key and value maps for self-attention, only the query map for cross-attention.
    pub inputs: Vec<Tensor<B, 2>>,
    /// Output map, `[h·c, d]`.
    pub output: Tensor<B, 2>,
}

/// Parameters of a feed-forward sublayer.
#[derive(Debug, Clone)]
pub struct FeedForwardWeights<B: Backend> {
    /// Weight of the pre-norm, `[d]`.
    pub norm: Tensor<B, 1>,
    /// The map followed by the activation, `[d, f]`.
    pub wi: Tensor<B, 2>,
    /// `[d, f]`; if present, the layer is `wo(gelu(wi x) · gate x)` instead of `wo(relu(wi x))`.
    pub gate: Option<Tensor<B, 2>>,
    /// Output map, `[f, d]`.
    pub wo: Tensor<B, 2>,
}

/// The route of the fused kernels, if they should be used for a sublayer with `weights` elements.
#[cfg(feature = "flex")]
pub(crate) fn fused<B: Backend>(settings: Settings, weights: usize) -> Option<crate::flex::Route> {
    if settings.dropout > 0.0 || weights > CACHED {
        return None;
    }
    crate::flex::route::<B>()
}

/// Whether an attention sublayer with an output map of that many elements is one fused kernel.
pub fn is_fused<B: Backend>(settings: Settings, output: usize) -> bool {
    #[cfg(feature = "flex")]
    return fused::<B>(settings, output * 4).is_some();
    #[cfg(not(feature = "flex"))]
    {
        let _ = (settings, output);
        false
    }
}

/// `[b, n, in]` to `[b, n, out]` as a single flat product: burn's batched product would process each row separately.
pub fn linear<B: Backend>(x: Tensor<B, 3>, weight: Tensor<B, 2>) -> Tensor<B, 3> {
    let [b, n, d] = x.dims();
    let [_, out] = weight.dims();
    linear_rows(x.reshape([b * n, d]), weight).reshape([b, n, out])
}

/// [`linear`] with what was kept of a weight that is prepared, or with the weight.
pub fn linear_prepared<B: Backend>(x: Tensor<B, 3>, weight: Tensor<B, 2>, prepared: Option<&Prepared>) -> Tensor<B, 3> {
    let ([b, n, d], [_, out]) = (x.dims(), weight.dims());
    linear_rows_prepared(x.reshape([b * n, d]), weight, prepared).reshape([b, n, out])
}

/// [`linear_rows`] with what was kept of a weight that is prepared, or with the weight.
pub fn linear_rows_prepared<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    prepared: Option<&Prepared>,
) -> Tensor<B, 2> {
    match prepared {
        Some(prepared) => prepared.product(x, weight),
        None => linear_rows(x, weight),
    }
}

/// `[n, in]` to `[n, out]`. Few rows on the plain flex backend, as in every step of generation, use a special product
/// that reads the weight once.
pub fn linear_rows<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
    #[cfg(feature = "flex")]
    match crate::flex::route::<B>() {
        Some(crate::flex::Route::Plain) => return crate::flex::linear(x, weight),
        Some(crate::flex::Route::Tracked) => return crate::flex::product(x, weight),
        None => {}
    }
    crate::product(x, weight)
}

/// `x + attention(norm(x))` for `x` `[b, n, d]`.
pub fn self_attention<B: Backend>(
    x: Tensor<B, 3>,
    weights: AttentionWeights<B>,
    bias: &AttentionBias<B>,
    settings: Settings,
) -> Tensor<B, 3> {
    assert_eq!(weights.inputs.len(), 3, "self-attention has three maps");
    #[cfg(feature = "flex")]
    if let Some(route) = fused::<B>(settings, weights.output.shape().num_elements() * 4)
        && bias.segments.is_none()
    {
        let epsilon = settings.epsilon as f32;
        return crate::flex::attention_layer(route, x, weights, None, settings.heads, bias, epsilon);
    }
    let normed = rms_norm(x.clone(), weights.norm, settings.epsilon);
    let mut maps = weights.inputs.into_iter().map(|map| linear(normed.clone(), map));
    let [query, key, value] = std::array::from_fn(|_| maps.next().expect("there are three maps"));
    let context = attention(query, key, value, settings.heads, bias, settings.dropout);
    x + dropout(linear(context, weights.output), settings.dropout)
}

/// `x + attention(norm(x), memory)`. `x` `[b·m, n, d]` may have `m` rows for each of the memory's `b`: they become
/// additional queries of that row, since cross-attention has no positions.
pub fn cross_attention<B: Backend>(
    x: Tensor<B, 3>,
    weights: AttentionWeights<B>,
    memory: &KeysValues<B>,
    bias: &AttentionBias<B>,
    settings: Settings,
) -> Tensor<B, 3> {
    assert_eq!(weights.inputs.len(), 1, "attention over a memory has one map");
    #[cfg(feature = "flex")]
    if let KeysValues::Together(both) = memory
        && let Some(route) = fused::<B>(settings, weights.output.shape().num_elements() * 4)
    {
        let (both, epsilon) = (Some(both.clone()), settings.epsilon as f32);
        return crate::flex::attention_layer(route, x, weights, both, settings.heads, bias, epsilon);
    }
    let [rows, n, d] = x.dims();
    let b = memory.rows();
    let normed = rms_norm(x.clone(), weights.norm, settings.epsilon).reshape([b, rows / b * n, d]);
    let map = weights.inputs.into_iter().next().expect("there is one map");
    let context = memory.attend(linear(normed, map), bias, settings);
    let added = dropout(linear(context, weights.output), settings.dropout);
    x + added.reshape([rows, n, d])
}

/// `x + wo(activation(norm(x)))`.
pub fn feed_forward<B: Backend>(x: Tensor<B, 3>, weights: FeedForwardWeights<B>, settings: Settings) -> Tensor<B, 3> {
    #[cfg(feature = "flex")]
    {
        let maps = if weights.gate.is_some() { 3 } else { 2 };
        if let Some(route) = fused::<B>(settings, weights.wo.shape().num_elements() * maps) {
            return crate::flex::feed_forward(route, x, weights, settings.epsilon as f32);
        }
    }
    let normed = rms_norm(x.clone(), weights.norm, settings.epsilon);
    let hidden = match weights.gate {
        None => relu(linear(normed, weights.wi)),
        Some(gate) => gated_gelu(linear(normed.clone(), weights.wi), linear(normed, gate)),
    };
    let added = linear(dropout(hidden, settings.dropout), weights.wo);
    x + dropout(added, settings.dropout)
}
