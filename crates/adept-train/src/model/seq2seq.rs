//! Encoder-decoders: `[P; E + offset] -> encoder -> decoder`. The decoder sees plain token embeddings.

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::{Seq2SeqBackbone, shift_right};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::{Forward, Outputs, States};
use crate::upload;

/// Mean cross-entropy `[1]` over the labels that count.
pub(super) fn loss<B: Backend, M: Seq2SeqBackbone<B>>(
    model: &M,
    adapter: &dyn Intervention<B>,
    batch: &Batch,
    Forward { dropout, tape }: Forward<'_, B>,
    device: &B::Device,
) -> Tensor<B, 1> {
    let (ids, mask) = upload::source::<B>(batch, device);
    let labels = upload::labels::<B>(batch, device);
    let adapted = adapter.forward(model.look_up(adapter, ids), mask);
    let decoder_ids = shift_right(labels.clone(), model.decoder_start_id(), model.pad_id());
    let encoded = model.encode_on(tape, adapted.embeddings, adapted.mask.clone(), dropout);
    model.decode_loss(decoder_ids, encoded, adapted.mask, labels, dropout)
}

/// What a pass leaves besides its loss.
pub(super) fn outputs<B: Backend, M: Seq2SeqBackbone<B>>(
    model: &M,
    adapter: &dyn Intervention<B>,
    batch: &Batch,
    Forward { dropout, tape }: Forward<'_, B>,
    device: &B::Device,
) -> Outputs<B> {
    let (ids, mask) = upload::source::<B>(batch, device);
    let labels = upload::labels::<B>(batch, device);
    let adapted = adapter.forward(model.look_up(adapter, ids), mask.clone());
    let decoder_ids = shift_right(labels.clone(), model.decoder_start_id(), model.pad_id());
    let encoded = model.encode_on(tape, adapted.embeddings, adapted.mask.clone(), dropout);
    let [rows, slots, d_model] = encoded.dims();
    let (tokens, targets) = (rows * batch.source_width, labels.dims()[1]);
    let own = encoded
        .clone()
        .narrow(1, slots - batch.source_width, batch.source_width);
    let decoded = model.decode_states(decoder_ids, encoded, adapted.mask, dropout);
    let decoded = decoded.reshape([rows * targets, model.d_model()]);
    let labels = labels.reshape([rows * targets]);
    let counted = labels.clone().greater_equal_elem(0).float();
    Outputs {
        logits: model.head(decoded.clone()),
        labels,
        states: vec![
            States {
                values: own.reshape([tokens, d_model]),
                counted: mask.float().reshape([tokens, 1]),
            },
            States {
                values: decoded,
                counted: counted.unsqueeze_dim(1),
            },
        ],
    }
}
