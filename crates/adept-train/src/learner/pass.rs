//! One optimiser step's passes over the model: loss and gradients, without the loop around them.

use adept_core::Intervention;
use adept_data::{Batch, IGNORED_LABEL};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use crate::gradient::GradientSet;
use crate::target::{Target, TrainBackbone};

/// Loss of one step, `[1]` on the device, and the gradients of what is trained.
pub type StepGradients<AB> = (
    Tensor<<AB as AutodiffBackend>::InnerBackend, 1>,
    GradientSet<<AB as AutodiffBackend>::InnerBackend>,
);

/// Mean cross-entropy of a batch over its target tokens, tracked.
pub fn loss<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    backbone: &M,
    adapter: &dyn Intervention<AB>,
    batch: &Batch,
    dropout: f64,
    device: &AB::Device,
) -> Tensor<AB, 1> {
    backbone.adapted(adapter).loss(adapter, batch, dropout, device)
}

/// Loss and gradients of the batches of one step together: the mean over all their target tokens, as if they were one
/// batch. The graph of a batch is gone before the next one's is built.
///
/// `before_pass(index)` is called before every batch; where it says no, the answer is `None`.
pub fn step_gradients<AB: AutodiffBackend, T: Target<AB>>(
    target: &T,
    trained: &T::Trained,
    batches: &[Batch],
    dropout: f64,
    device: &AB::Device,
    before_pass: &mut dyn FnMut(usize) -> bool,
) -> Option<StepGradients<AB>> {
    let (backbone, adapter) = target.parts(trained);
    let counts: Vec<usize> = batches.iter().map(target_tokens).collect();
    let all = counts.iter().sum::<usize>().max(1);
    let mut gradients = GradientSet::default();
    let mut total = Tensor::zeros([1], device);
    for (index, batch) in batches.iter().enumerate() {
        if !before_pass(index) {
            return None;
        }
        let share = counts[index] as f64 / all as f64;
        let loss = loss::<AB, _>(backbone, adapter, batch, dropout, device);
        let loss = if batches.len() == 1 {
            loss
        } else {
            loss.mul_scalar(share)
        };
        total = total + loss.clone().inner();
        gradients.accumulate(GradientSet::collect::<AB, _>(trained, &mut loss.backward()));
    }
    Some((total, gradients))
}

/// Labels of a batch that count for the loss.
fn target_tokens(batch: &Batch) -> usize {
    batch.labels.iter().filter(|label| **label != IGNORED_LABEL).count()
}

/// A seed for micro-step `step` of a run: SplitMix64's mixing of both, so that neighbours share nothing.
pub fn mix(seed: u64, step: u64) -> u64 {
    let mut value = seed ^ step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
