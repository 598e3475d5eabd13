//! Training of a tokenizer in T5's layout.

use std::path::Path;

use crate::DataError;

/// What is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct UnigramOptions {
    /// Entries of the whole vocabulary: `<pad>`, `</s>`, `<unk>`, pieces, sentinels.
    pub vocab_size: usize,
    /// Sentinels (T5: 100).
    pub sentinels: usize,
    /// Characters of text used, spread evenly over what is given.
    pub max_characters: usize,
    /// Characters of all texts together, where known; says how many of them to pass over.
    pub total_characters: Option<usize>,
    /// Share of the text's characters that get a piece of their own; the rarest others become `<unk>`.
    pub character_coverage: f64,
    /// Longest piece in characters.
    pub max_piece_length: usize,
    /// Seed of the sample.
    pub seed: u64,
}

/// How far training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnigramProgress {
    /// Reading text: characters kept so far.
    Reading {
        /// Characters kept.
        characters: usize,
    },
    /// Training: takes most of the time and reports nothing until it is done.
    Training {
        /// Different words of the text.
        words: usize,
    },
}

/// A trained tokenizer.
#[derive(Debug)]
pub struct TrainedTokenizer {}

/// Trains.
///
/// # Errors
/// Those of the texts; a vocabulary too large or too small.
pub fn train_unigram(
    texts: impl Iterator<Item = Result<String, DataError>>,
    options: &UnigramOptions,
    progress: &mut dyn FnMut(UnigramProgress),
) -> Result<TrainedTokenizer, DataError> {
    let _ = (texts, options, progress);
    todo!()
}

impl TrainedTokenizer {
    /// Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`.
    ///
    /// # Errors
    /// [`PretrainError::Write`](super::PretrainError::Write).
    pub fn save(&self, dir: &Path) -> Result<(), DataError> {
        let _ = dir;
        todo!()
    }
}
