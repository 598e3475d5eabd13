//! The real files of the tasks beyond GLUE: counts and texts against an independent Python implementation
//! (`fixtures/tasks.py`, which generated the digests). Skipped, with a message, if the data is not available.
//!
//! For some tasks only some of the files are available. Those are arranged in a folder of their own as the splits that
//! they replace, and repeated if they have fewer rows than are held out of training.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::{real, sha256};
use adept_data::{Example, LoadOptions, Task, load_task};

#[derive(serde::Deserialize)]
struct Digest {
    rows: usize,
    text: String,
}

/// The sources of a task's files: folder, name in the layout, and how often the lines are repeated.
type Layout = (&'static str, &'static [(&'static str, &'static str, usize)]);

fn layout(task: &str) -> Layout {
    match task {
        "boolq" => ("superglue", &[]),
        "wic" => ("superglue", &[]),
        "cb" => ("superglue", &[]),
        "wsc" => ("superglue", &[]),
        "squad" => (
            "mrqa/SQuAD",
            &[
                ("train.jsonl", "train.jsonl", 1),
                ("dev.squad.json", "dev.squad.json", 1),
            ],
        ),
        "record" => (
            "superglue/ReCoRD",
            &[("train.jsonl", "train.jsonl", 40), ("train.jsonl", "val.jsonl", 1)],
        ),
        "newsqa" => (
            "mrqa/NewsQA",
            &[
                ("dev.squad.json.gz", "train.squad.json.gz", 1),
                ("dev.squad.json.gz", "dev.squad.json.gz", 1),
            ],
        ),
        "hotpotqa" => (
            "mrqa/HotpotQA",
            &[("train.jsonl", "train.jsonl", 4), ("dev.jsonl", "dev.jsonl", 1)],
        ),
        "winogrande" => (".", &[]),
        "scitail" => ("scitail", &[("dev.txt", "train.txt", 1), ("test.txt", "dev.txt", 1)]),
        "mbpp" | "mbpp_original" => ("mbpp", &[]),
        other => panic!("no layout for {other}"),
    }
}

fn digest(rows: &[Example], program: bool) -> String {
    let text: String = rows
        .iter()
        .map(|row| {
            // A program's row is followed by its test code.
            let test = if program { row.golds[0].clone() } else { String::new() };
            format!("{}\t{}\t{}{test}\n", row.id, row.source, row.target)
        })
        .collect();
    sha256(text.as_bytes())
}

fn lay_out(from: &Path, to: &Path, files: &[(&str, &str, usize)]) {
    for (file, name, times) in files {
        let bytes = fs::read(from.join(file)).expect("a readable file");
        fs::write(to.join(name), bytes.repeat(*times)).expect("a writable folder");
    }
}

#[test]
fn real_files_give_the_rows_and_texts_of_python() {
    let digests: BTreeMap<String, BTreeMap<String, Digest>> =
        serde_json::from_str(include_str!("../fixtures/real_tasks.json")).expect("a whole fixture");
    assert_eq!(digests.len(), 12);
    for (name, expected) in digests {
        let (below, files) = layout(&name);
        let Some(folder) = real(below) else { return };
        let laid_out = tempfile::tempdir().expect("a temporary folder");
        let root = if files.is_empty() {
            folder.as_path()
        } else {
            lay_out(&folder, laid_out.path(), files);
            laid_out.path()
        };
        let task = Task::named(&name).expect("a task's name");
        let data = load_task(&task, root, &LoadOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (split, rows) in [
            ("train", &data.train),
            ("validation", &data.validation),
            ("test", &data.test),
        ] {
            let expected = &expected[split];
            assert_eq!(rows.len(), expected.rows, "{name} {split}: rows");
            assert_eq!(
                digest(rows, name.starts_with("mbpp")),
                expected.text,
                "{name} {split}: texts"
            );
        }
    }
}

/// The paper's counts (Table 16, on the cards) for the tasks whose real files are complete.
#[test]
fn counts_are_those_of_the_paper() {
    for name in ["wic", "cb", "wsc", "winogrande", "mbpp", "mbpp_original"] {
        let (below, _) = layout(name);
        let Some(folder) = real(below) else { return };
        let task = Task::named(name).expect("a task's name");
        let data = load_task(&task, &folder, &LoadOptions::default()).expect("files without a fault");
        for (split, rows) in [
            ("train", &data.train),
            ("validation", &data.validation),
            ("test", &data.test),
        ] {
            let expected = task.card().counts.get(split).copied().unwrap_or_default();
            assert_eq!(rows.len(), expected, "{name} {split}");
        }
    }
}
