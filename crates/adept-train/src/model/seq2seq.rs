//! T5: `[P; E + offset] -> encoder -> decoder`. The decoder sees plain token embeddings.

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::generate::{GenerateError, Stage};
use adept_models::{Backbone as _, Seq2SeqBackbone as _, T5, generate, shift_right};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::TaskModel;
use crate::TrainError;
use crate::evaluate::{Decode, Predictor, label_tensor, source_tensors};

impl<B: Backend> TaskModel<B> for T5<B> {
    fn loss(&self, adapter: &dyn Intervention<B>, batch: &Batch, dropout: f64, device: &B::Device) -> Tensor<B, 1> {
        let (ids, mask) = source_tensors::<B>(batch, device);
        let labels = label_tensor::<B>(batch, device);
        let adapted = adapter.forward(self.embed(ids), mask);
        let decoder_ids = shift_right(labels.clone(), self.decoder_start_id(), self.pad_id());
        let encoded = self.encode(adapted.embeddings, adapted.mask.clone(), dropout);
        self.decode_loss(decoder_ids, encoded, adapted.mask, labels, dropout)
    }

    fn answers(
        &self,
        adapter: &dyn Intervention<B>,
        batch: &Batch,
        predictor: &Predictor,
        decode: &Decode<'_>,
        device: &B::Device,
    ) -> Result<Vec<String>, TrainError> {
        let (ids, mask) = source_tensors(batch, device);
        let adapted = adapter.forward(self.embed(ids), mask);
        let encoded = self.encode(adapted.embeddings.clone(), adapted.mask.clone(), 0.0);
        let blame = |error: GenerateError| error.unless_finite(Stage::Embeddings, &adapted.embeddings);
        match predictor {
            Predictor::Generate { max_new_tokens } => {
                generate::greedy(self, encoded, adapted.mask, *max_new_tokens, true)
                    .map_err(blame)?
                    .iter()
                    .map(|ids| decode(ids).map(|text| text.trim().to_owned()))
                    .collect()
            }
            Predictor::Labels { ids, texts } => {
                let scores = generate::score_labels(self, encoded.clone(), adapted.mask, ids);
                let best = generate::best_labels(scores)
                    .map_err(|error| blame(error.unless_finite(Stage::Encoder, &encoded)))?;
                Ok(best.into_iter().map(|label| texts[label].clone()).collect())
            }
        }
    }
}
