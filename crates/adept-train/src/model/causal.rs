//! Decoder-only backbones: `[P; pads; tokens + offset]` through the one stack there is.
//!
//! Rows are joined ([`adept_data::Layout::Joined`]): a label stands where its token does, and what predicts it is the slot
//! before. Only those slots go through the head, whose vocabulary would make the logits of all slots the largest tensor of
//! a step.

use adept_core::Intervention;
use adept_data::{Batch, IGNORED_LABEL};
use adept_models::CausalBackbone;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use crate::evaluate::source_tensors;

/// Mean cross-entropy over the labels that count.
pub(super) fn loss<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    adapter: &dyn Intervention<B>,
    batch: &Batch,
    dropout: f64,
    device: &B::Device,
) -> Tensor<B, 1> {
    let (ids, mask) = source_tensors::<B>(batch, device);
    let own = TensorData::new(batch.positions.clone(), [batch.batch, batch.source_width]);
    let adapted = adapter.forward_at(model.embed(ids), mask, Tensor::from_data(own, device));
    let [rows, slots, d_model] = adapted.embeddings.dims();
    let prompt = slots - batch.source_width;
    let positions = positions::<B>(batch, prompt, device);
    let hidden = model.hidden(adapted.embeddings, adapted.mask, positions, dropout);
    let (before, labels) = labelled(batch, prompt);
    let count = labels.len();
    let before = Tensor::<B, 1, Int>::from_data(TensorData::new(before, [count]), device);
    let labels = Tensor::<B, 1, Int>::from_data(TensorData::new(labels, [count]), device);
    let states = hidden.reshape([rows * slots, d_model]).select(0, before);
    model.head_loss(states, labels)
}

/// Positions `[batch, prompt + slots]`: the soft prompt's first, the rows' own behind it.
pub fn positions<B: Backend>(batch: &Batch, prompt: usize, device: &B::Device) -> Tensor<B, 2, Int> {
    let width = prompt + batch.source_width;
    let mut positions = Vec::with_capacity(batch.batch * width);
    for row in batch.positions.chunks(batch.source_width) {
        positions.extend(0..prompt as i32);
        positions.extend(row.iter().map(|position| prompt as i32 + position));
    }
    Tensor::from_data(TensorData::new(positions, [batch.batch, width]), device)
}

/// The labels that count, and the slot before each, numbered through all rows. A label in the first slot has none before
/// it where there is no soft prompt, and does not count.
fn labelled(batch: &Batch, prompt: usize) -> (Vec<i32>, Vec<i32>) {
    let width = prompt + batch.source_width;
    let (mut before, mut labels) = (Vec::new(), Vec::new());
    for (row, own) in batch.labels.chunks(batch.source_width).enumerate() {
        for (slot, &label) in own.iter().enumerate() {
            if label != IGNORED_LABEL && prompt + slot > 0 {
                before.push((row * width + prompt + slot - 1) as i32);
                labels.push(label);
            }
        }
    }
    (before, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch {
            rows: vec![0, 1],
            batch: 2,
            source_width: 4,
            target_width: 4,
            input_ids: vec![0, 5, 6, 1, 7, 8, 9, 1],
            mask: vec![false, true, true, true, true, true, true, true],
            labels: vec![-100, -100, 6, 1, 7, -100, 9, 1],
            positions: vec![0, 0, 1, 2, 0, 1, 2, 3],
        }
    }

    #[test]
    fn a_label_is_predicted_by_the_slot_before_it() {
        // Two virtual tokens: slots 0 and 1 of each row of six.
        assert_eq!(labelled(&batch(), 2), (vec![3, 4, 7, 9, 10], vec![6, 1, 7, 9, 1]));
        // Without them the first slot's label has nothing before it.
        assert_eq!(labelled(&batch(), 0), (vec![1, 2, 5, 6], vec![6, 1, 9, 1]));
    }

    #[test]
    fn the_prompt_is_counted_before_the_rows() {
        let found = positions::<burn_flex::Flex>(&batch(), 2, &Default::default());
        let found: Vec<i64> = found.into_data().iter::<i64>().collect();
        assert_eq!(found, [0, 1, 2, 2, 3, 4, 0, 1, 2, 3, 4, 5]);
    }
}
