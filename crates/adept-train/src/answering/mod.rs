//! Prediction: from batches to texts, with a method for each kind of backbone.
//!
//! | method | encoder-decoder | decoder-only backbone |
//! |---|---|---|
//! | [`Generate`] | generates an answer | completes the prompt |
//! | [`Labels`] | scores every label in one decoder pass | reads soft prompt and prompt once, then scores each label |
//! | `Programs` | refused: its tokenizer has no line breaks | completes the prompt up to the end of the program |
//!
//! Everything here runs on a plain backend: nothing is differentiated.

mod continuation;
mod generate;
mod labels;
mod programs;

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::generate::Prefix;
use adept_models::{CausalBackbone, Seq2SeqBackbone};
use burn::tensor::backend::Backend;

use crate::TrainError;

pub use continuation::Continuation;
pub use generate::Generate;
pub use labels::Labels;

pub(crate) use programs::Programs;

/// Decodes token ids to text.
pub type Decode<'a> = dyn Fn(&[u32]) -> Result<String, TrainError> + 'a;

/// A batch to predict.
pub struct Asked<'a, B: Backend> {
    /// The adapter.
    pub adapter: &'a dyn Intervention<B>,
    /// The sources; for a decoder-only backbone left-padded prompts ([`Layout::Prompts`](adept_data::Layout::Prompts)).
    pub batch: &'a Batch,
    /// Device of the computation.
    pub device: &'a B::Device,
}

/// The answer to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// Number of generated tokens; 0 if the answer was chosen.
    pub tokens: usize,
}

/// A prediction method. An implementation defines it for both kinds of backbone, or refuses one with a reason.
pub trait Answering<B: Backend> {
    /// Answers of an encoder-decoder, in the batch's order.
    ///
    /// # Errors
    /// Ids that cannot be decoded, NaN or infinities in logits or scores, and a method that does not support this kind
    /// of backbone.
    fn seq2seq<M: Seq2SeqBackbone<B>>(&self, model: &M, asked: &Asked<'_, B>) -> Result<Vec<Answer>, TrainError>;

    /// Answers of a decoder-only backbone, in the batch's order. `prefix` is the soft prompt after reading.
    ///
    /// # Errors
    /// See [`seq2seq`](Self::seq2seq).
    fn causal<M: CausalBackbone<B>>(
        &self,
        model: &M,
        prefix: &Prefix<M::Cache>,
        asked: &Asked<'_, B>,
    ) -> Result<Vec<Answer>, TrainError>;
}

/// Prediction method for the rows of a task.
#[derive(Clone)]
pub enum AnswerMethod<'a> {
    /// Generate a text.
    Generate(Generate<'a>),
    /// Choose a label.
    Labels(Labels<'a>),
}

impl<B: Backend> Answering<B> for AnswerMethod<'_> {
    fn seq2seq<M: Seq2SeqBackbone<B>>(&self, model: &M, asked: &Asked<'_, B>) -> Result<Vec<Answer>, TrainError> {
        match self {
            Self::Generate(generate) => generate.seq2seq(model, asked),
            Self::Labels(labels) => labels.seq2seq(model, asked),
        }
    }

    fn causal<M: CausalBackbone<B>>(
        &self,
        model: &M,
        prefix: &Prefix<M::Cache>,
        asked: &Asked<'_, B>,
    ) -> Result<Vec<Answer>, TrainError> {
        match self {
            Self::Generate(generate) => generate.causal(model, prefix, asked),
            Self::Labels(labels) => labels.causal(model, prefix, asked),
        }
    }
}

/// Reads an adapter's soft prompt, the common prefix of all rows of a decoder-only backbone.
pub(crate) fn prefix<B: Backend, M: CausalBackbone<B>>(model: &M, adapter: &dyn Intervention<B>) -> Prefix<M::Cache> {
    Prefix::new(model, adapter.prompt())
}

/// The prompts of a batch without padding.
fn prompts(batch: &Batch) -> Vec<Vec<u32>> {
    let rows = batch.input_ids.chunks(batch.source_width);
    let masks = batch.mask.chunks(batch.source_width);
    rows.zip(masks)
        .map(|(ids, mask)| {
            let real = ids.iter().zip(mask).filter(|(_, real)| **real);
            real.map(|(id, _)| *id as u32).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_what_is_no_pad() {
        let batch = Batch {
            rows: vec![0, 1],
            batch: 2,
            source_width: 3,
            target_width: 3,
            input_ids: vec![0, 0, 7, 0, 5, 6],
            mask: vec![false, false, true, true, true, true],
            labels: vec![-100; 6],
            positions: vec![0; 6],
        };
        // A real token may have the padding's id.
        assert_eq!(prompts(&batch), [vec![7], vec![0, 5, 6]]);
    }
}
