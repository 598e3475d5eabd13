//! Batches of corrupted text out of a [`TokenStore`].
//!
//! The store is cut into windows of as many tokens as give inputs of the length asked for ([`window_length`]). The last
//! windows are held out. The others are trained on in a new random order every epoch, cut at another random place every
//! epoch, and corrupted anew every time. All of it is a pure function of (seed, index).
//!
//! All windows being of one length, so are all inputs and all targets: batches of text have one shape.

use std::sync::{Arc, Mutex, PoisonError};

use super::draws::{Draws, Purpose};
use super::{DenoiseOptions, PretrainError, Sentinels, TokenStore, corrupt, noise_mask, window_length};
use crate::batch::padded;
use crate::{Batch, DataError, TextTokenizer};

/// How text becomes batches.
#[derive(Debug, Clone, PartialEq)]
pub struct TextOptions {
    /// Tokens of a corrupted input at most, `</s>` included: the width of every batch.
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

impl TextOptions {
    /// Options with the special tokens of a tokenizer.
    ///
    /// # Errors
    /// [`PretrainError::MissingToken`] where it has no `</s>` or `<pad>`.
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

/// Where an epoch's windows start and in what order they come.
type Epoch = Arc<Vec<u64>>;

/// Batches of corrupted text.
#[derive(Debug)]
pub struct TextBatches {
    store: TokenStore,
    options: TextOptions,
    window: usize,
    target: usize,
    /// Tokens that are trained on: all but the held-out windows.
    train_tokens: u64,
    /// The epoch last asked for.
    planned: Mutex<Option<(u64, u64, Epoch)>>,
}

impl TextBatches {
    /// Batches of a store.
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
        // One window more than is held out, and one that the random cut may cost.
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

    /// The store.
    pub fn store(&self) -> &TokenStore {
        &self.store
    }

    /// Tokens of a window of text, before corruption.
    pub fn window_length(&self) -> usize {
        self.window
    }

    /// Labels of a row.
    pub fn target_length(&self) -> usize {
        self.target
    }

    /// Windows an epoch trains on. Up to a window's tokens fall off an epoch at its ends, others in every epoch.
    pub fn train_windows(&self) -> u64 {
        self.train_tokens / self.window as u64 - 1
    }

    /// The batch of a text micro-step, counted from 0: a pure function of (seed, index). [`Batch::rows`] says how many
    /// windows came before each.
    ///
    /// # Errors
    /// [`DataError::Io`] where the store can no longer be read.
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

    /// The held-out windows in their order, corrupted by `seed`; the last batch may be short. [`Batch::rows`] numbers
    /// the windows.
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
        // A thread that panicked while it held the lock left a whole plan or none, so the lock's poison says nothing.
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

    /// Reads and corrupts windows: the number to give as row, the first token, the draws of the mask.
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
