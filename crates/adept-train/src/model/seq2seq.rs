//! Encoder-decoders: `[P; E + offset] -> encoder -> decoder`. The decoder sees plain token embeddings.

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::{Seq2SeqBackbone, shift_right};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::upload;

/// Mean cross-entropy `[1]` over the labels that count.
pub(super) fn loss<B: Backend, M: Seq2SeqBackbone<B>>(
    model: &M,
    adapter: &dyn Intervention<B>,
    batch: &Batch,
    dropout: f64,
    device: &B::Device,
) -> Tensor<B, 1> {
    let (ids, mask) = upload::source::<B>(batch, device);
    let labels = upload::labels::<B>(batch, device);
    let adapted = adapter.forward(model.look_up(adapter, ids), mask);
    let decoder_ids = shift_right(labels.clone(), model.decoder_start_id(), model.pad_id());
    let encoded = model.encode(adapted.embeddings, adapted.mask.clone(), dropout);
    model.decode_loss(decoder_ids, encoded, adapted.mask, labels, dropout)
}
