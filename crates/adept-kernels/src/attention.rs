//! Multi-head attention without score scaling: `softmax(q·kᵀ + bias + mask)·v` (T5; a caller that scales folds the factor
//! into `q`).

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Distribution, Tensor, backend::Backend};

/// What is added to the attention scores of one stack: a position bias shared by the batch and a key mask a row.
///
/// It is made once for a stack and used by each of its layers. On backends without a fused kernel both are combined at
/// once into one `[b, h, q, k]` tensor, so that each layer pays one addition.
#[derive(Debug, Clone)]
pub struct AttentionBias<B: Backend> {
    /// `[1, h, q, k]`, with any causal mask of an encoder-decoder already in it.
    pub(crate) bias: Option<Tensor<B, 4>>,
    /// Query `i` sees the keys up to `past + i` alone; none: all keys.
    pub(crate) past: Option<usize>,
    /// `[b, k]`: zero where a key may be seen, the smallest finite float where not.
    pub(crate) mask: Option<Tensor<B, 2>>,
    /// `[b, h, q, k]` or a broadcastable form of it; present where no fused kernel uses the parts.
    combined: Option<Tensor<B, 4>>,
}

/// Zero where a key may be seen, the smallest finite float where not.
fn additive<B: Backend>(keep: Tensor<B, 2, Bool>) -> Tensor<B, 2> {
    let zeros = Tensor::<B, 2>::zeros(keep.dims(), &keep.device());
    zeros.mask_fill(keep.bool_not(), f32::MIN)
}

impl<B: Backend> AttentionBias<B> {
    /// Whether a fused kernel reads the parts where they lie.
    fn is_fused() -> bool {
        #[cfg(feature = "flex")]
        return crate::flex::route::<B>().is_some();
        #[cfg(not(feature = "flex"))]
        false
    }

    /// Takes a position bias `[1, h, q, k]` (causal mask included where there is one) and a key mask `[b, k]`, true = attend.
    pub fn new(bias: Option<Tensor<B, 4>>, mask: Option<Tensor<B, 2, Bool>>) -> Self {
        let mut this = Self {
            bias,
            past: None,
            mask: mask.map(additive),
            combined: None,
        };
        if !Self::is_fused() {
            this.combined = this.combine(None);
        }
        this
    }

    /// Queries that stand behind `past` keys and among the last of them: query `i` of `queries` sees the keys up to
    /// `past + i`, of those the ones whose mask `[b, past + queries]` is true.
    pub fn causal(past: usize, queries: usize, mask: Tensor<B, 2, Bool>) -> Self {
        let [_, k] = mask.dims();
        assert_eq!(k, past + queries, "attention: the key mask does not fit");
        let mut this = Self {
            bias: None,
            past: Some(past),
            mask: Some(additive(mask)),
            combined: None,
        };
        if !Self::is_fused() {
            this.combined = this.combine(Some(queries));
        }
        this
    }

    /// No bias and no mask: every query sees every key.
    pub fn none() -> Self {
        Self {
            bias: None,
            past: None,
            mask: None,
            combined: None,
        }
    }

    /// Adds all parts; a sum of two masks stays finite. `queries` is needed where the past is limited.
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

/// Multi-head attention: query `[b, q, h·c]`, key and value `[b, k, g·c]` to `[b, q, h·c]`; heads lie side by side in the
/// last dimension. Where keys and values have fewer heads than queries (grouped queries), head `i` of the queries sees
/// head `i·g/h` of theirs. `dropout` is the rate on the attention weights; 0 in evaluation.
///
/// # Panics
/// Where the last dimension is not a multiple of `heads`, or shapes do not fit each other.
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
    let mut scores = split(query).matmul(split(key).swap_dims(2, 3));
    if let Some(added) = bias.combined.clone().or_else(|| bias.combine(Some(q))) {
        scores = scores + added;
    }
    let mut weights = softmax(scores, 3);
    if dropout > 0.0 {
        let keep = weights.random_like(Distribution::Bernoulli(1.0 - dropout));
        weights = weights * keep * (1.0 / (1.0 - dropout));
    }
    weights.matmul(split(value)).swap_dims(1, 2).reshape([b, q, inner])
}
