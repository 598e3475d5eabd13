//! No input makes a reader panic: arbitrary bytes, fragments of a format in any order, damaged valid files, and JSON of
//! any shape for the built-in tasks. [`Feed::check`] validates the errors.

use std::io::Write as _;
use std::path::Path;

use adept_data::Task;
use adept_data::task::{Format, Place};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::properties::damage::{Damage, apply, config, damage};
use crate::properties::feed::{Feed, Shape};
use crate::properties::formats::{Layout, Row, layout, rows, text, without_separators, write};

/// Fragments that files of the formats consist of.
const PIECES: [&[u8]; 34] = [
    b"first",
    b"second",
    b"answer",
    b"data",
    b"rows",
    b"title",
    b"\"",
    b"\"\"",
    b",",
    b"\t",
    b"\n",
    b"\r",
    b"\r\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"0.5",
    b"\\u",
    b"\\ud83e",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc3",
    b"\0",
    b" ",
    b"PAR1",
    b"\x1f\x8b",
    b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
    b"\"first\":",
];

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40).prop_map(|pieces| pieces.concat());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..120),
        pieces.clone(),
        pieces.prop_map(|bytes| [b"first\tsecond\tanswer\n", &bytes[..]].concat()),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory")
}

/// A complete file with damage; text may be compressed before or after it.
fn damaged(shape: Shape, rows: &[Row], layout: &Layout, damages: &[Damage], compress: u8) -> Vec<u8> {
    let rows = if matches!(shape, Shape::Tsv | Shape::TsvWithoutHeader) {
        without_separators(rows)
    } else {
        rows.to_vec()
    };
    let mut bytes = write(shape, &rows, layout).bytes;
    let text = shape != Shape::Parquet;
    if text && compress == 1 {
        bytes = gzip(&bytes);
    }
    damages.iter().for_each(|damage| apply(damage, &mut bytes));
    if text && compress == 2 {
        bytes = gzip(&bytes);
    }
    bytes
}

#[test]
fn any_bytes_are_rows_or_an_error() {
    for shape in Shape::ALL {
        let feed = Feed::new(shape);
        proptest!(config(600), |(bytes in any_bytes(), compress in 0..5_u8)| {
            let bytes = if compress == 0 { gzip(&bytes) } else { bytes };
            if let Ok(data) = feed.check(&bytes) {
                prop_assert!(!data.train.is_empty());
                prop_assert_eq!(&data.train, &data.validation);
            }
        });
    }
}

#[test]
fn damaged_files_are_rows_or_an_error() {
    for shape in Shape::ALL {
        let feed = Feed::new(shape);
        proptest!(config(800), |(
            rows in rows(1..6),
            layout in layout(),
            damages in prop::collection::vec(damage(&PIECES), 1..5),
            compress in 0..6_u8,
        )| {
            let _ = feed.check(&damaged(shape, &rows, &layout, &damages, compress));
        });
    }
}

/// The hub's own files rather than ours, from another writer and with other column types.
#[test]
fn damaged_parquet_files_of_another_writer_are_rows_or_an_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet");
    for (task, file) in [
        ("rte", "rte/train-00000-of-00002.parquet"),
        ("stsb", "stsb/train/0000.parquet"),
        ("cola", "flags.parquet"),
        ("newsqa", "newsqa.parquet"),
        ("squad", "squad.parquet"),
    ] {
        let whole = std::fs::read(folder.join(file)).expect("a fixture of this crate");
        let task = Task::named(task).expect("a built-in task");
        let hub = task.card().forms.iter().position(|form| form.format == Format::Hub);
        let feed = Feed::of(task.clone(), hub.expect("a form of the hub"), true);
        proptest!(config(400), |(damages in prop::collection::vec(damage(&PIECES), 1..4))| {
            let mut bytes = whole.clone();
            damages.iter().for_each(|damage| apply(damage, &mut bytes));
            let _ = feed.check(&bytes);
        });
    }
}

/// JSON of any shape with the keys that a card looks for.
fn values(keys: Vec<String>) -> impl Strategy<Value = Value> {
    let numbers = prop_oneof![Just(0_i64), Just(1), Just(-1), Just(i64::MAX), Just(i64::MIN), 0..9_i64];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        numbers.prop_map(Value::from),
        Just(Value::from(u64::MAX)),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "0",
            "1",
            "entailment",
            "18446744073709551615",
            "one two  three",
            "é🫖 x"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let object = prop::collection::vec((prop::sample::select(keys.clone()), inner.clone()), 1..6)
            .prop_map(|pairs| Value::Object(Map::from_iter(pairs)));
        prop_oneof![2 => object, 1 => prop::collection::vec(inner, 0..3).prop_map(Value::Array)]
    })
}

/// Keys on the paths to a form's fields.
fn keys(task: &Task, form: usize) -> Vec<String> {
    let card = task.card();
    let form = &card.forms[form];
    let mut paths: Vec<String> = card.fields(false).into_iter().map(str::to_owned).collect();
    paths.extend(form.each.iter().map(|each| each.path.clone()));
    for place in form.fields.values() {
        match place {
            Place::Path(path) => paths.push(path.clone()),
            Place::List(list) => paths.extend([Some(list.path.clone()), list.parts_of.clone()].into_iter().flatten()),
            Place::Paragraphs(place) => paths.extend([place.titles.clone(), place.sentences.clone()]),
            Place::Messages(place) => paths.extend(std::iter::once(place.messages.clone()).chain(place.before.clone())),
        }
    }
    let mut keys: Vec<String> = paths
        .iter()
        .flat_map(|path| path.split('.'))
        .map(|key| key.trim_end_matches("[]").to_owned())
        .chain(["start".to_owned(), "end".to_owned()])
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

#[test]
fn json_of_any_shape_is_rows_or_an_error_of_every_task() {
    for task in Task::built_in() {
        for (number, form) in task.card().forms.iter().enumerate() {
            if !matches!(form.format, Format::Jsonl | Format::Json | Format::Hub) {
                continue;
            }
            let feed = Feed::of(task.clone(), number, false);
            proptest!(config(96), |(value in values(keys(task, number)))| {
                let _ = feed.check(format!("{value}\n").as_bytes());
            });
        }
    }
}

/// Whatever the span indices in the data, the text is either marked or the row rejected.
#[test]
fn spans_of_any_numbers_are_texts_or_an_error() {
    let number = || {
        let edges = [0, 1, 2, u64::MAX, u64::MAX - 1, i64::MAX as u64, u64::from(u32::MAX)];
        prop_oneof![prop::sample::select(edges.to_vec()), 0..20_u64]
    };
    let task = |name: &str| Task::named(name).expect("a built-in task");
    let (record, wsc) = (Feed::of(task("record"), 0, false), Feed::of(task("wsc"), 0, false));
    proptest!(config(1200), |(text in text(), numbers in prop::array::uniform2(number()), as_text in any::<bool>())| {
        let [first, second] = numbers;
        let row = json!({
            "passage": {"text": text, "entities": [{"start": first, "end": second}]},
            "qas": [{"query": text, "answers": [{"text": text}]}],
        });
        let _ = record.check(format!("{row}\n").as_bytes());
        let index = |number: u64| if as_text { json!(number.to_string()) } else { json!(number) };
        let target = json!({
            "span1_text": text, "span1_index": index(first), "span2_text": "a", "span2_index": index(second),
        });
        let row = json!({"text": text, "target": target, "label": true});
        let _ = wsc.check(format!("{row}\n{row}\n").as_bytes());
    });
}
