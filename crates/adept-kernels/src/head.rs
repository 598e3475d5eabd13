//! The tied output head: logits, the loss of labels, and their log-probabilities.
//!
//! Shape legend: `n` rows, `d` model width, `v` vocabulary. The head is the embedding matrix `[v, d]`, which may be
//! prepared; logits are `factor · states · tableᵀ`.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, backend::Backend};

use crate::{Map, cross_entropy, product};

/// Logits `[n, v]` of states `[n, d]`.
pub fn head_logits<B: Backend>(states: Tensor<B, 2>, table: impl Into<Map<B>>) -> Tensor<B, 2> {
    let table = table.into();
    #[cfg(feature = "flex")]
    if crate::flex::route::<B>() == Some(crate::flex::Route::Plain) && crate::flex::are_few_states(states.dims()[0]) {
        return crate::flex::head_logits(states, table);
    }
    product(states, table.weight().transpose())
}

/// Mean cross-entropy of states `[n, d]` against the non-negative labels in `[n]`; 0 if all are ignored.
pub fn head_loss<B: Backend>(
    states: Tensor<B, 2>,
    table: impl Into<Map<B>>,
    factor: f64,
    labels: Tensor<B, 1, Int>,
) -> Tensor<B, 1> {
    assert_eq!(labels.dims(), [states.dims()[0]], "head_loss: one label per row");
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::head_loss(route, states, table.into(), factor as f32, labels);
    }
    cross_entropy(
        product(states.mul_scalar(factor), table.into().weight().transpose()),
        labels,
    )
}

/// Log-probability of each label `[n]`, not differentiable; 0 for negative labels.
pub fn head_log_probabilities<B: Backend>(
    states: Tensor<B, 2>,
    table: impl Into<Map<B>>,
    factor: f64,
    labels: Tensor<B, 1, Int>,
) -> Tensor<B, 1> {
    let [n, _] = states.dims();
    assert_eq!(labels.dims(), [n], "head_log_probabilities: one label per row");
    #[cfg(feature = "flex")]
    if crate::flex::route::<B>() == Some(crate::flex::Route::Plain) {
        return crate::flex::head_log_probabilities(states, table.into(), factor as f32, labels);
    }
    let ignored = labels.clone().lower_elem(0);
    log_softmax(product(states.mul_scalar(factor), table.into().weight().transpose()), 1)
        .gather(1, labels.clamp_min(0).reshape([n, 1]))
        .reshape([n])
        .mask_fill(ignored, 0.0)
}
