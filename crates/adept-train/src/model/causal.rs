//! Decoder-only backbones: `[P; pads; tokens + offset]` through the one stack there is.
//!
//! Rows are joined ([`adept_data::Layout::Joined`]): a label's slot is its token's, and the slot before predicts it.
//! Only those slots go through the head: the logits of all slots would be the largest tensor of a step.

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::CausalBackbone;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::upload;

/// Mean cross-entropy `[1]` over the labels that count.
pub(super) fn loss<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    adapter: &dyn Intervention<B>,
    batch: &Batch,
    dropout: f64,
    device: &B::Device,
) -> Tensor<B, 1> {
    let (ids, mask) = upload::source::<B>(batch, device);
    let adapted = adapter.forward_at(model.look_up(adapter, ids), mask, upload::row_positions(batch, device));
    let [rows, slots, d_model] = adapted.embeddings.dims();
    let prompt = slots - batch.source_width;
    let positions = upload::positions::<B>(batch, prompt, device);
    let hidden = model.hidden(adapted.embeddings, adapted.mask, positions, dropout);
    let (before, labels) = upload::labelled(batch, prompt, device);
    let states = hidden.reshape([rows * slots, d_model]).select(0, before);
    model.head_loss(states, labels)
}
