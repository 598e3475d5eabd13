//! Tab-separated files, without quoting: quotation marks are ordinary characters. Columns are identified by the header,
//! or by the card if the files have no header line.

use std::io::BufRead;

use super::cell::Cell;
use super::lines::TextLines;
use super::rows::Rows;
use crate::DataError;

/// Reads a whole file into `rows`.
pub(super) fn read(reader: &mut dyn BufRead, rows: &mut Rows<'_>) -> Result<(), DataError> {
    let path = rows.file.clone();
    let mut lines = TextLines::new(reader, &path);
    let header = &rows.form().header;
    let (width, columns) = if header.is_empty() {
        let Some((_, line)) = lines.next_filled()? else {
            return Ok(());
        };
        let names: Vec<&str> = line.split('\t').collect();
        (names.len(), rows.columns(&names)?)
    } else {
        let names: Vec<&str> = header.iter().map(String::as_str).collect();
        (names.len(), rows.columns(&names)?)
    };
    let label = columns[rows.plan().target];
    while let Some((line, row)) = lines.next_filled()? {
        let fields: Vec<&str> = row.split('\t').collect();
        let unlabelled = fields.get(label).is_none_or(|text| text.is_empty());
        if rows.skips_unlabelled() && fields.len() <= width && unlabelled {
            rows.skipped += 1;
            continue;
        }
        if fields.len() != width {
            return Err(DataError::ColumnCount {
                file: path.clone(),
                line,
                expected: width,
                found: fields.len(),
            });
        }
        let cells: Vec<Cell<'_>> = columns.iter().map(|&column| Cell::text(fields[column])).collect();
        rows.push(line, &cells)?;
    }
    Ok(())
}
