//! Label shift and token cross-entropy, as in PyTorch and transformers.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// Labels with this value are excluded from the loss and its mean.
pub const IGNORE_INDEX: i32 = -100;

/// Decoder inputs for labels `[batch, target]`: shifted right by one, starting with `start_id`, ignored labels replaced
/// by `pad_id`.
pub fn shift_right<B: Backend>(labels: Tensor<B, 2, Int>, start_id: u32, pad_id: u32) -> Tensor<B, 2, Int> {
    let [batch, target] = labels.dims();
    let start = Tensor::<B, 2, Int>::full([batch, 1], start_id, &labels.device());
    if target == 1 {
        // No label remains after the shift, and backends do not support tensors of width 0.
        return start;
    }
    let shifted = Tensor::cat(vec![start, labels.narrow(1, 0, target - 1)], 1);
    let ignored = shifted.clone().equal_elem(IGNORE_INDEX);
    shifted.mask_fill(ignored, pad_id)
}

/// Mean cross-entropy of logits `[batch, target, vocab]` over the labels `[batch, target]` that are not
/// [`IGNORE_INDEX`]; 0 (not NaN) if all are ignored.
pub fn cross_entropy<B: Backend>(logits: Tensor<B, 3>, labels: Tensor<B, 2, Int>) -> Tensor<B, 1> {
    let [batch, target, vocab] = logits.dims();
    adept_kernels::cross_entropy(
        logits.reshape([batch * target, vocab]),
        labels.reshape([batch * target]),
    )
}

/// Log-probabilities `[batch, candidates, target]` of labels `[candidates, target]` under logits
/// `[batch, candidates, target, vocab]`, 0 for negative labels.
pub(crate) fn label_log_probabilities<B: Backend>(logits: Tensor<B, 4>, labels: Tensor<B, 2, Int>) -> Tensor<B, 3> {
    let [batch, candidates, target, _] = logits.dims();
    let places = labels.clone().clamp_min(0).reshape([1, candidates, target, 1]);
    let picked = logits.clone().gather(3, places.expand([batch, candidates, target, 1]));
    // Log-softmax of the picked entry only: the whole table of log-probabilities is never built.
    let largest = logits.clone().max_dim(3);
    let normaliser = (logits - largest.clone()).exp().sum_dim(3).log() + largest;
    let ignored = labels.lower_elem(0).reshape([1, candidates, target]);
    (picked - normaliser)
        .reshape([batch, candidates, target])
        .mask_fill(ignored.expand([batch, candidates, target]), 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    #[test]
    fn labels_shift_right_and_ignored_ones_become_pads() {
        let labels = Tensor::<Flex, 2, Int>::from_data([[5, 6, 1], [7, 1, -100]], &Default::default());
        let shifted = shift_right(labels, 9, 3)
            .into_data()
            .convert::<i64>()
            .to_vec::<i64>()
            .unwrap();
        assert_eq!(shifted, [9, 5, 6, 9, 7, 1]);
        let ignored = Tensor::<Flex, 2, Int>::from_data([[-100, -100]], &Default::default());
        let shifted = shift_right(ignored, 0, 3)
            .into_data()
            .convert::<i64>()
            .to_vec::<i64>()
            .unwrap();
        assert_eq!(shifted, [0, 3]);
    }

    #[test]
    fn ignored_labels_leave_the_mean_alone_and_all_ignored_is_zero() {
        let device = Default::default();
        let logits = Tensor::<Flex, 3>::from_data([[[1.0, 2.0, 0.5], [300.0, -300.0, 0.0]]], &device);
        let loss =
            |labels: [[i32; 2]; 1]| cross_entropy(logits.clone(), Tensor::from_data(labels, &device)).into_scalar();
        let first = -(2f32.exp() / (1f32.exp() + 2f32.exp() + 0.5f32.exp())).ln();
        assert!((loss([[1, -100]]) - first).abs() < 1e-6);
        assert!((loss([[1, 1]]) - (first + 600.0) / 2.0).abs() < 1e-4);
        assert_eq!(loss([[-100, -100]]), 0.0);
    }
}
