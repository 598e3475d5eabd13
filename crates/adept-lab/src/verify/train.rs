//! Checks of training: gradients and three steps, with the training loop's own loss, gradients and optimiser.

use adept_core::{AdapterConfig, Method};
use adept_train::config::{GroupSection, OptimizerSection};
use adept_train::gradient::GradientSet;
use adept_train::learner::{loss, one_graph};
use adept_train::optim::{self, AdamW};
use adept_train::target::TrainBackbone;
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;

use super::compare::{Class, Group, read_back};
use super::exact::{TOTAL, WARMUP};
use super::subject::{PromptCase, Subject};
use super::{GroupRow, VerifyError};

/// Optimiser steps in the golden file.
pub(super) const STEPS: usize = 3;

/// Gradients, tensors after three AdamW steps, and the losses on the way.
pub(super) fn adapted<AB: AutodiffBackend, M: TrainBackbone<AB>>(
    case: PromptCase,
    subject: &Subject<'_, AB, M>,
) -> Result<Vec<GroupRow>, VerifyError> {
    let (golden, name) = (subject.golden, case.name);
    let mut adapter = subject.adapter::<AB>(case)?;
    let mut optimizer = optimizer::<AB>(&subject.adapter_config(case)?);
    let mut gradient_group = Group::new(golden, format!("{name}.gradients"), Class::Gradients);
    let mut losses = Vec::with_capacity(STEPS + 1);
    for step in 0..=STEPS {
        let _alone = one_graph();
        let value = loss::<AB, _>(&subject.frozen, &adapter, &subject.batch, 0.0.into(), subject.device);
        losses.extend(read_back("step_losses", value.clone().inner())?.iter::<f64>());
        if step == STEPS {
            break;
        }
        let mut raw = value.backward();
        let gradients = GradientSet::collect::<AB, _>(&adapter, &mut raw);
        if step == 0 {
            // A parameter without a gradient is treated as a NaN gradient, since it would never be trained.
            for (file, data) in gradients.in_place_of(adapter.valid(), f32::NAN).tensors() {
                gradient_group.data(&format!("{name}.grad.{}", case.tensor(&file)), data)?;
            }
        }
        let rates = optimizer.rates(step, TOTAL);
        adapter = optimizer.step::<AB, _>(adapter, gradients, &rates);
    }

    let mut prompt = Group::new(golden, format!("{name}.prompt_after3"), Class::PromptAfter3);
    let rest = match case.method {
        Method::Residual | Method::PTuning => "network",
        _ => "offset",
    };
    let mut rest = Group::new(golden, format!("{name}.{rest}_after3"), Class::OffsetAfter3);
    for (file, data) in adapter.valid().tensors() {
        let tensor = case.tensor(&file);
        let group = if tensor == "prompt" { &mut prompt } else { &mut rest };
        group.trained(name, tensor, data)?;
    }
    let losses_name = format!("{name}.step_losses");
    let mut step_losses = Group::new(golden, &losses_name, Class::Loss);
    step_losses.values(&losses_name, &[STEPS + 1], &losses)?;

    let mut rows = vec![gradient_group.finish()?];
    for group in [prompt, rest] {
        if !group.is_empty() {
            rows.push(group.finish()?);
        }
    }
    rows.push(step_losses.finish()?);
    Ok(rows)
}

/// The golden files' optimiser, built as in a run.
pub(super) fn optimizer<AB: AutodiffBackend>(adapter: &AdapterConfig) -> AdamW<AB::InnerBackend> {
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
        own: adapter
            .groups()
            .iter()
            .map(|group| (group.name.to_owned(), section(1e-4)))
            .collect(),
    };
    optim::adamw(Some(adapter), &section).expect("the section above holds the adapter's groups")
}
