//! Encoder-decoders: greedy decoding with a key/value cache, and label scoring in one decoder pass.

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};

use super::{GenerateError, Stage, first_not_finite, top_and_margin};
use crate::loss::IGNORE_INDEX;
use crate::traits::Seq2SeqBackbone;

/// Greedy output with a measure of how safe each choice was.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// New tokens per row, without the start token; all rows have as many tokens as steps were needed.
    pub ids: Vec<Vec<u32>>,
    /// Margin between the two largest logits at every slot, same shape as `ids`; also after a row has ended.
    pub margins: Vec<Vec<f32>>,
}

/// Greedy tokens of every row, without the start token.
///
/// With `stop_at_eos`, rows are padded after their end token and decoding stops once all rows have ended, so rows may
/// be shorter than `max_new_tokens` (all equally); without it the end token is treated like any other.
///
/// # Errors
/// [`GenerateError::NotFinite`].
pub fn greedy<B: Backend, M: Seq2SeqBackbone<B>>(
    model: &M,
    encoded: Tensor<B, 3>,
    mask: Tensor<B, 2, Bool>,
    max_new_tokens: usize,
    stop_at_eos: bool,
) -> Result<Vec<Vec<u32>>, GenerateError> {
    let pick = |logits: Tensor<B, 2>| {
        let ids = logits.argmax(1).into_data();
        ids.iter::<i64>().map(|id| (id as u32, ())).collect()
    };
    Ok(decode(model, encoded, mask, max_new_tokens, stop_at_eos, pick)?.0)
}

/// Like [`greedy`], with the margin of each choice (which moves all logits to the host).
///
/// # Errors
/// See [`greedy`].
pub fn greedy_with_margins<B: Backend, M: Seq2SeqBackbone<B>>(
    model: &M,
    encoded: Tensor<B, 3>,
    mask: Tensor<B, 2, Bool>,
    max_new_tokens: usize,
    stop_at_eos: bool,
) -> Result<Generation, GenerateError> {
    let pick = |logits: Tensor<B, 2>| {
        let [_, vocab] = logits.dims();
        let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
        values.chunks(vocab).map(top_and_margin).collect()
    };
    let (ids, margins) = decode(model, encoded, mask, max_new_tokens, stop_at_eos, pick)?;
    Ok(Generation { ids, margins })
}

/// New tokens of all rows, and the note on each.
type Decoded<N> = (Vec<Vec<u32>>, Vec<Vec<N>>);

/// The loop shared by both variants: `pick` chooses a token per row from logits `[batch, vocab]` and may attach a note
/// to it.
fn decode<B: Backend, M: Seq2SeqBackbone<B>, N>(
    model: &M,
    encoded: Tensor<B, 3>,
    mask: Tensor<B, 2, Bool>,
    max_new_tokens: usize,
    stop_at_eos: bool,
    pick: impl Fn(Tensor<B, 2>) -> Vec<(u32, N)>,
) -> Result<Decoded<N>, GenerateError> {
    let [batch, _, _] = encoded.dims();
    let device = encoded.device();
    let mut cache = model.start(encoded.clone(), mask);
    let mut ids: Vec<Vec<u32>> = vec![Vec::new(); batch];
    let mut notes: Vec<Vec<N>> = (0..batch).map(|_| Vec::new()).collect();
    let mut ended = vec![false; batch];
    let mut last = vec![model.decoder_start_id(); batch];
    for token in 0..max_new_tokens {
        let inputs: Vec<i32> = last.iter().map(|&id| id as i32).collect();
        let inputs = Tensor::<B, 2, Int>::from_data(TensorData::new(inputs, [batch, 1]), &device);
        let logits = model.step(inputs, &mut cache);
        if let Some(row) = first_not_finite(&logits, |row| !ended[row]) {
            let stage = Stage::Logits;
            let error = GenerateError::NotFinite { row, token, stage };
            return Err(error.unless_finite(Stage::Encoder, &encoded));
        }
        for (row, (chosen, note)) in pick(logits).into_iter().enumerate() {
            let id = if ended[row] { model.pad_id() } else { chosen };
            ended[row] |= stop_at_eos && model.eos_ids().contains(&id);
            ids[row].push(id);
            notes[row].push(note);
            last[row] = id;
        }
        if ended.iter().all(|&ended| ended) {
            break;
        }
    }
    Ok((ids, notes))
}

/// Summed log-probability of each label (token ids, end token included) for every row: `[batch, labels]`.
///
/// Takes one decoder pass for all labels; the encoder's keys and values are computed once per row. Sums are not
/// normalised by length: labels include their end token, so prefixes compete fairly.
///
/// # Panics
/// If `labels` is empty or contains only empty labels.
pub fn score_labels<B: Backend, M: Seq2SeqBackbone<B>>(
    model: &M,
    encoded: Tensor<B, 3>,
    mask: Tensor<B, 2, Bool>,
    labels: &[Vec<u32>],
) -> Tensor<B, 2> {
    let [batch, _, _] = encoded.dims();
    let device = encoded.device();
    let count = labels.len();
    let width = labels.iter().map(Vec::len).max().unwrap_or(0);
    assert!(width > 0, "score_labels: {count} labels, none with a token");

    let mut inputs = vec![model.pad_id() as i32; count * width];
    let mut targets = vec![IGNORE_INDEX; count * width];
    for (row, label) in labels.iter().enumerate() {
        inputs[row * width] = model.decoder_start_id() as i32;
        for (slot, &id) in label.iter().enumerate() {
            targets[row * width + slot] = id as i32;
            if slot + 1 < width {
                inputs[row * width + slot + 1] = id as i32;
            }
        }
    }
    let inputs = Tensor::<B, 2, Int>::from_data(TensorData::new(inputs, [count, width]), &device);
    let targets = Tensor::<B, 2, Int>::from_data(TensorData::new(targets, [count, width]), &device);

    let scores = model.score_candidates(inputs, encoded, mask, targets);
    scores.sum_dim(2).reshape([batch, count])
}

/// Index of each row's best label, `[batch]`.
///
/// # Errors
/// [`GenerateError::Score`].
pub fn best_labels<B: Backend>(scores: Tensor<B, 2>) -> Result<Vec<usize>, GenerateError> {
    let [_, labels] = scores.dims();
    let values: Vec<f32> = scores.into_data().iter::<f32>().collect();
    if let Some(place) = values.iter().position(|score| !score.is_finite()) {
        return Err(GenerateError::Score {
            row: place / labels,
            label: place % labels,
            found: values[place],
            stage: Stage::Logits,
        });
    }
    Ok(values
        .chunks(labels)
        .map(|row| top_and_margin(row).0 as usize)
        .collect())
}
