//! Runs every canonical solution of MBPP against its own tests, and lists those that do not pass.
//!
//! ```text
//! cargo run --release -p adept-sandbox --example mbpp -- mbpp_release_v1.jsonl [SECONDS]
//! ```
//!
//! Supports both forms of MBPP: MBXP's (`prompt`, `canonical_solution`, `entry_point`, `test`) and the original one
//! (`code`, `test_setup_code`, `test_list`).

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program")]

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use adept_sandbox::{Limits, Outcome, Program, Sandbox, Settings, run_all};
use serde_json::Value;

/// A row of either form.
struct Task {
    name: String,
    solution: String,
    tests: String,
    names: Vec<String>,
}

impl Task {
    fn program<'a>(&'a self, names: &'a [&'a str]) -> Program<'a> {
        Program {
            solution: &self.solution,
            tests: &self.tests,
            names,
        }
    }
}

fn main() -> ExitCode {
    if let Some(code) = adept_sandbox::child_main() {
        return code;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: mbpp FILE [SECONDS]")?;
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let text = std::fs::read_to_string(file)?;
    let tasks: Vec<Task> = text.lines().map(task).collect::<Result<_, _>>()?;
    let names: Vec<Vec<&str>> = tasks
        .iter()
        .map(|task| task.names.iter().map(String::as_str).collect())
        .collect();
    let limits = Limits {
        wall: Duration::from_secs_f64(seconds),
        ..Limits::default()
    };
    let pairs = tasks.iter().zip(&names);
    let programs: Vec<(Program<'_>, Limits)> = pairs.map(|(task, names)| (task.program(names), limits)).collect();

    let sandbox = Sandbox::new(Settings::default())?;
    println!("{}", sandbox.layers());
    let workers = 2 * std::thread::available_parallelism()?.get();
    let begin = Instant::now();
    let results = run_all(&sandbox, &programs, workers, &|_| true);
    let taken = begin.elapsed().as_secs_f64();

    let mut passed = 0;
    for (task, result) in tasks.iter().zip(&results) {
        match result {
            Ok(verdict) if verdict.outcome == Outcome::Pass => passed += 1,
            Ok(verdict) => println!("{}: {}", task.name, verdict.outcome),
            Err(error) => println!("{}: NOT JUDGED: {error}", task.name),
        }
    }
    let rate = tasks.len() as f64 / taken;
    println!(
        "{passed} of {} pass; {taken:.1} s with {workers} workers, {rate:.1} programs per second",
        tasks.len()
    );
    Ok(())
}

fn task(line: &str) -> Result<Task, Box<dyn Error>> {
    let row: Value = serde_json::from_str(line)?;
    let text = |field: &str| row[field].as_str().ok_or_else(|| format!("no `{field}` in {line:.60}"));
    let name = row["task_id"].to_string();
    if row["code"].is_null() {
        let entry = text("entry_point")?;
        return Ok(Task {
            name,
            solution: format!("{}{}\n", text("prompt")?, text("canonical_solution")?),
            tests: format!("{}\ncheck({entry})\n", text("test")?),
            names: vec![entry.to_owned()],
        });
    }
    let code = text("code")?;
    let list = row["test_list"].as_array().ok_or("no `test_list`")?;
    let asserts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    // The original tests rely on the solution's imports.
    let imports: Vec<&str> = code
        .lines()
        .filter(|line| line.starts_with("import ") || line.starts_with("from "))
        .collect();
    Ok(Task {
        name,
        solution: code.to_owned(),
        tests: [&imports.join("\n"), text("test_setup_code")?, &asserts.join("\n")].join("\n"),
        names: code.lines().filter_map(defined).map(str::to_owned).collect(),
    })
}

/// The name that a top-level line defines.
fn defined(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("def ").or_else(|| line.strip_prefix("class "))?;
    rest.split(|character: char| !character.is_alphanumeric() && character != '_')
        .find(|name| !name.is_empty())
}
