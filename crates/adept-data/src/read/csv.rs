//! Comma-separated files, quoted as RFC 4180 says: a field in quotation marks may hold commas, line ends and doubled
//! quotation marks. Columns are found by the header's names, or by the card's where the files have no header line.

use std::io::BufRead;

use csv::ErrorKind;

use super::cell::Cell;
use super::rows::Rows;
use crate::DataError;

/// Reads a whole file into `rows`.
pub(super) fn read(reader: &mut dyn BufRead, rows: &mut Rows<'_>) -> Result<(), DataError> {
    let path = rows.file.clone();
    let fault = |error: csv::Error| {
        let (file, line) = (path.clone(), error.position().map_or(0, |at| at.line() as usize));
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
    };
    let header = &rows.form().header;
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(header.is_empty())
        .from_reader(reader);
    let (width, columns) = if header.is_empty() {
        let names = csv.headers().map_err(fault)?;
        // A byte-order mark is no part of the first name.
        let names: Vec<&str> = names.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
        if names.is_empty() {
            return Ok(());
        }
        (names.len(), rows.columns(&names)?)
    } else {
        let names: Vec<&str> = header.iter().map(String::as_str).collect();
        (names.len(), rows.columns(&names)?)
    };
    let mut record = csv::StringRecord::new();
    while csv.read_record(&mut record).map_err(fault)? {
        let line = record.position().map_or(0, |at| at.line() as usize);
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
    Ok(())
}
