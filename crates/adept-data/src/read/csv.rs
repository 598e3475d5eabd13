//! Comma-separated files, quoted according to RFC 4180: a quoted field may contain commas, line ends and doubled
//! quotation marks. Two faults that the parser tolerates are rejected: text after a closing quotation mark, and a
//! quotation mark that is never closed. Columns are identified by the header, or by the card if the files have no
//! header line.

use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::path::Path;

use csv::{ErrorKind, Position};

use super::cell::Cell;
use super::rows::Rows;
use crate::DataError;
use crate::table::TableFault;

/// Reads a whole file into `rows`.
pub(super) fn read(reader: &mut dyn BufRead, rows: &mut Rows<'_>) -> Result<(), DataError> {
    let path = rows.file.clone();
    let header = &rows.form().header;
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(header.is_empty())
        .from_reader(Starts::new(reader));
    let (width, columns) = if header.is_empty() {
        let names = csv.headers().cloned();
        let names = names.map_err(|error| fault(error, &path, csv.get_mut()))?;
        let names: Vec<&str> = names.iter().collect();
        if names.is_empty() {
            return Ok(());
        }
        (names.len(), rows.columns(&names)?)
    } else {
        let names: Vec<&str> = header.iter().map(String::as_str).collect();
        (names.len(), rows.columns(&names)?)
    };
    let mut record = csv::StringRecord::new();
    loop {
        let read = csv.read_record(&mut record);
        if !read.map_err(|error| fault(error, &path, csv.get_mut()))? {
            return Ok(());
        }
        let line = csv.get_mut().line_of(record.position());
        if record.len() != width {
            return Err(DataError::ColumnCount {
                file: path,
                line,
                expected: width,
                found: record.len(),
            });
        }
        let cells: Vec<Cell<'_>> = columns.iter().map(|&column| Cell::text(&record[column])).collect();
        rows.push(line, &cells)?;
    }
}

/// Converts a parser error, with the line on which its row begins.
fn fault(error: csv::Error, path: &Path, starts: &mut Starts<'_>) -> DataError {
    if let (Some((line, fault)), ErrorKind::Io(_)) = (starts.fault.take(), error.kind()) {
        return DataError::Table {
            file: path.to_path_buf(),
            line,
            fault,
        };
    }
    let (file, line) = (path.to_path_buf(), starts.line_of(error.position()));
    match error.into_kind() {
        ErrorKind::Io(source) => DataError::Io { file, source },
        ErrorKind::Utf8 { err, .. } => DataError::NotUtf8Field {
            file,
            line,
            column: err.field() + 1,
        },
        ErrorKind::UnequalLengths { expected_len, len, .. } => DataError::ColumnCount {
            file,
            line,
            expected: expected_len as usize,
            found: len as usize,
        },
        other => DataError::Csv {
            file,
            line,
            message: format!("{other:?}"),
        },
    }
}

/// Lexical position of a byte within its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first byte of a field.
    FieldStart,
    /// In an unquoted field, where a quotation mark has no special meaning.
    Bare,
    Quoted,
    /// After a quotation mark in a quoted field: either the closing one, or the first of a doubled one.
    Closed,
}

/// Passes bytes through and records where non-blank lines begin: the parser counts only LF and attributes preceding
/// blank lines to a row. It reads slightly ahead of the rows it returns, and only those lines are kept.
///
/// A quoting fault ends the stream, so that the rows before it are processed first.
struct Starts<'a> {
    reader: &'a mut dyn BufRead,
    /// Byte offset and number of each non-blank line, starting from the current row.
    filled: VecDeque<(u64, usize)>,
    /// Bytes passed through, and the current line.
    bytes: u64,
    line: usize,
    after_return: bool,
    /// Whether the current line is still empty.
    at_start: bool,
    place: Place,
    /// Field number, from 1, and the line with its opening quotation mark.
    column: usize,
    quoted_from: usize,
    fault: Option<(usize, TableFault)>,
}

impl<'a> Starts<'a> {
    fn new(reader: &'a mut dyn BufRead) -> Self {
        Self {
            reader,
            filled: VecDeque::new(),
            bytes: 0,
            line: 1,
            after_return: false,
            at_start: true,
            place: Place::FieldStart,
            column: 1,
            quoted_from: 1,
            fault: None,
        }
    }

    /// Line of the row that the parser started to look for at a position: the first non-blank one from there.
    fn line_of(&mut self, position: Option<&Position>) -> usize {
        let from = position.map_or(0, Position::byte);
        while self.filled.len() > 1 && self.filled[0].0 < from {
            self.filled.pop_front();
        }
        self.filled.front().map_or(self.line, |&(_, line)| line)
    }

    /// Processes a byte of the current line; false if a field continues after its closing quotation mark.
    fn follow(&mut self, byte: u8) -> bool {
        self.place = match (self.place, byte) {
            (Place::FieldStart, b'"') => {
                self.quoted_from = self.line;
                Place::Quoted
            }
            (Place::Quoted, b'"') => Place::Closed,
            (Place::Quoted, _) | (Place::Closed, b'"') => Place::Quoted,
            (_, b',') => {
                self.column += 1;
                Place::FieldStart
            }
            (Place::Closed, _) => return false,
            _ => Place::Bare,
        };
        true
    }

    /// Processes bytes without a line end. Returns how many of them are valid.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        if self.at_start {
            self.filled.push_back((self.bytes, self.line));
        }
        (self.at_start, self.after_return) = (false, false);
        bytes.iter().position(|&byte| !self.follow(byte)).unwrap_or(bytes.len())
    }

    /// Processes a line end.
    fn end_line(&mut self, byte: u8) {
        // The LF of a CRLF belongs to the line end already counted for the CR.
        self.line += usize::from(byte == b'\r' || !self.after_return);
        (self.at_start, self.after_return) = (true, byte == b'\r');
        if self.place != Place::Quoted {
            (self.place, self.column) = (Place::FieldStart, 1);
        }
    }
}

impl Read for Starts<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.fault.is_some() {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let count = self.reader.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.place == Place::Quoted {
            let fault = TableFault::OpenQuote { column: self.column };
            self.fault = Some((self.quoted_from, fault));
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let mut passed = 0;
        while passed < count {
            let rest = &buffer[passed..count];
            let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let length = length.unwrap_or(rest.len());
            if length == 0 {
                self.end_line(rest[0]);
                passed += 1;
                self.bytes += 1;
                continue;
            }
            let right = self.pass(&rest[..length]);
            passed += right;
            self.bytes += right as u64;
            if right < length {
                let found = String::from_utf8_lossy(&rest[right..]).chars().next();
                let fault = TableFault::BehindQuote {
                    column: self.column,
                    found: found.unwrap_or(char::REPLACEMENT_CHARACTER),
                };
                self.fault = Some((self.line, fault));
                return match passed {
                    0 => Err(std::io::ErrorKind::InvalidData.into()),
                    _ => Ok(passed),
                };
            }
        }
        Ok(count)
    }
}
