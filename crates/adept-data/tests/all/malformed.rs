//! Tables that other readers silently repair: they are either unambiguous, or rejected with line and field.

use std::fs;
use std::sync::Arc;

use adept_data::{Example, LoadOptions, Task, load_task};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// Loads rows of `source` and `target` from a single file of this name; returns the rows or the error message.
fn load(name: &str, bytes: &[u8]) -> Result<Vec<Example>, String> {
    load_as(&Task::named("text").expect("a task's name"), name, bytes)
}

fn load_as(task: &Task, name: &str, bytes: &[u8]) -> Result<Vec<Example>, String> {
    let root = tempfile::tempdir().expect("a temporary folder");
    for split in ["train", "validation", "test"] {
        fs::write(root.path().join(name.replace("train", split)), bytes).expect("a writable folder");
    }
    let loaded = load_task(task, root.path(), &LoadOptions::default());
    let folder = format!("{}/", root.path().display());
    loaded
        .map(|data| data.train)
        .map_err(|error| error.to_string().replace(&folder, ""))
}

#[track_caller]
fn check(name: &str, text: &str, expected: Result<&[(&str, &str)], &str>) {
    let found = load(name, text.as_bytes());
    let pairs = found.map(|rows| rows.into_iter().map(|row| (row.source, row.target)).collect::<Vec<_>>());
    match expected {
        Ok(expected) => {
            let expected: Vec<_> = expected.iter().map(|(s, t)| (s.to_string(), t.to_string())).collect();
            assert_eq!(pairs, Ok(expected));
        }
        Err(message) => assert_eq!(pairs, Err(format!("{name}{message}"))),
    }
}

#[test]
fn a_column_that_is_needed_stands_in_the_header_once() {
    let twice = ": expected one column `target`, found two, columns 2 and 4";
    check("train.csv", "source,target,x,target\na,b,c,d\n", Err(twice));
    check("train.tsv", "source\ttarget\tx\ttarget\na\tb\tc\td\n", Err(twice));
    check("train.csv", "source,\"target\",x,target\na,b,c,b\n", Err(twice));
    // Other columns may occur any number of times, and need no name.
    check("train.csv", "x,source,x,target,\n1,a,2,b,\n", Ok(&[("a", "b")]));
    check("train.tsv", "\tsource\t\ttarget\n1\ta\t2\tb\n", Ok(&[("a", "b")]));
}

#[test]
fn a_key_stands_in_an_object_once() {
    for (name, text, line) in [
        (
            "train.jsonl",
            "{\"source\": \"a\", \"target\": \"b\"}\n{\"source\": \"a\", \"target\": \"b\", \"source\": \"c\"}\n",
            2,
        ),
        (
            "train.json",
            "[{\"source\": \"a\", \"target\": \"b\"}, {\"source\": \"a\", \"target\": \"b\", \"source\": \"c\"}]",
            1,
        ),
        // An escaped key is the same key.
        (
            "train.jsonl",
            "{\"source\": \"a\", \"s\\u006furce\": \"c\", \"target\": \"b\"}\n",
            1,
        ),
    ] {
        check(name, text, Err(&format!(":{line}: duplicate key `source`")));
    }
}

#[test]
fn a_parquet_column_that_is_needed_is_there_once() {
    let schema = "message rows { required binary source (STRING); required binary target (STRING); \
                  required binary target (STRING); }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    while let Some(mut column) = group.next_column().expect("a column") {
        let values = [ByteArray::from("a")];
        column
            .typed::<ByteArrayType>()
            .write_batch(&values, None, None)
            .expect("a value");
        column.close().expect("a column");
    }
    group.close().expect("a row group");
    let message = load("train.parquet", &writer.into_inner().expect("a file")).expect_err("a column twice");
    assert_eq!(
        message,
        "train.parquet: expected one column `target`, found two, columns 2 and 3"
    );
}

#[test]
fn a_quoted_cell_ends_with_its_quotation_mark() {
    let head = "source,target\na,b\n\n";
    let found = "expected a comma or the end of the line after the closing quotation mark, found";
    for (row, column, letter) in [
        ("\"a\"b,c\n", 1, "'b'"),
        ("a,\"b\" \n", 2, "' '"),
        ("a,\"b\"\"\"c\n", 2, "'c'"),
        ("\"a\"é,c\n", 1, "'é'"),
    ] {
        check(
            "train.csv",
            &format!("{head}{row}"),
            Err(&format!(":4: column {column}: {found} {letter}")),
        );
    }
    // On the second line of a cell with two.
    check(
        "train.csv",
        "source,target\n\"a\nb\"c,d\n",
        Err(&format!(":3: column 1: {found} 'c'")),
    );
    check(
        "train.csv",
        "source,\"target\"s\na,b\n",
        Err(&format!(":1: column 2: {found} 's'")),
    );
    // A fault in an earlier row is reported first.
    check(
        "train.csv",
        "source,target\na\n\"a\"b,c\n",
        Err(":2: expected 2 columns, found 1"),
    );
    // A quotation mark inside an unquoted cell is an ordinary character; a doubled one is a single character.
    check(
        "train.csv",
        "source,target\n5\" nails,\"a \"\"b\"\" c\"\n\"\",\"\"\"\"\r\n\"x\ny\",z\"\n",
        Ok(&[("5\" nails", "a \"b\" c"), ("", "\""), ("x\ny", "z\"")]),
    );
}

#[test]
fn a_quoted_cell_ends_before_its_file() {
    let expected = "expected a closing quotation mark, found the end of the file";
    check(
        "train.csv",
        "source,target\na,\"b\n\nc,d\n",
        Err(&format!(":2: column 2: {expected}")),
    );
    check(
        "train.csv",
        "source,target\na,b\nc,\"",
        Err(&format!(":3: column 2: {expected}")),
    );
    check(
        "train.csv",
        "\"source,target\na,b\n",
        Err(&format!(":1: column 1: {expected}")),
    );
    check(
        "train.csv",
        "source,target\na,\"\"\"",
        Err(&format!(":2: column 2: {expected}")),
    );
    check("train.csv", "source,target\na,\"b\"", Ok(&[("a", "b")]));
}

#[test]
fn rows_have_as_many_cells_as_the_header() {
    for (name, separator) in [("train.csv", ","), ("train.tsv", "\t")] {
        let text = |row: &str| format!("source,target\na,b\n{row}\n").replace(',', separator);
        check(name, &text("c"), Err(":3: expected 2 columns, found 1"));
        check(name, &text("c,d,e"), Err(":3: expected 2 columns, found 3"));
        check(name, &text("c,d,"), Err(":3: expected 2 columns, found 3"));
    }
}

#[test]
fn lines_end_in_three_ways_in_one_file() {
    for (name, separator) in [("train.csv", ","), ("train.tsv", "\t")] {
        let text = "source,target\r\na,b\rc,d\n\re,f\r\r\ng,h".replace(',', separator);
        check(name, &text, Ok(&[("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")]));
    }
    let lines = ["a", "b", "c"].map(|text| format!("{{\"source\": \"{text}\", \"target\": \"x\"}}"));
    let text = format!("{}\r{}\r\n\n{}", lines[0], lines[1], lines[2]);
    check("train.jsonl", &text, Ok(&[("a", "x"), ("b", "x"), ("c", "x")]));
}

#[test]
fn zeros_are_characters_and_no_ends() {
    check("train.csv", "source,target\na\0b,c\n", Ok(&[("a\0b", "c")]));
    check("train.tsv", "source\ttarget\n\0\tc\n", Ok(&[("\0", "c")]));
    check(
        "train.jsonl",
        "{\"source\": \"a\\u0000b\", \"target\": \"c\"}\n",
        Ok(&[("a\0b", "c")]),
    );
    check(
        "train.csv",
        "sour\0ce,target\na,c\n",
        Err(": expected a column `source`, found sour\0ce, target"),
    );
}

/// A card whose files have no header.
fn headless(format: &str) -> Task {
    let card = format!(
        "name = \"own\"\n[source]\npieces = [{{ field = \"source\" }}]\n[target]\nkind = \"answer\"\nfield = \"target\"\n\
         [metrics]\nall = [\"em\"]\n[[forms]]\nname = \"bare\"\nformat = \"{format}\"\nheader = [\"source\", \"target\"]\n"
    );
    Task::from_card(&card).expect("a card")
}

#[test]
fn a_header_is_no_row_and_a_row_no_header() {
    for (format, separator) in [("csv", ","), ("tsv", "\t")] {
        let (task, name) = (headless(format), format!("train.{format}"));
        let text = |text: &str| text.replace(',', separator);
        let message = load_as(&task, &name, text("source,target\na,b\n").as_bytes()).expect_err("a header");
        let expected = "1: expected a row, found a header line, which files of form `bare` do not have; remove it";
        assert_eq!(message, format!("{name}:{expected}"));
        let rows = load_as(&task, &name, text("source,x\nsource,target\n").as_bytes()).expect("rows");
        assert_eq!(rows.len(), 2);
        check(
            &name,
            &text("a,b\nc,d\n"),
            Err(": expected a column `source`, found a, b"),
        );
    }
}

#[test]
fn cards_name_columns_and_classes_once() {
    let card = "name = \"own\"\n[source]\npieces = [{ field = \"a\" }]\n[target]\nkind = \"class\"\nclasses = CLASSES\n\
                [metrics]\nall = [\"accuracy\"]\n[[forms]]\nname = \"f\"\nformat = \"tsv\"\nheader = HEADER\n";
    let read = |classes: &str, header: &str| {
        let text = card.replace("CLASSES", classes).replace("HEADER", header);
        Task::from_card(&text).map(drop)
    };
    let good = ("[\"no\", \"yes|y\"]", "[\"a\", \"x\", \"x\", \"label\"]");
    assert_eq!(read(good.0, good.1), Ok(()));
    let twice = "`forms.header` of form `f`: expected the column `a` once, found it twice";
    assert_eq!(read(good.0, "[\"a\", \"label\", \"a\"]"), Err(twice.to_owned()));
    let twice = "`target.classes`: expected every name once, found `yes` for classes 0 and 1";
    assert_eq!(read("[\"no|yes\", \"yes\"]", good.1), Err(twice.to_owned()));
}
