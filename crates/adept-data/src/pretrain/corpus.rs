//! Streams the paragraphs of a corpus, holding one paragraph in memory.
//!
//! Files are UTF-8, plain or gzip (detected by magic bytes). [`CorpusFiles::open`] reads everything once, so that
//! errors surface before training starts and the record gets hashes and counts. [`super::paragraphs`] joins lines into
//! paragraphs.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::PretrainError;
use super::paragraphs::Paragraphs;
use crate::file::hex;
use crate::read::listing;
use crate::{DataError, DataFile};

/// Which paragraphs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorpusOptions {
    /// Minimum length in characters; shorter paragraphs are dropped.
    pub min_characters: usize,
    /// Drops headings: paragraphs that contain `::::` (the section marks of Wikipedia dumps) and paragraphs whose
    /// letters are all upper-case.
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

impl CorpusOptions {
    fn keep(&self, paragraph: &str) -> bool {
        let heading = || {
            let upper = paragraph.chars().any(char::is_uppercase);
            paragraph.contains("::::") || (upper && !paragraph.chars().any(char::is_lowercase))
        };
        paragraph.chars().nth(self.min_characters.max(1) - 1).is_some() && !(self.drop_headings && heading())
    }
}

/// A source of paragraphs.
#[derive(Debug, Clone)]
enum Member {
    /// Re-read on every pass.
    File(PathBuf),
    /// Paragraphs in memory, all of them kept.
    Texts(Vec<String>),
}

/// The files of a corpus, read once and validated.
#[derive(Debug, Clone)]
pub struct CorpusFiles {
    members: Vec<Member>,
    files: Vec<DataFile>,
    options: CorpusOptions,
    characters: usize,
}

impl CorpusFiles {
    /// Opens the given files, and all `*.txt` and `*.txt.gz` below given folders, ordered by path. Reads all of them.
    ///
    /// # Errors
    /// [`DataError::Io`], [`DataError::NotUtf8`], [`PretrainError::NotText`], [`PretrainError::Gzip`],
    /// [`PretrainError::NoTextFiles`], and [`PretrainError::EmptyCorpus`] if no paragraph is kept.
    pub fn open(paths: &[PathBuf], options: CorpusOptions) -> Result<Self, DataError> {
        let mut corpus = Self {
            members: Vec::new(),
            files: Vec::new(),
            options,
            characters: 0,
        };
        for path in paths {
            let mut found = Vec::new();
            let root = if is_folder(path)? {
                text_files(path, &mut found)?;
                if found.is_empty() {
                    return Err(PretrainError::NoTextFiles {
                        path: path.clone(),
                        found: listing(path)?,
                    }
                    .into());
                }
                found.sort();
                path.as_path()
            } else {
                found.push(path.clone());
                path.parent().unwrap_or(path)
            };
            for file in found {
                let name = crate::read::relative_name(root, &file);
                corpus.add(name, file)?;
            }
        }
        if corpus.paragraphs() == 0 {
            return Err(PretrainError::EmptyCorpus {
                files: corpus.files.len(),
                lines: corpus.files.iter().map(|file| file.skipped).sum(),
                min_characters: options.min_characters,
            }
            .into());
        }
        Ok(corpus)
    }

    /// Reads a file to its end and records its hash and counts.
    fn add(&mut self, name: String, path: PathBuf) -> Result<(), DataError> {
        let mut paragraphs = Paragraphs::open(&path)?;
        let (mut rows, mut skipped) = (0, 0);
        while let Some(paragraph) = paragraphs.next()? {
            if self.options.keep(paragraph) {
                rows += 1;
                self.characters += paragraph.chars().count();
            } else {
                skipped += 1;
            }
        }
        self.files.push(DataFile {
            name,
            sha256: paragraphs.sha256()?,
            rows,
            skipped,
            empty_fields: 0,
        });
        self.members.push(Member::File(path));
        Ok(())
    }

    /// Inserts in-memory paragraphs before all others, under a pseudo file name. The filter options do not apply: short
    /// ones are kept.
    pub fn prepend(&mut self, name: String, texts: Vec<String>) {
        let mut hash = Sha256::new();
        for text in &texts {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        self.characters += texts.iter().map(|text| text.chars().count()).sum::<usize>();
        let file = DataFile {
            name,
            sha256: hex(&hash.finalize()),
            rows: texts.len(),
            skipped: 0,
            empty_fields: 0,
        };
        self.files.insert(0, file);
        self.members.insert(0, Member::Texts(texts));
    }

    /// The files in reading order; `rows` counts paragraphs kept, `skipped` those dropped.
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// Number of paragraphs kept, over all files.
    pub fn paragraphs(&self) -> usize {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Number of characters in the paragraphs kept.
    pub fn characters(&self) -> usize {
        self.characters
    }

    /// The filter options.
    pub fn options(&self) -> CorpusOptions {
        self.options
    }

    /// Iterates over the paragraphs in order; ends after an error.
    pub fn lines(&self) -> CorpusLines<'_> {
        CorpusLines {
            corpus: self,
            file: 0,
            rows: 0,
            open: None,
        }
    }
}

/// Lazily read paragraphs of a corpus.
#[derive(Debug)]
pub struct CorpusLines<'a> {
    corpus: &'a CorpusFiles,
    /// Index of the current file.
    file: usize,
    /// Paragraphs read from it so far.
    rows: usize,
    open: Option<Paragraphs>,
}

impl CorpusLines<'_> {
    fn advance(&mut self) -> Result<Option<String>, DataError> {
        while let Some(member) = self.corpus.members.get(self.file) {
            let path = match member {
                Member::File(path) => path,
                Member::Texts(texts) => match texts.get(self.rows) {
                    Some(text) => {
                        self.rows += 1;
                        return Ok(Some(text.clone()));
                    }
                    None => {
                        self.rows = 0;
                        self.file += 1;
                        continue;
                    }
                },
            };
            let paragraphs = match &mut self.open {
                Some(paragraphs) => paragraphs,
                closed => closed.insert(Paragraphs::open(path)?),
            };
            while let Some(paragraph) = paragraphs.next()? {
                if self.corpus.options.keep(paragraph) {
                    self.rows += 1;
                    return Ok(Some(paragraph.to_string()));
                }
            }
            let expected = self.corpus.files[self.file].rows;
            if self.rows != expected {
                return Err(PretrainError::CorpusChanged {
                    file: path.clone(),
                    expected,
                    found: self.rows,
                }
                .into());
            }
            (self.open, self.rows) = (None, 0);
            self.file += 1;
        }
        Ok(None)
    }
}

impl Iterator for CorpusLines<'_> {
    type Item = Result<String, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.file = self.corpus.members.len();
        }
        next.transpose()
    }
}

fn is_folder(path: &Path) -> Result<bool, DataError> {
    std::fs::metadata(path)
        .map(|found| found.is_dir())
        .map_err(|source| DataError::Io {
            file: path.to_path_buf(),
            source,
        })
}

/// Collects text files below a folder. Links to folders are not followed, since they may form a cycle.
fn text_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let failed = |source| DataError::Io {
        file: folder.to_path_buf(),
        source,
    };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            text_files(&path, found)?;
        } else {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if (name.ends_with(".txt") || name.ends_with(".txt.gz")) && path.is_file() {
                found.push(path);
            }
        }
    }
    Ok(())
}
