//! Your own tasks: from a card, or from just a file of rows. All sentences are invented.

use std::fs;

use crate::common::{folder, named, sorted};
use adept_data::{LoadOptions, Task, TaskData, load_task};

/// A user-defined task.
#[test]
fn a_card_of_one_s_own_is_a_task() {
    let card = r#"
name = "reviews"
display = "Reviews"
about = "Whether a review is good."
[source]
pieces = [{ marker = "title:", field = "title" }, { field = "body" }]
[target]
kind = "class"
field = "verdict"
classes = ["bad", "good|fine"]
[split]
rule = "official"
[metrics]
all = ["accuracy"]
[[forms]]
name = "table"
format = "csv"
files = { train = ["train"], validation = ["dev"], test = ["test"] }
[forms.fields]
body = "review_text"
"#;
    let table = "title,review_text,verdict\n\"One, two\",It held.,fine\nThree,\"It\nbroke.\",bad\n";
    let root = folder(&[
        ("reviews.toml", card.to_owned()),
        ("train.csv", table.to_owned()),
        ("dev.csv", table.to_owned()),
        ("test.csv", table.to_owned()),
    ]);
    let task: Task = root
        .path()
        .join("reviews.toml")
        .display()
        .to_string()
        .parse()
        .expect("a card");
    let data = load_task(&task, root.path(), &LoadOptions::default()).expect("no fault");
    let found: Vec<(&str, &str)> = data
        .train
        .iter()
        .map(|row| (row.source.as_str(), row.target.as_str()))
        .collect();
    assert_eq!(
        found,
        [("title: One, two It held.", "1"), ("title: Three It\nbroke.", "0")]
    );
    assert_eq!(data.files[0].name, "reviews.toml");

    for (from, to, expected) in [
        (
            "rule = \"official\"",
            "rule = \"halves\"",
            "line 12: unknown variant `halves`",
        ),
        ("display", "displays", "line 3: unknown field `displays`"),
        (
            "classes = [\"bad\", \"good|fine\"]",
            "classes = [\"bad\"]",
            "`target.classes`: expected 2 to 10 classes, found 1",
        ),
        (
            ", test = [\"test\"]",
            "",
            "`forms.files` of form `table`: expected names for `test`",
        ),
    ] {
        let file = root.path().join("other.toml");
        fs::write(&file, card.replacen(from, to, 1)).expect("a writable folder");
        let message = Task::from_file(&file).expect_err("a fault").to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("other.toml"), "{message}");
    }
}

/// Your own rows in one file, in every format: a tenth is held out for validation and another for test.
#[test]
fn one_file_of_one_s_own_is_a_task() {
    let rows: Vec<(String, String)> = (0..20)
        .map(|row| (format!("say {row}"), format!("word {row}")))
        .collect();
    let of = |line: &dyn Fn(&str, &str) -> String| -> String { rows.iter().map(|(a, b)| line(a, b)).collect() };
    let json = |a: &str, b: &str| format!("{{\"source\": \"{a}\", \"target\": \"{b}\"}}");
    let lines = of(&|a, b| json(a, b) + "\n");
    let list = format!("[{}]", of(&|a, b| json(a, b) + ",").trim_end_matches(','));
    let csv = format!("source,target\n{}", of(&|a, b| format!("{a},\"{b}\"\n")));
    let tsv = format!("target\tsource\n{}", of(&|a, b| format!("{b}\t{a}\n")));
    let root = folder(&[
        ("a.jsonl", lines.clone()),
        ("a.json", list),
        ("a.csv", csv.clone()),
        ("a.tsv", tsv),
        ("a.jsonl.gz", lines.clone()),
        ("a.xml", String::new()),
        ("given/train.csv", csv.clone()),
        ("given/dev.jsonl", lines.clone()),
        ("whole/train.csv", csv),
        ("whole/dev.jsonl", lines.clone()),
        ("whole/test.jsonl", lines),
    ]);
    let load = |file: &str| load_task(&named("text"), &root.path().join(file), &LoadOptions::default());
    let sizes = |data: &TaskData| [data.train.len(), data.validation.len(), data.test.len()];
    let first = load("a.jsonl").expect("no fault");
    assert_eq!(sizes(&first), [16, 2, 2]);
    assert_eq!(first.files[0].name, "a.jsonl");
    let all = sorted(&[&first.train, &first.validation, &first.test]);
    for (row, (source, target)) in all.iter().zip(&rows) {
        assert_eq!((&row.source, &row.target, row.golds.len()), (source, target, 1));
    }
    assert_eq!(all.len(), rows.len());
    for file in ["a.json", "a.csv", "a.tsv", "a.jsonl.gz"] {
        let found = load(file).expect("no fault");
        assert_eq!(
            (found.train, found.validation, found.test),
            (first.train.clone(), first.validation.clone(), first.test.clone()),
            "{file}"
        );
    }
    assert_eq!(sizes(&load("given").expect("no fault")), [18, 20, 2]);
    assert_eq!(sizes(&load("whole").expect("no fault")), [20, 20, 20]);

    let message = |task: &str, file: &str| {
        load_task(&named(task), &root.path().join(file), &LoadOptions::default())
            .expect_err("a fault")
            .to_string()
            .replace(&root.path().display().to_string(), "DIR")
    };
    assert_eq!(
        message("text", "a.xml"),
        "DIR/a.xml: expected a file extension among .jsonl, .json, .csv, .tsv, .parquet, optionally followed by .gz"
    );
    assert_eq!(
        message("rte", "a.jsonl"),
        "DIR/a.jsonl: expected a folder: rte has separate files for validation"
    );
}

/// Everything but the essentials of a card has defaults.
#[test]
fn a_card_may_be_short() {
    let card = "name = \"mood\"\n[source]\npieces = [{ marker = \"review:\", field = \"text\" }]\n[target]\nkind = \
                \"class\"\nfield = \"mood\"\nclasses = [\"bad\", \"good\"]\n[metrics]\nall = [\"f1\"]\n";
    let table: String = (0..10)
        .map(|row| format!("\"Row {row}, said.\",{}\n", ["bad", "good"][row % 2]))
        .collect();
    let root = folder(&[
        ("mood.toml", card.to_owned()),
        ("rows.csv", format!("text,mood\n{table}")),
    ]);
    let task = Task::from_file(&root.path().join("mood.toml")).expect("a card");
    let data = load_task(&task, &root.path().join("rows.csv"), &LoadOptions::default()).expect("no fault");
    let rows = sorted(&[&data.train, &data.validation, &data.test]);
    assert_eq!(rows[3].source, "review: Row 3, said.");
    assert_eq!(rows[3].target, "1");
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (8, 1, 1));
    assert_eq!(task.display_name(), "mood");
}
