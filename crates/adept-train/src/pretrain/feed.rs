//! The passes of a step and their batches, prepared in a separate thread.
//!
//! Passes are numbered from 0 over the whole run. Tasks take the fraction `s` of them by error diffusion: of the first
//! `n` passes, `floor(n·s)` are on tasks. Pass `n` is on tasks if that number increases with it, so the batch of a pass
//! is a function of (seed, n) only.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use adept_data::pretrain::{TaskBatches, TextBatches};
use adept_data::{Batch, DataError, IGNORED_LABEL};

/// Kind of data in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Corrupted text.
    Text,
    /// Rows of the tasks.
    Tasks,
}

/// Kind of pass `number`, and how many passes of that kind precede it.
pub fn pass(number: usize, task_share: f64) -> (Kind, usize) {
    let tasks_before = |number: usize| (number as f64 * task_share).floor() as usize;
    let before = tasks_before(number);
    if tasks_before(number + 1) > before {
        (Kind::Tasks, before)
    } else {
        (Kind::Text, number - before)
    }
}

/// Source of batches.
pub struct Source {
    /// Corrupted text.
    pub text: TextBatches,
    /// Rows of tasks; `None` if the fraction of tasks is 0.
    pub tasks: Option<TaskBatches>,
    /// Fraction of passes on tasks.
    pub task_share: f64,
    /// Seed of the run.
    pub seed: u64,
}

/// A batch and its token count.
#[derive(Debug)]
pub struct Fed {
    /// Kind of data in the batch.
    pub kind: Kind,
    /// The batch.
    pub batch: Batch,
    /// Tokens of input and target, without padding.
    pub tokens: usize,
}

impl Source {
    /// The batch of pass `number`.
    pub fn batch(&self, number: usize) -> Result<Fed, DataError> {
        let (kind, index) = pass(number, self.task_share);
        let batch = match (kind, &self.tasks) {
            (Kind::Tasks, Some(tasks)) => tasks.train_batch(self.seed, index),
            _ => self.text.train_batch(self.seed, index)?,
        };
        let inputs = batch.mask.iter().filter(|real| **real).count();
        let labels = batch.labels.iter().filter(|label| **label != IGNORED_LABEL).count();
        Ok(Fed {
            kind,
            batch,
            tokens: inputs + labels,
        })
    }

    /// Prepares the batches of `passes` on a thread of `scope`, at most `ahead` of them in advance. The thread ends
    /// when the receiver is dropped.
    pub fn feed<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        passes: std::ops::Range<usize>,
        ahead: usize,
    ) -> Receiver<Result<Fed, DataError>> {
        let (sender, receiver): (SyncSender<_>, _) = sync_channel(ahead);
        scope.spawn(move || {
            for number in passes {
                let fed = self.batch(number);
                let failed = fed.is_err();
                if sender.send(fed).is_err() || failed {
                    return;
                }
            }
        });
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_and_indices_have_no_gap() {
        for share in [0.0, 0.1, 0.25, 0.5, 2.0 / 3.0, 0.9, 1.0] {
            let mut counts = [0; 2];
            for number in 0..1000 {
                let (kind, index) = pass(number, share);
                let count = &mut counts[usize::from(kind == Kind::Tasks)];
                assert_eq!(index, *count, "share {share}, pass {number}");
                *count += 1;
                let exact = (number + 1) as f64 * share;
                assert!(
                    (counts[1] as f64 - exact).abs() < 1.0 + 1e-9,
                    "share {share}, pass {number}"
                );
            }
        }
    }
}
