//! Hand-computed mixing rates, and batches of a task mixture.

use std::collections::BTreeMap;

use adept_data::pretrain::{MixtureTask, PretrainError, TaskBatches, TaskOptions, mixing_rates};
use adept_data::{Batch, DataError, Encoded, IGNORED_LABEL};

#[track_caller]
fn check_rates(sizes: &[usize], limit: usize, temperature: f64, expected: &[f64]) {
    let rates = mixing_rates(sizes, limit, temperature);
    let near = rates.len() == expected.len() && rates.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(near, "{rates:?}, not {expected:?}");
}

#[test]
fn rates_are_proportional_to_limited_sizes() {
    check_rates(&[100, 300], 1000, 1.0, &[0.25, 0.75]);
    // Both large tasks count as 500: 100, 500 and 400 of 1000.
    check_rates(&[100, 100_000, 400], 500, 1.0, &[0.1, 0.5, 0.4]);
    // Square roots 10, 20 and 30 of 60.
    check_rates(&[100, 400, 900], 10_000, 2.0, &[1.0 / 6.0, 1.0 / 3.0, 0.5]);
    check_rates(&[1, 1000], 10_000, f64::INFINITY, &[0.5, 0.5]);
    check_rates(&[0, 10, 30], 100, 1.0, &[0.0, 0.25, 0.75]);
    check_rates(&[0, 5], 100, f64::INFINITY, &[0.0, 1.0]);
    check_rates(&[0, 0], 100, 1.0, &[0.0, 0.0]);
    check_rates(&[], 100, 1.0, &[]);
}

/// Tasks with these numbers of rows; the source of a row is `[100 · task + 10, row, …, 1]` of between 3 and 40 ids, its
/// target the row and `</s>`.
fn tasks(sizes: &[usize]) -> Vec<MixtureTask> {
    let row = |task: usize, row: usize| {
        let length = 3 + (row * 7919 + task) % 38;
        let mut source = vec![5; length];
        (source[0], source[1], source[length - 1]) = (100 * task as u32 + 10, row as u32, 1);
        let target = [vec![row as u32; 1 + task], vec![1]].concat();
        Encoded::new(source, target)
    };
    sizes
        .iter()
        .enumerate()
        .map(|(task, &size)| MixtureTask {
            name: format!("task{task}"),
            rows: (0..size).map(|number| row(task, number)).collect(),
        })
        .collect()
}

fn options(batch_size: usize) -> TaskOptions {
    TaskOptions {
        batch_size,
        buckets: vec![8, 16, 32, 64],
        pad: 0,
    }
}

fn batches(sizes: &[usize], rates: &[f64], batch_size: usize) -> TaskBatches {
    TaskBatches::new(tasks(sizes), rates, options(batch_size)).expect("a mixture without a fault")
}

#[test]
fn rows_are_the_tasks_own() {
    let sizes = [50, 7, 300];
    let batches = batches(&sizes, &[0.3, 0.1, 0.6], 6);
    let rows: Vec<(usize, Encoded)> = tasks(&sizes)
        .into_iter()
        .enumerate()
        .flat_map(|(number, task)| task.rows.into_iter().map(move |row| (number, row)))
        .collect();
    assert_eq!(batches.target_width(), 4);
    assert_eq!(batches.tasks().len(), 3);
    for index in 0..200 {
        let batch = batches.train_batch(1, index);
        assert_eq!((batch.batch, batch.target_width), (6, 4));
        let longest = batch.rows.iter().map(|&row| rows[row].1.source.len()).max();
        assert_eq!(
            Some(batch.source_width),
            [8, 16, 32, 64].into_iter().find(|&width| Some(width) >= longest)
        );
        for (at, &row) in batch.rows.iter().enumerate() {
            let (task, encoded) = &rows[row];
            assert_eq!(batches.task_of(row), *task);
            for place in 0..batch.source_width {
                let at = at * batch.source_width + place;
                assert_eq!(batch.mask[at], place < encoded.source.len());
                assert_eq!(
                    batch.input_ids[at],
                    encoded.source.get(place).map_or(0, |&id| id as i32)
                );
            }
            for place in 0..4 {
                let label = encoded.target.get(place).map_or(IGNORED_LABEL, |&id| id as i32);
                assert_eq!(batch.labels[at * 4 + place], label);
            }
        }
    }
    assert_eq!(batches.task_of(357), 3);
}

#[test]
fn tasks_come_at_their_rates_and_rows_in_turns() {
    let sizes = [50, 7, 300, 9];
    // Rates need not sum to 1, and a task of rate 0 is never drawn.
    let batches = batches(&sizes, &[3.0, 1.0, 6.0, 0.0], 8);
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for index in 0..1000 {
        for row in batches.train_batch(5, index).rows {
            *counts.entry(row).or_default() += 1;
        }
    }
    let mut first = 0;
    for (task, (&size, rate)) in sizes.iter().zip([0.3, 0.1, 0.6, 0.0]).enumerate() {
        let of_task: Vec<usize> = (first..first + size)
            .map(|row| counts.get(&row).copied().unwrap_or(0))
            .collect();
        first += size;
        let share = of_task.iter().sum::<usize>() as f64 / 8000.0;
        // 5 standard deviations are at most 5 · √(0.24 / 8000) ≈ 0.027.
        assert!(
            (share - rate).abs() < 0.028 && (rate > 0.0 || share == 0.0),
            "task {task}: {share}"
        );
        let (least, most) = (of_task.iter().min(), of_task.iter().max());
        // Every row is drawn once before any is drawn again.
        assert!(
            most.zip(least).is_some_and(|(most, least)| most - least <= 1),
            "task {task}: {of_task:?}"
        );
    }
}

#[test]
fn the_last_task_of_rate_zero_never_comes() {
    // These rates sum to less than 1 in some orders of addition.
    let batches = batches(&[5, 5, 5, 5], &[0.1, 0.7, 0.2, 0.0], 16);
    for index in 0..500 {
        assert!(batches.train_batch(0, index).rows.iter().all(|&row| row < 15));
    }
}

#[test]
fn little_padding_is_left() {
    let batches = batches(&[2000], &[1.0], 16);
    let (mut tokens, mut places) = (0, 0);
    for index in 0..400 {
        let batch = batches.train_batch(2, index);
        tokens += batch.mask.iter().filter(|&&real| real).count();
        places += batch.mask.len();
    }
    // Lengths are uniform over 3 to 40. Rows padded to their own bucket each would fill 68 %; nearly all batches of
    // random rows would be 64 wide and a third full.
    let full = tokens as f64 / places as f64;
    assert!(full > 0.6, "{full}");
}

#[test]
fn batches_of_a_group_come_in_random_order() {
    let batches = batches(&[2000], &[1.0], 16);
    let widths = |group: usize| -> Vec<usize> {
        (8 * group..8 * group + 8)
            .map(|index| batches.train_batch(2, index).source_width)
            .collect()
    };
    let sorted = (0..50).filter(|&group| widths(group).is_sorted()).count();
    assert!(sorted < 5, "{sorted} of 50 groups go from narrow to wide");
}

#[test]
fn batches_are_a_pure_function_of_seed_and_index() {
    let new = || batches(&[50, 7, 300], &[0.3, 0.1, 0.6], 6);
    let (one, other) = (new(), new());
    let forward: Vec<Batch> = (0..100).map(|index| one.train_batch(3, index)).collect();
    let mut backward: Vec<Batch> = (0..100).rev().map(|index| other.train_batch(3, index)).collect();
    backward.reverse();
    assert!(forward == backward);
    // In any order, and interleaved with batches of another seed.
    for index in [57, 3, 99, 0, 58, 8, 7] {
        assert_ne!(other.train_batch(4, index), forward[index]);
        assert_eq!(other.train_batch(3, index), forward[index], "{index}");
    }
    assert_ne!(one.train_batch(3 + (1 << 32), 0), forward[0]);
}

#[test]
fn long_sources_keep_their_last_token() {
    let options = TaskOptions {
        buckets: vec![2, 4],
        ..options(8)
    };
    let batches = TaskBatches::new(tasks(&[60]), &[1.0], options).expect("a mixture without a fault");
    for index in 0..16 {
        let batch = batches.train_batch(0, index);
        assert_eq!(batch.source_width, 4);
        for (ids, mask) in batch.input_ids.chunks(4).zip(batch.mask.chunks(4)) {
            let length = mask.iter().filter(|&&real| real).count();
            assert_eq!(ids[length - 1], 1);
        }
    }
}

#[test]
fn a_mixture_with_a_fault_is_refused() {
    let fault = |sizes: &[usize], rates: &[f64], options: TaskOptions| {
        TaskBatches::new(tasks(sizes), rates, options).expect_err("a mixture with a fault")
    };
    assert!(matches!(fault(&[], &[], options(4)), DataError::NoRows));
    assert!(matches!(
        fault(&[3], &[1.0], options(0)),
        DataError::ZeroOption { option: "batch_size" }
    ));
    for rates in [
        &[1.0][..],
        &[1.0, -0.5],
        &[1.0, f64::NAN],
        &[0.0, 0.0],
        &[1.0, f64::INFINITY],
    ] {
        assert!(
            matches!(
                fault(&[3, 4], rates, options(4)),
                DataError::Pretrain(PretrainError::Rates { expected: 2, .. })
            ),
            "{rates:?}"
        );
    }
    match fault(&[3, 0], &[1.0, 1.0], options(4)) {
        DataError::Pretrain(PretrainError::EmptyTask { task }) => assert_eq!(task, "task1"),
        other => panic!("{other}"),
    }
    for buckets in [vec![], vec![0, 4], vec![4, 4], vec![8, 4]] {
        let options = TaskOptions { buckets, ..options(4) };
        assert!(matches!(fault(&[3], &[1.0], options), DataError::Buckets { .. }));
    }
    let mut large = tasks(&[3]);
    large[0].rows[2].target[0] = 1 << 31;
    assert!(matches!(
        TaskBatches::new(large, &[1.0], options(4)),
        Err(DataError::TokenId { row: 2, found }) if found == 1 << 31
    ));
}
