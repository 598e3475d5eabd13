//! Writes an official split's examples to disk, tokenising a few thousand at a time as they are read.

use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::layout::{ANSWERS, COVERED, HEADER, Header, lost};
use crate::{DataError, DataFile, Example, RowEncoder};

/// Examples and bytes of text tokenised at a time: enough to keep all cores busy, few enough to bound memory.
const CHUNK: usize = 4096;
const CHUNK_BYTES: usize = 1 << 20;

pub(super) struct RowWriter<'a, W: Write + Seek> {
    out: BufWriter<W>,
    path: PathBuf,
    encoder: RowEncoder<'a>,
    header: Header,
    hash: Sha256,
    waiting: Vec<Example>,
    waiting_bytes: usize,
    encoded: Vec<u8>,
}

impl<'a, W: Write + Seek> RowWriter<'a, W> {
    /// Starts a store with content key `key`; errors refer to it as `path`.
    pub(super) fn new(out: W, path: &Path, encoder: RowEncoder<'a>, key: [u8; 32]) -> Result<Self, DataError> {
        let mut writer = Self {
            out: BufWriter::with_capacity(1 << 16, out),
            path: path.to_path_buf(),
            encoder,
            header: Header {
                width: if u16::try_from(encoder.largest_id()).is_ok() {
                    2
                } else {
                    4
                },
                examples: 0,
                bytes: 0,
                files: 0,
                suffix: encoder.tokenizer().suffix(),
                key,
                digest: [0; 32],
            },
            hash: Sha256::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            encoded: Vec::new(),
        };
        writer
            .out
            .write_all(&[0; HEADER])
            .map_err(|source| writer.failed(source))?;
        Ok(writer)
    }

    pub(super) fn push(&mut self, example: Example) -> Result<(), DataError> {
        let told = example.conversation.as_ref().map_or(0, |told| told.bytes());
        self.waiting_bytes += example.source.len() + example.target.len() + told;
        self.waiting.push(example);
        if self.waiting.len() == CHUNK || self.waiting_bytes >= CHUNK_BYTES {
            self.encode()?;
        }
        Ok(())
    }

    /// Writes the remaining examples, the source files and the header; returns the file.
    pub(super) fn finish(mut self, files: &[DataFile]) -> Result<W, DataError> {
        self.encode()?;
        self.header.files = files.len();
        let counts = files
            .iter()
            .flat_map(|file| [file.rows, file.skipped, file.empty_fields]);
        let tail: Vec<u8> = counts.flat_map(|count| (count as u64).to_le_bytes()).collect();
        self.hash.update(&tail);
        self.hash.update(&self.header.bytes()[..COVERED]);
        self.header.digest = std::mem::take(&mut self.hash).finalize().into();
        let header = self.header.bytes();
        let path = self.path.clone();
        let failed = |source| DataError::Write { file: path, source };
        let out = &mut self.out;
        let written = out
            .write_all(&tail)
            .and_then(|()| out.seek(SeekFrom::Start(0)))
            .and_then(|_| out.write_all(&header))
            .and_then(|()| out.flush());
        match written {
            Ok(()) => self.out.into_inner().map_err(|error| failed(error.into_error())),
            Err(source) => Err(failed(source)),
        }
    }

    /// Tokenises and writes the pending examples.
    fn encode(&mut self) -> Result<(), DataError> {
        let first = self.header.examples as usize;
        let rows = self.encoder.rows(&self.waiting).map_err(|error| match error {
            DataError::Tokenize { row, source } => DataError::Tokenize {
                row: first + row,
                source,
            },
            other => other,
        })?;
        let width = self.header.width;
        let out = &mut self.encoded;
        out.clear();
        for (example, (row, losses)) in self.waiting.iter().zip(&rows) {
            out.extend_from_slice(&(example.id as u64).to_le_bytes());
            out.extend_from_slice(&(example.group as u64).to_le_bytes());
            for ids in [&row.source, &row.target] {
                out.extend_from_slice(&length(ids.len(), &self.path)?);
            }
            let kinds = losses.each_ref().map(|loss| loss.as_ref().map(|(kind, _)| *kind));
            let answers = if row.answers.is_empty() { 0 } else { ANSWERS };
            out.extend_from_slice(&u32::from(lost(kinds) | answers).to_le_bytes());
            let excerpts = || losses.iter().flatten().flat_map(|(_, (before, after))| [before, after]);
            for id in row.source.iter().chain(&row.target) {
                out.extend_from_slice(&id.to_le_bytes()[..width]);
            }
            if !row.answers.is_empty() {
                out.extend_from_slice(&length(row.answers.len(), &self.path)?);
                for end in row.answers.iter().flat_map(|answer| [answer.start, answer.end]) {
                    out.extend_from_slice(&length(end, &self.path)?);
                }
            }
            let answer = example.conversation.as_ref().map(|_| self.encoder.written_answer(row));
            let answer = answer.transpose()?;
            let (target, golds) = match &answer {
                Some(answer) => (answer, std::slice::from_ref(answer)),
                None => (&example.target, example.golds.as_slice()),
            };
            let texts = || std::iter::once(target).chain(golds).chain(excerpts());
            out.extend_from_slice(&length(texts().count(), &self.path)?);
            for text in texts() {
                out.extend_from_slice(&length(text.len(), &self.path)?);
                out.extend_from_slice(text.as_bytes());
            }
        }
        self.hash.update(&*out);
        self.header.bytes += out.len() as u64;
        self.header.examples += rows.len() as u64;
        self.waiting.clear();
        self.waiting_bytes = 0;
        let written = self.out.write_all(&self.encoded);
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> DataError {
        DataError::Write {
            file: self.path.clone(),
            source,
        }
    }
}

/// A length as four bytes; a text of more than 2^32 tokens or bytes is an error.
fn length(length: usize, path: &Path) -> Result<[u8; 4], DataError> {
    let length = u32::try_from(length).map_err(|error| DataError::Write {
        file: path.to_path_buf(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
    })?;
    Ok(length.to_le_bytes())
}
