//! Line reader for text files: lines end with LF, CRLF or CR (Python's universal newlines, which Hugging Face's loader
//! uses for the official files). Holds one line at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::DataError;
use crate::text::Begun;

/// Lines of a text without its byte-order mark, numbered from 1.
pub struct TextLines<R = Box<dyn BufRead>> {
    reader: R,
    path: PathBuf,
    line: Vec<u8>,
    number: usize,
    /// Whether the previous line ended with CR, so that a following LF is part of that line end.
    after_return: bool,
    ended: bool,
}

impl TextLines {
    /// Opens a file, plain or gzip.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::NotText`] if its first bytes are not UTF-8 text.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| DataError::Io {
            file: path.to_path_buf(),
            source,
        })?;
        Self::of(file, path)
    }

    /// Reads from any byte stream, plain or gzip; errors refer to it as `name`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(bytes: impl Read + 'static, name: &Path) -> Result<Self, DataError> {
        let mut bytes = BufReader::new(bytes);
        let start = bytes.fill_buf().map_err(|source| DataError::Io {
            file: name.to_path_buf(),
            source,
        })?;
        let text: Box<dyn BufRead> = match start.starts_with(&crate::file::GZIP) {
            true => Box::new(Begun::new(name, BufReader::new(MultiGzDecoder::new(bytes)))?),
            false => Box::new(Begun::new(name, bytes)?),
        };
        Ok(Self::new(text, name))
    }
}

impl<R: BufRead> TextLines<R> {
    /// Reads a text whose byte-order mark has been removed.
    pub(super) fn new(reader: R, path: &Path) -> Self {
        Self {
            reader,
            path: path.to_path_buf(),
            line: Vec::new(),
            number: 0,
            after_return: false,
            ended: false,
        }
    }

    /// The next non-empty line and its number.
    pub(super) fn next_filled(&mut self) -> Result<Option<(usize, &str)>, DataError> {
        while self.advance()? {
            if !self.line.is_empty() {
                return self.text().map(Some);
            }
        }
        Ok(None)
    }

    /// The next line without its line end, and its number; `None` at the end.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::NotUtf8`] with line and byte.
    pub fn next_line(&mut self) -> Result<Option<(usize, &str)>, DataError> {
        match self.advance()? {
            true => self.text().map(Some),
            false => Ok(None),
        }
    }

    /// Reads a line; false at the end.
    fn advance(&mut self) -> Result<bool, DataError> {
        if self.ended {
            return Ok(false);
        }
        self.read_line().map_err(|source| DataError::Io {
            file: self.path.clone(),
            source,
        })?;
        Ok(!self.ended || !self.line.is_empty())
    }

    fn text(&self) -> Result<(usize, &str), DataError> {
        match std::str::from_utf8(&self.line) {
            Ok(text) => Ok((self.number, text)),
            Err(error) => Err(DataError::NotUtf8 {
                file: self.path.clone(),
                line: self.number,
                column: error.valid_up_to() + 1,
                byte: self.line[error.valid_up_to()],
            }),
        }
    }

    fn read_line(&mut self) -> Result<(), Error> {
        self.line.clear();
        self.number += 1;
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                self.ended = true;
                break;
            }
            let skipped = usize::from(self.after_return && available[0] == b'\n');
            self.after_return = false;
            let rest = &available[skipped..];
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            self.line.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            let Some(end) = end else {
                let used = available.len();
                self.reader.consume(used);
                continue;
            };
            self.after_return = rest[end] == b'\r';
            self.reader.consume(skipped + end + 1);
            break;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_three_ways_whatever_the_buffer_holds() {
        let text = "\u{feff}a\tb\r\n\nc\rd";
        let texts = [text.to_owned(), format!("{text}\n")];
        for (capacity, text) in [1, 2, 3, 5, 64]
            .into_iter()
            .flat_map(|size| texts.each_ref().map(|text| (size, text)))
        {
            let lines = || {
                let reader = BufReader::with_capacity(capacity, text.as_bytes());
                TextLines::new(Begun::new(Path::new("file"), reader).expect("text"), Path::new("file"))
            };
            let (mut filled, mut all) = (lines(), lines());
            let (mut found, mut every) = (Vec::new(), Vec::new());
            while let Some((number, line)) = filled.next_filled().expect("readable") {
                found.push((number, line.to_owned()));
            }
            while let Some((number, line)) = all.next_line().expect("readable") {
                every.push((number, line.to_owned()));
            }
            let expected = [(1, "a\tb"), (3, "c"), (4, "d")].map(|(number, line)| (number, line.to_owned()));
            assert_eq!(found, expected, "capacity {capacity}");
            let expected = [(1, "a\tb"), (2, ""), (3, "c"), (4, "d")].map(|(number, line)| (number, line.to_owned()));
            assert_eq!(every, expected, "capacity {capacity}");
        }
    }

    #[test]
    fn compressed_lines_are_read_like_plain_ones() {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all("\u{feff}one\r\rtwo".as_bytes()).expect("memory");
        let bytes = std::io::Cursor::new(gzip.finish().expect("memory"));
        let mut lines = TextLines::of(bytes, Path::new("file")).expect("text");
        let mut found = Vec::new();
        while let Some((_, line)) = lines.next_line().expect("readable") {
            found.push(line.to_owned());
        }
        assert_eq!(found, ["one", "", "two"]);
    }
}
