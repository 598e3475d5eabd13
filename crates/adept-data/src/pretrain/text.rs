//! Batches of corrupted text from a [`TokenStore`].
//!
//! The store is divided into windows of the length that corrupts to the requested input length ([`window_length`]). The
//! last windows are held out. The others are used for training, in a new random order, from a new random offset and
//! with new noise every epoch. All of it is a pure function of (seed, index).
//!
//! All windows have the same length, so all inputs and targets do, too: text batches have a single shape.

use std::sync::{Arc, Mutex, PoisonError};

use super::draws::{Draws, Purpose};
use super::{DenoiseOptions, PretrainError, Sentinels, TokenStore, corrupt, noise_mask, window_length};
use crate::batch::padded;
use crate::{Batch, DataError, TextTokenizer};

/// How text is batched.
#[derive(Debug, Clone, PartialEq)]
pub struct TextOptions {
    /// Maximum length of a corrupted input in tokens, including `</s>`: the width of every batch.
    pub input_length: usize,
    /// Windows per batch.
    pub batch_size: usize,
    /// Amount and span length of the noise.
    pub denoise: DenoiseOptions,
    /// Windows at the end of the store that are never trained on.
    pub holdout_windows: usize,
    /// Sentinels of the tokenizer.
    pub sentinels: Sentinels,
    /// Id of `</s>`.
    pub eos: u32,
    /// Padding id.
    pub pad: u32,
}

impl TextOptions {
    /// Options with the special tokens taken from a tokenizer.
    ///
    /// # Errors
    /// [`PretrainError::MissingToken`] if it has no `</s>` or `<pad>`.
    pub fn new(
        tokenizer: &TextTokenizer,
        input_length: usize,
        batch_size: usize,
        denoise: DenoiseOptions,
        holdout_windows: usize,
    ) -> Result<Self, DataError> {
        let token = |expected| {
            tokenizer
                .token_id(expected)
                .ok_or(PretrainError::MissingToken { expected })
        };
        Ok(Self {
            input_length,
            batch_size,
            denoise,
            holdout_windows,
            sentinels: Sentinels::of(tokenizer),
            eos: token("</s>")?,
            pad: token("<pad>")?,
        })
    }
}

/// First token of each window of an epoch, in training order.
type Epoch = Arc<Vec<u64>>;

/// Batches of corrupted text from a store.
#[derive(Debug)]
pub struct TextBatches {
    store: TokenStore,
    options: TextOptions,
    window: usize,
    target: usize,
    /// Tokens available for training: all but the held-out windows.
    train_tokens: u64,
    /// The most recently requested (seed, epoch) and its plan.
    planned: Mutex<Option<(u64, u64, Epoch)>>,
}

impl TextBatches {
    /// Validates the options against a store.
    ///
    /// # Errors
    /// Those of [`window_length`]; [`DataError::ZeroOption`], [`PretrainError::TooFewSentinels`],
    /// [`PretrainError::TooFewTokens`].
    pub fn new(store: TokenStore, options: TextOptions) -> Result<Self, DataError> {
        if options.batch_size == 0 {
            return Err(DataError::ZeroOption { option: "batch_size" });
        }
        let (window, target) = window_length(options.input_length, &options.denoise)?;
        let (expected, found) = (options.denoise.spans(window), options.sentinels.ids().len());
        if found < expected {
            return Err(PretrainError::TooFewSentinels { expected, found }.into());
        }
        // The held-out windows, plus one to train on and one that the random offset may cost.
        let held_out = (options.holdout_windows as u64).saturating_mul(window as u64);
        let needed = held_out.saturating_add(2 * window as u64);
        if store.len() < needed {
            return Err(PretrainError::TooFewTokens {
                expected: needed,
                found: store.len(),
                holdout: options.holdout_windows,
                window,
            }
            .into());
        }
        Ok(Self {
            train_tokens: store.len() - held_out,
            store,
            options,
            window,
            target,
            planned: Mutex::new(None),
        })
    }

    /// The store that batches are read from.
    pub fn store(&self) -> &TokenStore {
        &self.store
    }

    /// Tokens per window, before corruption.
    pub fn window_length(&self) -> usize {
        self.window
    }

    /// Labels per row.
    pub fn target_length(&self) -> usize {
        self.target
    }

    /// Training windows per epoch. Up to one window's worth of tokens at the ends is left out, different ones in every
    /// epoch.
    pub fn train_windows(&self) -> u64 {
        self.train_tokens / self.window as u64 - 1
    }

    /// The batch of a text micro-step, counted from 0: a pure function of (seed, index). [`Batch::rows`] holds the
    /// number of windows drawn before each.
    ///
    /// # Errors
    /// [`DataError::Io`] if the store can no longer be read.
    pub fn train_batch(&self, seed: u64, index: usize) -> Result<Batch, DataError> {
        let first = index as u64 * self.options.batch_size as u64;
        let windows = self.train_windows();
        let rows = (first..first + self.options.batch_size as u64).map(|draw| {
            let epoch = self.epoch(seed, draw / windows);
            let start = epoch[(draw % windows) as usize];
            (draw, start, Draws::of(Purpose::TrainMask, seed, draw))
        });
        self.batch(rows)
    }

    /// The held-out windows in order, corrupted with `seed`; the last batch may be short. [`Batch::rows`] holds window
    /// numbers.
    ///
    /// # Errors
    /// As [`train_batch`](Self::train_batch).
    pub fn held_out(&self, seed: u64) -> Result<Vec<Batch>, DataError> {
        let windows: Vec<u64> = (0..self.options.holdout_windows as u64).collect();
        windows
            .chunks(self.options.batch_size)
            .map(|chunk| {
                self.batch(chunk.iter().map(|&window| {
                    let start = self.train_tokens + window * self.window as u64;
                    (window, start, Draws::of(Purpose::HeldOutMask, seed, window))
                }))
            })
            .collect()
    }

    fn epoch(&self, seed: u64, epoch: u64) -> Epoch {
        // A panicking thread leaves either a whole plan or none, so a poisoned lock is safe to use.
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        match &*planned {
            Some((known_seed, known_epoch, plan)) if (*known_seed, *known_epoch) == (seed, epoch) => Arc::clone(plan),
            _ => {
                let plan = Arc::new(self.plan(seed, epoch));
                *planned = Some((seed, epoch, Arc::clone(&plan)));
                plan
            }
        }
    }

    fn plan(&self, seed: u64, epoch: u64) -> Vec<u64> {
        let mut draws = Draws::of(Purpose::Windows, seed, epoch);
        let window = self.window as u64;
        let cut = u64::from(draws.below(u32::try_from(window).unwrap_or(u32::MAX)));
        let mut starts: Vec<u64> = (0..self.train_windows()).map(|number| cut + number * window).collect();
        draws.shuffle(&mut starts);
        starts
    }

    /// Reads and corrupts windows, given as (row number, first token, generator of the mask).
    fn batch(&self, windows: impl Iterator<Item = (u64, u64, Draws)>) -> Result<Batch, DataError> {
        let (mut rows, mut encoded, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
        for (row, start, mut draws) in windows {
            self.store.window(start, self.window, &mut tokens)?;
            let mask = noise_mask(self.window, &self.options.denoise, &mut draws);
            encoded.push(corrupt(&tokens, &mask, &self.options.sentinels, self.options.eos)?);
            rows.push(row as usize);
        }
        let widths = (self.options.input_length, self.target);
        Ok(padded(rows, encoded.iter(), widths, self.options.pad))
    }
}
