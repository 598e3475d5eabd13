//! T5: `[P; E + offset] -> encoder -> decoder`. The decoder sees plain token embeddings.

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::{Backbone as _, Seq2SeqBackbone as _, T5, shift_right};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::TaskModel;
use crate::TrainError;
use crate::answering::{Answer, Answering, Asked};
use crate::evaluate::{label_tensor, source_tensors};

impl<B: Backend> TaskModel<B> for T5<B> {
    fn loss(&self, adapter: &dyn Intervention<B>, batch: &Batch, dropout: f64, device: &B::Device) -> Tensor<B, 1> {
        let (ids, mask) = source_tensors::<B>(batch, device);
        let labels = label_tensor::<B>(batch, device);
        let adapted = adapter.forward(self.embed(ids), mask);
        let decoder_ids = shift_right(labels.clone(), self.decoder_start_id(), self.pad_id());
        let encoded = self.encode(adapted.embeddings, adapted.mask.clone(), dropout);
        self.decode_loss(decoder_ids, encoded, adapted.mask, labels, dropout)
    }

    type Prefix = ();

    /// An encoder reads a soft prompt anew with each row, which sees it in both directions.
    fn prefix(&self, _: &dyn Intervention<B>) {}

    fn answers(&self, method: &impl Answering<B>, _: &(), asked: &Asked<'_, B>) -> Result<Vec<Answer>, TrainError> {
        method.seq2seq(self, asked)
    }
}
