//! Checks of training: gradients and three steps, with the training loop's own loss, gradients and optimiser.

use adept_core::Method;
use adept_train::config::{GroupSection, OptimizerSection, TrainMethod};
use adept_train::gradient::GradientSet;
use adept_train::learner::loss;
use adept_train::optim::{self, AdamW};
use adept_train::target::TrainBackbone;
use burn::module::AutodiffModule;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::compare::{Group, limit, read_back};
use super::exact::{TOTAL, WARMUP};
use super::golden::Golden;
use super::subject::{Name, Subject, names};
use super::{GroupRow, VerifyError};

/// Optimiser steps in the golden file.
pub(super) const STEPS: usize = 3;

/// Gradients, tensors after three AdamW steps, and the losses on the way.
pub(super) fn adapted<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    method: Method,
    subject: &Subject<'_, AB, M>,
) -> Result<Vec<GroupRow>, VerifyError> {
    let golden = subject.golden;
    let mut adapter = subject.adapter::<AB>(method)?;
    let mut optimizer = optimizer::<AB>(method);
    let mut gradient_group = Group::new(golden, format!("{method}.gradients"), limit::GRADIENTS);
    let mut losses = Vec::with_capacity(STEPS + 1);
    for step in 0..=STEPS {
        let value = loss::<AB, _>(&subject.frozen, &adapter, &subject.batch, 0.0, subject.device);
        losses.extend(read_back("step_losses", value.clone().inner())?.iter::<f64>());
        if step == STEPS {
            break;
        }
        let mut raw = value.backward();
        let gradients = GradientSet::collect::<AB, _>(&adapter, &mut raw);
        if step == 0 {
            for name in names(method) {
                compare_gradient(method, name, golden, &gradients, &mut gradient_group)?;
            }
        }
        let rates = optimizer.rates(step, TOTAL);
        adapter = optimizer.step::<AB, _>(adapter, gradients, &rates);
    }

    let mut prompt = Group::new(golden, format!("{method}.prompt_after3"), limit::PROMPT_AFTER_3);
    let mut offset = Group::new(golden, format!("{method}.offset_after3"), limit::OFFSET_AFTER_3);
    for (file, data) in adapter.valid().tensors() {
        let known = names(method).iter().find(|name| name.file == file);
        let name = known.expect("the adapter was built from exactly these tensors");
        let group = if name.golden == "prompt" {
            &mut prompt
        } else {
            &mut offset
        };
        group.data(&format!("{method}.after3.{}", name.golden), data)?;
    }
    let name = format!("{method}.step_losses");
    let mut step_losses = Group::new(golden, &name, limit::LOSS);
    step_losses.values(&name, &[STEPS + 1], &losses)?;

    let mut rows = vec![gradient_group.finish()?, prompt.finish()?];
    if method != Method::Pt {
        rows.push(offset.finish()?);
    }
    rows.push(step_losses.finish()?);
    Ok(rows)
}

/// The golden files' optimiser, built as in a run.
pub(super) fn optimizer<AB: AutodiffBackend>(method: Method) -> AdamW<AB::InnerBackend> {
    let section = |learning_rate| GroupSection {
        learning_rate,
        weight_decay: 0.01,
        warmup_steps: WARMUP,
    };
    let section = OptimizerSection {
        beta1: 0.9,
        beta2: 0.98,
        epsilon: 1e-6,
        clip_norm: 0.0,
        prompt: section(0.3),
        offset: section(1e-4),
        full: section(0.0),
        own: method
            .info()
            .groups
            .iter()
            .map(|group| (group.name.to_owned(), section(1e-4)))
            .collect(),
    };
    optim::adamw(TrainMethod::Adapter(method), &section).expect("the section above holds the groups of every method")
}

/// A parameter without a gradient is treated as a NaN gradient, since it would never be trained.
fn compare_gradient<B: Backend>(
    method: Method,
    name: &Name,
    golden: &Golden,
    gradients: &GradientSet<B>,
    group: &mut Group<'_>,
) -> Result<(), VerifyError> {
    let (tensor, full) = (
        format!("{method}.{}", name.golden),
        format!("{method}.grad.{}", name.golden),
    );
    let shape = golden.any_shape(&format!("{method}.gradients"), &tensor)?;
    let values = match gradients.get(name.path) {
        Some(gradient) => read_back(&full, gradient.clone())?.iter::<f64>().collect(),
        None => vec![f64::NAN; shape.iter().product()],
    };
    group.values(&full, &shape, &values)
}
