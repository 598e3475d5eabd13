//! Decoder-only backbones: `[P; pads; tokens + offset]` through the one stack there is.
//!
//! Rows are joined ([`adept_data::Layout::Joined`]): a label's slot is its token's, and the slot before predicts it.
//! Only those slots go through the last block's feed-forward layer and through the head: the logits of all slots would
//! be the largest tensor of a step.

use adept_core::Intervention;
use adept_data::Batch;
use adept_models::CausalBackbone;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::{Forward, Outputs, States};
use crate::upload;

/// Mean cross-entropy `[1]` over the labels that count.
pub(super) fn loss<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    adapter: &dyn Intervention<B>,
    batch: &Batch,
    Forward { dropout, tape }: Forward<'_, B>,
    device: &B::Device,
) -> Tensor<B, 1> {
    let (ids, mask) = upload::source::<B>(batch, device);
    let adapted = adapter.forward_at(model.look_up(adapter, ids), mask, upload::row_positions(batch, device));
    let [_, slots, _] = adapted.embeddings.dims();
    let prompt = slots - batch.source_width;
    let positions = upload::positions::<B>(batch, prompt, device);
    let (before, labels) = upload::labelled(batch, prompt, device);
    let states = model.hidden_at(tape, adapted, positions, &before, dropout);
    model.head_loss(states, labels)
}

/// What a pass leaves besides its loss.
pub(super) fn outputs<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    adapter: &dyn Intervention<B>,
    batch: &Batch,
    Forward { dropout, tape }: Forward<'_, B>,
    device: &B::Device,
) -> Outputs<B> {
    let (ids, mask) = upload::source::<B>(batch, device);
    let embeddings = model.look_up(adapter, ids);
    let adapted = adapter.forward_at(embeddings, mask.clone(), upload::row_positions(batch, device));
    let [rows, slots, d_model] = adapted.embeddings.dims();
    let (prompt, width) = (slots - batch.source_width, batch.source_width);
    let positions = upload::positions::<B>(batch, prompt, device);
    let hidden = model.hidden_on(tape, adapted, positions, dropout);
    let (before, labels) = upload::labelled(batch, prompt, device);
    let own = hidden.clone().narrow(1, prompt, width);
    let before = upload::vector(before.into_iter().map(|slot| slot as i32).collect(), device);
    Outputs {
        logits: model.head(hidden.reshape([rows * slots, d_model]).select(0, before)),
        labels,
        states: vec![States {
            values: own.reshape([rows * width, d_model]),
            counted: mask.float().reshape([rows * width, 1]),
        }],
    }
}
