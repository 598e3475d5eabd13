//! MBPP's own solutions against MBPP's own tests: whatever fails here would fail in a single interpreter as well. The
//! data is not part of this repository: it is read from `$ADEPT_DATA` or from `../shared/data` beside the workspace,
//! and a test that finds neither prints that it was skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adept_sandbox::{Limits, Program, run_all};
use serde_json::Value;

/// Tasks whose own solution fails its own tests, in plain Python as well: an entry point named `check` like the tests'
/// function (56, 349, 899, 967), undefined names (367, 601, 927), wrong indentation (64, 966), and answers that differ
/// from those in the tests (160, 341, 596, 607, 631, 642). 341 depends on the order of a set, which changed in Python
/// 3.9.
const BROKEN: [usize; 15] = [56, 64, 160, 341, 349, 367, 596, 601, 607, 631, 642, 899, 927, 966, 967];

fn file() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("ADEPT_DATA").map_or(beside, PathBuf::from);
    let file = folder.join("mbpp/mbpp_release_v1.jsonl");
    if file.exists() {
        return Some(file);
    }
    eprintln!(
        "skipped: {} is not there (set ADEPT_DATA to the folder that holds it)",
        file.display()
    );
    None
}

/// Runs every `step`-th task. All must pass except the broken ones.
#[track_caller]
fn check(step: usize) {
    let (Some(sandbox), Some(file)) = (crate::common::sandbox(), file()) else {
        return;
    };
    let text = fs::read_to_string(file).unwrap();
    let tasks: Vec<(usize, [String; 3])> = text
        .lines()
        .enumerate()
        .step_by(step)
        .map(|(index, line)| (index + 1, task(line)))
        .collect();
    let limits = Limits {
        wall: Duration::from_secs(60),
        ..Limits::default()
    };
    let names: Vec<[&str; 1]> = tasks.iter().map(|(_, [_, _, entry])| [entry.as_str()]).collect();
    let programs: Vec<(Program<'_>, Limits)> = tasks
        .iter()
        .zip(&names)
        .map(|((_, [solution, tests, _]), names)| (Program { solution, tests, names }, limits))
        .collect();
    let verdicts = run_all(sandbox, &programs, 4, &|_| true);
    let mut wrong = Vec::new();
    for ((number, _), verdict) in tasks.iter().zip(verdicts) {
        let verdict = verdict.unwrap();
        if verdict.outcome.is_pass() == BROKEN.contains(number) {
            wrong.push(format!("{number}: {}", verdict.outcome));
        }
    }
    assert!(wrong.is_empty(), "of {}: {wrong:#?}", tasks.len());
}

/// A row's solution, its tests, and the name that they use from it.
fn task(line: &str) -> [String; 3] {
    let row: Value = serde_json::from_str(line).unwrap();
    let text = |field: &str| row[field].as_str().unwrap();
    let entry = text("entry_point");
    [
        format!("{}{}\n", text("prompt"), text("canonical_solution")),
        format!("{}\ncheck({entry})\n", text("test")),
        entry.to_owned(),
    ]
}

#[test]
fn every_sixteenth_solution_passes() {
    check(16);
}

/// Takes about two minutes on two cores: `cargo test -p adept-sandbox --test canonical -- --ignored`.
#[test]
#[ignore = "all 974 solutions take minutes"]
fn every_solution_passes() {
    check(1);
}
