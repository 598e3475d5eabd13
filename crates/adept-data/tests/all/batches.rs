//! Batches: every row once per epoch, few shapes, an order that is a pure function of (seed, step).

use std::collections::BTreeSet;

use adept_data::{Batch, BatchOptions, Batcher, DataError, Encoded, IGNORED_LABEL, Layout, Positions, default_buckets};

/// Rows of these source lengths; ids are `100·row + position + 2`, and the last id is 1.
fn rows(lengths: impl IntoIterator<Item = usize>) -> Vec<Encoded> {
    let ids = |row: usize, length: usize| {
        let head = (0..length - 1).map(|position| (100 * row + position + 2) as u32);
        head.chain([1]).collect()
    };
    lengths
        .into_iter()
        .enumerate()
        .map(|(row, length)| Encoded::new(ids(row, length), ids(row, 2)))
        .collect()
}

/// A realistic length distribution: many short rows, few long ones.
fn varied(count: usize) -> Vec<Encoded> {
    rows((0..count).map(|row| 1 + (row * 7919 % 1000).pow(2) / 16_000))
}

fn options(batch_size: usize) -> BatchOptions {
    let (max_source_length, pad_to_max, pad_id, target_width) = (64, false, 0, 2);
    BatchOptions {
        layout: Layout::Apart,
        batch_size,
        max_source_length,
        buckets: vec![8, 16, 32, 64],
        pad_to_max,
        pad_id,
        target_width,
    }
}

fn batcher(rows: &[Encoded], options: BatchOptions) -> Batcher<'_> {
    Batcher::new(rows, options).expect("options without a fault")
}

fn train_batch(batcher: &Batcher<'_>, seed: u64, step: usize) -> Batch {
    batcher.train_batch(seed, step).expect("rows that are in memory")
}

/// Ids, mask and labels of every row of a batch are those of the row, followed by padding.
#[track_caller]
fn check_content(batch: &Batch, rows: &[Encoded]) {
    assert_eq!(batch.batch, batch.rows.len());
    assert_eq!(batch.input_ids.len(), batch.batch * batch.source_width);
    assert_eq!(batch.mask.len(), batch.input_ids.len());
    assert_eq!(batch.labels.len(), batch.batch * batch.target_width);
    for (at, &row) in batch.rows.iter().enumerate() {
        let span = at * batch.source_width..(at + 1) * batch.source_width;
        let source = &rows[row].source;
        for (position, (&id, &real)) in batch.input_ids[span.clone()].iter().zip(&batch.mask[span]).enumerate() {
            assert_eq!(real, position < source.len(), "row {row}, position {position}");
            assert_eq!(
                id,
                source.get(position).map_or(0, |&id| id as i32),
                "row {row}, position {position}"
            );
        }
        let labels = &batch.labels[at * batch.target_width..(at + 1) * batch.target_width];
        for (position, &label) in labels.iter().enumerate() {
            let expected = rows[row].target.get(position).map_or(IGNORED_LABEL, |&id| id as i32);
            assert_eq!(label, expected, "row {row}, label {position}");
        }
    }
}

#[test]
fn an_epoch_holds_every_row_once_in_the_fewest_batches() {
    for (count, size) in [(1, 4), (4, 4), (5, 4), (203, 16), (1000, 32), (31, 32), (64, 1)] {
        let rows = varied(count);
        for pad_to_max in [false, true] {
            let batcher = batcher(
                &rows,
                BatchOptions {
                    pad_to_max,
                    ..options(size)
                },
            );
            let steps = batcher.batches_per_epoch();
            assert_eq!(steps, count.div_ceil(size));
            for epoch in 0..3 {
                let mut seen = BTreeSet::new();
                for step in 0..steps {
                    let batch = train_batch(&batcher, 5, epoch * steps + step);
                    check_content(&batch, &rows);
                    assert!(
                        batch.batch == size || step + 1 == steps,
                        "only the last batch may be short"
                    );
                    seen.extend(batch.rows);
                }
                assert_eq!(
                    seen,
                    (0..count).collect(),
                    "{count} rows by {size}, pad to max {pad_to_max}"
                );
            }
        }
    }
}

#[test]
fn a_batch_is_as_wide_as_its_longest_row_needs() {
    let rows = varied(1000);
    let batcher = batcher(&rows, options(8));
    let mut mixed = 0;
    for step in 0..batcher.batches_per_epoch() {
        let batch = train_batch(&batcher, 1, step);
        let bucket = |row: usize| {
            [8, 16, 32, 64]
                .into_iter()
                .find(|&w| rows[row].source.len() <= w)
                .expect("fits")
        };
        assert_eq!(
            Some(batch.source_width),
            batch.rows.iter().map(|&row| bucket(row)).max()
        );
        mixed += batch
            .rows
            .iter()
            .filter(|&&row| bucket(row) < batch.source_width)
            .count();
    }
    // Fewer rows than a batch move from each bucket to the next wider one.
    assert!(mixed <= 3 * 7, "{mixed} rows are wider than they need to be");
}

#[test]
fn order_is_a_pure_function_of_seed_and_step() {
    let rows = varied(203);
    let (one, other) = (batcher(&rows, options(16)), batcher(&rows, options(16)));
    let steps: Vec<usize> = (0..40).collect();
    let forward: Vec<Batch> = steps.iter().map(|&step| train_batch(&one, 3, step)).collect();
    let mut backward: Vec<Batch> = steps.iter().rev().map(|&step| train_batch(&other, 3, step)).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    let rows_of = |seed: u64, epoch: usize| {
        (0..13)
            .map(|step| train_batch(&one, seed, epoch * 13 + step).rows)
            .collect::<Vec<_>>()
    };
    assert_ne!(rows_of(3, 0), rows_of(3, 1), "epochs differ");
    assert_ne!(rows_of(3, 0), rows_of(4, 0), "seeds differ");
    assert_ne!(rows_of(3, 0), rows_of(3 + (1 << 32), 0), "all bits of the seed count");
}

/// Computed independently of this code: numpy's MT19937, seeded with the array (42, 0, 0, 0), and the module's rules.
#[test]
fn order_stays_what_it_was() {
    let rows = rows([3, 20, 5, 9, 40, 8, 2, 30, 12, 4]);
    let batcher = batcher(&rows, options(3));
    let order: Vec<Vec<usize>> = (0..4).map(|step| train_batch(&batcher, 42, step).rows).collect();
    assert_eq!(order, ORDER);
}

const ORDER: [&[usize]; 4] = [&[5, 9, 6], &[1, 3, 7], &[2, 0, 8], &[4]];

#[test]
fn padding_to_the_maximum_has_one_shape() {
    let rows = varied(100);
    let batcher = batcher(
        &rows,
        BatchOptions {
            pad_to_max: true,
            ..options(10)
        },
    );
    let widths: BTreeSet<usize> = (0..10)
        .map(|step| train_batch(&batcher, 0, step).source_width)
        .collect();
    assert_eq!(widths, BTreeSet::from([64]));
    assert!(
        batcher
            .evaluation_batches()
            .expect("rows in memory")
            .iter()
            .all(|batch| batch.source_width == 64)
    );
}

#[test]
fn evaluation_goes_through_every_row_once_and_in_order_of_width() {
    let rows = varied(203);
    let batches = batcher(&rows, options(16))
        .evaluation_batches()
        .expect("rows in memory");
    assert_eq!(batches.len(), 13);
    let mut seen: Vec<usize> = Vec::new();
    for batch in &batches {
        check_content(batch, &rows);
        seen.extend(&batch.rows);
    }
    assert!(
        batches
            .windows(2)
            .all(|pair| pair[0].source_width <= pair[1].source_width)
    );
    seen.sort_unstable();
    assert_eq!(seen, (0..203).collect::<Vec<_>>());
}

#[test]
fn what_is_too_long_keeps_its_last_token() {
    let rows = vec![Encoded::new((2..12).chain([1]).collect(), vec![5, 6, 7, 1])];
    let cut = BatchOptions {
        max_source_length: 4,
        buckets: vec![2, 4],
        target_width: 3,
        ..options(1)
    };
    let batcher = batcher(&rows, cut);
    let batch = train_batch(&batcher, 0, 0);
    assert_eq!((batch.source_width, batch.target_width), (4, 3));
    assert_eq!(batch.input_ids, [2, 3, 4, 1]);
    assert_eq!(batch.mask, [true; 4]);
    assert_eq!(batch.labels, [5, 6, 1]);
}

#[test]
fn joined_rows_are_padded_on_the_left_and_labelled_where_targets_stand() {
    let row = |source: std::ops::Range<u32>, target: &[u32]| Encoded::new(source.collect(), target.to_vec());
    let rows = vec![
        row(10..12, &[7, 1]),
        // One token too many: the source loses its beginning.
        row(20..26, &[8, 9, 1]),
        // A target that fills the row and loses its end.
        row(30..33, &(40..50).collect::<Vec<u32>>()),
        // A prompt only.
        row(50..53, &[]),
    ];
    let joined = |positions| BatchOptions {
        layout: Layout::Joined(positions),
        max_source_length: 8,
        buckets: vec![4, 8],
        ..options(4)
    };
    let batch = batcher(&rows, joined(Positions::Tokens))
        .evaluation_batches()
        .expect("rows in memory")
        .remove(0);
    // Narrow rows come first: 4 tokens, 3, then the long ones.
    assert_eq!(batch.rows, [0, 3, 1, 2]);
    assert_eq!((batch.source_width, batch.target_width), (8, 8));
    let ignored = IGNORED_LABEL;
    assert_eq!(
        batch.input_ids.chunks(8).collect::<Vec<_>>(),
        [
            [0, 0, 0, 0, 10, 11, 7, 1],
            [0, 0, 0, 0, 0, 50, 51, 52],
            [21, 22, 23, 24, 25, 8, 9, 1],
            [40, 41, 42, 43, 44, 45, 46, 47],
        ]
    );
    assert_eq!(
        batch.labels.chunks(8).collect::<Vec<_>>(),
        [
            [ignored, ignored, ignored, ignored, ignored, ignored, 7, 1],
            [ignored; 8],
            [ignored, ignored, ignored, ignored, ignored, 8, 9, 1],
            [40, 41, 42, 43, 44, 45, 46, 47],
        ]
    );
    let positions: Vec<&[i32]> = batch.positions.chunks(8).collect();
    assert_eq!(positions[0], [0, 0, 0, 0, 0, 1, 2, 3]);
    assert_eq!(positions[2], [0, 1, 2, 3, 4, 5, 6, 7]);
    let slots = batcher(&rows, joined(Positions::Slots))
        .evaluation_batches()
        .expect("rows in memory")
        .remove(0);
    assert!(slots.positions.chunks(8).all(|row| row == [0, 1, 2, 3, 4, 5, 6, 7]));
    let attended: Vec<usize> = batch
        .mask
        .chunks(8)
        .map(|row| row.iter().filter(|real| **real).count())
        .collect();
    assert_eq!(attended, [4, 3, 8, 8]);
}

#[test]
fn default_buckets_end_at_the_maximum() {
    assert_eq!(default_buckets(256), [16, 32, 64, 128, 256]);
    assert_eq!(default_buckets(348), [16, 32, 64, 128, 256, 348]);
    assert_eq!(default_buckets(512), [16, 32, 64, 128, 256, 512]);
    assert_eq!(default_buckets(10), [10]);
    assert_eq!(default_buckets(32), [16, 32]);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let rows = varied(3);
    let refused = |options| {
        Batcher::new(&rows, options)
            .expect_err("an option without sense")
            .to_string()
    };
    assert!(refused(options(0)).contains("`batch_size`: expected at least 1"));
    assert!(
        refused(BatchOptions {
            target_width: 0,
            ..options(1)
        })
        .contains("`target_width`")
    );
    for buckets in [vec![], vec![32], vec![32, 32, 64], vec![0, 64], vec![64, 32]] {
        let text = refused(BatchOptions {
            buckets: buckets.clone(),
            ..options(1)
        });
        assert!(
            text.contains("expected ascending widths that end at 64") && text.contains(&format!("{buckets:?}")),
            "{text}"
        );
    }
    assert!(matches!(Batcher::new(&vec![], options(1)), Err(DataError::NoRows)));
    let huge = vec![Encoded::new(vec![1], vec![u32::MAX])];
    assert!(matches!(
        batcher(&huge, options(1)).train_batch(0, 0),
        Err(DataError::TokenId {
            row: 0,
            found: u32::MAX
        })
    ));
}
