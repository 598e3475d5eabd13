//! Checks of the forward pass: activations, logits, losses, label scores, greedy output.

use adept_core::{AdaptedInput, Method};
use adept_models::generate::{greedy, greedy_with_margins, score_labels};
use adept_models::{IGNORE_INDEX, Seq2SeqBackbone, cross_entropy};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use super::compare::{Group, limit, read_back};
use super::subject::Subject;
use super::{GroupRow, VerifyError};

/// New tokens of the golden greedy output.
const NEW_TOKENS: usize = 20;
/// The smallest margin of a golden greedy choice that float32 noise cannot bridge.
const LEAST_MARGIN: f64 = 2e-3;

/// The bare model.
pub(super) fn base<AB: AutodiffBackend>(subject: &Subject<'_, AB>) -> Result<Vec<GroupRow>, VerifyError> {
    let AdaptedInput { embeddings, mask } = subject.source();
    let mut hidden = Group::new(subject.golden, "base.hidden", limit::LOGITS);
    let encoder = subject.inner.encoder_hidden(embeddings.clone(), mask.clone());
    for (i, state) in encoder.into_iter().enumerate() {
        hidden.tensor(&format!("base.encoder_hidden.{i}"), state)?;
    }
    let encoded = subject.inner.encode(embeddings, mask.clone(), 0.0);
    let decoder = subject
        .inner
        .decoder_hidden(subject.decoder_ids(), encoded.clone(), mask.clone());
    for (i, state) in decoder.into_iter().enumerate() {
        hidden.tensor(&format!("base.decoder_hidden.{i}"), state)?;
    }
    let mut rows = vec![hidden.finish()?];
    let input = AdaptedInput {
        embeddings: encoded,
        mask,
    };
    rows.extend(output("base", subject, &input)?);
    rows.push(loss_per_token(subject, &input)?);
    rows.push(label_scores(subject, &input)?);
    rows.extend(generation("base", subject, &input)?);
    Ok(rows)
}

/// The model with an adapter.
pub(super) fn adapted<AB: AutodiffBackend>(
    method: Method,
    subject: &Subject<'_, AB>,
) -> Result<Vec<GroupRow>, VerifyError> {
    let adapter = subject.adapter::<AB::InnerBackend>(method)?;
    let source = subject.source();
    let AdaptedInput { embeddings, mask } = adapter.forward(source.embeddings, source.mask);

    let mut input = Group::new(subject.golden, format!("{method}.inputs_embeds"), limit::LOGITS);
    input.tensor(&format!("{method}.inputs_embeds"), embeddings.clone())?;
    let name = format!("{method}.attention_mask");
    let mut attention = Group::new(subject.golden, &name, limit::EXACT);
    let ones = super::compare::read_integers(&name, mask.clone().int())?;
    attention.integers(&name, &mask.dims(), &ones)?;
    let encoded = subject.inner.encode(embeddings, mask.clone(), 0.0);
    let mut encoder = Group::new(subject.golden, format!("{method}.encoder_out"), limit::LOGITS);
    encoder.tensor(&format!("{method}.encoder_out"), encoded.clone())?;

    let mut rows = vec![input.finish()?, attention.finish()?, encoder.finish()?];
    let encoded = AdaptedInput {
        embeddings: encoded,
        mask,
    };
    rows.extend(output(method.name(), subject, &encoded)?);
    rows.extend(generation(method.name(), subject, &encoded)?);
    Ok(rows)
}

/// Logits and loss from the encoder's output (`encoded.embeddings`).
fn output<AB: AutodiffBackend>(
    prefix: &str,
    subject: &Subject<'_, AB>,
    encoded: &AdaptedInput<AB::InnerBackend>,
) -> Result<[GroupRow; 2], VerifyError> {
    let values = decode(subject, encoded);
    let name = format!("{prefix}.logits");
    let mut logits = Group::new(subject.golden, &name, limit::LOGITS);
    logits.tensor(&name, values.clone())?;
    let name = format!("{prefix}.loss");
    let mut loss = Group::new(subject.golden, &name, limit::LOSS);
    loss.tensor(&name, cross_entropy(values, subject.labels()))?;
    Ok([logits.finish()?, loss.finish()?])
}

fn decode<AB: AutodiffBackend>(
    subject: &Subject<'_, AB>,
    encoded: &AdaptedInput<AB::InnerBackend>,
) -> Tensor<AB::InnerBackend, 3> {
    subject.inner.decode(
        subject.decoder_ids(),
        encoded.embeddings.clone(),
        encoded.mask.clone(),
        0.0,
    )
}

/// The loss of every label by itself: what is ignored has none.
fn loss_per_token<AB: AutodiffBackend>(
    subject: &Subject<'_, AB>,
    encoded: &AdaptedInput<AB::InnerBackend>,
) -> Result<GroupRow, VerifyError> {
    let name = "base.loss_per_token";
    let (logits, labels) = (decode(subject, encoded), subject.labels());
    let [rows, width, vocabulary] = logits.dims();
    let mut losses = Vec::with_capacity(rows * width);
    for row in 0..rows {
        for slot in 0..width {
            let one = logits.clone().slice([row..row + 1, slot..slot + 1, 0..vocabulary]);
            let loss = cross_entropy(one, labels.clone().slice([row..row + 1, slot..slot + 1]));
            losses.extend(read_back(name, loss)?.iter::<f64>());
        }
    }
    let mut group = Group::new(subject.golden, name, limit::LOSS);
    group.values(name, &[rows, width], &losses)?;
    group.finish()
}

/// Label scoring of every row's target against the sum of its golden token losses.
fn label_scores<AB: AutodiffBackend>(
    subject: &Subject<'_, AB>,
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
    let mut group = Group::new(subject.golden, name, limit::LOGITS);
    group.derived("base.loss_per_token", &expected, &own);
    group.finish()
}

/// Greedy ids, with and without stopping at the end token, and the margins of the choices.
fn generation<AB: AutodiffBackend>(
    prefix: &str,
    subject: &Subject<'_, AB>,
    encoded: &AdaptedInput<AB::InnerBackend>,
) -> Result<[GroupRow; 3], VerifyError> {
    let shape = [subject.batch.batch, NEW_TOKENS];
    let (stop, nostop) = (format!("{prefix}.gen_ids"), format!("{prefix}.gen_ids_nostop"));
    let margin = format!("{prefix}.gen_margin");
    let golden = subject.golden.floats(&margin, &margin, &shape)?;
    let smallest = golden.iter().copied().fold(f64::INFINITY, f64::min);
    if smallest < LEAST_MARGIN {
        let path = subject.golden.path().to_owned();
        return Err(VerifyError::Margin {
            path,
            tensor: margin,
            found: smallest,
            least: LEAST_MARGIN,
        });
    }

    let (states, mask) = (&encoded.embeddings, &encoded.mask);
    let free = greedy_with_margins(&subject.inner, states.clone(), mask.clone(), NEW_TOKENS, false);
    let mut stopped = greedy(&subject.inner, states.clone(), mask.clone(), NEW_TOKENS, true);
    for row in &mut stopped {
        // Decoding stops when all rows have ended; the golden rows are all 20 tokens long.
        row.resize(NEW_TOKENS, subject.inner.pad_id());
    }
    let mut rows = Vec::with_capacity(3);
    for (name, ids) in [(&stop, &stopped), (&nostop, &free.ids)] {
        let ids: Vec<i64> = ids.iter().flatten().map(|id| i64::from(*id)).collect();
        let mut group = Group::new(subject.golden, name, limit::EXACT);
        group.integers(name, &shape, &ids)?;
        rows.push(group.finish()?);
    }
    let margins: Vec<f64> = free.margins.iter().flatten().map(|margin| f64::from(*margin)).collect();
    let mut group = Group::new(subject.golden, &margin, limit::MARGIN);
    group.values(&margin, &shape, &margins)?;
    let margins = group.finish()?;
    let [stop, nostop] = rows.try_into().expect("two groups were pushed");
    Ok([stop, nostop, margins])
}
