//! The files of a corpus and their paragraphs, one after the other, with memory for one paragraph.
//!
//! Files are plain or gzip (told by their first bytes), in UTF-8. [`CorpusFiles::open`] reads all of it once: what is
//! wrong with a file shows before anything is trained, and the record gets its hash and its counts. Lines become
//! paragraphs in [`super::paragraphs`].

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::PretrainError;
use super::paragraphs::Paragraphs;
use crate::file::hex;
use crate::read::listing;
use crate::{DataError, DataFile};

/// What counts as a paragraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorpusOptions {
    /// Shorter paragraphs are dropped, in characters.
    pub min_characters: usize,
    /// Drops headings: paragraphs that hold `::::` (the section marks of Wikipedia dumps), and paragraphs with letters
    /// of which none is lower-case.
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

/// Where paragraphs come from.
#[derive(Debug, Clone)]
enum Member {
    /// A file, read anew each time.
    File(PathBuf),
    /// Paragraphs that are there already, all of them kept.
    Texts(Vec<String>),
}

/// The files of a corpus, read once and found to be text.
#[derive(Debug, Clone)]
pub struct CorpusFiles {
    members: Vec<Member>,
    files: Vec<DataFile>,
    options: CorpusOptions,
    characters: usize,
}

impl CorpusFiles {
    /// Files as given, or all `*.txt` and `*.txt.gz` below folders in the order of their paths. Reads all of them.
    ///
    /// # Errors
    /// [`DataError::Io`], [`DataError::NotUtf8`], [`PretrainError::NotText`], [`PretrainError::Gzip`],
    /// [`PretrainError::NoTextFiles`], and [`PretrainError::EmptyCorpus`] where no paragraph is kept.
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

    /// Reads a file to its end and notes what it is.
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

    /// Puts paragraphs that are at hand before all others, under a name that stands for their file. Options do not
    /// concern them: what is short is kept.
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

    /// The files in reading order: `rows` counts paragraphs kept, `skipped` those dropped.
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// Paragraphs kept, of all files.
    pub fn paragraphs(&self) -> usize {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Characters of the paragraphs kept.
    pub fn characters(&self) -> usize {
        self.characters
    }

    /// What counts as a paragraph.
    pub fn options(&self) -> CorpusOptions {
        self.options
    }

    /// The paragraphs in order. After an error there are none.
    pub fn lines(&self) -> CorpusLines<'_> {
        CorpusLines {
            corpus: self,
            file: 0,
            rows: 0,
            open: None,
        }
    }
}

/// Paragraphs of a corpus, read from its files as they are asked for.
#[derive(Debug)]
pub struct CorpusLines<'a> {
    corpus: &'a CorpusFiles,
    /// The file that is read.
    file: usize,
    /// Paragraphs that came from it.
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

/// Text files below a folder. Links to folders are not followed: they may lead back up.
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
