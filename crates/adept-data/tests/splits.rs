//! The paper's splits against torch, for all GLUE tasks at their official sizes, and STS-B's targets against Python.
//!
//! The fixture comes from `tests/generators/splits_reference.py`. Files of the official sizes are made here: what is
//! checked is the whole way of a row's number from its file to its split.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use adept_data::{Example, LoadOptions, ScoreRounding, Task, load_task, score_target, torch_permutation};
use sha2::{Digest, Sha256};

/// A built-in task.
fn named(name: &str) -> Task {
    Task::named(name).expect("a task's name")
}

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
    serde_json::from_str(include_str!("fixtures/splits.json")).expect("a whole fixture")
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

/// A hub file whose rows hold their own numbers.
fn rows(task: &str, count: usize) -> String {
    let fields: &[&str] = match task {
        "cola" | "sst2" => &["sentence"],
        "mrpc" | "stsb" | "rte" => &["sentence1", "sentence2"],
        "qqp" => &["question1", "question2"],
        "mnli" => &["premise", "hypothesis"],
        _ => &["question", "sentence"],
    };
    let mut text = String::new();
    for row in 0..count {
        text.push('{');
        for field in fields {
            write!(text, "\"{field}\": \"r{row}\", ").expect("a string takes all");
        }
        text.push_str("\"label\": 1}\n");
    }
    text
}

#[test]
fn split_ids_are_those_of_torch_for_all_tasks() {
    let fixture = fixture();
    for task in Task::suite("glue") {
        let task = task.name();
        let expected = &fixture.tasks[task];
        let folder = tempfile::tempdir().expect("a temporary folder");
        let stems: &[&str] = match task {
            "mnli" => &["train", "validation_mismatched", "validation_matched"],
            _ => &["train", "validation"],
        };
        for (stem, &count) in stems.iter().zip(&expected.official) {
            fs::write(folder.path().join(format!("{stem}.jsonl")), rows(task, count)).expect("a writable folder");
        }
        let data = load_task(&named(task), folder.path(), &LoadOptions::default()).expect("files without a fault");
        check_ids(&format!("{task} train"), &expected.train, &data.train);
        check_ids(&format!("{task} validation"), &expected.validation, &data.validation);
        check_ids(&format!("{task} test"), &expected.test, &data.test);
    }
}

#[test]
fn permutations_are_those_of_torch() {
    for (n, expected) in fixture().permutations {
        assert_eq!(torch_permutation(n, 42), expected, "n = {n}");
    }
    // The figures that tasks.md names.
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
