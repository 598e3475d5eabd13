//! A label denotes the same class in every format, whatever its type there.

use std::fs;
use std::sync::Arc;

use adept_data::{LoadOptions, Task, load_task};
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

fn card(classes: &[&str]) -> Task {
    let card = format!(
        "name = \"own\"\n[source]\npieces = [{{ field = \"text\" }}]\n[target]\nkind = \"class\"\nfield = \"stars\"\n\
         classes = {classes:?}\n[metrics]\nall = [\"accuracy\"]\n"
    );
    Task::from_card(&card).expect("a card")
}

/// The classes of a file's rows, or the error message.
fn load(task: &Task, name: &str, bytes: &[u8]) -> Result<String, String> {
    let root = tempfile::tempdir().expect("a temporary folder");
    for split in ["train", "validation", "test"] {
        fs::write(root.path().join(name.replace("train", split)), bytes).expect("a writable folder");
    }
    let loaded = load_task(task, root.path(), &LoadOptions::default());
    let folder = format!("{}/", root.path().display());
    let loaded = loaded.map_err(|error| error.to_string().replace(&folder, ""))?;
    Ok(loaded.train.iter().map(|row| row.target.as_str()).collect())
}

/// A parquet file with a text column and a column of values.
fn parquet<T: DataType>(kind: &str, values: &[T::T]) -> Vec<u8> {
    let schema = format!("message rows {{ required binary text (STRING); required {kind}; }}");
    let schema = Arc::new(parse_message_type(&schema).expect("a schema"));
    let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).expect("a writer");
    let mut group = writer.next_row_group().expect("a row group");
    let mut column = group.next_column().expect("a column").expect("texts");
    let texts: Vec<ByteArray> = values.iter().map(|_| ByteArray::from("t")).collect();
    column
        .typed::<ByteArrayType>()
        .write_batch(&texts, None, None)
        .expect("texts");
    column.close().expect("a column");
    let mut column = group.next_column().expect("a column").expect("values");
    column.typed::<T>().write_batch(values, None, None).expect("values");
    column.close().expect("a column");
    group.close().expect("a row group");
    writer.into_inner().expect("a file")
}

/// Files of two rows, with `labels` in tables and `json` in JSON.
fn texts(labels: [&str; 2], json: [&str; 2]) -> Vec<(&'static str, Vec<u8>)> {
    let table = |separator: &str| {
        let rows = labels.map(|label| format!("t{separator}{label}\n"));
        format!("text{separator}stars\n{}", rows.concat()).into_bytes()
    };
    let objects = json.map(|label| format!("{{\"text\": \"t\", \"stars\": {label}}}"));
    vec![
        ("train.csv", table(",")),
        ("train.tsv", table("\t")),
        ("train.jsonl", objects.join("\n").into_bytes()),
        ("train.json", format!("[{}]", objects.join(", ")).into_bytes()),
    ]
}

#[track_caller]
fn check(classes: &[&str], files: &[(&str, Vec<u8>)], expected: &str) {
    let task = card(classes);
    for (name, bytes) in files {
        assert_eq!(
            load(&task, name, bytes).as_deref(),
            Ok(expected),
            "{name} of {classes:?}"
        );
    }
}

#[test]
fn booleans() {
    for words in [
        ["true", "false"],
        ["True", "False"],
        ["TRUE", "FALSE"],
        [" true", "false "],
    ] {
        let mut files = texts(words, ["true", "false"]);
        files.extend(texts(
            words,
            words.map(|word| format!("\"{word}\"")).each_ref().map(String::as_str),
        ));
        files.push(("train.parquet", parquet::<BoolType>("boolean stars", &[true, false])));
        check(&["true", "false"], &files, "01");
        check(&["false", "true"], &files, "10");
        check(&["False|no", "True|yes"], &files, "10");
        check(&["bad", "good"], &files, "10");
    }
}

#[test]
fn numbers() {
    for words in [["1", "0"], ["1.0", "0.0"], [" 1", "0 "]] {
        let mut files = texts(words, ["1", "0"]);
        files.extend(texts(words, ["1.0", "0.0"]));
        files.extend(texts(
            words,
            words.map(|word| format!("\"{word}\"")).each_ref().map(String::as_str),
        ));
        files.push(("train.parquet", parquet::<Int64Type>("int64 stars", &[1, 0])));
        files.push(("train.parquet", parquet::<Int32Type>("int32 stars", &[1, 0])));
        files.push(("train.parquet", parquet::<DoubleType>("double stars", &[1.0, 0.0])));
        files.push(("train.parquet", parquet::<FloatType>("float stars", &[1.0, 0.0])));
        files.push((
            "train.parquet",
            parquet::<Int32Type>("int32 stars (DECIMAL(5,2))", &[100, 0]),
        ));
        files.push((
            "train.parquet",
            parquet::<Int64Type>("int64 stars (DECIMAL(12,1))", &[10, 0]),
        ));
        check(&["bad", "good"], &files, "10");
        check(&["false", "true"], &files, "10");
        // Names take precedence.
        check(&["0", "1", "2"], &files, "10");
        check(&["1", "0"], &files, "01");
    }
}

#[test]
fn names_with_marks_around_them() {
    let files = texts(["\"good\"", "\"bad\""], ["\"good\"", "\"bad\""]);
    check(&["bad", "good"], &files, "10");
    let files = texts([" good ", "bad\u{a0}"], ["\" good \"", "\"bad\\u00a0\""]);
    check(&["bad", "good"], &files, "10");
    // A name that contains quotation marks keeps them.
    check(
        &["\"good\"", "good", "bad"],
        &texts(["\"good\"", "bad"], ["\"\\\"good\\\"\"", "\"bad\""])[1..],
        "02",
    );
}

#[test]
fn what_may_mean_two_things_is_refused() {
    let refuse = |classes: &[&str], labels: [&str; 2], json: [&str; 2], expected: &str| {
        for (name, bytes) in texts(labels, json) {
            let message = load(&card(classes), name, &bytes).expect_err("an ambiguous label");
            let line = if name == "train.json" {
                0
            } else if name == "train.jsonl" {
                1
            } else {
                2
            };
            assert_eq!(
                message,
                format!(
                    "{name}:{line}: field `stars`: expected a class name, found `{}`, which is ambiguous: {expected}",
                    labels[0]
                )
            );
        }
    };
    refuse(
        &["true", "false"],
        ["1", "0"],
        ["1", "0"],
        "`false` by number, or `true`",
    );
    refuse(
        &["yes", "no"],
        ["true", "false"],
        ["true", "false"],
        "`no` by number, or `yes`",
    );
    refuse(
        &["1", "2"],
        ["0", "1"],
        ["0", "1"],
        "`1` by number, or a name such as `1` that is not on the card",
    );
}

#[test]
fn what_is_no_class_is_refused_alike() {
    for (label, json) in [
        ("2", "2"),
        ("-2", "-2"),
        ("0.5", "0.5"),
        ("maybe", "\"maybe\""),
        ("nan", "\"nan\""),
    ] {
        for (name, bytes) in texts([label, "1"], [json, "1"]) {
            let message = load(&card(&["bad", "good"]), name, &bytes).expect_err("no class");
            assert!(
                message.contains(&format!("field `stars`: expected 0 (bad), 1 (good), found `{label}`")),
                "{message}"
            );
        }
    }
    for (label, json) in [("-1", "-1"), ("-1.0", "-1.0"), (" -1", "\"-1\"")] {
        for (name, bytes) in texts([label, "1"], [json, "1"]) {
            let message = load(&card(&["bad", "good"]), name, &bytes).expect_err("a hidden label");
            assert!(message.contains("found the hidden label -1"), "{message}");
        }
    }
}

/// Rows without a label are skipped in every format if the card allows it.
#[test]
fn rows_without_a_label() {
    let text = "name = \"own\"\n[source]\npieces = [{ field = \"text\" }]\n[target]\nkind = \"class\"\nfield = \"stars\"\n\
                classes = [\"bad\", \"good\"]\n[metrics]\nall = [\"accuracy\"]\n[rows]\nskip_unlabelled = true\n";
    let task = Task::from_card(text).expect("a card");
    let mut files = texts(["1", ""], ["1", "null"]);
    files.extend(texts(["1", ""], ["1", "\"\""]));
    for (name, bytes) in files {
        assert_eq!(load(&task, name, &bytes).as_deref(), Ok("1"), "{name}");
    }
}

/// A score is the same number in every format.
#[test]
fn scores() {
    let text = "name = \"own\"\n[source]\npieces = [{ field = \"text\" }]\n[target]\nkind = \"score\"\nfield = \"stars\"\n\
                min = 0.0\nmax = 5.0\n[metrics]\nall = [\"pearson\"]\n";
    let task = Task::from_card(text).expect("a card");
    let mut files = texts(["4.25", " 2.35 "], ["4.25", "2.35"]);
    files.extend(texts(["4.25", "2.35"], ["\"4.25\"", "\"2.35\""]));
    files.push(("train.parquet", parquet::<DoubleType>("double stars", &[4.25, 2.35])));
    files.push((
        "train.parquet",
        parquet::<Int32Type>("int32 stars (DECIMAL(5,2))", &[425, 235]),
    ));
    for (name, bytes) in files {
        assert_eq!(load(&task, name, &bytes).as_deref(), Ok("4.22.3"), "{name}");
    }
    for word in ["nan", "-inf", "Infinity", "1e999"] {
        for (name, bytes) in texts([word, "1"], [&format!("\"{word}\""), "1"]) {
            let message = load(&task, name, &bytes).expect_err("no number");
            assert!(
                message.contains(&format!("field `stars`: expected a score from 0 to 5, found `{word}`")),
                "{message}"
            );
        }
    }
    let nan = parquet::<DoubleType>("double stars", &[f64::NAN]);
    let message = load(&task, "train.parquet", &nan).expect_err("no number");
    assert_eq!(
        message,
        "train.parquet:0: field `stars`: expected a score from 0 to 5, found `NaN`"
    );
}
