//! Generated answers.

use adept_models::generate::{self, GenerateError, Prefix, Stage};
use adept_models::{CausalBackbone, Seq2SeqBackbone};
use burn::tensor::backend::Backend;

use super::continuation::{Writing, write};
use super::{Answer, Answering, Asked, Continuation, Decode, prompts};
use crate::TrainError;
use crate::upload;

/// Generates answers: greedily with an encoder-decoder, according to `rules` with a decoder-only backbone.
#[derive(Clone)]
pub struct Generate<'a> {
    /// Maximum length of an answer in tokens.
    pub max_new_tokens: usize,
    /// Decodes token ids to text, without the end token.
    pub decode: &'a Decode<'a>,
    /// How a decoder-only backbone generates.
    pub rules: Continuation,
}

impl<B: Backend> Answering<B> for Generate<'_> {
    fn seq2seq<M: Seq2SeqBackbone<B>>(&self, model: &M, asked: &Asked<'_, B>) -> Result<Vec<Answer>, TrainError> {
        let (ids, mask) = upload::source(asked.batch, asked.device);
        let adapted = asked.adapter.forward(model.look_up(asked.adapter, ids), mask);
        let encoded = model.encode(adapted.embeddings.clone(), adapted.mask.clone(), 0.0);
        let written = generate::greedy(model, encoded, adapted.mask, self.max_new_tokens, true);
        written
            .map_err(|error| error.unless_finite(Stage::Embeddings, &adapted.embeddings))?
            .iter()
            .map(|ids| self.answer(ids))
            .collect()
    }

    fn causal<M: CausalBackbone<B>>(
        &self,
        model: &M,
        prefix: &Prefix<M::Cache>,
        asked: &Asked<'_, B>,
    ) -> Result<Vec<Answer>, TrainError> {
        let batch = asked.batch;
        let draws: Vec<(u64, u64)> = batch.rows.iter().map(|&row| (row as u64, 0)).collect();
        let writing = Writing {
            prompts: &prompts(batch),
            draws: &draws,
            max_new_tokens: self.max_new_tokens,
            // As in training: if padding is counted, positions depend on the batch.
            width: batch.source_width,
        };
        let written: Result<_, GenerateError> = write(model, prefix, asked, &self.rules, &writing, &mut |_, _| false);
        written?.iter().map(|written| self.answer(written.text_ids())).collect()
    }
}

impl<'a> Generate<'a> {
    /// Greedy decoding of at most `max_new_tokens` tokens, fed back as in training.
    pub fn new(max_new_tokens: usize, decode: &'a Decode<'a>) -> Self {
        Self {
            max_new_tokens,
            decode,
            rules: Continuation::default(),
        }
    }

    /// Whitespace around an answer belongs to the template.
    fn answer(&self, ids: &[u32]) -> Result<Answer, TrainError> {
        Ok(Answer {
            text: (self.decode)(ids)?.trim().to_owned(),
            tokens: ids.len(),
        })
    }
}
