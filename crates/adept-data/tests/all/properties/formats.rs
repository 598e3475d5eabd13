//! Generates rows, and files with them in every format.

use std::sync::Arc;

use adept_data::Example;
use parquet::basic::{Compression, Encoding};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::properties::feed::Shape;

/// Characters with a meaning in some format or in text normalisation, or that trip careless decoders.
const SPECIAL: [char; 24] = [
    '"', ',', '\'', '\\', '\n', '\r', '\t', '{', '}', '[', ']', ':', '|', '\0', '\u{1c}', '\u{85}', '\u{a0}',
    '\u{301}', '\u{feff}', '\u{2028}', '\u{ffff}', 'é', '–', '🫖',
];

/// A row of the task loaded by [`crate::properties::feed::Feed::new`].
#[derive(Debug, Clone)]
pub struct Row {
    pub first: String,
    pub second: String,
    /// At least one.
    pub answers: Vec<String>,
}

impl Row {
    /// The source according to the task's card.
    pub fn source(&self) -> String {
        format!("first: {} second: {}", self.first, self.second)
    }

    /// Whether an example is this row's, in a format with lists of answers or with only the first.
    pub fn is(&self, example: &Example, lists: bool) -> bool {
        let golds = if lists { &self.answers[..] } else { &self.answers[..1] };
        example.source == self.source() && example.target == self.answers[0] && example.golds == golds
    }
}

/// Layout options of a file, where its format has any.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub byte_order_mark: bool,
    pub line_end: &'static str,
    pub end_of_last_line: bool,
    /// Whether every row is preceded by a blank line.
    pub blank_lines: bool,
    /// One bit per cell, cyclically: whether to quote it needlessly.
    pub quotes: u64,
    /// Rows per part: of a document's inner list, or of a row group.
    pub part: usize,
    /// Parquet: whether columns are optional, use dictionaries, are compressed, use data pages of version 2.
    pub optional: bool,
    pub dictionary: bool,
    pub compressed: bool,
    pub second_version: bool,
}

pub fn layout() -> impl Strategy<Value = Layout> {
    let ends = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
    (ends, any::<u64>(), any::<[bool; 7]>(), 1_usize..5).prop_map(|(line_end, quotes, flags, part)| Layout {
        byte_order_mark: flags[0],
        line_end,
        end_of_last_line: flags[1],
        blank_lines: flags[2],
        quotes,
        part,
        optional: flags[3],
        dictionary: flags[4],
        compressed: flags[5],
        second_version: flags[6],
    })
}

/// Any text, rich in [`SPECIAL`] characters.
pub fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        6 => prop::char::range(' ', '~'),
        3 => prop::sample::select(&SPECIAL[..]),
        2 => any::<char>(),
    ];
    prop::collection::vec(character, 0..10).prop_map(String::from_iter)
}

pub fn rows(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Row>> {
    let row = (text(), text(), prop::collection::vec(text(), 1..4)).prop_map(|(first, second, answers)| Row {
        first,
        second,
        answers,
    });
    prop::collection::vec(row, count)
}

/// The rows without what tab-separated files cannot represent: field and line separators, and a byte-order mark that
/// would be taken for the file's.
pub fn without_separators(rows: &[Row]) -> Vec<Row> {
    let plain = |text: &String| text.replace(['\t', '\n', '\r'], " ");
    rows.iter()
        .map(|row| Row {
            first: plain(&row.first).trim_start_matches('\u{feff}').to_owned(),
            second: plain(&row.second),
            answers: row.answers.iter().map(plain).collect(),
        })
        .collect()
}

/// A file, and how errors refer to each of its rows: by first line or by number.
pub struct Written {
    pub bytes: Vec<u8>,
    pub places: Vec<usize>,
}

/// Writes rows to a file. Tab-separated files require rows from [`without_separators`].
pub fn write(shape: Shape, rows: &[Row], layout: &Layout) -> Written {
    let json = |row: &Row| json!({"first": row.first, "second": row.second, "answer": row.answers});
    match shape {
        Shape::Tsv | Shape::TsvWithoutHeader | Shape::Csv | Shape::CsvWithoutHeader => {
            let cells: Vec<Vec<String>> = rows
                .iter()
                .map(|row| vec![row.first.clone(), row.second.clone(), row.answers[0].clone()])
                .collect();
            table(shape, &cells, layout)
        }
        Shape::JsonLines => {
            let lines: Vec<String> = rows.iter().map(|row| json(row).to_string()).collect();
            lines_of(&lines, layout)
        }
        Shape::JsonDocument | Shape::JsonList => document(shape, &rows.iter().map(json).collect::<Vec<_>>(), layout),
        Shape::Parquet => {
            let cells = |text: fn(&Row) -> &String| rows.iter().map(|row| Some(text(row).clone())).collect::<Vec<_>>();
            let answers: Vec<Vec<String>> = rows.iter().map(|row| row.answers.clone()).collect();
            parquet(&cells(|row| &row.first), &cells(|row| &row.second), &answers, layout)
        }
    }
}

/// A table of arbitrary cells, with the card's header if the shape has one.
pub fn table(shape: Shape, rows: &[Vec<String>], layout: &Layout) -> Written {
    let quoted = matches!(shape, Shape::Csv | Shape::CsvWithoutHeader);
    let separator = if quoted { "," } else { "\t" };
    let header = ["first", "second", "answer"].map(str::to_owned).to_vec();
    let has_header = matches!(shape, Shape::Csv | Shape::Tsv);
    let mut number = 0_u32;
    let lines: Vec<String> = has_header
        .then_some(&header)
        .into_iter()
        .chain(rows)
        .map(|cells| {
            let cells = cells.iter().map(|cell| {
                number += 1;
                let quote = cell.contains(['"', ',', '\n', '\r']) || layout.quotes.rotate_right(number) & 1 == 1;
                // The very first cell must not begin with an unquoted mark, which would be taken for the file's.
                if quoted && (quote || cell.starts_with('\u{feff}')) {
                    format!("\"{}\"", cell.replace('"', "\"\""))
                } else {
                    cell.clone()
                }
            });
            cells.collect::<Vec<_>>().join(separator)
        })
        .collect();
    let mut written = lines_of(&lines, layout);
    if has_header {
        written.places.remove(0);
    }
    written
}

/// Joins lines, with blank ones in between if the layout says so.
pub fn lines_of(lines: &[String], layout: &Layout) -> Written {
    let mut text = String::from(if layout.byte_order_mark { "\u{feff}" } else { "" });
    let mut places = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if layout.blank_lines && number > 0 {
            text.push_str(layout.line_end);
        }
        places.push(1 + text.replace("\r\n", "\n").matches(['\n', '\r']).count());
        text.push_str(line);
        if layout.end_of_last_line || number + 1 < lines.len() {
            text.push_str(layout.line_end);
        }
    }
    Written {
        bytes: text.into_bytes(),
        places,
    }
}

/// A document of arbitrary rows.
pub fn document(shape: Shape, rows: &[Value], layout: &Layout) -> Written {
    let (document, places) = if shape == Shape::JsonList {
        (json!(rows), (0..rows.len()).collect())
    } else {
        let parts: Vec<Value> = rows
            .chunks(layout.part)
            .map(|part| json!({"title": {"rows": 1}, "rows": part}))
            .collect();
        let places = (0..rows.len()).map(|row| row / layout.part).collect();
        (json!({"version": "1", "data": parts, "more": []}), places)
    };
    let text = if layout.blank_lines {
        serde_json::to_string_pretty(&document)
    } else {
        serde_json::to_string(&document)
    };
    let mut bytes = if layout.byte_order_mark {
        "\u{feff}".as_bytes().to_vec()
    } else {
        Vec::new()
    };
    bytes.extend(
        text.expect("a value is a document")
            .replace('\n', layout.line_end)
            .bytes(),
    );
    Written { bytes, places }
}

/// A parquet file with two text columns and a list column; nulls require optional columns.
pub fn parquet(
    first: &[Option<String>],
    second: &[Option<String>],
    answers: &[Vec<String>],
    layout: &Layout,
) -> Written {
    let kind = if layout.optional { "optional" } else { "required" };
    let schema = format!(
        "message rows {{ {kind} binary first (STRING); {kind} binary second (STRING); required group answer (LIST) {{ \
         repeated group list {{ required binary element (STRING); }} }} }}"
    );
    let mut properties = WriterProperties::builder()
        .set_dictionary_enabled(layout.dictionary)
        .set_data_page_row_count_limit(layout.part.div_ceil(2))
        .set_write_batch_size(layout.part.div_ceil(2));
    if layout.second_version {
        properties = properties.set_writer_version(WriterVersion::PARQUET_2_0);
    }
    if layout.compressed {
        properties = properties.set_compression(Compression::SNAPPY);
    }
    if !layout.dictionary && !layout.quotes.is_multiple_of(3) {
        let encodings = [Encoding::DELTA_BYTE_ARRAY, Encoding::DELTA_LENGTH_BYTE_ARRAY];
        properties = properties.set_encoding(encodings[(layout.quotes % 2) as usize]);
    }
    let schema = Arc::new(parse_message_type(&schema).expect("a schema"));
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).expect("a writer");
    for start in (0..first.len()).step_by(layout.part) {
        let part = start..first.len().min(start + layout.part);
        let mut group = writer.next_row_group().expect("a row group");
        texts(&mut group, &first[part.clone()], layout.optional);
        texts(&mut group, &second[part.clone()], layout.optional);
        lists(&mut group, &answers[part]);
        group.close().expect("a row group");
    }
    Written {
        bytes: writer.into_inner().expect("a whole file"),
        places: (0..first.len()).collect(),
    }
}

fn texts(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, texts: &[Option<String>], optional: bool) {
    let values: Vec<ByteArray> = texts.iter().flatten().map(|text| text.as_str().into()).collect();
    let defined: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
    column(group, &values, optional.then_some(&defined), None);
}

fn lists(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, lists: &[Vec<String>]) {
    let values: Vec<ByteArray> = lists.iter().flatten().map(|text| text.as_str().into()).collect();
    let (mut defined, mut repeated) = (Vec::new(), Vec::new());
    for list in lists {
        repeated.push(0);
        repeated.extend(list.iter().skip(1).map(|_| 1));
        defined.extend(vec![i16::from(!list.is_empty()); list.len().max(1)]);
    }
    column(group, &values, Some(&defined), Some(&repeated));
}

fn column(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[ByteArray],
    defined: Option<&Vec<i16>>,
    repeated: Option<&Vec<i16>>,
) {
    let mut column = group.next_column().expect("a column").expect("the schema's column");
    column
        .typed::<ByteArrayType>()
        .write_batch(values, defined.map(Vec::as_slice), repeated.map(Vec::as_slice))
        .expect("values that fit the schema");
    column.close().expect("a column");
}
