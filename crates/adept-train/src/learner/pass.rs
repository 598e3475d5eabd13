//! Single passes through the model: loss and gradients.

use std::sync::{Mutex, MutexGuard, PoisonError};

use adept_core::Intervention;
use adept_data::{Batch, IGNORED_LABEL};
use adept_models::{Backbone as _, Tape};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use crate::gradient::GradientSet;
#[cfg(doc)]
use crate::model::Outputs;
use crate::model::{Forward, TaskModel as _};
use crate::target::{Target, TeacherParts, TrainBackbone};

/// A loss, `[1]` on the device, and the gradients of the trained module.
pub type LossAndGradients<AB> = (
    Tensor<<AB as AutodiffBackend>::InnerBackend, 1>,
    GradientSet<<AB as AutodiffBackend>::InnerBackend>,
);

/// Held while a graph is built and walked. In burn 0.21 a backward pass of one thread may free steps of a graph that
/// another one is building, so that a parameter which was trained before silently loses its gradient (burn's issue 5573).
static GRAPH: Mutex<()> = Mutex::new(());

/// Keeps the passes of other threads of this process waiting, from before the forward pass until after the backward one.
pub fn one_graph() -> MutexGuard<'static, ()> {
    // It guards no data that a panic could have left half-written.
    GRAPH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Mean cross-entropy of a batch over its target tokens, tracked.
pub fn loss<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    backbone: &M,
    adapter: &dyn Intervention<AB>,
    batch: &Batch,
    forward: Forward<'_, AB>,
    device: &AB::Device,
) -> Tensor<AB, 1> {
    backbone.adapted(adapter).loss(adapter, batch, forward, device)
}

/// The same with what a teacher adds ([`Outputs::distilled`]), which reads the batch without dropout and is not tracked.
pub fn distilled<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    (backbone, adapter): (&M, &dyn Intervention<AB>),
    (inner, teacher): TeacherParts<'_, AB, M>,
    weight: f64,
    batch: &Batch,
    forward: Forward<'_, AB>,
    device: &AB::Device,
) -> Tensor<AB, 1> {
    let known = inner.adapted(teacher).outputs(teacher, batch, 0.0.into(), device);
    let found = backbone.adapted(adapter).outputs(adapter, batch, forward, device);
    found.distilled(known.tracked::<AB>(), weight)
}

/// The value of a tracked loss, and `share` times its gradient, through the segments of its pass's tape if there is
/// one. The graph is freed on return.
pub fn pass<AB: AutodiffBackend, M: Module<AB>>(
    trained: &M,
    loss: Tensor<AB, 1>,
    tape: Option<Tape<AB>>,
    share: f64,
) -> LossAndGradients<AB> {
    let value = loss.clone().inner();
    let loss = if share == 1.0 { loss } else { loss.mul_scalar(share) };
    let gradients = match tape {
        None => GradientSet::collect::<AB, _>(trained, &mut loss.backward()),
        Some(tape) => {
            let mut sum = GradientSet::default();
            tape.backward(loss, |raw| sum.accumulate(GradientSet::collect::<AB, _>(trained, raw)));
            sum
        }
    };
    (value, gradients)
}

/// Weight of each batch in a step's gradient, such that all target tokens count equally.
pub fn token_shares(batches: &[Batch]) -> Vec<f64> {
    if batches.len() == 1 {
        return vec![1.0];
    }
    let counts: Vec<usize> = batches.iter().map(target_tokens).collect();
    let all = counts.iter().sum::<usize>().max(1);
    counts.into_iter().map(|count| count as f64 / all as f64).collect()
}

/// Loss and gradients of a step with several batches of one task: the mean over all their target tokens, as if they
/// were a single batch. Of an adapter of several tasks, the first one's. Blocks are computed again on the way back if
/// `recompute`.
pub fn step_gradients<AB: AutodiffBackend, T: Target<AB>>(
    target: &T,
    trained: &T::Trained,
    batches: &[Batch],
    (dropout, recompute): (f64, bool),
    device: &AB::Device,
) -> LossAndGradients<AB> {
    let (backbone, adapter) = target.parts(trained);
    let mut gradients = GradientSet::default();
    let mut total = Tensor::zeros([1], device);
    for (batch, share) in batches.iter().zip(token_shares(batches)) {
        let _alone = one_graph();
        let of_task = adapter.of_task(0);
        let adapter = of_task.as_deref().unwrap_or(adapter);
        let tape = recompute.then(|| Tape::new(0));
        let forward = Forward {
            dropout,
            tape: tape.as_ref(),
        };
        let loss = loss::<AB, _>(backbone, adapter, batch, forward, device);
        let (value, gradient) = pass::<AB, _>(trained, loss, tape, share);
        total = total + value.mul_scalar(share);
        gradients.accumulate(gradient);
    }
    (total, gradients)
}

/// Number of labels in a batch that count for the loss.
fn target_tokens(batch: &Batch) -> usize {
    batch.labels.iter().filter(|label| **label != IGNORED_LABEL).count()
}

/// A seed for micro-step `step` of a run: both numbers mixed by SplitMix64, so that neighbouring steps are unrelated.
pub fn mix(seed: u64, step: u64) -> u64 {
    let mut value = seed ^ step.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
