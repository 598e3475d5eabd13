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
    /// `[1, h, q, k]`, with any causal mask already in it.
    pub(crate) bias: Option<Tensor<B, 4>>,
    /// `[b, k]`: zero where a key may be seen, the smallest finite float where not.
    pub(crate) mask: Option<Tensor<B, 2>>,
    /// `[b, h, q, k]` or a broadcastable form of it; present where no fused kernel uses the parts.
    combined: Option<Tensor<B, 4>>,
}

impl<B: Backend> AttentionBias<B> {
    /// Takes a position bias `[1, h, q, k]` (causal mask included where there is one) and a key mask `[b, k]`, true = attend.
    pub fn new(bias: Option<Tensor<B, 4>>, mask: Option<Tensor<B, 2, Bool>>) -> Self {
        let mask = mask.map(|keep| {
            let zeros = Tensor::<B, 2>::zeros(keep.dims(), &keep.device());
            zeros.mask_fill(keep.bool_not(), f32::MIN)
        });
        let mut this = Self {
            bias,
            mask,
            combined: None,
        };
        // The fused kernel reads both parts where they lie.
        #[cfg(feature = "flex")]
        let fused = crate::flex::route::<B>().is_some();
        #[cfg(not(feature = "flex"))]
        let fused = false;
        if !fused {
            this.combined = this.combine();
        }
        this
    }

    /// No bias and no mask: every query sees every key.
    pub fn none() -> Self {
        Self {
            bias: None,
            mask: None,
            combined: None,
        }
    }

    /// Adds both parts; a sum of two masks stays finite.
    fn combine(&self) -> Option<Tensor<B, 4>> {
        let mask = self.mask.clone().map(|mask| {
            let [b, k] = mask.dims();
            mask.reshape([b, 1, 1, k])
        });
        match (self.bias.clone(), mask) {
            (Some(bias), Some(mask)) => Some((bias + mask).clamp_min(f32::MIN)),
            (bias, mask) => bias.or(mask),
        }
    }
}

/// Multi-head attention: query `[b, q, h·c]`, key and value `[b, k, h·c]` to `[b, q, h·c]`; heads lie side by side in the
/// last dimension. `dropout` is the rate on the attention weights; 0 in evaluation.
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
    assert_eq!(key.dims(), value.dims(), "attention: keys and values differ in shape");
    #[cfg(feature = "flex")]
    if dropout == 0.0
        && let Some(route) = crate::flex::route::<B>()
    {
        return crate::flex::attention(route, query, key, value, heads, bias);
    }
    let split = |x: Tensor<B, 3>| {
        let [b, n, _] = x.dims();
        x.reshape([b, n, heads, inner / heads]).swap_dims(1, 2)
    };
    let mut scores = split(query).matmul(split(key).swap_dims(2, 3));
    if let Some(added) = bias.combined.clone().or_else(|| bias.combine()) {
        scores = scores + added;
    }
    let mut weights = softmax(scores, 3);
    if dropout > 0.0 {
        let keep = weights.random_like(Distribution::Bernoulli(1.0 - dropout));
        weights = weights * keep * (1.0 / (1.0 - dropout));
    }
    weights.matmul(split(value)).swap_dims(1, 2).reshape([b, q, inner])
}
