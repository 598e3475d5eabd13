//! Opens an official split's examples on disk: verified in full, then read one by one.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::layout::{ANSWER, Entry, FILE, HEAD, HEADER, Hashed, Header, index};
use crate::loss::LossKind;
use crate::{DataError, Encoded};

/// How a store was obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowsOrigin {
    /// A valid store existed.
    Reused,
    /// Built: there was none.
    Made,
    /// Built: the existing one is corrupt.
    Damaged,
}

#[derive(Debug)]
pub(super) struct RowStore {
    path: PathBuf,
    file: Mutex<File>,
    /// Bytes per token id.
    width: usize,
    /// Number of ids that the tokenizer appends to every text; they survive truncation.
    pub suffix: usize,
    entries: Vec<Entry>,
    /// End offset of the last example.
    end: u64,
    /// Ids of the examples, unless each row has exactly one example.
    pub ids: Option<Vec<usize>>,
    /// Rows, rows skipped and empty fields of each source file.
    pub files: Vec<[u64; 3]>,
}

/// The texts of an example.
pub(super) struct Texts {
    pub group: usize,
    pub target: String,
    pub golds: Vec<String>,
    /// For source and target, if they lose something: excerpts of the text and of what the model sees, around the first
    /// loss.
    pub excerpts: [Option<(String, String)>; 2],
}

impl RowStore {
    /// The store at `path` if it is valid and was built from `key`.
    pub(super) fn open(path: &Path, key: &[u8; 32]) -> Result<Result<Self, RowsOrigin>, DataError> {
        let failed = |source| read_failed(path, source);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Err(RowsOrigin::Made)),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(std::io::Error::other("it is not a regular file")));
        }
        match Self::read_whole(path, file, metadata.len(), key) {
            Ok(Some(store)) => Ok(Ok(store)),
            Ok(None) => Ok(Err(RowsOrigin::Damaged)),
            Err(source) => Err(failed(source)),
        }
    }

    /// Reads a store in full; `None` if it is corrupt or was built from something else.
    pub(super) fn read_whole(path: &Path, file: File, bytes: u64, key: &[u8; 32]) -> std::io::Result<Option<Self>> {
        let mut reader = BufReader::with_capacity(1 << 16, file);
        reader.seek(SeekFrom::Start(0))?;
        let mut head = [0; HEADER];
        if bytes < HEADER as u64 {
            return Ok(None);
        }
        reader.read_exact(&mut head)?;
        let Some(header) = Header::read(&head).filter(|header| header.key == *key) else {
            return Ok(None);
        };
        let whole = (header.files as u64)
            .checked_mul(FILE as u64)
            .and_then(|files| files.checked_add(header.bytes)?.checked_add(HEADER as u64));
        if whole != Some(bytes) {
            return Ok(None);
        }
        let mut hashed = Hashed::new(&mut reader);
        let Some((entries, ids)) = index(&mut hashed, &header)? else {
            return Ok(None);
        };
        let files = (0..header.files).map(|_| Ok([hashed.long()?, hashed.long()?, hashed.long()?]));
        let files = files.collect::<std::io::Result<Vec<_>>>()?;
        if hashed.digest(&head) != header.digest {
            return Ok(None);
        }
        Ok(Some(Self {
            path: path.to_path_buf(),
            file: Mutex::new(reader.into_inner()),
            width: header.width,
            suffix: header.suffix,
            entries,
            end: HEADER as u64 + header.bytes,
            ids,
            files,
        }))
    }

    /// Number of examples.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Numbers of source and target ids of an example, before truncation.
    pub(super) fn lengths(&self, example: usize) -> (usize, usize) {
        let entry = self.entries[example];
        (entry.source as usize, entry.target as usize)
    }

    /// Losses of an example's source and target, other than by truncation.
    pub(super) fn lost(&self, example: usize) -> [Option<LossKind>; 2] {
        self.entries[example].lost()
    }

    /// Row number of an example.
    pub(super) fn row(&self, example: usize) -> usize {
        self.ids.as_ref().map_or(example, |ids| ids[example])
    }

    /// Reads an example's ids.
    pub(super) fn ids(&self, example: usize) -> Result<Encoded, DataError> {
        let (source, target) = self.lengths(example);
        let tokens = (source + target) * self.width;
        let mut bytes = self.bytes(example, HEAD, Some(tokens))?;
        let answers = match self.entries[example].has_answers() {
            false => Vec::new(),
            true => {
                bytes = self.bytes(example, HEAD, None)?;
                let behind = bytes.get(tokens..).and_then(answers);
                behind.ok_or_else(|| self.torn())?.0
            }
        };
        let mut ids = bytes[..tokens].chunks_exact(self.width).map(|id| match *id {
            [low, high] => u32::from(u16::from_le_bytes([low, high])),
            _ => id.iter().rev().fold(0, |id, &byte| id << 8 | u32::from(byte)),
        });
        Ok(Encoded {
            source: ids.by_ref().take(source).collect(),
            target: ids.collect(),
            answers,
        })
    }

    pub(super) fn texts(&self, example: usize) -> Result<Texts, DataError> {
        let (source, target) = self.lengths(example);
        let bytes = self.bytes(example, 0, None)?;
        let torn = || self.torn();
        let group = bytes.get(8..16).and_then(|group| group.try_into().ok());
        let mut rest = bytes
            .get(HEAD as usize + (source + target) * self.width..)
            .unwrap_or_default();
        if self.entries[example].has_answers() {
            rest = answers(rest).ok_or_else(torn)?.1;
        }
        let count = word(&mut rest).ok_or_else(torn)?;
        let mut texts = Vec::new();
        for _ in 0..count {
            let length = word(&mut rest).ok_or_else(torn)?;
            let (text, after) = rest.split_at_checked(length).ok_or_else(torn)?;
            texts.push(str::from_utf8(text).map_err(|_| torn())?.to_owned());
            rest = after;
        }
        let mut texts = texts.into_iter();
        let target = texts.next().unwrap_or_default();
        let lost = self.lost(example);
        let excerpts = 2 * lost.iter().flatten().count();
        let answers = texts.len().checked_sub(excerpts).ok_or_else(torn)?;
        let golds = texts.by_ref().take(answers).collect();
        let mut pair = |kind: Option<LossKind>| kind.and_then(|_| texts.next().zip(texts.next()));
        Ok(Texts {
            group: group.map(u64::from_le_bytes).ok_or_else(torn)? as usize,
            target,
            golds,
            excerpts: [pair(lost[0]), pair(lost[1])],
        })
    }

    fn torn(&self) -> DataError {
        read_failed(&self.path, std::io::ErrorKind::InvalidData.into())
    }

    /// Bytes of an example from its byte `from` on; up to its end if `count` is `None`.
    fn bytes(&self, example: usize, from: u64, count: Option<usize>) -> Result<Vec<u8>, DataError> {
        let start = self.entries[example].offset() + from;
        let end = self.entries.get(example + 1).map_or(self.end, Entry::offset);
        let mut bytes = vec![0; count.unwrap_or((end - start) as usize)];
        // Every read seeks first, so the state left by a panicking thread does not matter.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|source| read_failed(&self.path, source))?;
        Ok(bytes)
    }
}

/// The answers at the front, and the bytes behind them.
fn answers(mut bytes: &[u8]) -> Option<(Vec<Range<usize>>, &[u8])> {
    let count = word(&mut bytes)?;
    let (own, behind) = bytes.split_at_checked(count.checked_mul(2 * ANSWER)?)?;
    let mut own = own;
    let answer = |_| Some(word(&mut own)?..word(&mut own)?);
    Some(((0..count).map(answer).collect::<Option<_>>()?, behind))
}

/// Consumes a length from the front.
fn word(bytes: &mut &[u8]) -> Option<usize> {
    let (word, after) = bytes.split_first_chunk()?;
    *bytes = after;
    Some(u32::from_le_bytes(*word) as usize)
}

pub(super) fn read_failed(path: &Path, source: std::io::Error) -> DataError {
    DataError::Io {
        file: path.to_path_buf(),
        source,
    }
}
