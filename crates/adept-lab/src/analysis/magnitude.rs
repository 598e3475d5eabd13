//! Magnitudes of offsets compared with those of the embeddings they are added to (paper, section 3.2 and Table 2).
//!
//! The paper takes "the mean and variance of elements in input token embedding e and the elements in embedding offset
//! Δe across the entire training dataset, calculated by their absolute values": every token of every training source
//! contributes its d values, including `</s>`, but not padding or the soft prompt.
//!
//! An embedding and ADePT's offset depend only on the token, DePT's offset only on the slot. It is therefore enough to
//! count how often each token and each slot occurs and to evaluate each of them once, weighted by its count: the same
//! figures as over the whole training set, at the cost of one pass over the vocabulary.

use std::collections::BTreeMap;

use adept_core::{Adapter, Intervention as _, Offset};
use adept_data::{DataError, Encoded, StoredRows};
use adept_models::Backbone;
use adept_train::TrainError;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::Moments;

/// Tokens per pass: a few megabytes of embeddings.
const CHUNK: usize = 2048;

/// Number of occurrences of each token and each slot in a set of sources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenCounts {
    /// Occurrences by token id.
    pub ids: BTreeMap<u32, u64>,
    /// Occurrences by slot: the number of sources that reach it.
    pub slots: Vec<u64>,
    /// Number of sources.
    pub rows: u64,
}

impl TokenCounts {
    /// Counts sources without padding.
    #[must_use]
    pub fn of(rows: &[Encoded]) -> Self {
        let mut counts = Self::default();
        for row in rows {
            counts.add(row);
        }
        counts
    }

    /// Counts the sources of stored rows.
    ///
    /// # Errors
    /// Rows that can no longer be read.
    pub fn of_stored(rows: &StoredRows) -> Result<Self, DataError> {
        let mut counts = Self::default();
        for row in 0..rows.len() {
            counts.add(&rows.read(row)?);
        }
        Ok(counts)
    }

    fn add(&mut self, row: &Encoded) {
        self.rows += 1;
        if self.slots.len() < row.source.len() {
            self.slots.resize(row.source.len(), 0);
        }
        for (slot, id) in row.source.iter().enumerate() {
            *self.ids.entry(*id).or_default() += 1;
            self.slots[slot] += 1;
        }
    }

    /// Total number of tokens.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.slots.iter().sum()
    }

    /// Length of the longest source in tokens.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.slots.len()
    }

    /// Mean length of a source in tokens; 0 without sources.
    #[must_use]
    pub fn mean_length(&self) -> f64 {
        self.tokens() as f64 / self.rows.max(1) as f64
    }
}

/// Absolute values of the elements of embeddings and offsets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Magnitude {
    /// Of the embeddings.
    pub embeddings: Moments,
    /// Of the offsets; `None` for an adapter without offsets.
    pub offsets: Option<Moments>,
}

/// Evaluates embeddings and offsets of every counted token.
///
/// # Errors
/// DePT has no offset for the last slot.
pub fn magnitude<B: Backend, M: Backbone<B>>(
    model: &M,
    adapter: &Adapter<B>,
    counts: &TokenCounts,
    device: &B::Device,
) -> Result<Magnitude, TrainError> {
    adapter.check_width(counts.longest())?;
    let offset = adapter.as_prompt().and_then(|prompt| prompt.offset.as_ref());
    let mut embeddings = Moments::default();
    let mut by_token = Moments::default();
    let tokens: Vec<(u32, u64)> = counts.ids.iter().map(|(id, count)| (*id, *count)).collect();
    for chunk in tokens.chunks(CHUNK) {
        let ids: Vec<i32> = chunk.iter().map(|(id, _)| *id as i32).collect();
        let ids: Tensor<B, 2, Int> = Tensor::from_data(TensorData::new(ids, [1, chunk.len()]), device);
        let rows = model.embed(ids).reshape([chunk.len(), model.d_model()]);
        let times = || chunk.iter().map(|(_, count)| *count);
        if let Some(Offset::Adaptive(offset)) = offset {
            add(&mut by_token, offset.forward(rows.clone()), times());
        }
        add(&mut embeddings, rows, times());
    }
    let offsets = match offset {
        None => None,
        Some(Offset::Adaptive(_)) => Some(by_token),
        Some(Offset::Positional(offset)) => {
            let mut by_slot = Moments::default();
            if counts.longest() > 0 {
                add(
                    &mut by_slot,
                    offset.forward(0, counts.longest()),
                    counts.slots.iter().copied(),
                );
            }
            Some(by_slot)
        }
    };
    Ok(Magnitude { embeddings, offsets })
}

/// Adds the absolute values of each row of `[rows, d]`, weighted by `times`.
fn add<B: Backend>(moments: &mut Moments, rows: Tensor<B, 2>, times: impl Iterator<Item = u64>) {
    let width = rows.dims()[1];
    let values: Vec<f32> = rows
        .into_data()
        .convert::<f32>()
        .into_vec()
        .expect("the data was just converted to f32");
    for (row, times) in values.chunks_exact(width.max(1)).zip(times) {
        let row = row.iter().map(|value| f64::from(value.abs()));
        moments.merge(Moments::of(row).repeated(times));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(source: &[u32]) -> Encoded {
        Encoded::new(source.to_vec(), vec![1])
    }

    #[test]
    fn tokens_and_slots_are_counted_by_hand() {
        let counts = TokenCounts::of(&[row(&[7, 8, 1]), row(&[8, 1]), row(&[8, 8, 8, 1])]);
        assert_eq!(counts.ids, [(1, 3), (7, 1), (8, 5)].into());
        assert_eq!(counts.slots, [3, 3, 2, 1]);
        assert_eq!(
            (counts.rows, counts.tokens(), counts.longest(), counts.mean_length()),
            (3, 9, 4, 3.0)
        );
        assert_eq!(TokenCounts::of(&[]).mean_length(), 0.0);
    }
}
