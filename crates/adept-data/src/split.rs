//! The paper's splits (tasks.md, "Splits"). The test labels of GLUE and SuperGLUE are hidden, so the published
//! reference carves validation and test sets out of the labelled rows, with `torch.randperm` seeded by 42. This module
//! has that permutation, the split rules, and the few-shot selection of Table 15.

use std::collections::BTreeMap;

use crate::mt19937::Mt19937;
use crate::{DataError, FewShot, LoadOptions, Task};

/// Seed of the reference's permutation.
const SEED: u64 = 42;
/// Training rows held out for validation in the large tasks.
const HELD_OUT: usize = 1_000;
/// The official training split.
pub(crate) const TRAIN: &str = "train";

/// Reproduces `torch.randperm(n, generator=torch.Generator().manual_seed(seed))` on a CPU, for n below 2^32/20.
pub fn torch_permutation(n: usize, seed: u64) -> Vec<usize> {
    // torch seeds its generator with the low 32 bits of the seed.
    let mut generator = Mt19937::new(seed as u32);
    let mut order: Vec<usize> = (0..n).collect();
    for i in 0..n.saturating_sub(1) {
        let step = generator.next_u32() as usize % (n - i);
        order.swap(i, i + step);
    }
    order
}

/// How a task's three splits are derived from its official ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitRule {
    /// Small group: the official training split unchanged; the official validation rows are permuted, the first half
    /// (rounded down) becoming validation and the rest test.
    HalveValidation,
    /// The first half of the training rows (rounded down) is train, the rest test; no validation split (MBPP).
    HalveTrain,
    /// Large group: train is permuted, its first 1,000 rows become validation and the rest train, in the permutation's
    /// order; the official validation set (for Yelp, the test set) is test.
    HoldOutTrain,
    /// The official splits unchanged. MNLI's validation is the mismatched set, its test the matched one.
    Official,
    /// Your own data: the given files. For each of validation and test without a file, a tenth of the permuted training
    /// rows, at most 1,000, is held out.
    #[default]
    FilesGiven,
}

/// The rows of an official split, in terms of the examples made from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowsOf {
    examples: usize,
    /// Index of each row's first example; `None` if every row has exactly one.
    starts: Option<Vec<usize>>,
}

impl RowsOf {
    /// From the examples' ids in order; examples of one row share its id and are consecutive.
    pub(crate) fn of_ids(ids: impl Iterator<Item = usize>) -> Self {
        let (mut starts, mut examples, mut before) = (Vec::new(), 0, None);
        for id in ids {
            if before != Some(id) {
                starts.push(examples);
            }
            before = Some(id);
            examples += 1;
        }
        Self {
            examples,
            starts: (starts.len() < examples).then_some(starts),
        }
    }

    fn len(&self) -> usize {
        self.starts.as_ref().map_or(self.examples, Vec::len)
    }

    /// The examples of these rows, in the given order.
    fn examples(&self, rows: &[usize]) -> Vec<usize> {
        let Some(starts) = &self.starts else {
            return rows.to_vec();
        };
        let of_row = |&row: &usize| starts[row]..starts.get(row + 1).copied().unwrap_or(self.examples);
        rows.iter().flat_map(of_row).collect()
    }
}

/// The official splits that were read, by name.
pub(crate) type Official = BTreeMap<String, RowsOf>;

/// Examples selected from an official split, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picks {
    /// Name of the official split.
    pub split: String,
    /// Indices of its examples.
    pub examples: Vec<usize>,
}

/// The three splits of a task.
#[derive(Debug)]
pub(crate) struct Division {
    pub train: Picks,
    pub validation: Picks,
    pub test: Picks,
}

/// Divides a task by its card's rule. The examples of a row stay together, in order.
///
/// # Errors
/// [`DataError::TooFewRows`] if a split would be empty.
pub(crate) fn divide(task: &Task, official: &Official, options: &LoadOptions) -> Result<Division, DataError> {
    let card = &task.card().split;
    let all = |split: &str| Picks {
        split: split.to_owned(),
        examples: (0..official.get(split).map_or(0, |rows| rows.examples)).collect(),
    };
    // Permutation of a split's rows, checked to have at least `least`.
    let permuted = |split: &str, least: usize| {
        let count = official.get(split).map_or(0, RowsOf::len);
        enough(task, split, least, count)?;
        Ok::<_, DataError>(torch_permutation(count, SEED))
    };
    let picks = |split: &str, rows: &[usize]| Picks {
        split: split.to_owned(),
        examples: official[split].examples(rows),
    };
    if options.whole {
        return Ok(Division {
            train: all(TRAIN),
            validation: picks(TRAIN, &[]),
            test: all(TRAIN),
        });
    }
    let mut division = match card.rule {
        SplitRule::HalveTrain => {
            let count = official.get(TRAIN).map_or(0, RowsOf::len);
            enough(task, TRAIN, 2, count)?;
            let order: Vec<usize> = (0..count).collect();
            let (train, test) = order.split_at(count / 2);
            Division {
                train: picks(TRAIN, train),
                validation: picks(TRAIN, &[]),
                test: picks(TRAIN, test),
            }
        }
        SplitRule::HalveValidation => {
            let order = permuted(&card.validation, 2)?;
            let (validation, test) = order.split_at(order.len() / 2);
            Division {
                train: all(TRAIN),
                validation: picks(&card.validation, validation),
                test: picks(&card.validation, test),
            }
        }
        SplitRule::HoldOutTrain => {
            let order = permuted(TRAIN, HELD_OUT + 1)?;
            let (validation, train) = order.split_at(HELD_OUT);
            Division {
                train: picks(TRAIN, train),
                validation: picks(TRAIN, validation),
                test: all(card.test.as_deref().unwrap_or(&card.validation)),
            }
        }
        SplitRule::Official => Division {
            train: all(TRAIN),
            validation: all(&card.validation),
            test: all(card.test_split()),
        },
        SplitRule::FilesGiven => {
            let (validation, test) = (card.validation.as_str(), card.test_split());
            let missing = [validation, test]
                .into_iter()
                .filter(|split| !official.contains_key(*split));
            let missing = missing.count();
            if missing == 0 {
                Division {
                    train: all(TRAIN),
                    validation: all(validation),
                    test: all(test),
                }
            } else {
                let order = permuted(TRAIN, missing + 1)?;
                let each = (order.len() / 10).clamp(1, HELD_OUT);
                let (held_out, train) = order.split_at(missing * each);
                let mut held_out = held_out.chunks(each);
                let mut given_or_held_out = |split: &str| match official.contains_key(split) {
                    true => all(split),
                    false => picks(TRAIN, held_out.next().unwrap_or_default()),
                };
                Division {
                    validation: given_or_held_out(validation),
                    test: given_or_held_out(test),
                    train: picks(TRAIN, train),
                }
            }
        }
    };
    if let Some(limit) = card.train_limit {
        division.train.examples.truncate(limit);
    }
    Ok(division)
}

/// Selects `rows` training examples from a permutation by `seed`: for a task with classes the first `rows / classes` of
/// each, for others the first `rows`. `target` returns the target of an example by its index in the official split.
///
/// # Errors
/// [`DataError::FewShot`] if `rows` is less than the number of classes, [`DataError::TooFewRows`] if a class has too
/// few, and those of `target`.
pub(crate) fn few_shot(
    task: &Task,
    train: &Picks,
    FewShot { rows, seed }: FewShot,
    mut target: impl FnMut(usize) -> Result<String, DataError>,
) -> Result<Picks, DataError> {
    let order = torch_permutation(train.examples.len(), seed);
    let mut order = order.into_iter().map(|number| train.examples[number]);
    let split = train.split.clone();
    let Some(labels) = task.labels() else {
        enough(task, TRAIN, rows, train.examples.len())?;
        let examples = order.take(rows).collect();
        return Ok(Picks { split, examples });
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
    let wanted = of_each * labels.len();
    // Checked before allocating, since the number is unbounded.
    enough(task, TRAIN, wanted, train.examples.len())?;
    let mut examples = Vec::with_capacity(wanted);
    while examples.len() < wanted {
        let Some(example) = order.next() else { break };
        if let Some(left) = left.get_mut(target(example)?.as_str()).filter(|left| **left > 0) {
            *left -= 1;
            examples.push(example);
        }
    }
    enough(task, TRAIN, wanted, examples.len())?;
    Ok(Picks { split, examples })
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
