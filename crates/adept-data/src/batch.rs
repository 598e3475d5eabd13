//! Batches.
use crate::{DataError, Encoded};
/// Label at padding, ignored by the loss.
pub const IGNORED_LABEL: i32 = -100;
/// How rows are put into batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOptions {
    /// Rows in a batch.
    pub batch_size: usize,
    /// Longest source in tokens, the soft prompt not counted.
    pub max_source_length: usize,
    /// Widths that batches may have, ascending, the last one equal to `max_source_length`.
    pub buckets: Vec<usize>,
    /// Pad every batch to `max_source_length` and shuffle rows without regard to length, as the reference does.
    pub pad_to_max: bool,
    /// Id at padding.
    pub pad_id: u32,
    /// Width of every batch's labels.
    pub target_width: usize,
}
/// A batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Row of each example.
    pub rows: Vec<usize>,
    /// Number of rows.
    pub batch: usize,
    /// Tokens per row.
    pub source_width: usize,
    /// Labels per row.
    pub target_width: usize,
    /// Source ids.
    pub input_ids: Vec<i32>,
    /// True where `input_ids` is a token.
    pub mask: Vec<bool>,
    /// Labels.
    pub labels: Vec<i32>,
}
/// Default widths.
pub fn default_buckets(max_source_length: usize) -> Vec<usize> {
    todo!("{max_source_length}")
}
/// Makes batches.
pub struct Batcher<'a> {
    rows: &'a [Encoded],
}
impl<'a> Batcher<'a> {
    /// Checks the options.
    pub fn new(rows: &'a [Encoded], options: BatchOptions) -> Result<Self, DataError> {
        todo!("{rows:?} {options:?}")
    }
    /// Micro-steps per epoch.
    pub fn batches_per_epoch(&self) -> usize {
        todo!("{}", self.rows.len())
    }
    /// Targets that are longer than `target_width`.
    pub fn truncated_targets(&self) -> usize {
        todo!()
    }
    /// The batch of a micro-step (0-based), a pure function of (seed, step).
    pub fn train_batch(&self, seed: u64, step: usize) -> Batch {
        todo!("{seed} {step}")
    }
    /// Every row once, short rows first.
    pub fn evaluation_batches(&self) -> Vec<Batch> {
        todo!()
    }
}
