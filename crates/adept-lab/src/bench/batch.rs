//! The batch of a benchmark case: ids, padding and labels, by the same formula as in `bench/peer.py`.

use adept_data::{Batch, IGNORED_LABEL};

use super::{BenchOptions, Labels};

/// A token other than pad, end and unknown (ids 0 to 2 of a T5).
fn id(vocabulary: usize, row: usize, slot: usize) -> i32 {
    (3 + (row * 7919 + slot * 104_729 + 31) % (vocabulary - 3)) as i32
}

/// Length of a row in tokens: the first fills the width, others are up to half shorter.
pub(super) fn length(row: usize, width: usize) -> usize {
    width - (row * 13) % (width / 2)
}

/// Right-padded source and target for an encoder-decoder. `options` must be resolved.
pub(super) fn pair(options: &BenchOptions, vocabulary: usize) -> Batch {
    let (rows, width, target) = (options.batch, options.tokens, options.target_tokens);
    let id = |row, slot| id(vocabulary, row, slot);
    let mut batch = Batch {
        rows: (0..rows).collect(),
        batch: rows,
        source_width: width,
        target_width: target,
        input_ids: Vec::with_capacity(rows * width),
        mask: Vec::with_capacity(rows * width),
        labels: Vec::with_capacity(rows * target),
        positions: Vec::new(),
    };
    for row in 0..rows {
        let length = length(row, width);
        for slot in 0..width {
            batch.input_ids.push(match slot {
                _ if slot + 1 < length => id(row, slot),
                _ if slot + 1 == length => 1,
                _ => 0,
            });
            batch.mask.push(slot < length);
        }
        batch
            .labels
            .extend((0..target).map(|slot| if slot + 1 < target { id(row, width + slot) } else { 1 }));
    }
    batch
}

/// Left-padded rows for a decoder-only model: source and target in one, labels on the last tokens. `options` must be
/// resolved.
pub(super) fn joined(options: &BenchOptions, vocabulary: usize) -> Batch {
    let (rows, width, target) = (options.batch, options.tokens, options.target_tokens);
    let slots = rows * width;
    let mut batch = Batch {
        rows: (0..rows).collect(),
        batch: rows,
        source_width: width,
        target_width: width,
        input_ids: Vec::with_capacity(slots),
        mask: Vec::with_capacity(slots),
        labels: Vec::with_capacity(slots),
        positions: Vec::with_capacity(slots),
    };
    for row in 0..rows {
        let pads = width - length(row, width);
        for slot in 0..width {
            let id = if slot < pads {
                0
            } else {
                id(vocabulary, row, slot - pads)
            };
            batch.input_ids.push(id);
            batch.mask.push(slot >= pads);
            batch
                .labels
                .push(if slot >= width - target { id } else { IGNORED_LABEL });
            batch.positions.push(slot.saturating_sub(pads) as i32);
        }
    }
    batch
}

/// `count` labels, each as wide as the batch's targets.
pub(super) fn labels(batch: &Batch, count: usize) -> Labels {
    let first = &batch.labels[..batch.target_width];
    (0..count)
        .map(|label| {
            let other = |id: &i32| {
                if *id == 1 {
                    1
                } else {
                    id.unsigned_abs() + label as u32 % 100
                }
            };
            first.iter().map(other).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_in_the_end_token_and_pads_are_hidden() {
        let options = BenchOptions {
            batch: 5,
            tokens: 8,
            target_tokens: 3,
            ..BenchOptions::default()
        };
        let batch = pair(&options, 320);
        for (row, mask) in batch.mask.chunks(8).enumerate() {
            let ids = &batch.input_ids[row * 8..(row + 1) * 8];
            let length = mask.iter().filter(|attend| **attend).count();
            assert_eq!(length, [8, 7, 6, 5, 8][row]);
            assert_eq!(ids[length - 1], 1);
            assert!(ids[..length - 1].iter().all(|id| (3..320).contains(id)), "{ids:?}");
            assert!(ids[length..].iter().all(|id| *id == 0), "{ids:?}");
        }
        assert!(batch.labels.chunks(3).all(|labels| labels[2] == 1 && labels[0] > 2));
    }

    #[test]
    fn joined_rows_stand_right_of_their_pads() {
        let options = BenchOptions {
            batch: 5,
            tokens: 8,
            target_tokens: 3,
            ..BenchOptions::default()
        };
        let batch = joined(&options, 320);
        for (row, mask) in batch.mask.chunks(8).enumerate() {
            let [ids, labels, positions] =
                [&batch.input_ids, &batch.labels, &batch.positions].map(|all| &all[row * 8..(row + 1) * 8]);
            let pads = mask.iter().filter(|attend| !**attend).count();
            assert_eq!(pads, [0, 1, 2, 3, 0][row]);
            assert!(mask[pads..].iter().all(|attend| *attend));
            assert!(
                ids[..pads].iter().all(|id| *id == 0) && ids[pads..].iter().all(|id| *id > 2),
                "{ids:?}"
            );
            assert!(labels[..5].iter().all(|label| *label == IGNORED_LABEL) && labels[5..] == ids[5..]);
            assert_eq!(positions[pads..], (0..8 - pads as i32).collect::<Vec<_>>());
        }
    }
}
