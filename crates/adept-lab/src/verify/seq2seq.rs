//! Checks of encoder-decoders (T5): position buckets, activations, logits, losses, label scores, greedy output.

use std::path::Path;

use adept_core::{AdaptedInput, Intervention};
use adept_models::generate::{greedy, greedy_with_margins, score_labels};
use adept_models::t5::relative_position_bucket;
use adept_models::{Backbone as _, IGNORE_INDEX, Seq2SeqBackbone, T5, T5Config, cross_entropy, shift_right};
use adept_train::upload;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Int, Tensor};

use super::compare::{Class, Group, read_back, read_integers};
use super::forward::{self, NEW_TOKENS, single};
use super::golden::Golden;
use super::methods::Runs;
use super::subject::{self, PromptCase, Subject};
use super::{GroupRow, NotChecked, VerifyError, exact, methods, train};

type T5Subject<'a, AB> = Subject<'a, AB, T5<AB>>;

/// All groups of a golden folder.
pub(super) fn check<AB: AutodiffBackend>(
    backbone: &Path,
    folder: &Path,
    golden: &Golden,
    device: &AB::Device,
    missing: &mut Vec<NotChecked>,
) -> Result<Vec<GroupRow>, VerifyError> {
    let inner = T5::<AB::InnerBackend>::load(backbone, device)?.model;
    let batch = subject::batch(golden, &inner)?;
    let subject = T5Subject::<AB>::new(inner, golden, batch, device);
    let mut rows = vec![
        exact::tokenizer(backbone, folder, golden)?,
        exact::schedule(golden)?,
        buckets(golden, subject.inner.config())?,
        decoder_input(&subject)?,
        exact::peft_prompt(folder, &subject)?,
    ];
    rows.extend(base(&subject)?);
    for case in subject::prompts(golden, missing) {
        rows.extend(adapted(case, &subject)?);
        rows.extend(train::adapted(case, &subject)?);
    }
    let (ids, mask) = upload::source::<AB::InnerBackend>(&subject.batch, device);
    let encoded = |model: &T5<AB::InnerBackend>, adapter: &dyn Intervention<AB::InnerBackend>| {
        let input = adapter.forward(model.embed(ids.clone()), mask.clone());
        (model.encode(input.embeddings, input.mask.clone(), 0.0), input.mask)
    };
    let runs = Runs {
        logits: &|model, adapter| {
            let (encoded, mask) = encoded(model, adapter);
            model.decode(decoder_ids(&subject), encoded, mask, 0.0)
        },
        greedy: &|name, model, adapter| {
            let (encoded, mask) = encoded(model, adapter);
            let free = greedy_with_margins(model, encoded, mask, NEW_TOKENS, false)?;
            Ok(vec![
                forward::sequences(golden, &format!("{name}.gen_ids_nostop"), &free.ids)?,
                forward::margins(golden, &format!("{name}.gen_margin"), &free.margins)?,
            ])
        },
        visible: None,
    };
    rows.extend(methods::check(&subject, folder, &runs, missing)?);
    Ok(rows)
}

/// Buckets of T5's relative positions for the golden distances.
fn buckets(golden: &Golden, config: &T5Config) -> Result<GroupRow, VerifyError> {
    const GROUP: &str = "rel.buckets";
    let [count] = golden.shape(GROUP, "rel.distance")?;
    let distances = golden.integers(GROUP, "rel.distance", &[count])?;
    let mut group = Group::new(golden, GROUP, Class::Exact);
    for (name, bidirectional) in [("rel.bucket_bidirectional", true), ("rel.bucket_causal", false)] {
        let (buckets, max) = (
            config.relative_attention_num_buckets,
            config.relative_attention_max_distance,
        );
        let computed: Vec<i64> = distances
            .iter()
            .map(|distance| relative_position_bucket(*distance, bidirectional, buckets, max) as i64)
            .collect();
        group.integers(name, &[count], &computed)?;
    }
    group.finish()
}

/// Checks the labels shifted right.
fn decoder_input<AB: AutodiffBackend>(subject: &T5Subject<'_, AB>) -> Result<GroupRow, VerifyError> {
    let name = "train.decoder_input_ids";
    let ids = read_integers(name, decoder_ids(subject))?;
    let mut group = Group::new(subject.golden, "decoder_input", Class::Exact);
    group.integers(name, &[subject.batch.batch, subject.batch.target_width], &ids)?;
    group.finish()
}

/// Labels `[batch, target]`, -100 where ignored.
fn labels<AB: AutodiffBackend>(subject: &T5Subject<'_, AB>) -> Tensor<AB::InnerBackend, 2, Int> {
    upload::labels(&subject.batch, subject.device)
}

/// Decoder input `[batch, target]`, as the training loop derives it from the labels.
fn decoder_ids<AB: AutodiffBackend>(subject: &T5Subject<'_, AB>) -> Tensor<AB::InnerBackend, 2, Int> {
    let config = subject.inner.config();
    shift_right(labels(subject), config.decoder_start_token_id, config.pad_token_id)
}

/// Checks the bare model.
fn base<AB: AutodiffBackend>(subject: &T5Subject<'_, AB>) -> Result<Vec<GroupRow>, VerifyError> {
    let AdaptedInput { embeddings, mask, .. } = subject.source();
    let mut hidden = Group::new(subject.golden, "base.hidden", Class::Logits);
    let encoder = subject.inner.encoder_hidden(embeddings.clone(), mask.clone());
    for (i, state) in encoder.into_iter().enumerate() {
        hidden.tensor(&format!("base.encoder_hidden.{i}"), state)?;
    }
    let encoded = subject.inner.encode(embeddings, mask.clone(), 0.0);
    let decoder = subject
        .inner
        .decoder_hidden(decoder_ids(subject), encoded.clone(), mask.clone());
    for (i, state) in decoder.into_iter().enumerate() {
        hidden.tensor(&format!("base.decoder_hidden.{i}"), state)?;
    }
    let mut rows = vec![hidden.finish()?];
    let input = AdaptedInput::new(encoded, mask);
    rows.extend(output("base", subject, &input)?);
    rows.push(forward::loss_per_token(
        subject.golden,
        decode(subject, &input),
        labels(subject),
    )?);
    rows.push(label_scores(subject, &input)?);
    rows.extend(generation("base", subject, &input)?);
    Ok(rows)
}

/// Checks the model with an adapter.
fn adapted<AB: AutodiffBackend>(case: PromptCase, subject: &T5Subject<'_, AB>) -> Result<Vec<GroupRow>, VerifyError> {
    let adapter = subject.adapter::<AB::InnerBackend>(case)?;
    let source = subject.source();
    let input = adapter.forward(source.embeddings, source.mask);
    let mut rows = forward::input(case.name, subject.golden, &input)?.to_vec();
    let AdaptedInput { embeddings, mask, .. } = input;
    let encoded = subject.inner.encode(embeddings, mask.clone(), 0.0);
    let name = format!("{}.encoder_out", case.name);
    let mut group = Group::new(subject.golden, &name, Class::Logits);
    // A model may leave out hidden slots, which nothing reads.
    let visible: Vec<bool> = read_back(&name, mask.clone().float())?.iter::<bool>().collect();
    group.visible(&name, encoded.clone(), &visible)?;
    rows.push(group.finish()?);
    let encoded = AdaptedInput::new(encoded, mask);
    rows.extend(output(case.name, subject, &encoded)?);
    rows.extend(generation(case.name, subject, &encoded)?);
    Ok(rows)
}

/// Logits and loss from the encoder's output (`encoded.embeddings`).
fn output<AB: AutodiffBackend>(
    prefix: &str,
    subject: &T5Subject<'_, AB>,
    encoded: &AdaptedInput<AB::InnerBackend>,
) -> Result<[GroupRow; 2], VerifyError> {
    let values = decode(subject, encoded);
    let loss = cross_entropy(values.clone(), labels(subject));
    Ok([
        single(subject.golden, &format!("{prefix}.logits"), Class::Logits, values)?,
        single(subject.golden, &format!("{prefix}.loss"), Class::Loss, loss)?,
    ])
}

fn decode<AB: AutodiffBackend>(
    subject: &T5Subject<'_, AB>,
    encoded: &AdaptedInput<AB::InnerBackend>,
) -> Tensor<AB::InnerBackend, 3> {
    subject.inner.decode(
        decoder_ids(subject),
        encoded.embeddings.clone(),
        encoded.mask.clone(),
        0.0,
    )
}

/// Compares label scoring of every row's target with the sum of its golden token losses.
fn label_scores<AB: AutodiffBackend>(
    subject: &T5Subject<'_, AB>,
    encoded: &AdaptedInput<AB::InnerBackend>,
) -> Result<GroupRow, VerifyError> {
    let (name, batch) = ("base.label_scores", &subject.batch);
    let shape = [batch.batch, batch.target_width];
    let golden = subject.golden.floats(name, "base.loss_per_token", &shape)?;
    let expected: Vec<f64> = golden
        .chunks(batch.target_width)
        .map(|losses| -losses.iter().sum::<f64>())
        .collect();
    let labels: Vec<Vec<u32>> = batch
        .labels
        .chunks(batch.target_width)
        .map(|row| {
            row.iter()
                .filter(|id| **id != IGNORE_INDEX)
                .map(|id| id.unsigned_abs())
                .collect()
        })
        .collect();
    let scores = score_labels(
        &subject.inner,
        encoded.embeddings.clone(),
        encoded.mask.clone(),
        &labels,
    );
    let scores: Vec<f64> = read_back(name, scores)?.iter::<f64>().collect();
    // Row i's own label is candidate i.
    let own: Vec<f64> = (0..batch.batch).map(|row| scores[row * batch.batch + row]).collect();
    let mut group = Group::new(subject.golden, name, Class::Logits);
    group.derived("base.loss_per_token", &expected, &own, batch.target_width);
    group.finish()
}

/// Greedy ids, with and without stopping at the end token, and the margins of the choices.
fn generation<AB: AutodiffBackend>(
    prefix: &str,
    subject: &T5Subject<'_, AB>,
    encoded: &AdaptedInput<AB::InnerBackend>,
) -> Result<[GroupRow; 3], VerifyError> {
    let (states, mask) = (&encoded.embeddings, &encoded.mask);
    let free = greedy_with_margins(&subject.inner, states.clone(), mask.clone(), NEW_TOKENS, false)?;
    let mut stopped = greedy(&subject.inner, states.clone(), mask.clone(), NEW_TOKENS, true)?;
    for row in &mut stopped {
        // Decoding stops when all rows have ended; the golden rows are all 20 tokens long.
        row.resize(NEW_TOKENS, subject.inner.pad_id());
    }
    Ok([
        forward::sequences(subject.golden, &format!("{prefix}.gen_ids"), &stopped)?,
        forward::sequences(subject.golden, &format!("{prefix}.gen_ids_nostop"), &free.ids)?,
        forward::margins(subject.golden, &format!("{prefix}.gen_margin"), &free.margins)?,
    ])
}
