//! The paper's splits (tasks.md, "Splits"). GLUE's test labels are hidden, so the published reference carves validation
//! and test out of what is labelled, with `torch.randperm` seeded by 42; here are that permutation and the three rules.

use crate::mt19937::Mt19937;
use crate::{DataError, Example};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitRule {
    /// Small group: train as it is; the official validation rows are permuted, the first half (rounded down) is
    /// validation and the rest test.
    HalveValidation,
    /// Large group: train is permuted, its first 1,000 rows are validation and the rest train, in the permutation's
    /// order; the official validation set is the test set.
    HoldOutTrain,
    /// MNLI: train as it is, validation is the mismatched set, test the matched one.
    MismatchedMatched,
}

/// The three splits of a task.
#[derive(Debug)]
pub(crate) struct Splits {
    pub train: Vec<Example>,
    pub validation: Vec<Example>,
    pub test: Vec<Example>,
}

/// The small group's rule, [`SplitRule::HalveValidation`].
///
/// # Errors
/// [`DataError::TooFewRows`] where a split would stay empty.
pub(crate) fn halve_validation(
    task: &'static str,
    train: Vec<Example>,
    validation: Vec<Example>,
) -> Result<Splits, DataError> {
    let n = validation.len();
    enough(task, "validation", 2, n)?;
    let mut validation = take(validation, &torch_permutation(n, SEED));
    let test = validation.split_off(n / 2);
    Ok(Splits {
        train,
        validation,
        test,
    })
}

/// The large group's rule, [`SplitRule::HoldOutTrain`]; `official` is the official validation set.
///
/// # Errors
/// [`DataError::TooFewRows`] where nothing would be left to train on.
pub(crate) fn hold_out_train(
    task: &'static str,
    train: Vec<Example>,
    official: Vec<Example>,
) -> Result<Splits, DataError> {
    let n = train.len();
    enough(task, "train", HELD_OUT + 1, n)?;
    let mut validation = take(train, &torch_permutation(n, SEED));
    let train = validation.split_off(HELD_OUT);
    Ok(Splits {
        train,
        validation,
        test: official,
    })
}

fn enough(task: &'static str, split: &'static str, expected: usize, found: usize) -> Result<(), DataError> {
    if found < expected {
        return Err(DataError::TooFewRows {
            task,
            split,
            expected,
            found,
        });
    }
    Ok(())
}

/// The rows in the order of a permutation, moved rather than copied.
fn take(rows: Vec<Example>, order: &[usize]) -> Vec<Example> {
    let mut rows: Vec<Option<Example>> = rows.into_iter().map(Some).collect();
    order
        .iter()
        .map(|&row| rows[row].take().expect("a permutation names every row once"))
        .collect()
}
