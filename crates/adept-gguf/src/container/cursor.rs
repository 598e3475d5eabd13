//! Reads little-endian values, checking every length against the rest of the file before allocating.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::error::GgufError;

/// The part of a file that is being read, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Section<'a> {
    Header,
    Key(u64),
    Value(&'a str),
    Tensor(u64),
}

impl fmt::Display for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("the header"),
            Self::Key(number) => write!(f, "metadata key {number}"),
            Self::Value(key) => write!(f, "the value of `{key}`"),
            Self::Tensor(number) => write!(f, "the description of tensor {number}"),
        }
    }
}

/// A reader that knows its position and the file's size.
pub(crate) struct Cursor<'a, R> {
    pub path: &'a Path,
    source: R,
    at: u64,
    size: u64,
}

impl<'a, R: Read> Cursor<'a, R> {
    pub fn new(path: &'a Path, source: R, size: u64) -> Self {
        Self {
            path,
            source,
            at: 0,
            size,
        }
    }

    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self, section: Section<'_>) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.expect(N as u64, section)?;
        self.source
            .read_exact(&mut bytes)
            .map_err(|cause| self.failed(cause, N as u64, section))?;
        self.at += N as u64;
        Ok(bytes)
    }

    pub fn u32(&mut self, section: Section<'_>) -> Result<u32, GgufError> {
        self.bytes(section).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, section: Section<'_>) -> Result<u64, GgufError> {
        self.bytes(section).map(u64::from_le_bytes)
    }

    /// Reads a count of entries of at least `least` bytes each.
    pub fn count(&mut self, section: Section<'_>, of: &'static str, least: u64) -> Result<usize, GgufError> {
        let found = self.u64(section)?;
        let most = (self.size - self.at) / least;
        usize::try_from(found)
            .ok()
            .filter(|_| found <= most)
            .ok_or_else(|| GgufError::Count {
                path: self.path.to_owned(),
                section: section.to_string(),
                of,
                found,
                most,
            })
    }

    /// Reads a length and a text.
    pub fn text(&mut self, section: Section<'_>) -> Result<String, GgufError> {
        let length = self.u64(section)?;
        self.expect(length, section)?;
        let mut bytes = Vec::new();
        let read = self.source.by_ref().take(length).read_to_end(&mut bytes);
        match read {
            Ok(read) if read as u64 == length => {}
            Ok(_) => return Err(self.failed(ErrorKind::UnexpectedEof.into(), length, section)),
            Err(cause) => return Err(self.failed(cause, length, section)),
        }
        self.at += length;
        String::from_utf8(bytes).map_err(|cause| {
            let at = cause.utf8_error().valid_up_to();
            GgufError::NotUtf8 {
                path: self.path.to_owned(),
                section: section.to_string(),
                byte: cause.as_bytes().get(at).copied().unwrap_or_default(),
                at,
            }
        })
    }

    fn expect(&self, needed: u64, section: Section<'_>) -> Result<(), GgufError> {
        let left = self.size - self.at;
        match needed <= left {
            true => Ok(()),
            false => Err(self.cut(needed, section)),
        }
    }

    fn cut(&self, needed: u64, section: Section<'_>) -> GgufError {
        GgufError::Cut {
            path: self.path.to_owned(),
            section: section.to_string(),
            at: self.at,
            expected: needed,
            found: self.size - self.at,
        }
    }

    fn failed(&self, source: std::io::Error, needed: u64, section: Section<'_>) -> GgufError {
        match source.kind() {
            // The file was truncated after its size was read.
            ErrorKind::UnexpectedEof => self.cut(needed, section),
            _ => GgufError::Io {
                path: self.path.to_owned(),
                source,
            },
        }
    }
}
