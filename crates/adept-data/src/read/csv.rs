//! Comma-separated files, quoted as RFC 4180 says: a field in quotation marks may hold commas, line ends and doubled
//! quotation marks. What the parser forgives, a text behind a closing quotation mark and a quotation mark that is never
//! closed, is refused. Columns are found by the header's names, or by the card's where the files have no header line.

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

/// What the parser says, with the line in which its row begins.
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

/// Where a byte stands in its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first byte of a field.
    FieldStart,
    /// In a field without quotation marks around it, where a quotation mark is a character like any other.
    Bare,
    Quoted,
    /// Behind a quotation mark in a quoted field: the closing one, or the first of two.
    Closed,
}

/// Passes bytes on and remembers where lines with something in them begin: the parser counts LF alone, and takes the blank
/// lines before a row for a part of it. It reads a little ahead of the rows it gives, and only those lines are kept.
///
/// What is wrong with quotation marks ends the bytes, so that the rows before it come first.
struct Starts<'a> {
    reader: &'a mut dyn BufRead,
    /// First byte and number of each filled line from the current row's on.
    filled: VecDeque<(u64, usize)>,
    /// Bytes passed on, and the line of the next one.
    bytes: u64,
    line: usize,
    after_return: bool,
    /// Whether nothing of the line has been seen.
    at_start: bool,
    place: Place,
    /// The field from 1, and the line that its quotation mark stands in.
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

    /// The line of the row that the parser began to look for at a position: the first filled one from there.
    fn line_of(&mut self, position: Option<&Position>) -> usize {
        let from = position.map_or(0, Position::byte);
        while self.filled.len() > 1 && self.filled[0].0 < from {
            self.filled.pop_front();
        }
        self.filled.front().map_or(self.line, |&(_, line)| line)
    }

    /// Takes note of a byte of the current line; false where a field goes on behind its closing quotation mark.
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

    /// Takes note of bytes without a line end. Gives how many of them are right.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        if self.at_start {
            self.filled.push_back((self.bytes, self.line));
        }
        (self.at_start, self.after_return) = (false, false);
        bytes.iter().position(|&byte| !self.follow(byte)).unwrap_or(bytes.len())
    }

    /// Takes note of a line end.
    fn end_line(&mut self, byte: u8) {
        // The LF of a CRLF belongs to the end that the CR has made.
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
