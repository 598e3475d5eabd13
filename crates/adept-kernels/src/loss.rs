//! Token cross-entropy with ignored labels.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, backend::Backend};

/// Mean cross-entropy over the non-negative labels (ignored ones are −100 by convention); 0 if all are ignored.
///
/// `logits` is `[n, v]`, `labels` `[n]`; the result has one element.
pub fn cross_entropy<B: Backend>(logits: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Tensor<B, 1> {
    let [n, _] = logits.dims();
    assert_eq!(
        labels.dims(),
        [n],
        "cross_entropy: {n} rows of logits, labels {:?}",
        labels.dims()
    );
    #[cfg(feature = "flex")]
    if let Some(route) = crate::flex::route::<B>() {
        return crate::flex::cross_entropy(route, logits, labels);
    }
    let kept = labels.clone().greater_equal_elem(0);
    let count = kept.clone().float().sum().clamp_min(1.0);
    let picked = log_softmax(logits, 1)
        .gather(1, labels.clamp_min(0).reshape([n, 1]))
        .reshape([n]);
    picked.mask_fill(kept.bool_not(), 0.0).sum().neg() / count
}
