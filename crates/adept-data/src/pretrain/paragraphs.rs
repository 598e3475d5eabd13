//! Splits a text file, plain or gzip, into paragraphs.
//!
//! In most corpora each line is a paragraph. Books are often hard-wrapped instead: lines of less than a hundred
//! characters, with blank lines between paragraphs. A file is treated as wrapped if its beginning looks like that; its
//! lines are then joined by spaces. A paragraph of more than 64 KiB is cut at a space, so that memory stays bounded
//! whatever the file.

use std::io::{BufRead, Cursor, Read};
use std::path::{Path, PathBuf};

use super::PretrainError;
use crate::DataError;
use crate::file::TextFile;

/// Maximum length of a paragraph in bytes; also the amount of text inspected to detect wrapping.
const LONGEST: usize = 1 << 16;

/// Maximum line length of wrapped text, in bytes.
const WRAPPED: usize = 100;

/// Iterator over the paragraphs of a file.
#[derive(Debug)]
pub(super) struct Paragraphs {
    path: PathBuf,
    text: TextFile,
    /// The beginning of the text, read to detect wrapping, and the error that ended that reading, if any.
    head: Cursor<Vec<u8>>,
    head_fault: Option<std::io::Error>,
    wrapped: bool,
    /// Bytes of text read so far.
    bytes: u64,
    /// Current line, from 1, and the number of its bytes already consumed and removed from `raw`.
    line: usize,
    before: usize,
    /// Unconsumed bytes of the line, and how many of them form the next piece.
    raw: Vec<u8>,
    end: usize,
    /// Whether `raw` extends to the end of its line.
    whole: bool,
    paragraph: String,
}

impl Paragraphs {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let mut text = TextFile::open(path)?;
        let mut head = Vec::new();
        let head_fault = text.reader().take(LONGEST as u64).read_to_end(&mut head).err();
        Ok(Self {
            path: path.to_path_buf(),
            text,
            wrapped: looks_wrapped(&head),
            head: Cursor::new(head),
            head_fault,
            bytes: 0,
            line: 1,
            before: 0,
            raw: Vec::new(),
            end: 0,
            whole: false,
            paragraph: String::new(),
        })
    }

    pub(super) fn sha256(self) -> Result<String, DataError> {
        let finished = self.text.finish();
        let (sha256, _) = finished.map_err(|source| DataError::Io {
            file: self.path,
            source,
        })?;
        Ok(sha256)
    }

    /// The next non-blank paragraph, trimmed.
    pub(super) fn next(&mut self) -> Result<Option<&str>, DataError> {
        self.paragraph.clear();
        while self.read_piece()? {
            let piece = checked(&self.path, self.line, self.before, &self.raw[..self.end])?.trim();
            if !piece.is_empty() && !self.paragraph.is_empty() {
                self.paragraph.push(' ');
            }
            self.paragraph.push_str(piece);
            let ends = !self.wrapped || piece.is_empty() || self.paragraph.len() >= LONGEST;
            self.pass_piece();
            if ends && !self.paragraph.is_empty() {
                break;
            }
        }
        Ok((!self.paragraph.is_empty()).then_some(self.paragraph.as_str()))
    }

    /// Reads to the end of the line, or up to the maximum length of a paragraph. False at the end of the file.
    fn read_piece(&mut self) -> Result<bool, DataError> {
        self.whole = false;
        while !self.whole && self.raw.len() < LONGEST {
            let room = LONGEST - self.raw.len();
            let available = match self.fill() {
                Ok(available) => &available[..available.len().min(room)],
                Err(source) => return Err(self.fault(source)),
            };
            if available.is_empty() {
                self.end = self.raw.len();
                self.whole = true;
                return Ok(self.end > 0);
            }
            let newline = available.iter().position(|&byte| byte == b'\n');
            let (text, used) = newline.map_or((available, available.len()), |at| (&available[..at], at + 1));
            // `available` borrows from `self`, so it is copied before `self` changes.
            let text = text.to_vec();
            self.raw.extend_from_slice(&text);
            self.whole = newline.is_some();
            self.pass(used);
        }
        self.end = self.raw.len();
        if !self.whole {
            self.end = cut(&self.raw);
        }
        Ok(true)
    }

    /// Consumes the current piece.
    fn pass_piece(&mut self) {
        self.raw.drain(..self.end);
        if self.whole {
            self.line += 1;
            self.before = 0;
        } else {
            self.before += self.end;
        }
    }

    fn fill(&mut self) -> std::io::Result<&[u8]> {
        if (self.head.position() as usize) < self.head.get_ref().len() {
            return self.head.fill_buf();
        }
        match self.head_fault.take() {
            Some(fault) => Err(fault),
            None => self.text.reader().fill_buf(),
        }
    }

    fn pass(&mut self, count: usize) {
        self.bytes += count as u64;
        if (self.head.position() as usize) < self.head.get_ref().len() {
            self.head.consume(count);
        } else {
            self.text.reader().consume(count);
        }
    }

    fn fault(&self, source: std::io::Error) -> DataError {
        use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let file = self.path.clone();
        let damaged = matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof);
        match &self.text {
            TextFile::Gzip(_) if damaged => PretrainError::Gzip {
                file,
                bytes: self.bytes,
                line: self.line,
                source,
            }
            .into(),
            _ => DataError::Io { file, source },
        }
    }
}

/// Decodes part of a line, which follows `before` bytes already consumed.
fn checked<'a>(path: &Path, line: usize, before: usize, raw: &'a [u8]) -> Result<&'a str, DataError> {
    let text = std::str::from_utf8(raw);
    let valid = text.map_or_else(|error| error.valid_up_to(), str::len);
    // Most binary files contain a zero byte early on, and reporting it is more helpful than an invalid UTF-8 sequence.
    if let Some(at) = raw[..valid].iter().position(|&byte| byte == 0) {
        return Err(PretrainError::NotText {
            file: path.to_path_buf(),
            line,
            column: before + at + 1,
            byte: 0,
        }
        .into());
    }
    text.map_err(|_| DataError::NotUtf8 {
        file: path.to_path_buf(),
        line,
        column: before + valid + 1,
        byte: raw[valid],
    })
}

/// Where to cut an overlong line: after its last space or, without one, at a character boundary.
fn cut(raw: &[u8]) -> usize {
    if let Some(space) = raw.iter().rposition(|&byte| byte == b' ') {
        return space + 1;
    }
    let start = |byte: &u8| !(0x80..0xc0).contains(byte);
    match raw.iter().rposition(start) {
        // Invalid UTF-8 is passed on as it is; the check that follows reports its first byte.
        None | Some(0) => raw.len(),
        Some(last) => last,
    }
}

/// Whether text begins with short lines and blank lines between blocks of several lines.
fn looks_wrapped(head: &[u8]) -> bool {
    // The last line may be truncated; it can then only be too short, which does no harm.
    let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let (mut full, mut blocks, mut inside) = (0, 0, false);
    let short = lines.all(|line| {
        let text = !line.is_empty();
        full += usize::from(text);
        blocks += usize::from(text && !inside);
        inside = text;
        line.len() <= WRAPPED
    });
    short && blocks > 1 && full >= 2 * blocks
}
