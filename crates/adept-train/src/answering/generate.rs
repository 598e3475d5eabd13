//! Answers that are written.

use adept_models::generate::{self, GenerateError, Prefix, Stage};
use adept_models::{CausalBackbone, Seq2SeqBackbone};
use burn::tensor::backend::Backend;

use super::continuation::{Writing, write};
use super::{Answer, Answering, Asked, Continuation, Decode, prompts};
use crate::TrainError;
use crate::upload;

/// Texts that a model writes: an encoder-decoder the likeliest tokens, a decoder-only backbone as its rules say.
#[derive(Clone)]
pub struct Generate<'a> {
    /// Longest answer in tokens.
    pub max_new_tokens: usize,
    /// Turns them into text, without what ends it.
    pub decode: &'a Decode<'a>,
    /// How a decoder-only backbone writes.
    pub rules: Continuation,
}

impl<B: Backend> Answering<B> for Generate<'_> {
    fn seq2seq<M: Seq2SeqBackbone<B>>(&self, model: &M, asked: &Asked<'_, B>) -> Result<Vec<Answer>, TrainError> {
        let (ids, mask) = upload::source(asked.batch, asked.device);
        let adapted = asked.adapter.forward(model.embed(ids), mask);
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
            // As in training: where pads are counted, what stands before a token is that of the batch.
            width: batch.source_width,
        };
        let written: Result<_, GenerateError> = write(model, prefix, asked, &self.rules, &writing, &mut |_, _| false);
        written?.iter().map(|written| self.answer(written.text_ids())).collect()
    }
}

impl<'a> Generate<'a> {
    /// The likeliest tokens, at most `max_new_tokens` of them, read as in training.
    pub fn new(max_new_tokens: usize, decode: &'a Decode<'a>) -> Self {
        Self {
            max_new_tokens,
            decode,
            rules: Continuation::default(),
        }
    }

    /// Spaces around an answer are its template's.
    fn answer(&self, ids: &[u32]) -> Result<Answer, TrainError> {
        Ok(Answer {
            text: (self.decode)(ids)?.trim().to_owned(),
            tokens: ids.len(),
        })
    }
}
