//! Batches for pretraining.

use super::{DenoiseOptions, MixtureTask, Sentinels, TokenStore};
use crate::{Batch, DataError};

/// How text becomes batches.
#[derive(Debug, Clone, PartialEq)]
pub struct TextOptions {
    /// Tokens of a corrupted input, `</s>` included: the width of every batch.
    pub input_length: usize,
    /// Windows in a batch.
    pub batch_size: usize,
    /// Noise.
    pub denoise: DenoiseOptions,
    /// Windows at the store's end that are never trained on.
    pub holdout_windows: usize,
    /// Sentinels of the tokenizer.
    pub sentinels: Sentinels,
    /// Id of `</s>`.
    pub eos: u32,
    /// Id at padding.
    pub pad: u32,
}

/// Batches of corrupted text.
#[derive(Debug)]
pub struct TextBatches {
    store: TokenStore,
    options: TextOptions,
}

impl TextBatches {
    /// Batches of a store.
    ///
    /// # Errors
    /// Options out of range, too few sentinels, too little text.
    pub fn new(store: TokenStore, options: TextOptions) -> Result<Self, DataError> {
        Ok(Self { store, options })
    }

    /// Tokens of a window of text, before corruption.
    pub fn window_length(&self) -> usize {
        todo!()
    }

    /// Labels of a row.
    pub fn target_length(&self) -> usize {
        todo!()
    }

    /// Windows an epoch trains on.
    pub fn train_windows(&self) -> u64 {
        todo!()
    }

    /// The batch of a text micro-step, counted from 0: a pure function of (seed, index).
    ///
    /// # Errors
    /// Read failures.
    pub fn train_batch(&self, seed: u64, index: usize) -> Result<Batch, DataError> {
        let _ = (seed, index, &self.store, &self.options);
        todo!()
    }

    /// The held-out windows, corrupted by `seed`.
    ///
    /// # Errors
    /// Read failures.
    pub fn held_out(&self, seed: u64) -> Result<Vec<Batch>, DataError> {
        let _ = seed;
        todo!()
    }
}

/// How task rows become batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOptions {
    /// Rows in a batch.
    pub batch_size: usize,
    /// Widths that batches may have, ascending; the last one is the longest source.
    pub buckets: Vec<usize>,
    /// Id at padding.
    pub pad: u32,
}

/// Batches of a mixture of tasks.
#[derive(Debug)]
pub struct TaskBatches {
    tasks: Vec<MixtureTask>,
    options: TaskOptions,
}

impl TaskBatches {
    /// Batches of `tasks`, drawn at `rates`.
    ///
    /// # Errors
    /// Tasks without rows, rates that do not fit, options out of range.
    pub fn new(tasks: Vec<MixtureTask>, rates: &[f64], options: TaskOptions) -> Result<Self, DataError> {
        let _ = rates;
        Ok(Self { tasks, options })
    }

    /// Labels of a row: the longest target of all tasks.
    pub fn target_width(&self) -> usize {
        todo!()
    }

    /// Task (its place in the list given) of a row number as [`Batch::rows`] holds them.
    pub fn task_of(&self, row: usize) -> usize {
        let _ = (row, &self.tasks, &self.options);
        todo!()
    }

    /// The batch of a task micro-step, counted from 0: a pure function of (seed, index).
    pub fn train_batch(&self, seed: u64, index: usize) -> Batch {
        let _ = (seed, index);
        todo!()
    }
}
