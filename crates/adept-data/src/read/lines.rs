//! Lines of a text file as the readers count them: they end with LF, CRLF or CR (Python's universal newlines, which
//! Hugging Face's loader reads official files with), and a byte-order mark at the start is dropped. One line is held at
//! a time.

use std::io::{BufRead, Error};
use std::path::Path;

use crate::DataError;

/// The mark that some editors put at a file's start.
pub(super) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The lines of one file.
pub(super) struct Lines<'a> {
    reader: &'a mut dyn BufRead,
    path: &'a Path,
    line: Vec<u8>,
    number: usize,
    /// Whether the line before ended with CR, so that an LF now belongs to its end.
    after_return: bool,
    ended: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(reader: &'a mut dyn BufRead, path: &'a Path) -> Self {
        Self {
            reader,
            path,
            line: Vec::new(),
            number: 0,
            after_return: false,
            ended: false,
        }
    }

    /// The next line with something in it, and its number, from 1.
    pub(super) fn next_filled(&mut self) -> Result<Option<(usize, &str)>, DataError> {
        self.line.clear();
        while !self.ended {
            self.read_line().map_err(|source| DataError::Io {
                file: self.path.to_path_buf(),
                source,
            })?;
            if !self.line.is_empty() {
                break;
            }
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        match std::str::from_utf8(&self.line) {
            Ok(text) => Ok(Some((self.number, text))),
            Err(error) => Err(DataError::NotUtf8 {
                file: self.path.to_path_buf(),
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
        if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
            self.line.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_end_three_ways_whatever_the_buffer_holds() {
        let text = "\u{feff}a\tb\r\n\nc\rd";
        let texts = [text.to_owned(), format!("{text}\n")];
        for (capacity, text) in [1, 2, 3, 5, 64]
            .into_iter()
            .flat_map(|size| texts.each_ref().map(|text| (size, text)))
        {
            let mut reader = BufReader::with_capacity(capacity, text.as_bytes());
            let mut lines = Lines::new(&mut reader, Path::new("file"));
            let mut found = Vec::new();
            while let Some((number, line)) = lines.next_filled().expect("readable") {
                found.push((number, line.to_owned()));
            }
            let expected = [(1, "a\tb"), (3, "c"), (4, "d")].map(|(number, line)| (number, line.to_owned()));
            assert_eq!(found, expected, "capacity {capacity}");
        }
    }
}
