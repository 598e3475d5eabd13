//! Text as it lies in files.

use std::path::PathBuf;

use crate::{DataError, DataFile};

/// What counts as a paragraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorpusOptions {
    /// Shorter paragraphs are dropped, in characters.
    pub min_characters: usize,
    /// Drops headings: lines that hold `::::` (WikiExtractor's sections) and lines whose letters are all upper-case.
    pub drop_headings: bool,
}

impl Default for CorpusOptions {
    fn default() -> Self {
        Self {
            min_characters: 40,
            drop_headings: true,
        }
    }
}

/// The files of a corpus, read once and found to be text.
#[derive(Debug, Clone)]
pub struct CorpusFiles {
    paths: Vec<PathBuf>,
    files: Vec<DataFile>,
    options: CorpusOptions,
}

impl CorpusFiles {
    /// Files, or all `*.txt` and `*.txt.gz` below folders, in sorted order.
    ///
    /// # Errors
    /// Whatever is wrong with a file.
    pub fn open(paths: &[PathBuf], options: CorpusOptions) -> Result<Self, DataError> {
        let _ = (paths, options);
        todo!()
    }

    /// The files in reading order: `rows` counts paragraphs kept, `skipped` those dropped.
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// Paragraphs kept, of all files.
    pub fn paragraphs(&self) -> usize {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// The paragraphs in order. After an error there are none.
    pub fn lines(&self) -> CorpusLines<'_> {
        CorpusLines { corpus: self }
    }
}

/// Paragraphs of a corpus.
#[derive(Debug)]
pub struct CorpusLines<'a> {
    corpus: &'a CorpusFiles,
}

impl Iterator for CorpusLines<'_> {
    type Item = Result<String, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = (&self.corpus.paths, self.corpus.options);
        todo!()
    }
}
