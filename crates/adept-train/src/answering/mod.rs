//! From a batch to texts: ways of answering, each for both kinds of backbone.
//!
//! | way | an encoder-decoder | a decoder-only backbone |
//! |---|---|---|
//! | [`Generate`] | writes an answer | continues the prompt |
//! | [`Labels`] | scores every label in one decoder pass | reads soft prompt and prompt once, scores labels behind them |
//! | [`Programs`] | refused: its tokenizer has no line breaks | continues the prompt to the end of the program |
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
pub use programs::Programs;

/// Turns token ids into text.
pub type Decode<'a> = dyn Fn(&[u32]) -> Result<String, TrainError> + 'a;

/// A batch that is to be answered.
pub struct Asked<'a, B: Backend> {
    /// What changes the embeddings.
    pub adapter: &'a dyn Intervention<B>,
    /// The sources: of a decoder-only backbone prompts with pads on their left
    /// ([`Layout::Prompts`](adept_data::Layout::Prompts)).
    pub batch: &'a Batch,
    /// Where it is computed.
    pub device: &'a B::Device,
}

/// The answer to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// Tokens that were written for it; 0 where it was chosen.
    pub tokens: usize,
}

/// A way of answering. A new one says what it does with either kind of backbone, or why it cannot.
pub trait Answering<B: Backend> {
    /// The answer of an encoder-decoder to each row, in the batch's order.
    ///
    /// # Errors
    /// Ids that cannot be decoded, NaN or infinities among logits or scores, and a way that the kind does not know.
    fn seq2seq<M: Seq2SeqBackbone<B>>(&self, model: &M, asked: &Asked<'_, B>) -> Result<Vec<Answer>, TrainError>;

    /// The answer of a decoder-only backbone to each row, in the batch's order. `prefix` is the soft prompt, read.
    ///
    /// # Errors
    /// As [`seq2seq`](Self::seq2seq).
    fn causal<M: CausalBackbone<B>>(
        &self,
        model: &M,
        prefix: &Prefix<M::Cache>,
        asked: &Asked<'_, B>,
    ) -> Result<Vec<Answer>, TrainError>;
}

/// How the rows of a task are answered.
#[derive(Clone)]
pub enum AnswerMethod<'a> {
    /// A text is written.
    Generate(Generate<'a>),
    /// A label is chosen.
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

/// Reads an adapter's soft prompt, which every row of a decoder-only backbone begins with.
pub fn prefix<B: Backend, M: CausalBackbone<B>>(model: &M, adapter: &dyn Intervention<B>) -> Prefix<M::Cache> {
    Prefix::new(model, adapter.prompt())
}

/// The prompts of a batch without their pads.
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
        // A token of the pad's id is a token.
        assert_eq!(prompts(&batch), [vec![7], vec![0, 5, 6]]);
    }
}
