//! Checks of decoder-only models: batches, both ways of counting positions, logits, losses, greedy
//! output.
//!
//! Logits are only compared where the mask is 1: padding in the bare model attends to nothing, so its logits are
//! arbitrary.

use std::path::Path;

use adept_core::{Intervention, Unchanged};
use adept_data::{Batch, BatchOptions, Batcher, Encoded, IGNORED_LABEL, Layout, Positions};
use adept_models::{Backbone as _, CausalBackbone};
use adept_train::model::TaskModel;
use adept_train::target::TrainBackbone;
use adept_train::upload;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, Int, Tensor};

use super::compare::{Class, Group, read_integers};
use super::forward::{self, single};
use super::golden::Golden;
use super::methods::Runs;
use super::subject::{self, PromptCase, Subject};
use super::{GroupRow, NotChecked, VerifyError, exact, greedy, methods, train};

/// The golden batch from the batcher, with both ways of counting positions.
pub(super) struct Batches {
    /// Padding counts: used in training.
    slots: Batch,
    /// Padding does not count.
    tokens: Batch,
}

impl Batches {
    /// Batches of the golden file's rows.
    pub fn new<B: Backend>(golden: &Golden, backbone: &impl CausalBackbone<B>) -> Result<Self, VerifyError> {
        let given = subject::batch(golden, backbone)?;
        let width = given.source_width;
        let rows: Vec<Encoded> = (0..given.batch).map(|row| encoded(&given, row)).collect();
        let made = |positions| -> Result<Batch, VerifyError> {
            let options = BatchOptions {
                layout: Layout::Joined(positions),
                batch_size: given.batch,
                max_source_length: width,
                buckets: vec![width],
                pad_to_max: true,
                pad_id: end_id(backbone),
                target_width: width,
            };
            Ok(Batcher::new(&rows, options)?.evaluation_batches()?.remove(0))
        };
        Ok(Self {
            slots: made(Positions::Slots)?,
            tokens: made(Positions::Tokens)?,
        })
    }

    /// Compares the batcher's rows with the golden ones.
    fn check(&self, golden: &Golden) -> Result<GroupRow, VerifyError> {
        let batch = &self.slots;
        let shape = [batch.batch, batch.source_width];
        let mut group = Group::new(golden, "batch", Class::Exact);
        let wide = |values: &[i32]| -> Vec<i64> { values.iter().map(|value| i64::from(*value)).collect() };
        let mask: Vec<i64> = batch.mask.iter().map(|attend| i64::from(*attend)).collect();
        group.integers("train.input_ids", &shape, &wide(&batch.input_ids))?;
        group.integers("train.attention_mask", &shape, &mask)?;
        group.integers("train.labels", &shape, &wide(&batch.labels))?;
        group.finish()
    }
}

/// Reconstructs a row: its tokens without a label, then those with one.
fn encoded(batch: &Batch, row: usize) -> Encoded {
    let slots = row * batch.source_width..(row + 1) * batch.source_width;
    let labels = &batch.labels[row * batch.target_width..(row + 1) * batch.target_width];
    let own = batch.input_ids[slots.clone()]
        .iter()
        .zip(&batch.mask[slots])
        .zip(labels);
    let source = own
        .filter(|((_, attend), label)| **attend && **label == IGNORED_LABEL)
        .map(|((id, _), _)| id.unsigned_abs());
    let target = labels.iter().filter(|label| **label != IGNORED_LABEL);
    Encoded::new(source.collect(), target.map(|label| label.unsigned_abs()).collect())
}

/// The token that golden rows are padded and terminated with.
pub(super) fn end_id<B: Backend>(backbone: &impl CausalBackbone<B>) -> u32 {
    let first = backbone.eos_ids().first();
    *first.expect("a configuration without an end token is refused")
}

/// All groups of a golden folder. `tables` are those specific to the family.
pub(super) fn check<AB, M>(
    backbone: &Path,
    folder: &Path,
    golden: &Golden,
    (inner, tables): (M::Inner, Vec<GroupRow>),
    device: &AB::Device,
    missing: &mut Vec<NotChecked>,
) -> Result<Vec<GroupRow>, VerifyError>
where
    AB: AutodiffBackend,
    M: TrainBackbone<AB>,
    M::Inner: CausalBackbone<AB::InnerBackend>,
{
    let batches = Batches::new(golden, &inner)?;
    let subject = Subject::<AB, M>::new(inner, golden, batches.slots.clone(), device);
    let mut rows = vec![
        exact::tokenizer(backbone, folder, golden)?,
        exact::schedule(golden)?,
        batches.check(golden)?,
        exact::peft_prompt(folder, &subject)?,
    ];
    rows.extend(tables);
    rows.extend(base(&subject, &batches)?);
    for case in subject::prompts(golden, missing) {
        rows.extend(adapted(case, &subject, &batches)?);
        rows.extend(train::adapted(case, &subject)?);
    }
    let (ids, mask) = upload::source::<AB::InnerBackend>(&batches.slots, device);
    let seen = visible("base", mask.clone())?;
    let runs = Runs {
        logits: &|model: &M::Inner, adapter| {
            let own = upload::positions::<AB::InnerBackend>(&batches.slots, 0, device);
            let input = adapter.forward_at(model.embed(ids.clone()), mask.clone(), own);
            let prompt = input.embeddings.dims()[1] - batches.slots.source_width;
            let positions = upload::positions::<AB::InnerBackend>(&batches.slots, prompt, device);
            model.forward(input.embeddings, input.mask, positions, 0.0)
        },
        greedy: &|name, model, adapter| greedy::unstopped(name, golden, (model, adapter), device),
        visible: Some(&seen),
    };
    rows.extend(methods::check(&subject, folder, &runs, missing)?);
    Ok(rows)
}

/// Checks the bare model.
fn base<AB, M>(subject: &Subject<'_, AB, M>, batches: &Batches) -> Result<Vec<GroupRow>, VerifyError>
where
    AB: AutodiffBackend,
    M: TrainBackbone<AB>,
    M::Inner: CausalBackbone<AB::InnerBackend>,
{
    let bare = Unchanged;
    let pass = Pass::new(subject, batches, &bare);
    let mut rows = pass.check("base", subject, &bare)?;
    let labels = upload::labels::<AB::InnerBackend>(&subject.batch, subject.device);
    let [batch, width] = labels.dims();
    // The logits of a slot predict the next slot's label.
    let logits = pass.logits.narrow(1, 0, width - 1);
    let labels = labels.slice([0..batch, 1..width]);
    rows.push(forward::loss_per_token(subject.golden, logits, labels)?);
    rows.extend(greedy::base(subject)?);
    Ok(rows)
}

/// Checks the model with an adapter.
fn adapted<AB, M>(
    case: PromptCase,
    subject: &Subject<'_, AB, M>,
    batches: &Batches,
) -> Result<Vec<GroupRow>, VerifyError>
where
    AB: AutodiffBackend,
    M: TrainBackbone<AB>,
    M::Inner: CausalBackbone<AB::InnerBackend>,
{
    let adapter = subject.adapter::<AB::InnerBackend>(case)?;
    let pass = Pass::new(subject, batches, &adapter);
    let mut rows = forward::input(case.name, subject.golden, &pass.input)?.to_vec();
    rows.extend(pass.check(case.name, subject, &adapter)?);
    rows.extend(greedy::adapted(case, subject, &adapter)?);
    Ok(rows)
}

/// One pass over the golden batch.
struct Pass<B: Backend> {
    input: adept_core::AdaptedInput<B>,
    /// Positions `[batch, prompt + slots]`, with padding counted.
    slots: Tensor<B, 2, Int>,
    /// Positions without counting padding.
    tokens: Tensor<B, 2, Int>,
    /// `[batch, prompt + slots, vocab]`.
    logits: Tensor<B, 3>,
}

impl<B: Backend> Pass<B> {
    fn new<AB, M>(subject: &Subject<'_, AB, M>, batches: &Batches, adapter: &dyn Intervention<B>) -> Self
    where
        AB: AutodiffBackend<InnerBackend = B, Device = B::Device>,
        M: TrainBackbone<AB>,
        M::Inner: CausalBackbone<B>,
    {
        let (device, prompt) = (subject.device, adapter.virtual_tokens());
        let source = subject.source();
        let own = upload::positions::<B>(&batches.slots, 0, device);
        let input = adapter.forward_at(source.embeddings, source.mask, own);
        let slots = upload::positions::<B>(&batches.slots, prompt, device);
        let logits = subject
            .inner
            .forward(input.embeddings.clone(), input.mask.clone(), slots.clone(), 0.0);
        Self {
            input,
            slots,
            tokens: upload::positions::<B>(&batches.tokens, prompt, device),
            logits,
        }
    }

    /// Checks the positions, the logits for both ways of counting them, and the training loop's loss.
    fn check<AB, M>(
        &self,
        prefix: &str,
        subject: &Subject<'_, AB, M>,
        adapter: &dyn Intervention<B>,
    ) -> Result<Vec<GroupRow>, VerifyError>
    where
        AB: AutodiffBackend<InnerBackend = B, Device = B::Device>,
        M: TrainBackbone<AB>,
        M::Inner: CausalBackbone<B>,
    {
        let golden = subject.golden;
        let visible = visible(prefix, self.input.mask.clone())?;
        let name = format!("{prefix}.logits");
        let mut logits = Group::new(golden, &name, Class::Logits);
        logits.visible(&name, self.logits.clone(), &visible)?;

        let name = format!("{prefix}.logits_maskpos_last");
        let input = self.input.clone();
        let other = subject
            .inner
            .forward(input.embeddings, input.mask, self.tokens.clone(), 0.0);
        let [batch, width, vocabulary] = other.dims();
        let last = other.narrow(1, width - 1, 1).reshape([batch, vocabulary]);

        let loss = TaskModel::loss(&subject.inner, adapter, &subject.batch, 0.0.into(), subject.device);
        Ok(vec![
            self.positions(prefix, golden, &visible)?,
            logits.finish()?,
            single(golden, &name, Class::Logits, last)?,
            single(golden, &format!("{prefix}.loss"), Class::Loss, loss)?,
        ])
    }

    /// Checks positions counted both ways. If padding does not count, its own positions have no effect.
    fn positions(&self, prefix: &str, golden: &Golden, visible: &[bool]) -> Result<GroupRow, VerifyError> {
        let mut group = Group::new(golden, format!("{prefix}.positions"), Class::Exact);
        let shape = self.slots.dims();
        let name = format!("{prefix}.position_ids");
        group.integers(&name, &shape, &read_integers(&name, self.slots.clone())?)?;
        let name = format!("{prefix}.position_ids_mask");
        let computed = read_integers(&name, self.tokens.clone())?;
        let expected = golden.integers(&format!("{prefix}.positions"), &name, &shape)?;
        let differ = expected
            .iter()
            .zip(&computed)
            .zip(visible)
            .filter(|((expected, computed), visible)| **visible && expected != computed)
            .count();
        group.note(&name, differ as f64);
        group.finish()
    }
}

/// The mask's values.
fn visible<B: Backend>(prefix: &str, mask: Tensor<B, 2, Bool>) -> Result<Vec<bool>, VerifyError> {
    let ones = read_integers(&format!("{prefix}.attention_mask"), mask.int())?;
    Ok(ones.into_iter().map(|one| one != 0).collect())
}

/// Compares the bare model's logits with a golden tensor of any name.
pub(super) fn bare_logits<B: Backend>(
    golden: &Golden,
    name: &str,
    model: &impl CausalBackbone<B>,
    device: &B::Device,
) -> Result<GroupRow, VerifyError> {
    let batches = Batches::new(golden, model)?;
    let (ids, mask) = upload::source::<B>(&batches.slots, device);
    let positions = upload::positions::<B>(&batches.slots, 0, device);
    let seen = visible(name, mask.clone())?;
    let logits = model.forward(model.embed(ids), mask, positions, 0.0);
    let mut group = Group::new(golden, name, Class::Logits);
    group.visible(name, logits, &seen)?;
    group.finish()
}
