//! Checks of methods with an adapter folder of their own (LoRA, (IA)³, BitFit, ..): the adapter read as any adapter is;
//! logits, loss, gradients, three optimiser steps, greedy output, and the merged model.

use std::path::Path;

use adept_core::{Adapter, AdapterConfig, CoreError, Intervention, Stack, file};
use adept_models::{Backbone as _, MergeDirection};
use adept_train::gradient::GradientSet;
use adept_train::learner::{loss, one_graph};
use adept_train::model::TaskModel as _;
use adept_train::target::TrainBackbone;
use burn::module::AutodiffModule;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use super::compare::{Class, Group, read_back, read_integers};
use super::exact::TOTAL;
use super::subject::Subject;
use super::train::{STEPS, optimizer};
use super::{GroupRow, NotChecked, VerifyError};

/// Folders of adapters in a golden folder, in the order of reports; also the first part of their tensors' names.
const CASES: [&str; 22] = [
    "lora",
    "ia3",
    "bitfit",
    "lora_bitfit",
    "adapter",
    "adapter_drop",
    "prefix",
    "prefix_mlp",
    "prompt_embedding",
    "adept_residual",
    "adept_p_tuning",
    "prefix_all",
    "prefix_all_mlp",
    "lst",
    "lst_all",
    "mpt",
    "attempt",
    "adapter_tasks",
    "hyperformer",
    "hyperformer_plain",
    "hyperdecoder",
    "hyperdecoder_direct",
];

/// Those that need an encoder, which decoder-only backbones do not have.
const OF_ENCODERS: [&str; 5] = [
    "prefix_all",
    "prefix_all_mlp",
    "attempt",
    "hyperdecoder",
    "hyperdecoder_direct",
];

/// The task of every row of the golden batch, for adapters of several tasks.
const TASK: usize = 1;

/// Groups of the greedy output of a model with a method's changes attached, for the case of that name.
type Greedy<'a, M, B> = &'a dyn Fn(&str, &M, &dyn Intervention<B>) -> Result<Vec<GroupRow>, VerifyError>;

/// How a backbone runs on the golden batch.
pub(super) struct Runs<'a, M, B: Backend> {
    /// Logits `[batch, slots, vocab]`.
    pub logits: &'a dyn Fn(&M, &dyn Intervention<B>) -> Tensor<B, 3>,
    /// Greedy generation.
    pub greedy: Greedy<'a, M, B>,
    /// Slots `[batch, slots]` of the input whose logits are compared; all if `None`.
    pub visible: Option<&'a [bool]>,
}

/// Groups of every case that the folder contains; missing ones are added to `missing`.
pub(super) fn check<AB, M>(
    subject: &Subject<'_, AB, M>,
    folder: &Path,
    runs: &Runs<'_, M::Inner, AB::InnerBackend>,
    missing: &mut Vec<NotChecked>,
) -> Result<Vec<GroupRow>, VerifyError>
where
    AB: AutodiffBackend,
    M: TrainBackbone<AB>,
{
    let mut rows = Vec::new();
    let has_encoder = subject.inner.sites().blocks(Stack::Encoder) > 0;
    let cases = CASES.into_iter();
    for name in cases.filter(|name| has_encoder || !OF_ENCODERS.contains(name)) {
        if !subject.golden.has(&format!("{name}.logits")) {
            missing.push(NotChecked {
                group: name.to_owned(),
                reason: "The golden folder does not hold it.".to_owned(),
            });
            continue;
        }
        let folder = folder.join(name);
        let (adapter, about) = file::load::<AB>(&folder, &subject.inner.sites(), subject.device)?;
        let case = Case {
            name,
            config: about.config,
            adapter,
            subject,
        };
        rows.extend(case.forward(runs)?);
        if subject.golden.has(&format!("{name}.step_losses")) {
            rows.extend(case.steps()?);
            rows.extend(case.merged(runs)?);
        } else {
            rows.push(case.gradients()?);
            missing.push(NotChecked {
                group: format!("{name}.after3, {name}.merged"),
                reason: "The golden folder does not hold them.".to_owned(),
            });
        }
    }
    Ok(rows)
}

/// One adapter on the backbone.
struct Case<'a, AB: AutodiffBackend, M: TrainBackbone<AB>> {
    name: &'static str,
    config: AdapterConfig,
    adapter: Adapter<AB>,
    subject: &'a Subject<'a, AB, M>,
}

impl<AB: AutodiffBackend, M: TrainBackbone<AB>> Case<'_, AB, M> {
    fn of(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    /// Compares logits at the visible slots.
    fn compare_logits(
        &self,
        part: &str,
        logits: Tensor<AB::InnerBackend, 3>,
        visible: Option<&[bool]>,
    ) -> Result<GroupRow, VerifyError> {
        let name = self.of(part);
        let mut group = Group::new(self.subject.golden, &name, Class::Logits);
        match visible {
            Some(visible) => group.visible(&name, logits, &behind(visible, self.prompt(), self.subject.batch.batch))?,
            None => group.tensor(&name, logits)?,
        }
        group.finish()
    }

    /// Virtual tokens in the backbone's input; a prefix is not part of it.
    fn prompt(&self) -> usize {
        match self.config.method().has_prompt() {
            true => self.adapter.virtual_tokens(),
            false => 0,
        }
    }

    /// The adapter for the golden batch's task; `None` if it is the same for all.
    fn of_task<I: Backend>(&self, adapter: &Adapter<I>) -> Option<Box<dyn Intervention<I>>> {
        adapter.of_task(if self.config.tasks() > 1 { TASK } else { 0 })
    }

    fn forward(&self, runs: &Runs<'_, M::Inner, AB::InnerBackend>) -> Result<Vec<GroupRow>, VerifyError> {
        let subject = self.subject;
        let adapter = self.adapter.valid();
        let of_task = self.of_task(&adapter);
        let adapter = of_task.as_deref().unwrap_or(&adapter);
        let model = subject.inner.adapted(adapter);
        let mut rows = Vec::new();
        let name = self.of("attention_mask");
        if subject.golden.has(&name) {
            let source = subject.source();
            let mask = adapter.forward(source.embeddings, source.mask).mask;
            let mut group = Group::new(subject.golden, &name, Class::Exact);
            group.integers(&name, &mask.dims(), &read_integers(&name, mask.clone().int())?)?;
            rows.push(group.finish()?);
        }
        rows.push(self.compare_logits("logits", (runs.logits)(&model, adapter), runs.visible)?);
        let name = self.of("loss");
        let mut group = Group::new(subject.golden, &name, Class::Loss);
        group.tensor(&name, model.loss(adapter, &subject.batch, 0.0.into(), subject.device))?;
        rows.push(group.finish()?);
        if subject.golden.has(&self.of("gen_ids_nostop")) {
            rows.extend((runs.greedy)(self.name, &model, adapter)?);
        }
        Ok(rows)
    }

    /// Gradients in the layout of the adapter's file.
    fn compare_gradients(
        &self,
        adapter: &Adapter<AB>,
        gradients: &GradientSet<AB::InnerBackend>,
    ) -> Result<GroupRow, VerifyError> {
        let mut group = Group::new(self.subject.golden, self.of("gradients"), Class::WeightGradients);
        // A parameter without a gradient is treated as a NaN gradient, since it would never be trained; one of another task
        // has none, and zeros in the file.
        let missing = if self.config.tasks() > 1 { 0.0 } else { f32::NAN };
        let frozen = self.config.method().frozen();
        let tensors = gradients.in_place_of(adapter.valid(), missing).tensors();
        for (name, data) in tensors.into_iter().filter(|(name, _)| !frozen.contains(&name.as_str())) {
            group.data(&self.of(&format!("grad.{name}")), data)?;
        }
        group.finish()
    }

    fn gradients(&self) -> Result<GroupRow, VerifyError> {
        let subject = self.subject;
        let _alone = one_graph();
        let of_task = self.of_task(&self.adapter);
        let value = loss::<AB, _>(
            &subject.frozen,
            of_task.as_deref().unwrap_or(&self.adapter),
            &subject.batch,
            0.0.into(),
            subject.device,
        );
        let gradients = GradientSet::collect::<AB, _>(&self.adapter, &mut value.backward());
        self.compare_gradients(&self.adapter, &gradients)
    }

    /// Gradients, tensors after three AdamW steps, and the losses on the way.
    fn steps(&self) -> Result<Vec<GroupRow>, VerifyError> {
        let subject = self.subject;
        let mut adapter = self.adapter.clone();
        let mut optimizer = optimizer::<AB>(&self.config);
        let mut losses = Vec::with_capacity(STEPS + 1);
        let mut rows = Vec::new();
        for step in 0..=STEPS {
            let _alone = one_graph();
            let of_task = self.of_task(&adapter);
            let value = loss::<AB, _>(
                &subject.frozen,
                of_task.as_deref().unwrap_or(&adapter),
                &subject.batch,
                0.0.into(),
                subject.device,
            );
            losses.extend(read_back("step_losses", value.clone().inner())?.iter::<f64>());
            if step == STEPS {
                break;
            }
            let gradients = GradientSet::collect::<AB, _>(&adapter, &mut value.backward());
            if step == 0 {
                rows.push(self.compare_gradients(&adapter, &gradients)?);
            }
            let rates = optimizer.rates(step, TOTAL);
            adapter = optimizer.step::<AB, _>(adapter, gradients, &rates);
        }
        let mut prompt = Group::new(subject.golden, self.of("prompt_after3"), Class::PromptAfter3);
        let mut rest = Group::new(subject.golden, self.of("after3"), Class::OffsetAfter3);
        let is_prompt = |name: &str| self.prompt() > 0 && ["prompt", "prompt_embeddings"].contains(&name);
        let frozen = self.config.method().frozen();
        let tensors = adapter.valid().tensors().into_iter();
        for (name, data) in tensors.filter(|(name, _)| !frozen.contains(&name.as_str())) {
            let group = if is_prompt(&name) { &mut prompt } else { &mut rest };
            group.trained(self.name, &name, data)?;
        }
        for group in [prompt, rest] {
            if !group.is_empty() {
                rows.push(group.finish()?);
            }
        }
        let name = self.of("step_losses");
        let mut group = Group::new(subject.golden, &name, Class::Loss);
        group.values(&name, &[STEPS + 1], &losses)?;
        rows.push(group.finish()?);
        Ok(rows)
    }

    /// Compares the merged model's logits, and the bare model's with those after unmerging. Nothing to compare if the
    /// backbone has no place for the adapter.
    fn merged(&self, runs: &Runs<'_, M::Inner, AB::InnerBackend>) -> Result<Vec<GroupRow>, VerifyError> {
        let (subject, adapter) = (self.subject, self.adapter.valid());
        if !subject.golden.has(&self.of("merged_logits")) {
            return Ok(Vec::new());
        }
        let merged = match subject.inner.merged(&adapter, MergeDirection::In) {
            Ok(merged) => merged,
            Err(CoreError::NoBias { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let bare = adept_core::Unchanged;
        let found = self.compare_logits("merged_logits", (runs.logits)(&merged, &bare), runs.visible)?;
        let apart = merged.merged(&adapter, MergeDirection::Out)?;
        let mut unmerged = Group::new(subject.golden, self.of("unmerged"), Class::Logits);
        let [expected, computed] =
            [&subject.inner, &apart].map(|model| read_back("unmerged", (runs.logits)(model, &bare)));
        let of_seen = |data: TensorData| -> Vec<f64> {
            let width = data.shape[2];
            let values: Vec<f64> = data.iter::<f64>().collect();
            let slots = values.chunks(width).enumerate();
            let seen = slots.filter(|(slot, _)| runs.visible.is_none_or(|visible| visible[*slot]));
            seen.flat_map(|(_, values)| values.to_vec()).collect()
        };
        unmerged.derived("base.logits", &of_seen(expected?), &of_seen(computed?), 1);
        Ok(vec![found, unmerged.finish()?])
    }
}

/// Visible slots `[rows, slots]` with `prompt` visible ones in front of each row.
fn behind(visible: &[bool], prompt: usize, rows: usize) -> Vec<bool> {
    let row = |row: &[bool]| [vec![true; prompt], row.to_vec()].concat();
    visible.chunks(visible.len() / rows.max(1)).flat_map(row).collect()
}
