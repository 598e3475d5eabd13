//! A bad value or field among good rows: in every format the error states file, line and field.

use adept_data::DataError;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::properties::config;
use crate::properties::feed::{Feed, Shape};
use crate::properties::formats::{Layout, Row, document, layout, lines_of, parquet, rows, table, without_separators};

/// The fields, in the order in which they are checked.
const FIELDS: [&str; 3] = ["first", "second", "answer"];

/// Line (or row number) and field in an error.
fn place(error: &DataError) -> Option<(usize, String)> {
    match error {
        DataError::FieldType { line, field, .. } | DataError::NoAnswer { line, field, .. } => {
            Some((*line, field.clone()))
        }
        DataError::MissingField { line, expected, .. } => Some((*line, expected.clone())),
        _ => None,
    }
}

/// Any JSON value that is not text.
fn other_values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!({})),
        Just(json!({"first": "a"})),
        Just(json!([null])),
        Just(json!([["a", 1]])),
        Just(json!(["a", 1])),
    ]
}

fn objects(rows: &[Row]) -> Vec<Value> {
    rows.iter()
        .map(|row| json!({"first": row.first, "second": row.second, "answer": row.answers}))
        .collect()
}

fn json_file(shape: Shape, objects: &[Value], layout: &Layout) -> crate::properties::formats::Written {
    if shape == Shape::JsonLines {
        lines_of(&objects.iter().map(ToString::to_string).collect::<Vec<_>>(), layout)
    } else {
        document(shape, objects, layout)
    }
}

#[test]
fn a_bad_value_of_json_is_named() {
    for shape in [Shape::JsonLines, Shape::JsonDocument, Shape::JsonList] {
        let feed = Feed::new(shape);
        proptest!(config(400), |(
            rows in rows(1..6),
            layout in layout(),
            at in any::<Index>(),
            field in 0..3_usize,
            value in prop::option::of(other_values()),
        )| {
            let (at, mut objects) = (at.index(rows.len()), objects(&rows));
            let name = FIELDS[field];
            let missing = value.is_none();
            let object = objects[at].as_object_mut().expect("an object");
            match value {
                Some(value) => drop(object.insert(name.to_owned(), value)),
                None => drop(object.remove(name)),
            }
            let written = json_file(shape, &objects, &layout);
            let error = feed.check(&written.bytes).expect_err("a bad value");
            // A missing key is reported by name, a value by its path.
            let shown = if shape == Shape::JsonDocument && !missing { format!("row.{name}") } else { name.to_owned() };
            prop_assert_eq!(place(&error), Some((written.places[at], shown)), "{}", error);
        });
    }
}

#[test]
fn a_row_without_answers_is_named() {
    for shape in [Shape::JsonLines, Shape::JsonList, Shape::Parquet] {
        let feed = Feed::new(shape);
        proptest!(config(240), |(mut rows in rows(1..6), layout in layout(), at in any::<Index>())| {
            let at = at.index(rows.len());
            rows[at].answers.clear();
            let written = crate::properties::formats::write(shape, &rows, &layout);
            let error = feed.check(&written.bytes).expect_err("no answer");
            prop_assert_eq!(place(&error), Some((written.places[at], "answer".to_owned())), "{}", error);
        });
    }
}

#[test]
fn a_row_with_other_columns_is_named() {
    for shape in [Shape::Tsv, Shape::TsvWithoutHeader, Shape::Csv, Shape::CsvWithoutHeader] {
        let feed = Feed::new(shape);
        proptest!(config(400), |(
            rows in rows(1..6),
            layout in layout(),
            at in any::<Index>(),
            columns in prop_oneof![Just(2_usize), Just(4), Just(5)],
        )| {
            let rows = if matches!(shape, Shape::Tsv | Shape::TsvWithoutHeader) { without_separators(&rows) } else { rows };
            let at = at.index(rows.len());
            let mut cells: Vec<Vec<String>> = rows
                .iter()
                .map(|row| vec![row.first.clone(), row.second.clone(), row.answers[0].clone()])
                .collect();
            cells[at].resize(columns, "more".to_owned());
            let written = table(shape, &cells, &layout);
            let error = feed.check(&written.bytes).expect_err("another number of columns");
            let DataError::ColumnCount { line, expected, found, .. } = error else {
                return Err(TestCaseError::fail(error.to_string()));
            };
            prop_assert_eq!((line, expected, found), (written.places[at], 3, columns));
        });
    }
}

#[test]
fn bytes_that_are_no_text_are_named() {
    for shape in [
        Shape::Tsv,
        Shape::TsvWithoutHeader,
        Shape::Csv,
        Shape::CsvWithoutHeader,
        Shape::JsonLines,
    ] {
        let feed = Feed::new(shape);
        proptest!(config(240), |(rows in rows(1..6), layout in layout(), at in any::<Index>(), field in 0..3_usize)| {
            let (at, mut rows) = (at.index(rows.len()), without_separators(&rows));
            // A marker that occurs nowhere else is replaced by an invalid byte.
            let mark = "~~mark~~";
            let row = &mut rows[at];
            *[&mut row.first, &mut row.second, &mut row.answers[0]][field] = mark.to_owned();
            let written = crate::properties::formats::write(shape, &rows, &layout);
            let mut bytes = written.bytes;
            let start = bytes.windows(mark.len()).position(|window| window == mark.as_bytes()).expect("the mark");
            bytes.splice(start..start + mark.len(), [0xff]);
            let error = feed.check(&bytes).expect_err("no text");
            match error {
                DataError::NotUtf8 { line, byte, .. } => prop_assert_eq!((line, byte), (written.places[at], 0xff)),
                DataError::NotUtf8Field { line, column, .. } => {
                    prop_assert_eq!((line, column), (written.places[at], field + 1));
                }
                _ => return Err(TestCaseError::fail(error.to_string())),
            }
        });
    }
}

#[test]
fn a_null_in_a_parquet_column_is_named() {
    let feed = Feed::new(Shape::Parquet);
    proptest!(config(400), |(rows in rows(1..8), layout in layout(), at in any::<Index>(), second in any::<bool>())| {
        let at = at.index(rows.len());
        let mut columns = [
            rows.iter().map(|row| Some(row.first.clone())).collect::<Vec<_>>(),
            rows.iter().map(|row| Some(row.second.clone())).collect(),
        ];
        columns[usize::from(second)][at] = None;
        let answers: Vec<Vec<String>> = rows.iter().map(|row| row.answers.clone()).collect();
        let layout = Layout { optional: true, ..layout };
        let written = parquet(&columns[0], &columns[1], &answers, &layout);
        let error = feed.check(&written.bytes).expect_err("a null");
        prop_assert_eq!(place(&error), Some((at, FIELDS[usize::from(second)].to_owned())), "{}", error);
    });
}
