//! Moves batches to the device; the only place that uploads rows.

use adept_data::{Batch, IGNORED_LABEL};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};

/// Token ids and mask of the sources, both `[batch, source]`; the mask is true for tokens.
pub fn source<B: Backend>(batch: &Batch, device: &B::Device) -> (Tensor<B, 2, Int>, Tensor<B, 2, Bool>) {
    let shape = [batch.batch, batch.source_width];
    let mask = Tensor::from_data(TensorData::new(batch.mask.clone(), shape), device);
    (matrix(batch.input_ids.clone(), shape, device), mask)
}

/// Labels `[batch, target]`; [`IGNORED_LABEL`] for slots without a label.
pub fn labels<B: Backend>(batch: &Batch, device: &B::Device) -> Tensor<B, 2, Int> {
    matrix(batch.labels.clone(), [batch.batch, batch.target_width], device)
}

/// Positions `[batch, source]` of the rows' own tokens, the soft prompt not counted.
pub(crate) fn row_positions<B: Backend>(batch: &Batch, device: &B::Device) -> Tensor<B, 2, Int> {
    matrix(batch.positions.clone(), [batch.batch, batch.source_width], device)
}

/// Positions `[batch, prompt + source]`: the soft prompt's first, then the rows' own.
pub fn positions<B: Backend>(batch: &Batch, prompt: usize, device: &B::Device) -> Tensor<B, 2, Int> {
    let width = prompt + batch.source_width;
    let mut positions = Vec::with_capacity(batch.batch * width);
    for row in batch.positions.chunks(batch.source_width) {
        positions.extend(0..prompt as i32);
        positions.extend(row.iter().map(|position| prompt as i32 + position));
    }
    matrix(positions, [batch.batch, width], device)
}

/// For joined rows after `prompt` virtual tokens: indices of the slots that predict a label, into the flattened
/// `[batch · (prompt + source)]`, and the labels, as many.
pub(crate) fn labelled<B: Backend>(
    batch: &Batch,
    prompt: usize,
    device: &B::Device,
) -> (Vec<usize>, Tensor<B, 1, Int>) {
    let (before, labels) = labelled_slots(batch, prompt);
    (before, vector(labels, device))
}

/// Numbers `[count]`.
pub(crate) fn vector<B: Backend>(values: Vec<i32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

fn matrix<B: Backend>(values: Vec<i32>, shape: [usize; 2], device: &B::Device) -> Tensor<B, 2, Int> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A label is predicted by the preceding slot, that of a row's first token by the last slot of the soft prompt: padding
/// between them says nothing. Without a soft prompt a label of the first token does not count.
fn labelled_slots(batch: &Batch, prompt: usize) -> (Vec<usize>, Vec<i32>) {
    let width = prompt + batch.source_width;
    let (mut before, mut labels) = (Vec::new(), Vec::new());
    let rows = batch.labels.chunks(batch.source_width);
    for (row, (own, mask)) in rows.zip(batch.mask.chunks(batch.source_width)).enumerate() {
        let first = mask.iter().position(|is_token| *is_token);
        for (slot, &label) in own.iter().enumerate().filter(|(_, label)| **label != IGNORED_LABEL) {
            let slots = if first == Some(slot) { prompt } else { prompt + slot };
            if let Some(last) = slots.checked_sub(1) {
                before.push(row * width + last);
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
        assert_eq!(labelled_slots(&batch(), 2), (vec![3, 4, 7, 9, 10], vec![6, 1, 7, 9, 1]));
        // Without them, nothing precedes the label in the first slot.
        assert_eq!(labelled_slots(&batch(), 0), (vec![1, 2, 5, 6], vec![6, 1, 9, 1]));
        // Nor does the padding before a row's first token.
        let mut padded = batch();
        padded.labels[1] = 5;
        assert_eq!(labelled_slots(&padded, 2).0, [1, 3, 4, 7, 9, 10]);
        assert_eq!(labelled_slots(&padded, 0), (vec![1, 2, 5, 6], vec![6, 1, 9, 1]));
    }

    #[test]
    fn the_prompt_is_counted_before_the_rows() {
        let found = positions::<burn_flex::Flex>(&batch(), 2, &Default::default());
        let found: Vec<i64> = found.into_data().iter::<i64>().collect();
        assert_eq!(found, [0, 1, 2, 2, 3, 4, 0, 1, 2, 3, 4, 5]);
    }
}
