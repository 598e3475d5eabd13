//! The paper's splits against torch, for all tasks at their official sizes, and STS-B's targets against Python.
//!
//! The fixture comes from `tests/generators/splits_reference.py`. Files of the official sizes are generated here, which
//! covers the whole path of a row number from file to split.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use adept_data::{Example, LoadOptions, ScoreRounding, Task, load_task, score_target, torch_permutation};
use sha2::{Digest, Sha256};

#[derive(serde::Deserialize)]
struct Fixture {
    permutations: BTreeMap<usize, Vec<usize>>,
    tasks: BTreeMap<String, TaskIds>,
    stsb: Stsb,
}

#[derive(serde::Deserialize)]
struct TaskIds {
    official: Vec<usize>,
    train: Ids,
    validation: Ids,
    test: Ids,
}

#[derive(serde::Deserialize)]
struct Ids {
    rows: usize,
    first: Vec<usize>,
    last: Vec<usize>,
    sha256: String,
}

#[derive(serde::Deserialize)]
struct Stsb {
    tenth: String,
    fifth: String,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/splits.json")).expect("a whole fixture")
}

/// Checks ids, and that each row's text still belongs to its id.
#[track_caller]
fn check_ids(name: &str, expected: &Ids, rows: &[Example]) {
    let ids: Vec<usize> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), expected.rows, "{name}: rows");
    assert_eq!(ids[..8], expected.first, "{name}: first ids");
    assert_eq!(ids[ids.len() - 8..], expected.last, "{name}: last ids");
    let bytes: Vec<u8> = ids.iter().flat_map(|id| (*id as u64).to_le_bytes()).collect();
    let digest = Sha256::digest(&bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    });
    assert_eq!(digest, expected.sha256, "{name}: all ids");
    for row in rows {
        assert!(
            row.source.ends_with(&format!(" r{}", row.id)),
            "{name}: row {} has another's text",
            row.id
        );
    }
}

/// A row that contains its own number, in MRQA's form if the task has it, else in the hub's.
fn row(task: &'static Task, number: usize) -> String {
    let r = format!("r{number}");
    if task.card().forms.iter().any(|form| form.name == "mrqa") {
        return format!("{{\"context\": \"{r}\", \"qas\": [{{\"question\": \"q\", \"answers\": [\"a\"]}}]}}\n");
    }
    let key = |field: &'static str| match field {
        _ if task.name() != "scitail" => field,
        "premise" => "sentence1",
        "hypothesis" => "sentence2",
        _ => "gold_label",
    };
    let mut text = String::from("{");
    for field in task.card().fields(false) {
        let value = match field {
            "text" if task.name() == "wsc" => format!("\"a b {r}\""),
            "span1_text" => "\"a\"".to_owned(),
            "span2_text" => "\"b\"".to_owned(),
            "span1_index" => "0".to_owned(),
            "span2_index" | "label" => "1".to_owned(),
            "answer" if task.name() == "winogrande" => "1".to_owned(),
            "answers" => "[\"a\"]".to_owned(),
            _ => format!("\"{r}\""),
        };
        write!(text, "\"{}\": {value}, ", key(field)).expect("a string takes all");
    }
    text.truncate(text.len() - 2);
    text + "}\n"
}

/// The official splits of a task, in the order of the fixture's sizes.
fn stems(task: &str) -> &'static [&'static str] {
    match task {
        "mnli" => &["train", "validation_mismatched", "validation_matched"],
        "paws" => &["train", "validation", "test"],
        "yelp_polarity" => &["train", "test"],
        _ => &["train", "validation"],
    }
}

#[test]
fn split_ids_are_those_of_torch_for_all_tasks() {
    let fixture = fixture();
    for task in Task::built_in() {
        let name = task.name();
        // Your own data has no official size, and MBPP's real file has its own test.
        if ["text", "completion", "chat", "mbpp", "mbpp_original"].contains(&name) {
            continue;
        }
        let expected = &fixture.tasks[name];
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (stem, &count) in stems(name).iter().zip(&expected.official) {
            let text: String = (0..count).map(|number| row(task, number)).collect();
            fs::write(folder.path().join(format!("{stem}.jsonl")), text).expect("a writable folder");
        }
        let data = load_task(task, folder.path(), &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        for (split, expected, rows) in [
            ("train", &expected.train, &data.train),
            ("validation", &expected.validation, &data.validation),
            ("test", &expected.test, &data.test),
        ] {
            check_ids(&format!("{name} {split}"), expected, rows);
            let counted = match (name, split) {
                // The paper counts one row more than QQP's development file has.
                ("qqp", "test") => task.card().counts[split] - 1,
                // The paper counts ReCoRD's answers, of which there is one per query here.
                ("record", _) => rows.len(),
                _ => task.card().counts[split],
            };
            assert_eq!(rows.len(), counted, "{name} {split}: the paper's count");
        }
    }
}

#[test]
fn permutations_are_those_of_torch() {
    for (n, expected) in fixture().permutations {
        assert_eq!(torch_permutation(n, 42), expected, "n = {n}");
    }
    // The figures quoted in tasks.md.
    assert_eq!(torch_permutation(277, 42)[..6], [207, 84, 253, 243, 190, 28]);
    assert_eq!(torch_permutation(1043, 42)[..6], [911, 408, 813, 657, 710, 526]);
}

#[test]
fn score_targets_are_those_of_python() {
    let fixture = fixture();
    for (rounding, expected) in [
        (ScoreRounding::Tenth, fixture.stsb.tenth),
        (ScoreRounding::Fifth, fixture.stsb.fifth),
    ] {
        let expected: Vec<&str> = expected.split(' ').collect();
        assert_eq!(expected.len(), 5001);
        for (thousandths, expected) in expected.into_iter().enumerate() {
            let score = (thousandths as f64 / 1000.0) as f32;
            assert_eq!(score_target(score, rounding), expected, "{score} by {rounding:?}");
        }
    }
}
