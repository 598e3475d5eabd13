//! An official split's examples on disk, opened: checked to the last byte, then read example by example.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::layout::{Entry, FILE, HEAD, HEADER, Hashed, Header, index};
use crate::DataError;

/// How a store came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowsOrigin {
    /// It was there.
    Reused,
    /// It was made: there was none.
    Made,
    /// It was made: the one that was there is damaged.
    Damaged,
}

/// Examples on disk.
#[derive(Debug)]
pub(super) struct RowStore {
    path: PathBuf,
    file: Mutex<File>,
    /// Bytes of a token id.
    width: usize,
    /// Ids that the tokenizer puts behind every text; they stay when a text is cut.
    pub suffix: usize,
    entries: Vec<Entry>,
    /// Ids of the examples, where rows have more than one.
    pub ids: Option<Vec<usize>>,
    /// Rows, rows skipped and empty fields of each file.
    pub files: Vec<[u64; 3]>,
}

/// The texts of an example.
pub(super) struct Texts {
    pub group: usize,
    pub target: String,
    pub golds: Vec<String>,
}

impl RowStore {
    /// The store at `path` where it is whole and was made of `key`; none where it is not.
    pub(super) fn open(path: &Path, key: &[u8; 32]) -> Result<Result<Self, RowsOrigin>, DataError> {
        let failed = |source| read_failed(path, source);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Err(RowsOrigin::Made)),
            Err(error) => return Err(failed(error)),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(std::io::Error::other("it is no regular file")));
        }
        match Self::read_whole(path, file, metadata.len(), key) {
            Ok(Some(store)) => Ok(Ok(store)),
            Ok(None) => Ok(Err(RowsOrigin::Damaged)),
            Err(source) => Err(failed(source)),
        }
    }

    /// Reads a store from its first byte to its last; none where it is not whole or was made of something else.
    pub(super) fn read_whole(path: &Path, file: File, bytes: u64, key: &[u8; 32]) -> std::io::Result<Option<Self>> {
        let mut reader = BufReader::with_capacity(1 << 16, file);
        reader.seek(SeekFrom::Start(0))?;
        let mut header = [0; HEADER];
        if bytes < HEADER as u64 {
            return Ok(None);
        }
        reader.read_exact(&mut header)?;
        let Some(header) = Header::read(&header).filter(|header| header.key == *key) else {
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
        if hashed.digest() != header.digest {
            return Ok(None);
        }
        Ok(Some(Self {
            path: path.to_path_buf(),
            file: Mutex::new(reader.into_inner()),
            width: header.width,
            suffix: header.suffix,
            entries,
            ids,
            files,
        }))
    }

    /// Examples.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Source and target ids of an example, none of them cut.
    pub(super) fn lengths(&self, example: usize) -> (usize, usize) {
        let entry = self.entries[example];
        (entry.source as usize, entry.target as usize)
    }

    /// Reads an example's ids.
    pub(super) fn ids(&self, example: usize) -> Result<(Vec<u32>, Vec<u32>), DataError> {
        let (source, target) = self.lengths(example);
        let mut bytes = vec![0; (source + target) * self.width];
        self.read_at(self.entries[example].offset + HEAD, &mut bytes)?;
        let mut ids = bytes.chunks_exact(self.width).map(|id| match *id {
            [low, high] => u32::from(u16::from_le_bytes([low, high])),
            _ => id.iter().rev().fold(0, |id, &byte| id << 8 | u32::from(byte)),
        });
        Ok((ids.by_ref().take(source).collect(), ids.collect()))
    }

    /// Reads an example's target and right answers.
    pub(super) fn texts(&self, example: usize) -> Result<Texts, DataError> {
        let entry = self.entries[example];
        let (source, target) = self.lengths(example);
        let mut group = [0; 8];
        self.read_at(entry.offset + 8, &mut group)?;
        let mut at = entry.offset + HEAD + ((source + target) * self.width) as u64;
        let mut next = |bytes: &mut [u8]| {
            self.read_at(at, bytes)?;
            at += bytes.len() as u64;
            Ok::<_, DataError>(())
        };
        let (mut word, mut texts) = ([0; 4], Vec::new());
        next(&mut word)?;
        for _ in 0..u32::from_le_bytes(word) {
            next(&mut word)?;
            let mut text = vec![0; u32::from_le_bytes(word) as usize];
            next(&mut text)?;
            let text = String::from_utf8(text).map_err(|error| {
                read_failed(&self.path, std::io::Error::new(std::io::ErrorKind::InvalidData, error))
            })?;
            texts.push(text);
        }
        let mut texts = texts.into_iter();
        Ok(Texts {
            group: u64::from_le_bytes(group) as usize,
            target: texts.next().unwrap_or_default(),
            golds: texts.collect(),
        })
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), DataError> {
        // Every read seeks first, so what a thread that panicked has left behind does not matter.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(bytes))
            .map_err(|source| read_failed(&self.path, source))
    }
}

pub(super) fn read_failed(path: &Path, source: std::io::Error) -> DataError {
    DataError::Io {
        file: path.to_path_buf(),
        source,
    }
}
