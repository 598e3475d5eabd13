//! Chosen answers: the label with the highest summed log-probability, including its end token.

use adept_models::generate::{self, Prefix, PromptLayout, Stage};
use adept_models::{CausalBackbone, Seq2SeqBackbone};
use burn::tensor::backend::Backend;

use super::continuation::embedding;
use super::{Answer, Answering, Asked, Continuation, prompts};
use crate::TrainError;
use crate::upload;

/// Chooses among a task's labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels<'a> {
    /// Token ids of each label, including the end token.
    pub ids: &'a [Vec<u32>],
    /// Text of each label.
    pub texts: &'a [String],
    /// How a decoder-only backbone counts positions, and whether the offset applies to labels.
    pub rules: Continuation,
}

impl<B: Backend> Answering<B> for Labels<'_> {
    fn seq2seq<M: Seq2SeqBackbone<B>>(&self, model: &M, asked: &Asked<'_, B>) -> Result<Vec<Answer>, TrainError> {
        let (ids, mask) = upload::source(asked.batch, asked.device);
        let adapted = asked.adapter.forward(model.look_up(asked.adapter, ids), mask);
        let encoded = model.encode(adapted.embeddings.clone(), adapted.mask.clone(), 0.0);
        let scores = generate::score_labels(model, encoded.clone(), adapted.mask, self.ids);
        let best = generate::best_labels(scores).map_err(|error| {
            let error = error.unless_finite(Stage::Encoder, &encoded);
            error.unless_finite(Stage::Embeddings, &adapted.embeddings)
        });
        Ok(self.answers(best?))
    }

    fn causal<M: CausalBackbone<B>>(
        &self,
        model: &M,
        prefix: &Prefix<M::Cache>,
        asked: &Asked<'_, B>,
    ) -> Result<Vec<Answer>, TrainError> {
        let prompts = prompts(asked.batch);
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let layout = PromptLayout {
            positions: self.rules.positions,
            width: asked.batch.source_width,
        };
        let embed = embedding(model, asked.adapter, self.rules.offset_new_tokens);
        let best = generate::best_causal_labels(model, prefix, &prompts, self.ids, layout, &embed, asked.device);
        Ok(self.answers(best?))
    }
}

impl Labels<'_> {
    fn answers(&self, chosen: Vec<usize>) -> Vec<Answer> {
        let text = |label: usize| Answer {
            text: self.texts[label].clone(),
            tokens: 0,
        };
        chosen.into_iter().map(text).collect()
    }
}
