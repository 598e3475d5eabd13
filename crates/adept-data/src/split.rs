//! The paper's splits (tasks.md, "Splits"). The test labels of GLUE and SuperGLUE are hidden, so the published reference
//! carves validation and test out of what is labelled, with `torch.randperm` seeded by 42; here are that permutation, the
//! rules, and the few-shot draws of Table 15.

use std::collections::BTreeMap;

use crate::mt19937::Mt19937;
use crate::{DataError, Example, Task};

/// Seed of the reference's permutation.
const SEED: u64 = 42;
/// Rows that the large tasks hold out of training for validation.
const HELD_OUT: usize = 1_000;

/// The permutation `torch.randperm(n, generator=torch.Generator().manual_seed(seed))` gives on a CPU, for n below 2^32/20.
pub fn torch_permutation(n: usize, seed: u64) -> Vec<usize> {
    // torch seeds its generator with the low 32 bits.
    let mut generator = Mt19937::new(seed as u32);
    let mut order: Vec<usize> = (0..n).collect();
    for i in 0..n.saturating_sub(1) {
        let step = generator.next_u32() as usize % (n - i);
        order.swap(i, i + step);
    }
    order
}

/// How a task's three splits come from its official ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitRule {
    /// Small group: train as it is; the official validation rows are permuted, the first half (rounded down) is
    /// validation and the rest test.
    HalveValidation,
    /// Large group: train is permuted, its first 1,000 rows are validation and the rest train, in the permutation's
    /// order; the official validation set (Yelp: the test set) is the test set.
    HoldOutTrain,
    /// The official splits as they are. MNLI's validation is the mismatched set, its test the matched one.
    Official,
}

/// The official splits of a task, as far as its rule needs them.
#[derive(Debug)]
pub(crate) struct Official {
    train: Vec<Example>,
    held_out: BTreeMap<String, Vec<Example>>,
}

impl Official {
    pub(crate) fn new(train: Vec<Example>) -> Self {
        Self {
            train,
            held_out: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, split: &str, rows: Vec<Example>) {
        self.held_out.insert(split.to_owned(), rows);
    }
}

/// The three splits of a task.
#[derive(Debug)]
pub(crate) struct Division {
    pub train: Vec<Example>,
    pub validation: Vec<Example>,
    pub test: Vec<Example>,
}

/// Divides a task by its card's rule. Examples of one row stay together and in their order.
///
/// # Errors
/// [`DataError::TooFewRows`] where a split would stay empty.
pub(crate) fn divide(task: &Task, official: Official) -> Result<Division, DataError> {
    let card = &task.card().split;
    let Official { train, mut held_out } = official;
    let mut take = |split: &str| held_out.remove(split).unwrap_or_default();
    let mut division = match card.rule {
        SplitRule::HalveValidation => {
            let rows = by_row(take(&card.validation));
            enough(task, &card.validation, 2, rows.len())?;
            let (half, mut validation) = (rows.len() / 2, permuted(rows, SEED));
            let test = validation.split_off(half);
            Division {
                train,
                validation: validation.concat(),
                test: test.concat(),
            }
        }
        SplitRule::HoldOutTrain => {
            let rows = by_row(train);
            enough(task, "train", HELD_OUT + 1, rows.len())?;
            let mut validation = permuted(rows, SEED);
            let train = validation.split_off(HELD_OUT);
            Division {
                train: train.concat(),
                validation: validation.concat(),
                test: take(card.test.as_deref().unwrap_or(&card.validation)),
            }
        }
        SplitRule::Official => Division {
            train,
            validation: take(&card.validation),
            test: take(card.test.as_deref().unwrap_or("test")),
        },
    };
    if let Some(limit) = card.train_limit {
        division.train.truncate(limit);
    }
    Ok(division)
}

/// `rows` training examples in the order of a permutation by `seed`: of a task with classes the first `rows / classes` of
/// each, of others the first ones.
///
/// # Errors
/// [`DataError::FewShot`] where `rows` is no multiple of the classes, [`DataError::TooFewRows`] where a class has fewer.
pub(crate) fn few_shot(task: &Task, train: Vec<Example>, rows: usize, seed: u64) -> Result<Vec<Example>, DataError> {
    let order = permuted(train.into_iter().map(|example| vec![example]).collect(), seed).concat();
    let Some(labels) = task.labels() else {
        enough(task, "train", rows, order.len())?;
        return Ok(order.into_iter().take(rows).collect());
    };
    let of_each = rows / labels.len();
    if of_each == 0 {
        return Err(DataError::FewShot {
            task: task.name().to_owned(),
            rows,
            classes: labels.len(),
        });
    }
    let mut left: BTreeMap<&str, usize> = labels.iter().map(|label| (label.as_str(), of_each)).collect();
    let mut drawn = Vec::with_capacity(of_each * labels.len());
    for example in order {
        if let Some(left) = left.get_mut(example.target.as_str()).filter(|left| **left > 0) {
            *left -= 1;
            drawn.push(example);
        }
    }
    enough(task, "train", of_each * labels.len(), drawn.len())?;
    Ok(drawn)
}

fn enough(task: &Task, split: &str, expected: usize, found: usize) -> Result<(), DataError> {
    if found < expected {
        return Err(DataError::TooFewRows {
            task: task.name().to_owned(),
            split: split.to_owned(),
            expected,
            found,
        });
    }
    Ok(())
}

/// The examples of each row together.
fn by_row(examples: Vec<Example>) -> Vec<Vec<Example>> {
    let mut rows: Vec<Vec<Example>> = Vec::new();
    for example in examples {
        match rows.last_mut().filter(|row| row[0].id == example.id) {
            Some(row) => row.push(example),
            None => rows.push(vec![example]),
        }
    }
    rows
}

/// The rows in the order of a permutation, moved rather than copied.
fn permuted(rows: Vec<Vec<Example>>, seed: u64) -> Vec<Vec<Example>> {
    let order = torch_permutation(rows.len(), seed);
    let mut rows: Vec<Option<Vec<Example>>> = rows.into_iter().map(Some).collect();
    order
        .iter()
        .map(|&row| rows[row].take().expect("a permutation names every row once"))
        .collect()
}
