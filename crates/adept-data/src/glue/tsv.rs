//! GLUE's official TSV files. They know no quoting: a quotation mark is a letter like any other. Lines end with LF, CRLF
//! or CR (Python's universal newlines, which Hugging Face's loader reads them with), blank lines are passed over, and a
//! byte-order mark at the start is dropped. Columns are found by the header's names; CoLA's files have no header.

use super::rows::{RawLabel, Rows};
use crate::DataError;

/// Columns of CoLA's files: source, label, the author's mark, sentence.
const COLA_COLUMNS: usize = 4;
/// The mark that some editors put at a file's start.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Reads a whole file into `rows`.
pub(super) fn read(text: &str, rows: &mut Rows) -> Result<(), DataError> {
    let mut lines = lines(text).filter(|(_, line)| !line.is_empty());
    let (columns, texts, label) = if rows.spec().name == "cola" {
        (COLA_COLUMNS, vec![3], 1)
    } else {
        let Some((_, header)) = lines.next() else { return Ok(()) };
        let header: Vec<&str> = header.split('\t').collect();
        let texts = rows
            .text_fields()
            .iter()
            .map(|field| position(rows, &header, field))
            .collect::<Result<_, _>>()?;
        (header.len(), texts, position(rows, &header, rows.label_field())?)
    };

    for (line, row) in lines {
        let fields: Vec<&str> = row.split('\t').collect();
        let unlabelled = fields.get(label).is_none_or(|text| text.is_empty());
        if rows.spec().skips_unlabelled && fields.len() <= columns && unlabelled {
            rows.skipped += 1;
            continue;
        }
        if fields.len() != columns {
            let found = fields.len();
            return Err(DataError::ColumnCount {
                file: rows.file.clone(),
                line,
                expected: columns,
                found,
            });
        }
        let texts: Vec<&str> = texts.iter().map(|&column| fields[column]).collect();
        rows.push(line, &texts, RawLabel::Text(fields[label]))?;
    }
    Ok(())
}

fn position(rows: &Rows, header: &[&str], expected: &'static str) -> Result<usize, DataError> {
    header
        .iter()
        .position(|name| *name == expected)
        .ok_or_else(|| DataError::MissingColumn {
            file: rows.file.clone(),
            expected,
            found: header.iter().map(ToString::to_string).collect(),
        })
}

/// The text's lines with their numbers (from 1), without their ends.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = Some(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
    let mut number = 0;
    std::iter::from_fn(move || {
        let text = rest?;
        number += 1;
        match text.find(['\n', '\r']) {
            Some(end) => {
                let line_end = if text[end..].starts_with("\r\n") { 2 } else { 1 };
                rest = Some(&text[end + line_end..]);
                Some((number, &text[..end]))
            }
            None => {
                rest = None;
                Some((number, text))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn lines_end_three_ways() {
        let found: Vec<_> = lines("\u{feff}a\tb\r\n\nc\rd\n").collect();
        assert_eq!(found, [(1, "a\tb"), (2, ""), (3, "c"), (4, "d"), (5, "")]);
    }
}
