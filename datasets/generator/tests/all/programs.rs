//! The file in `datasets/mbpp-sample` is what the generator writes, the project's own reader takes it as it takes the
//! official one, its solutions pass its tests, and the small Llama's tokenizer reads all of it and has not been
//! pretrained on any of it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::datasets;
use adept_data::{LoadOptions, Task, TaskData, TextTokenizer, load_task};
use glue_sample::programs::{FILE, PROBLEMS, base_files, base_rows, files, llama};
use serde_json::Value;

const SEED: u64 = 42;

/// Rows that the small Llama was pretrained on, as its README says.
const BASE: usize = 30_000;

fn committed() -> PathBuf {
    datasets().join("mbpp-sample")
}

fn backbone() -> PathBuf {
    datasets().join("backbones/llama-nano")
}

fn rows() -> Vec<Value> {
    let text = std::fs::read_to_string(committed().join(FILE)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn field<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap()
}

/// Signature and body: the whole function without what is said of it.
fn function_of(prompt: &str, solution: &str) -> String {
    let signature = prompt.lines().find(|line| line.starts_with("def ")).unwrap();
    format!("{signature}\n{solution}")
}

fn function(row: &Value) -> String {
    function_of(field(row, "prompt"), field(row, "canonical_solution"))
}

fn load() -> TaskData {
    let task = Task::named("mbpp").unwrap();
    load_task(&task, &committed(), &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_committed_file_is_what_the_generator_writes() {
    let made = files(SEED, PROBLEMS).unwrap();
    assert_eq!(made.len(), 1);
    let text = std::fs::read_to_string(committed().join(&made[0].name)).unwrap();
    assert!(
        text == made[0].text,
        "{FILE}: differs; write it again with `cargo run -p glue-sample -- --programs --out datasets/mbpp-sample`"
    );
    let entries = std::fs::read_dir(committed()).unwrap().flatten();
    let lying: BTreeSet<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(lying, BTreeSet::from(["README.md".to_owned(), FILE.to_owned()]));
}

#[test]
fn the_task_s_card_reads_the_file_and_halves_it() {
    let data = load();
    let found = [&data.train, &data.validation, &data.test].map(Vec::len);
    assert_eq!(found, [PROBLEMS / 2, 0, PROBLEMS / 2]);
    for file in &data.files {
        assert_eq!((file.skipped, file.empty_fields), (0, 0), "{}", file.name);
    }
    for (row, example) in rows().iter().zip(data.train.iter().chain(&data.test)) {
        assert_eq!(example.source, field(row, "prompt"));
        assert_eq!(example.target, field(row, "canonical_solution"));
    }
}

#[test]
fn halves_share_no_function_and_both_have_many_families() {
    let rows = rows();
    let mut functions = HashSet::new();
    let mut names: [HashMap<&str, usize>; 2] = Default::default();
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(field(row, "task_id"), format!("MBPP/{}", index + 1));
        assert!(functions.insert(function(row)), "{row} occurs twice");
        assert!(field(row, "prompt").starts_with(&format!("def {}(", field(row, "entry_point"))));
        assert!(field(row, "prompt").contains(field(row, "description")));
        let half = usize::from(index >= PROBLEMS / 2);
        *names[half].entry(field(row, "entry_point")).or_default() += 1;
    }
    // Each of the 81 families has two or three names.
    for half in &names {
        assert!(half.len() > 81, "{half:?}");
        assert!(half.values().all(|count| *count < 10), "{half:?}");
    }
}

/// Runs every function with its tests, and with a body that is wrong in all of them; says of each how it went.
const JUDGE: &str = r#"
import json, sys
def passes(row, body):
    names = {}
    try:
        exec(row["prompt"] + body + row["test"], names)
        names["check"](names[row["entry_point"]])
        return True
    except Exception:
        return False
for line in sys.stdin:
    row = json.loads(line)
    print(int(passes(row, row["canonical_solution"])), int(passes(row, "    return None\n")))
"#;

/// The rows are this project's own, so that they need no sandbox.
#[test]
#[allow(clippy::print_stderr, reason = "a skipped test has to say so")]
fn every_solution_passes_its_own_tests_and_no_empty_one_does() {
    let mut command = Command::new("python3");
    command.args(["-I", "-c", JUDGE]);
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut python = match started {
        Ok(python) => python,
        Err(cause) => {
            eprintln!("skipped: python3: {cause}");
            return;
        }
    };
    let text = std::fs::read(committed().join(FILE)).unwrap();
    let mut input = python.stdin.take().unwrap();
    // The answers are shorter than a pipe holds, so that neither side waits for the other.
    input.write_all(&text).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let verdicts = String::from_utf8(output.stdout).unwrap();
    let rows = rows();
    assert_eq!(verdicts.lines().count(), rows.len());
    for (row, verdict) in rows.iter().zip(verdicts.lines()) {
        assert_eq!(verdict, "1 0", "{row}");
    }
}

/// Any correct program must give more than one answer, or a constant would pass.
#[test]
fn tests_expect_more_than_one_answer_and_hold_what_the_statement_shows() {
    for row in rows() {
        let asserts: Vec<&str> = field(&row, "test").lines().skip(1).collect();
        assert_eq!(asserts.len(), 5, "{row}");
        let answers: HashSet<&str> = asserts.iter().map(|line| line.split_once(" == ").unwrap().1).collect();
        assert!(answers.len() > 1, "{row}");
        let prompt: Vec<&str> = field(&row, "prompt").lines().collect();
        let shown = prompt.windows(2).filter(|pair| pair[0].starts_with("    >>> "));
        let name = field(&row, "entry_point");
        let shown: Vec<String> = shown
            .map(|pair| format!("{} == {}", pair[0].trim_start_matches("    >>> "), pair[1].trim()))
            .map(|call| format!("    assert {}", call.replacen(name, "candidate", 1)))
            .collect();
        assert_eq!(shown, asserts[..2], "{row}");
    }
}

#[test]
fn no_function_of_the_sample_is_in_the_rows_of_pretraining() {
    let rows = rows();
    let functions: HashSet<String> = rows.iter().map(function).collect();
    let base = base_rows(SEED, BASE).unwrap();
    let statements: HashSet<&str> = rows.iter().map(|row| field(row, "prompt")).collect();
    for (source, target) in &base {
        assert!(!functions.contains(&function_of(source, target)), "{source}{target}");
        assert!(!statements.contains(source.as_str()));
        assert!(!source.contains(">>>"), "a form of the sample's: {source}");
    }
    // What is compared has the same form: the functions of another seed's sample do occur.
    let other = files(SEED + 1, PROBLEMS).unwrap();
    let other: HashSet<String> = other[0]
        .text
        .lines()
        .map(|line| function(&serde_json::from_str(line).unwrap()))
        .collect();
    let base: HashSet<String> = base
        .iter()
        .map(|(source, target)| function_of(source, target))
        .collect();
    assert!(other.intersection(&base).count() > PROBLEMS / 4);
}

#[test]
fn the_small_llama_s_tokenizer_gives_every_row_and_every_byte_back() {
    let tokenizer = TextTokenizer::from_dir(&backbone()).unwrap();
    let check = |text: &str| -> usize {
        let ids = tokenizer.encode_continuation(text).unwrap();
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
        ids.len()
    };
    for row in rows() {
        let whole = format!("{}{}", field(&row, "prompt"), field(&row, "canonical_solution"));
        // With the end token, and a prompt of 20 virtual tokens.
        assert!(check(&whole) < 256, "{whole}");
    }
    check("\u{0}\u{7f}\u{ff}\u{7ff}\u{ffff}\u{10ffff}\tä漢");
    assert_eq!(tokenizer.vocab_size(), 512);
}

/// The tokenizer, whose training is a function of the rows; the weights are the outcome of training.
#[test]
fn the_small_llama_s_other_files_are_what_the_generator_writes() {
    let texts: Vec<String> = base_rows(SEED, BASE)
        .unwrap()
        .iter()
        .map(|(source, target)| format!("{source}{target}"))
        .collect();
    for (name, bytes) in llama::start(SEED, &texts).unwrap() {
        if name != llama::WEIGHTS {
            assert!(bytes == std::fs::read(backbone().join(name)).unwrap(), "{name} differs");
        }
    }
}

#[test]
fn a_seed_gives_its_own_rows_and_no_more_than_there_are() {
    assert_eq!(files(7, 100).unwrap(), files(7, 100).unwrap());
    assert_ne!(files(7, 100).unwrap(), files(8, 100).unwrap());
    assert!(files(7, 1_000_000).is_err());
    let base = base_files(7, 50).unwrap();
    let counts: Vec<(&str, usize)> = base
        .iter()
        .map(|file| (file.name.as_str(), file.text.lines().count()))
        .collect();
    assert_eq!(
        counts,
        [("train.jsonl", 50), ("validation.jsonl", 200), ("test.jsonl", 200)]
    );
}
