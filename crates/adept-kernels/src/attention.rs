//! Multi-head attention without score scaling: `softmax(q·kᵀ + bias + mask)·v` (T5; other models fold their scaling
//! factor into `q`).

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Tensor, backend::Backend};

use crate::Segments;

/// Additive terms of the attention scores in one stack: a position bias shared by the batch, and a key mask per row.
///
/// Created once per stack and used by each of its layers. On backends without a fused kernel both are combined once
/// into a single `[b, h, q, k]` tensor, so that each layer does only one addition.
#[derive(Debug, Clone)]
pub struct AttentionBias<B: Backend> {
    /// `[1, h, q, k]`, including the causal mask of an encoder-decoder, if any.
    pub(crate) bias: Option<Tensor<B, 4>>,
    /// Query `i` sees keys up to `past + i` only; `None`: all keys.
    pub(crate) past: Option<usize>,
    /// `[b, k]`: zero for visible keys, the smallest finite float for hidden ones.
    pub(crate) mask: Option<Tensor<B, 2>>,
    /// If given, queries and keys are `[1, t, ..]`, the slots of all rows without padding, and there is no mask.
    pub(crate) segments: Option<Segments>,
    /// `[b, h, q, k]`, or broadcastable to it; only set if no fused kernel uses the parts.
    combined: Option<Tensor<B, 4>>,
}

/// Converts a keep mask to zeros and, for hidden keys, the smallest finite float.
fn additive<B: Backend>(keep: Tensor<B, 2, Bool>) -> Tensor<B, 2> {
    let zeros = Tensor::<B, 2>::zeros(keep.dims(), &keep.device());
    zeros.mask_fill(keep.bool_not(), f32::MIN)
}

impl<B: Backend> AttentionBias<B> {
    /// Whether a fused kernel reads the parts directly.
    fn is_fused() -> bool {
        #[cfg(feature = "flex")]
        return crate::flex::route::<B>().is_some();
        #[cfg(not(feature = "flex"))]
        false
    }

    /// From a position bias `[1, h, q, k]` (including a causal mask, if any) and a key mask `[b, k]`, true = attend.
    pub fn new(bias: Option<Tensor<B, 4>>, mask: Option<Tensor<B, 2, Bool>>) -> Self {
        let mut this = Self {
            bias,
            past: None,
            mask: mask.map(additive),
            segments: None,
            combined: None,
        };
        if !Self::is_fused() {
            this.combined = this.combine(None);
        }
        this
    }

    /// Causal attention of the last `queries` of `past + queries` keys: query `i` sees the keys up to `past + i` whose
    /// mask `[b, past + queries]` is true.
    pub fn causal(past: usize, queries: usize, mask: Tensor<B, 2, Bool>) -> Self {
        let [_, k] = mask.dims();
        assert_eq!(k, past + queries, "attention: the key mask has the wrong shape");
        let mut this = Self {
            bias: None,
            past: Some(past),
            mask: Some(additive(mask)),
            segments: None,
            combined: None,
        };
        if !Self::is_fused() {
            this.combined = this.combine(Some(queries));
        }
        this
    }

    /// Attention within each row of a batch without padding, with a frozen position bias `[1, h, n, n]` of the padded
    /// width, of which a row uses the first positions. Rows may not share slots.
    pub fn of_segments(bias: Tensor<B, 4>, segments: Segments) -> Self {
        Self {
            bias: Some(bias),
            past: None,
            mask: None,
            segments: Some(segments),
            combined: None,
        }
    }

    /// Causal attention within each row of a batch without padding; all rows see the shared slots, if there are any.
    pub fn causal_segments(segments: Segments) -> Self {
        Self {
            bias: None,
            past: Some(0),
            mask: None,
            segments: Some(segments),
            combined: None,
        }
    }

    /// Neither bias nor mask: every query sees every key.
    pub fn none() -> Self {
        Self {
            bias: None,
            past: None,
            mask: None,
            segments: None,
            combined: None,
        }
    }

    /// Sums all parts; a sum of two masks stays finite. `queries` is required for a causal limit.
    fn combine(&self, queries: Option<usize>) -> Option<Tensor<B, 4>> {
        let mask = self.mask.clone().map(|mask| {
            let [b, k] = mask.dims();
            mask.reshape([b, 1, 1, k])
        });
        let future = self.past.zip(queries).zip(self.mask.as_ref()).map(|((past, q), mask)| {
            let (device, shape) = (mask.device(), [q, past + q]);
            let hidden = Tensor::<B, 2, Bool>::tril_mask(shape, past as i64, &device);
            Tensor::<B, 2>::zeros(shape, &device)
                .mask_fill(hidden, f32::MIN)
                .reshape([1, 1, q, past + q])
        });
        match (self.bias.clone().or(future), mask) {
            (Some(bias), Some(mask)) => Some((bias + mask).clamp_min(f32::MIN)),
            (bias, mask) => bias.or(mask),
        }
    }
}

/// Multi-head attention: query `[b, q, h·c]`, key and value `[b, k, g·c]` to `[b, q, h·c]`, with heads concatenated in
/// the last dimension. If keys and values have fewer heads than queries (grouped-query attention), query head `i` uses
/// key head `i·g/h`. `dropout` is the rate on the attention weights; 0 in evaluation.
///
/// # Panics
/// If the last dimension is not a multiple of `heads`, or the shapes do not match.
pub fn attention<B: Backend>(
    query: Tensor<B, 3>,
    key: Tensor<B, 3>,
    value: Tensor<B, 3>,
    heads: usize,
    bias: &AttentionBias<B>,
    dropout: f64,
) -> Tensor<B, 3> {
    let [b, q, inner] = query.dims();
    assert_eq!(
        inner % heads,
        0,
        "attention: {inner} channels do not split into {heads} heads"
    );
    let channels = inner / heads;
    let [_, k, narrow] = key.dims();
    let groups = narrow / channels;
    assert!(
        narrow % channels == 0 && groups > 0 && heads.is_multiple_of(groups),
        "attention: {narrow} channels of keys are not shared evenly by {heads} heads of {channels}"
    );
    assert_eq!(key.dims(), value.dims(), "attention: keys and values differ in shape");
    if let Some(past) = bias.past {
        assert_eq!(past + q, k, "attention: the queries are not the last of the keys");
    }
    assert!(
        bias.segments.is_none() || dropout == 0.0,
        "attention: dropout needs a padded batch"
    );
    #[cfg(feature = "flex")]
    if dropout == 0.0
        && let Some(route) = crate::flex::route::<B>()
    {
        return crate::flex::attention(route, query, key, value, heads, bias);
    }
    let every_head = |x: Tensor<B, 3>| {
        if groups == heads {
            return x;
        }
        let times = heads / groups;
        x.reshape([b, k, groups, 1, channels])
            .repeat_dim(3, times)
            .reshape([b, k, inner])
    };
    let (key, value) = (every_head(key), every_head(value));
    let split = |x: Tensor<B, 3>| {
        let [b, n, _] = x.dims();
        x.reshape([b, n, heads, channels]).swap_dims(1, 2)
    };
    let (query, key) = (split(query), split(key));
    // A single query is summed value by value. `product` would not do: as an answer grows, its lengths share a choice,
    // and over a single key even two rows are a product with a vector.
    let mut scores = match q {
        1 => (query * key).sum_dim(3).swap_dims(2, 3),
        _ => query.matmul(key.swap_dims(2, 3)),
    };
    if let Some(added) = bias.combined.clone().or_else(|| bias.combine(Some(q))) {
        scores = scores + added;
    }
    let weights = crate::dropout(softmax(scores, 3), dropout);
    let value = split(value);
    let read = match q {
        1 => (weights.swap_dims(2, 3) * value).sum_dim(2),
        _ => weights.matmul(value),
    };
    read.swap_dims(1, 2).reshape([b, q, inner])
}
