//! A synthetic sample of MBPP in MBXP's form: small Python functions to be written from a signature and a docstring
//! with examples; and rows of the same families in another form, for the pretraining of the small Llama.
//!
//! A problem is a family (`numbers`, `lists`, `texts`) with names and constants. Each family has its solution in Python
//! and in Rust; the latter gives what the tests expect.

mod family;
mod lists;
pub mod llama;
mod numbers;
mod problem;
mod texts;
mod value;

use std::collections::HashSet;

use problem::{Problem, Row};
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::tasks::Exhausted;
use crate::write::SampleFile;
use family::Family;

/// Problems in the committed file: the first half is for training, the other one for testing.
pub const PROBLEMS: usize = 400;

/// The file's name, as the task card has it.
pub const FILE: &str = "mbpp_release_v1.jsonl";

/// Rounds over the families before there seem to be no more problems.
const ATTEMPTS: usize = 300;

/// Rows of pretraining that are held out for validation, and as many for the test.
const HELD_OUT: usize = 200;

fn families() -> Vec<&'static Family> {
    [numbers::FAMILIES, lists::FAMILIES, texts::FAMILIES]
        .into_iter()
        .flatten()
        .collect()
}

/// What makes two problems the same: the whole function.
fn function(problem: &Problem) -> String {
    format!("{}{}", problem.signature(), problem.solution())
}

/// Problems of the sample, every function once.
fn problems(seed: u64, count: usize) -> Result<Vec<(Problem, Row)>, Exhausted> {
    let mut dice = Dice::new(seed, "programs/sample");
    let (mut seen, mut problems) = (HashSet::new(), Vec::new());
    let mut order = families();
    let mut attempts = 0;
    while problems.len() < count {
        // Round after round over all families, so that each has as many problems, wherever the file is halved.
        dice.shuffle(&mut order);
        for family in &order {
            let problem = Problem::draw(family, &mut dice);
            let row = problem.sample(&mut dice);
            if let Some(row) = row
                && problems.len() < count
                && seen.insert(function(&problem))
            {
                problems.push((problem, row));
            }
        }
        attempts += 1;
        if attempts > ATTEMPTS {
            return Err(Exhausted {
                task: "MBPP",
                expected: count,
                found: problems.len(),
            });
        }
    }
    Ok(problems)
}

/// A line of JSON for each row.
fn lines(rows: impl Iterator<Item = Value>) -> String {
    rows.map(|row| format!("{row}\n")).collect()
}

/// The sample, made in memory: a pure function of seed and number.
///
/// # Errors
/// [`Exhausted`] where more problems are asked for than there are.
pub fn files(seed: u64, count: usize) -> Result<Vec<SampleFile>, Exhausted> {
    let problems = problems(seed, count)?;
    let rows = problems.iter().enumerate().map(|(index, (problem, row))| {
        json!({
            "task_id": format!("MBPP/{}", index + 1),
            "language": "python",
            "prompt": row.prompt,
            "description": row.description,
            "test": row.test,
            "entry_point": problem.name,
            "canonical_solution": row.solution,
        })
    });
    Ok(vec![SampleFile {
        name: FILE.to_owned(),
        text: lines(rows),
    }])
}

/// Source and target of each row for the small Llama's pretraining. No function is one of the sample of the same seed in
/// its default number.
///
/// # Errors
/// [`Exhausted`] where the sample cannot be made, or nothing is left of a family beside it.
pub fn base_rows(seed: u64, count: usize) -> Result<Vec<(String, String)>, Exhausted> {
    let taken: HashSet<String> = problems(seed, PROBLEMS)?
        .iter()
        .map(|(problem, _)| function(problem))
        .collect();
    let mut dice = Dice::new(seed, "programs/base");
    let (families, mut rows) = (families(), Vec::new());
    for attempt in 0.. {
        if rows.len() == count {
            break;
        }
        if attempt > 10 * count + ATTEMPTS {
            return Err(Exhausted {
                task: "pretraining",
                expected: count,
                found: rows.len(),
            });
        }
        let problem = Problem::draw(dice.pick(&families), &mut dice);
        if !taken.contains(&function(&problem)) {
            rows.push(problem.base(&mut dice));
        }
    }
    Ok(rows)
}

/// The rows of pretraining as files: `count` for training, and a few for validation and test.
///
/// # Errors
/// As [`base_rows`].
pub fn base_files(seed: u64, count: usize) -> Result<Vec<SampleFile>, Exhausted> {
    let rows = base_rows(seed, count + 2 * HELD_OUT)?;
    let split = |name: &str, rows: &[(String, String)]| SampleFile {
        name: format!("{name}.jsonl"),
        text: lines(
            rows.iter()
                .map(|(source, target)| json!({"source": source, "target": target})),
        ),
    };
    let (held_out, train) = rows.split_at(2 * HELD_OUT);
    Ok(vec![
        split("train", train),
        split("validation", &held_out[..HELD_OUT]),
        split("test", &held_out[HELD_OUT..]),
    ])
}
