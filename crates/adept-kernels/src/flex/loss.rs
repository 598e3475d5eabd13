//! Cross-entropy: saves the logits, the labels and one number per row; the backward pass directly writes softmax minus
//! one-hot.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Int, Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::bridge::{Route, contiguous, elements, from_plain, from_tracked, plain, tensor, tracked};
use super::rows::{exp, fast, maximum, sum_of_exponentials};

pub(crate) fn cross_entropy<B: Backend>(route: Route, logits: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Tensor<B, 1> {
    let labels: Vec<i64> = labels.into_data().iter::<i64>().collect();
    if route == Route::Plain {
        return from_plain(forward(&contiguous(plain(logits)), &labels).0);
    }
    let logits = tracked(logits);
    let prepared = CrossEntropy.prepare::<NoCheckpointing>([logits.node]).compute_bound();
    let logits = contiguous(logits.primitive);
    let (loss, log_sums) = forward(&logits, &labels);
    from_tracked::<B, 1>(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(
            State {
                logits,
                labels,
                log_sums,
            },
            loss,
        ),
        OpsKind::UnTracked(step) => step.finish(loss),
    })
}

#[derive(Debug)]
struct CrossEntropy;

#[derive(Debug, Clone)]
struct State {
    logits: FlexTensor,
    labels: Vec<i64>,
    /// `ln Σ e^logit` per row.
    log_sums: Vec<f32>,
}

/// Number of rows that count, at least 1.
fn count(labels: &[i64]) -> f32 {
    labels.iter().filter(|&&label| label >= 0).count().max(1) as f32
}

/// The mean loss `[1]` and the log-sum of each row.
fn forward(logits: &FlexTensor, labels: &[i64]) -> (FlexTensor, Vec<f32>) {
    let v = logits.layout().shape()[1];
    let values = elements(logits);
    let log_sums: Vec<f32> = values
        .par_chunks(v)
        .map(|row| {
            fast(
                #[inline(always)]
                || {
                    let top = maximum(row);
                    // In parts, to keep the float32 sums short: a vocabulary has tens of thousands of terms.
                    let parts = row.chunks(4096).map(
                        #[inline(always)]
                        |part| f64::from(sum_of_exponentials(part, top)),
                    );
                    top + parts.sum::<f64>().ln() as f32
                },
            )
        })
        .collect();
    let total: f64 = labels
        .iter()
        .zip(&log_sums)
        .enumerate()
        .filter(|(_, (label, _))| **label >= 0)
        .map(|(row, (&label, &log_sum))| f64::from(log_sum - values[row * v + label as usize]))
        .sum();
    (tensor(vec![(total / f64::from(count(labels))) as f32], [1]), log_sums)
}

impl Backward<Flex, 1> for CrossEntropy {
    type State = State;

    fn backward(self, ops: Ops<State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [parent] = ops.parents;
        let Some(node) = parent else { return };
        let State {
            logits,
            labels,
            log_sums,
        } = ops.state;
        let v = logits.layout().shape()[1];
        let factor = elements(&grad)[0] / count(&labels);
        let values = elements(&logits);
        let mut out = vec![0.0; values.len()];
        let rows = out
            .par_chunks_mut(v)
            .zip(values.par_chunks(v))
            .zip(labels.par_iter().zip(&log_sums));
        rows.filter(|(_, (label, _))| **label >= 0)
            .for_each(|((out, row), (&label, &log_sum))| {
                fast(
                    #[inline(always)]
                    || {
                        for (out, &x) in out.iter_mut().zip(row) {
                            *out = factor * exp(x - log_sum);
                        }
                    },
                );
                out[label as usize] -= factor;
            });
        grads.register::<Flex>(node.id, tensor(out, logits.layout().shape().clone()));
    }
}
