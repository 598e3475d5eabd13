//! A corpus as token ids on disk.

use std::path::Path;

use super::CorpusFiles;
use crate::{DataError, TextTokenizer};

/// How far a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreProgress {
    /// Paragraphs tokenised.
    pub paragraphs: usize,
    /// Paragraphs of the corpus.
    pub total: usize,
    /// Tokens written.
    pub tokens: u64,
}

/// Token ids on disk.
#[derive(Debug)]
pub struct TokenStore {
    tokens: u64,
}

impl TokenStore {
    /// Opens the store at `path` where it is one of this corpus and tokenizer, and builds it where it is not.
    ///
    /// # Errors
    /// Those of the corpus; write failures.
    pub fn open_or_build(
        path: &Path,
        corpus: &CorpusFiles,
        tokenizer: &TextTokenizer,
        progress: &mut dyn FnMut(StoreProgress),
    ) -> Result<Self, DataError> {
        let _ = (path, corpus, tokenizer, progress);
        todo!()
    }

    /// Tokens, `</s>` after each paragraph included.
    pub fn len(&self) -> u64 {
        self.tokens
    }

    /// True where there are none, which [`open_or_build`](Self::open_or_build) never gives.
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }

    /// Reads `length` tokens from `start` on into `out`, whose old content goes.
    ///
    /// # Errors
    /// Read failures; a window beyond the end.
    pub fn window(&self, start: u64, length: usize, out: &mut Vec<u32>) -> Result<(), DataError> {
        let _ = (start, length, out);
        todo!()
    }
}
