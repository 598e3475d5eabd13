//! Rows survive a round trip through every format.

use proptest::prelude::*;

use crate::properties::config;
use crate::properties::feed::{Feed, Shape};
use crate::properties::formats::{Layout, layout, rows, without_separators, write};

fn come_back(shape: Shape) {
    let feed = Feed::new(shape);
    let tabs = matches!(shape, Shape::Tsv | Shape::TsvWithoutHeader);
    let lists = !tabs && !matches!(shape, Shape::Csv | Shape::CsvWithoutHeader);
    proptest!(config(800), |(rows in rows(1..8), layout in layout())| {
        let rows = if tabs { without_separators(&rows) } else { rows };
        let written = write(shape, &rows, &layout);
        let data = feed.check(&written.bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(data.train.len(), rows.len());
        for (id, (example, row)) in data.train.iter().zip(&rows).enumerate() {
            prop_assert_eq!((example.id, example.group), (id, id));
            prop_assert!(row.is(example, lists), "expected {:?}, found {:?}", row, example);
        }
        prop_assert_eq!(&data.train, &data.validation);
        prop_assert_eq!(&data.train, &data.test);
        prop_assert!(data.files.iter().all(|file| (file.rows, file.skipped) == (rows.len(), 0)));
    });
}

#[test]
fn rows_come_back_from_tsv() {
    come_back(Shape::Tsv);
    come_back(Shape::TsvWithoutHeader);
}

#[test]
fn rows_come_back_from_csv() {
    come_back(Shape::Csv);
    come_back(Shape::CsvWithoutHeader);
}

#[test]
fn rows_come_back_from_json_lines() {
    come_back(Shape::JsonLines);
}

#[test]
fn rows_come_back_from_json_documents() {
    come_back(Shape::JsonDocument);
    come_back(Shape::JsonList);
}

#[test]
fn rows_come_back_from_parquet() {
    come_back(Shape::Parquet);
}

/// Pages with many values, as in real files.
#[test]
fn long_columns_come_back_from_parquet() {
    let feed = Feed::new(Shape::Parquet);
    proptest!(config(32), |(rows in rows(200..900), layout in layout(), part in 150..700_usize)| {
        let written = write(Shape::Parquet, &rows, &Layout { part, ..layout });
        let data = feed.check(&written.bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(data.train.len(), rows.len());
        prop_assert!(data.train.iter().zip(&rows).all(|(example, row)| row.is(example, true)));
    });
}

/// The same rows yield the same examples in every format.
#[test]
fn formats_agree() {
    let feeds = Shape::ALL.map(|shape| (shape, Feed::new(shape)));
    proptest!(config(240), |(rows in rows(1..6), layout in layout())| {
        let mut rows = without_separators(&rows);
        rows.iter_mut().for_each(|row| row.answers.truncate(1));
        let expected = feeds[0].1.check(&write(Shape::Tsv, &rows, &layout).bytes).expect("rows").train;
        for (shape, feed) in &feeds {
            let found = feed.check(&write(*shape, &rows, &layout).bytes).expect("rows").train;
            prop_assert_eq!(&found, &expected, "{:?}", shape);
        }
    });
}
