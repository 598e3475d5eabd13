//! Checks of methods that change weights (LoRA, (IA)³): the adapter saved by peft, read as an adapter file; logits,
//! loss, gradients, three optimiser steps, and the merged model.

use std::path::Path;

use adept_core::{Adapter, Method, file};
use adept_models::{Backbone as _, MergeDirection};
use adept_train::gradient::GradientSet;
use adept_train::learner::loss;
use adept_train::model::TaskModel as _;
use adept_train::target::TrainBackbone;
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};

use super::compare::{Group, limit, read_back};
use super::exact::TOTAL;
use super::subject::Subject;
use super::train::{STEPS, optimizer};
use super::{GroupRow, NotChecked, VerifyError};

/// The methods, in the order of reports; each has a folder of its name in a golden folder.
const METHODS: [Method; 2] = [Method::Lora, Method::Ia3];

/// Computes the logits `[batch, slots, vocab]` of a backbone for the golden batch.
pub(super) type Logits<'a, M, B> = &'a dyn Fn(&M) -> Tensor<B, 3>;

/// Groups of every method that the folder contains; missing ones are added to `missing`. `visible` are the slots whose
/// logits are compared; all of them if `None`.
pub(super) fn check<AB, M>(
    subject: &Subject<'_, AB, M>,
    folder: &Path,
    logits: Logits<'_, M::Inner, AB::InnerBackend>,
    visible: Option<&[bool]>,
    missing: &mut Vec<NotChecked>,
) -> Result<Vec<GroupRow>, VerifyError>
where
    AB: AutodiffBackend,
    M: TrainBackbone<AB>,
{
    let mut rows = Vec::new();
    for method in METHODS {
        if !subject.golden.has(&format!("{method}.logits")) {
            missing.push(NotChecked {
                group: method.name().to_owned(),
                reason: "The golden folder does not hold it.".to_owned(),
            });
            continue;
        }
        let adapter = folder.join(method.name());
        rows.extend(forward(method, subject, &adapter, logits, visible)?);
        if subject.golden.has(&format!("{method}.step_losses")) {
            rows.extend(steps(method, subject, &adapter)?);
            rows.extend(merged(method, subject, &adapter, logits, visible)?);
        } else {
            rows.push(gradients(method, subject, &adapter)?);
            missing.push(NotChecked {
                group: format!("{method}.after3, {method}.merged"),
                reason: "The golden folder does not hold them.".to_owned(),
            });
        }
    }
    Ok(rows)
}

/// Compares logits at the visible slots.
fn compare_logits<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    name: &str,
    subject: &Subject<'_, AB, M>,
    logits: Tensor<AB::InnerBackend, 3>,
    visible: Option<&[bool]>,
) -> Result<GroupRow, VerifyError> {
    let mut group = Group::new(subject.golden, name, limit::LOGITS);
    match visible {
        Some(visible) => group.visible(name, logits, visible)?,
        None => group.tensor(name, logits)?,
    }
    group.finish()
}

fn forward<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    method: Method,
    subject: &Subject<'_, AB, M>,
    folder: &Path,
    logits: Logits<'_, M::Inner, AB::InnerBackend>,
    visible: Option<&[bool]>,
) -> Result<[GroupRow; 2], VerifyError> {
    let (adapter, _) = file::load::<AB::InnerBackend>(folder, &subject.inner.sites(), subject.device)?;
    let model = subject.inner.adapted(&adapter);
    let found = compare_logits(&format!("{method}.logits"), subject, logits(&model), visible)?;
    let name = format!("{method}.loss");
    let mut group = Group::new(subject.golden, &name, limit::LOSS);
    group.tensor(&name, model.loss(&adapter, &subject.batch, 0.0, subject.device))?;
    Ok([found, group.finish()?])
}

/// Gradients in the layout of the adapter's file.
fn compare_gradients<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    method: Method,
    subject: &Subject<'_, AB, M>,
    adapter: &Adapter<AB>,
    gradients: &GradientSet<AB::InnerBackend>,
) -> Result<GroupRow, VerifyError> {
    let mut group = Group::new(subject.golden, format!("{method}.gradients"), limit::WEIGHT_GRADIENTS);
    // A parameter without a gradient is treated as a NaN gradient, since it would never be trained.
    for (name, data) in gradients.in_place_of(adapter.valid(), f32::NAN).tensors() {
        group.data(&format!("{method}.grad.{name}"), data)?;
    }
    group.finish()
}

fn gradients<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    method: Method,
    subject: &Subject<'_, AB, M>,
    folder: &Path,
) -> Result<GroupRow, VerifyError> {
    let (adapter, _) = file::load::<AB>(folder, &subject.inner.sites(), subject.device)?;
    let value = loss::<AB, _>(&subject.frozen, &adapter, &subject.batch, 0.0, subject.device);
    let gradients = GradientSet::collect::<AB, _>(&adapter, &mut value.backward());
    compare_gradients(method, subject, &adapter, &gradients)
}

/// Gradients, tensors after three AdamW steps, and the losses on the way.
fn steps<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    method: Method,
    subject: &Subject<'_, AB, M>,
    folder: &Path,
) -> Result<[GroupRow; 3], VerifyError> {
    let (mut adapter, _) = file::load::<AB>(folder, &subject.inner.sites(), subject.device)?;
    let mut optimizer = optimizer::<AB>(method);
    let mut losses = Vec::with_capacity(STEPS + 1);
    let mut first = None;
    for step in 0..=STEPS {
        let value = loss::<AB, _>(&subject.frozen, &adapter, &subject.batch, 0.0, subject.device);
        losses.extend(read_back("step_losses", value.clone().inner())?.iter::<f64>());
        if step == STEPS {
            break;
        }
        let gradients = GradientSet::collect::<AB, _>(&adapter, &mut value.backward());
        if first.is_none() {
            first = Some(compare_gradients(method, subject, &adapter, &gradients)?);
        }
        let rates = optimizer.rates(step, TOTAL);
        adapter = optimizer.step::<AB, _>(adapter, gradients, &rates);
    }
    let mut after = Group::new(subject.golden, format!("{method}.after3"), limit::OFFSET_AFTER_3);
    for (name, data) in adapter.valid().tensors() {
        after.data(&format!("{method}.after3.{name}"), data)?;
    }
    let name = format!("{method}.step_losses");
    let mut step_losses = Group::new(subject.golden, &name, limit::LOSS);
    step_losses.values(&name, &[STEPS + 1], &losses)?;
    let first = first.expect("the first of three steps has gradients");
    Ok([first, after.finish()?, step_losses.finish()?])
}

/// Compares the merged model's logits, and the bare model's with those after unmerging.
fn merged<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    method: Method,
    subject: &Subject<'_, AB, M>,
    folder: &Path,
    logits: Logits<'_, M::Inner, AB::InnerBackend>,
    visible: Option<&[bool]>,
) -> Result<[GroupRow; 2], VerifyError> {
    let (adapter, _) = file::load::<AB::InnerBackend>(folder, &subject.inner.sites(), subject.device)?;
    let merged = subject.inner.merged(&adapter, MergeDirection::In)?;
    let found = compare_logits(&format!("{method}.merged_logits"), subject, logits(&merged), visible)?;
    let bare = merged.merged(&adapter, MergeDirection::Out)?;
    let mut unmerged = Group::new(subject.golden, format!("{method}.unmerged"), limit::LOGITS);
    let [expected, computed] = [logits(&subject.inner), logits(&bare)].map(|logits| read_back("unmerged", logits));
    let of_seen = |data: TensorData| -> Vec<f64> {
        let width = data.shape[2];
        let values: Vec<f64> = data.iter::<f64>().collect();
        let slots = values.chunks(width).enumerate();
        let seen = slots.filter(|(slot, _)| visible.is_none_or(|visible| visible[*slot]));
        seen.flat_map(|(_, values)| values.to_vec()).collect()
    };
    unmerged.derived("base.logits", &of_seen(expected?), &of_seen(computed?), 1);
    Ok([found, unmerged.finish()?])
}
