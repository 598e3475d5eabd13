//! A task of programs on a decoder-only backbone, from a user's card to pass@1, and what is refused.
//!
//! The backbone is CodeGen's golden folder, whose weights are random, so it does not generate valid Python. To cover
//! every verdict, a finished run is made to judge programs from this test.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Outcome, command, finish, fresh, json, sample};
use serde_json::{Value, json as value};

/// A task with twelve functions that add or multiply: six for training, six for testing.
const CARD: &str = r#"
name = "little"
display = "Little"
about = "Functions of one line."

[source]
max_length = 96
pieces = [{ field = "prompt" }]

[target]
kind = "program"
field = "solution"
tests = ["test"]
entry_point = "name"
max_length = 24

[split]
rule = "halve-train"

[metrics]
all = ["pass_at_1"]

[[forms]]
name = "own"
format = "jsonl"
files = { train = ["problems"] }
"#;
const PROBLEMS: usize = 12;

/// Writes the card and its problems to a folder. `test_of` returns the body of a problem's `check`.
fn task(folder: &Path, test_of: impl Fn(usize) -> String) -> (PathBuf, PathBuf) {
    let (card, data) = (folder.join("little.toml"), folder.join("data/little"));
    fs::create_dir_all(&data).expect("a writable folder");
    fs::write(&card, CARD).expect("a writable folder");
    let row = |number: usize| {
        let row = value!({
            "prompt": format!("def f{number}(x):\n"),
            "solution": format!("    return x + {number}\n"),
            "test": format!("def check(candidate):\n    {}\n", test_of(number)),
            "name": format!("f{number}"),
        });
        format!("{row}\n")
    };
    let rows: String = (0..PROBLEMS).map(row).collect();
    fs::write(data.join("problems.jsonl"), rows).expect("a writable folder");
    (card, folder.join("data"))
}

/// The problem that gets a slow program.
const SLOW: usize = 10;

/// Passes the answer back to the function. The pause gives programs more than the shortest limit, which is four times
/// the solution's time.
fn twice(number: usize) -> String {
    let pause = if number == SLOW {
        "__import__('time').sleep(3)\n    "
    } else {
        ""
    };
    format!("{pause}assert candidate(candidate(1)) == {}", 1 + 2 * number)
}

fn codegen() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/codegen")
}

fn run(task: &Path, data: &Path, backbone: &Path, out: &Path, more: &[&str]) -> Outcome {
    let mut arguments = vec!["train".to_owned()];
    for (key, path) in [("task", task), ("data", data), ("backbone", backbone), ("out", out)] {
        arguments.push(format!("--{key}={}", path.display()));
    }
    let short = [
        "--set=train.steps=3",
        "--set=train.batch_size=2",
        "--set=adapter.virtual_tokens=4",
        "--set=adapter.rank=2",
        "--set=evaluation.batch_size=4",
        "--set=evaluation.max_new_tokens=6",
    ];
    arguments.extend(short.iter().chain(more).map(ToString::to_string));
    finish(command(arguments))
}

/// Whether the machine supports the sandbox; a skipped test says so.
#[allow(clippy::print_stderr, reason = "a skipped test has to say so")]
fn holds(outcome: Outcome) -> Option<Outcome> {
    if outcome.code != Some(0) && outcome.err.contains("the sandbox: ") {
        assert!(
            std::env::var_os("ADEPT_SANDBOX_REQUIRED").is_none(),
            "no sandbox here: {}",
            outcome.err
        );
        eprintln!("skipped: {}", outcome.err);
        return None;
    }
    Some(outcome)
}

#[test]
fn programs_are_trained_on_written_and_judged() {
    let (folder, out) = fresh("run");
    let (card, data) = task(folder.path(), twice);
    let more = ["--method=adept"];
    let Some(outcome) = holds(run(&card, &data, &codegen(), &out, &more)) else {
        return;
    };
    let first = outcome.succeeded();
    assert!(first.out.contains("pass_at_1"), "{}", first.out);
    let result = json(&out.join("result.json"));
    assert_eq!(
        result["test"],
        value!({"pass_at_1": 0.0}),
        "random weights write no Python"
    );
    let adapter = json(&out.join("best/adapter_config.json"));
    assert_eq!(
        adapter["task_type"], "CAUSAL_LM",
        "peft builds the class that this names"
    );
    let trained = &adapter["adept"]["trained"];
    assert_eq!(
        (&trained["family"], &trained["task"]),
        (&value!("codegen"), &value!("little"))
    );
    assert_eq!(trained["settings"]["generation.repetition_penalty"], 1.0);
    let written = fs::read_to_string(out.join("completions.jsonl")).expect("they are kept");
    let written: Vec<Value> = written
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let judged = json(&out.join("judged.json"));
    let judged = judged.as_array().expect("a list");
    assert_eq!((written.len(), judged.len()), (PROBLEMS / 2, PROBLEMS / 2));
    assert!(
        written
            .iter()
            .all(|one| (1..=6).contains(&one["tokens"].as_u64().unwrap_or(0)))
    );

    // The adapter alone, and the bare model, which writes other programs.
    let told = [("task", &card), ("data", &data)];
    let eval = |more: &[String]| {
        let mut arguments = vec!["eval".to_owned(), format!("--backbone={}", codegen().display())];
        arguments.extend(told.map(|(key, path)| format!("--{key}={}", path.display())));
        arguments.push("--set=evaluation.max_new_tokens=6".to_owned());
        arguments.extend_from_slice(more);
        finish(command(arguments))
    };
    let as_json = "--json".to_owned();
    let again = eval(&[format!("--adapter={}", out.join("best").display()), as_json.clone()]).succeeded();
    let again: Value = serde_json::from_str(&again.out).expect("an object");
    assert_eq!(again["scores"], result["test"]);
    assert_eq!(again["programs"], result["programs"]);
    assert_eq!(again["throughput"]["tokens"], result["throughput"]["tokens"]);
    assert_eq!(again["examples"], PROBLEMS / 2);
    let bare: Value = serde_json::from_str(&eval(&[as_json]).succeeded().out).expect("an object");
    assert_eq!(bare["scores"], value!({"pass_at_1": 0.0}));
    let told = eval(&[]).succeeded();
    let begins = format!("little test, {} problems: pass_at_1 0.00\n", PROBLEMS / 2);
    assert!(told.out.starts_with(&begins), "{}", told.out);
    assert!(told.err.contains(" tokens written in "), "{}", told.err);
    eval(&["--split=validation".to_owned()]).failed(2, &["task `little` has no other split than test"]);

    // The same run with these programs in place of the model's.
    let numbers: Vec<usize> = judged
        .iter()
        .map(|one| one["problem"].as_u64().expect("a number") as usize)
        .collect();
    assert_eq!(numbers[4], SLOW, "the second half, in its order");
    let right = |place: usize| format!("    return x + {}", numbers[place]);
    let ours = [
        (right(0), "pass"),
        (right(1), "pass"),
        ("    return x".to_owned(), "fail"),
        ("    while True: pass".to_owned(), "timeout"),
        // A long answer can be passed back; one that is too long is the program's fault, not the tests'.
        ("    return 'x' * ((128 << 20) + 1)".to_owned(), "fail"),
        ("    return x +".to_owned(), "syntax error"),
    ];
    let line = |(number, (program, _)): (&usize, &(String, &str))| {
        let line = value!({"problem": number, "sample": 0, "completion": program, "tokens": 1});
        format!("{line}\n")
    };
    let lines: String = numbers.iter().zip(&ours).map(line).collect();
    fs::write(out.join("completions.jsonl"), lines).expect("a writable folder");
    fs::remove_file(out.join("result.json")).expect("it is there");
    run(&card, &data, &codegen(), &out, &more).succeeded();
    let judged = json(&out.join("judged.json"));
    let found = judged.as_array().expect("a list");
    for (one, (program, expected)) in found.iter().zip(&ours) {
        assert_eq!(one["outcome"], *expected, "{program}: {one}");
    }
    assert!(
        found[4]["message"]
            .as_str()
            .is_some_and(|said| said.contains("too long to be handed over")),
        "{}",
        found[4]
    );
    let scores = &json(&out.join("result.json"))["test"];
    assert_eq!(*scores, value!({"pass_at_1": 100.0 * 2.0 / 6.0}));
}

/// Tests that cannot be split between the two interpreters leave programs without a verdict: they are counted with the
/// reason, and the run continues.
#[test]
fn programs_without_a_verdict_are_counted_and_named() {
    let (folder, out) = fresh("run");
    let (card, data) = task(folder.path(), |number| match number % 2 {
        0 => "candidate(object())".to_owned(),
        _ => twice(number),
    });
    let more = ["--method=pt", "--set=adapter.rank=0"];
    let Some(outcome) = holds(run(&card, &data, &codegen(), &out, &more)) else {
        return;
    };
    outcome.succeeded();
    let numbers: Vec<usize> = (PROBLEMS / 2..PROBLEMS).collect();
    let line = |number: &usize| {
        let program = format!("    return x + {number}");
        let line = value!({"problem": number, "sample": 0, "completion": program, "tokens": 1});
        format!("{line}\n")
    };
    let lines: String = numbers.iter().map(line).collect();
    fs::write(out.join("completions.jsonl"), lines).expect("a writable folder");
    fs::remove_file(out.join("result.json")).expect("it is there");
    let again = run(&card, &data, &codegen(), &out, &more).succeeded();
    assert!(
        again.err.contains("3 programs were not judged and count as not passed"),
        "{}",
        again.err
    );
    let judged = json(&out.join("judged.json"));
    for one in judged.as_array().expect("a list") {
        let is_odd = one["problem"].as_u64().expect("a number") % 2 == 1;
        let expected = if is_odd { "pass" } else { "unsupported" };
        assert_eq!(one["outcome"], expected, "{one}");
        let said = one["message"].as_str().unwrap_or_default();
        assert_eq!(said.contains("a value of type object"), !is_odd, "{one}");
    }
    let result = json(&out.join("result.json"));
    assert_eq!(result["test"], value!({"pass_at_1": 50.0}), "of all six");
    let reason = "a value of type object cannot be handed to the program";
    assert_eq!(
        result["programs"],
        value!({"outcomes": {"pass": 3, "unsupported": 3}, "unsupported": {reason: 3}})
    );
}

/// Tests that are not valid Python are the task's fault: the run ends and names the problem.
#[test]
fn tests_that_cannot_be_read_end_the_run() {
    let (folder, out) = fresh("run");
    let (card, data) = task(folder.path(), |_| "candidate(".to_owned());
    let Some(outcome) = holds(run(
        &card,
        &data,
        &codegen(),
        &out,
        &["--method=pt", "--set=adapter.rank=0"],
    )) else {
        return;
    };
    outcome.failed(2, &["problem ", "the tests are not valid Python: SyntaxError"]);
    assert!(!out.join("result.json").exists());
}

/// A class whose method becomes `exec` once another method has passed it text that would report a pass: the text runs
/// where it cannot report anything.
#[test]
fn a_forged_pass_is_none() {
    let (folder, out) = fresh("run");
    let uses = "s = candidate()\n    s.push(1)\n    s.push(s.pop())\n    assert s.pop() == 1";
    let (card, data) = task(folder.path(), |_| uses.to_owned());
    let more = ["--method=pt", "--set=adapter.rank=0"];
    let Some(outcome) = holds(run(&card, &data, &codegen(), &out, &more)) else {
        return;
    };
    outcome.succeeded();
    let forgery = "__import__('sys').modules['__main__'].tell(b'P') or __import__('os')._exit(0)";
    let line = |number: usize| {
        let (push, pop) = match number % 2 {
            0 => ("self.push = exec".to_owned(), format!("return {forgery:?}")),
            _ => ("self.x = x".to_owned(), "return self.x".to_owned()),
        };
        let program = format!("    pass\nclass f{number}:\n    def push(self, x): {push}\n    def pop(self): {pop}\n");
        let line = value!({"problem": number, "sample": 0, "completion": program, "tokens": 1});
        format!("{line}\n")
    };
    let lines: String = (PROBLEMS / 2..PROBLEMS).map(line).collect();
    fs::write(out.join("completions.jsonl"), lines).expect("a writable folder");
    fs::remove_file(out.join("result.json")).expect("it is there");
    run(&card, &data, &codegen(), &out, &more).succeeded();
    assert_eq!(
        json(&out.join("result.json"))["test"],
        value!({"pass_at_1": 50.0}),
        "the honest half"
    );
}

#[test]
fn tasks_and_backbones_that_do_not_go_together_are_refused() {
    let (folder, out) = fresh("run");
    let (card, data) = task(folder.path(), twice);
    let outcome = run(&card, &data, &sample().backbone, &out, &[]);
    let Some(outcome) = holds(outcome) else { return };
    outcome.failed(
        2,
        &["little.toml`: its targets are programs, which need a decoder-only backbone"],
    );
    assert!(!out.join("result.json").exists());
}

/// MBPP's original format with its own card: a program of several functions, whose tests use its definitions and
/// imports.
#[test]
fn programs_in_the_original_form_of_mbpp_are_read_and_judged() {
    let (folder, out) = fresh("run");
    let data = folder.path().join("data");
    fs::create_dir_all(&data).expect("a writable folder");
    let row = |number: usize| {
        let row = value!({
            "text": "Add.",
            "code": format!("import math\r\ndef one():\r\n  return 1\r\ndef f(x):\r\n  return x + {number} * one()"),
            "task_id": number,
            "test_setup_code": "limit = math.inf",
            "test_list": [format!("assert f(1) == {}", 1 + number), "assert f(1) < limit"],
            "challenge_test_list": [],
        });
        format!("{row}\n")
    };
    let rows: String = (0..4).map(row).collect();
    fs::write(data.join("mbpp.jsonl"), rows).expect("a writable folder");
    let outcome = run(Path::new("mbpp_original"), &data, &codegen(), &out, &["--method=dept"]);
    let Some(outcome) = holds(outcome) else { return };
    outcome.succeeded();
    let judged = json(&out.join("judged.json"));
    let problems: Vec<usize> = judged
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["problem"].as_u64().expect("a number") as usize)
        .collect();
    assert_eq!(problems.len(), 2);
    let ours = |number: &usize| {
        let program = format!("def f(x):\n  return two(x) + {number}\ndef two(x):\n  return x\n");
        let line = value!({"problem": number, "sample": 0, "completion": program, "tokens": 1});
        format!("{line}\n")
    };
    let lines: String = problems.iter().map(ours).collect();
    fs::write(out.join("completions.jsonl"), lines).expect("a writable folder");
    fs::remove_file(out.join("result.json")).expect("it is there");
    run(Path::new("mbpp_original"), &data, &codegen(), &out, &["--method=dept"]).succeeded();
    assert_eq!(json(&out.join("result.json"))["test"], value!({"pass_at_1": 100.0}));
}

/// The shell limits a program to fewer open files than the sandbox promises.
#[test]
fn a_sandbox_that_is_not_whole_is_refused_or_named() {
    let (folder, out) = fresh("run");
    let (card, data) = task(folder.path(), twice);
    let run = |more: &[&str]| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "ulimit -n 60 && exec \"$0\" \"$@\""]);
        let paths = [
            ("task", &card),
            ("data", &data),
            ("backbone", &codegen()),
            ("out", &out),
        ];
        let paths = paths.map(|(key, path)| format!("--{key}={}", path.display()));
        let short = [
            "--set=train.steps=1",
            "--set=train.batch_size=2",
            "--set=evaluation.max_new_tokens=2",
            "-q",
        ];
        let adept = command(std::iter::empty::<&str>());
        shell
            .arg(adept.get_program())
            .arg("train")
            .args(paths)
            .args(short)
            .args(more);
        for (name, value) in adept.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        finish(shell)
    };
    let refused = run(&[]);
    if !refused.err.contains("the sandbox lacks rlimits (") {
        holds(refused);
        return;
    }
    refused.failed(
        2,
        &["may have 60 at most", "`ulimit`", "hint: `--allow-missing-layers`"],
    );
    assert!(!out.join("result.json").exists());
    let outcome = run(&["--allow-missing-layers"]).succeeded();
    let warning = "warning: what the model writes will run in a sandbox that lacks\n  rlimits (RLIMIT_NOFILE: ";
    assert!(outcome.err.contains(warning), "{}", outcome.err);
    let record = fs::read_to_string(out.join("record.jsonl")).expect("a record");
    let start: Value = serde_json::from_str(record.lines().next().unwrap_or_default()).expect("an object a line");
    for missing in [
        &start["missing_layers"],
        &json(&out.join("result.json"))["missing_layers"],
    ] {
        assert_eq!(missing.as_array().map(Vec::len), Some(1), "{missing}");
        assert_eq!(missing[0]["layer"], "rlimits");
        assert!(
            missing[0]["remedy"]
                .as_str()
                .is_some_and(|said| said.contains("ulimit")),
            "{missing}"
        );
    }
}
