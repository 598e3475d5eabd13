//! A model's files record what it was trained with, and losses of its texts are reported.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::{Outcome, SHORT, adept, command, finish, fresh, json, sample};
use serde_json::Value;

/// A user's card: two labels, under a name that no built-in task has.
const CARD: &str = r#"
name = "songs"
display = "Songs"

[source]
max_length = 24
pieces = [{ marker = "sentence:", field = "text" }]

[target]
kind = "class"
classes = ["dull", "lovely"]

[split]
rule = "files-given"

[metrics]
all = ["accuracy"]
"#;

/// Writes the card and a file with its rows.
fn songs(folder: &Path) -> (PathBuf, PathBuf) {
    let (card, data) = (folder.join("mine/songs.toml"), folder.join("mine/songs.jsonl"));
    fs::create_dir_all(folder.join("mine")).expect("a writable folder");
    fs::write(&card, CARD).expect("a writable folder");
    let row = |number: usize| {
        let word = ["lovely", "dull"][number % 2];
        format!("{{\"text\": \"the sailor liked this {word} song\", \"label\": \"{word}\"}}\n")
    };
    fs::write(&data, (0..40).map(row).collect::<String>()).expect("a writable folder");
    (card, data)
}

/// Writes rows of source and target; `target` gives each target.
fn rows(file: &Path, target: impl Fn(usize) -> String) {
    let row = |number: usize| {
        let row = serde_json::json!({ "source": format!("the sailor liked film {number}"), "target": target(number) });
        format!("{row}\n")
    };
    fs::write(file, (0..40).map(row).collect::<String>()).expect("a writable folder");
}

/// The project's own T5, which generates text.
fn nano() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/backbones/t5-nano")
}

fn train(more: &[String]) -> Outcome {
    train_on(&sample().backbone, more)
}

fn train_on(backbone: &Path, more: &[String]) -> Outcome {
    let mut arguments = vec!["train".to_owned(), option("backbone", backbone)];
    arguments.extend(SHORT.iter().map(ToString::to_string));
    arguments.extend(more.iter().cloned());
    adept(arguments)
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// Runs a command with input from a pipe.
fn with_input(arguments: &[String], input: &str) -> Outcome {
    let mut program = command(arguments);
    program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = program.spawn().expect("the program is built by cargo for this test");
    let mut pipe = running.stdin.take().expect("it is piped");
    pipe.write_all(input.as_bytes()).expect("the program reads its input");
    drop(pipe);
    let output = running.wait_with_output().expect("the program ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

fn eval(more: &[String]) -> Outcome {
    let mut arguments = vec!["eval".to_owned(), "--json".to_owned()];
    arguments.extend(more.iter().cloned());
    adept(arguments)
}

fn scores(outcome: &Outcome) -> Value {
    serde_json::from_str::<Value>(&outcome.out).expect("one object")["scores"].clone()
}

#[test]
fn a_card_of_the_users_own_travels_in_the_adapter_and_no_path_does() {
    let (folder, out) = fresh("run");
    let (card, data) = songs(folder.path());
    train(&[option("task", &card), option("data", &data), option("out", &out)]).succeeded();
    let result = json(&out.join("result.json"));
    assert_eq!(result["task"], "songs");
    let config = fs::read_to_string(out.join("best/adapter_config.json")).expect("an adapter");
    let named = folder.path().display().to_string();
    assert!(!config.contains(&named) && !config.contains("songs.toml"), "{config}");
    let tensors = fs::read(out.join("best/adapter_model.safetensors")).expect("an adapter");
    assert!(
        !String::from_utf8_lossy(&tensors).contains(&named),
        "nor in the copy beside the tensors"
    );
    let config: Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["adept"]["task"], "songs");
    assert_eq!(config["adept"]["trained"]["labels"], serde_json::json!(["0", "1"]));

    // The card's file is gone, but the adapter contains its labels, lengths and metric.
    fs::remove_file(&card).expect("it was there");
    let (adapter, backbone) = (
        option("adapter", &out.join("best")),
        option("backbone", &sample().backbone),
    );
    let scored = eval(&[adapter.clone(), backbone.clone(), option("data", &data)]).succeeded();
    assert_eq!(scores(&scored), result["test"]);
    assert!(!scored.err.contains("overriding"), "{}", scored.err);
    let predict = |more: &[&str]| {
        let mut arguments = vec!["predict".to_owned(), adapter.clone(), backbone.clone()];
        arguments.extend(more.iter().map(ToString::to_string));
        with_input(&arguments, "sentence: the sailor liked this dull song\n").succeeded()
    };
    assert!(["0\n", "1\n"].contains(&predict(&["--labels"]).out.as_str()));
    let shown = adept(["inspect".to_owned(), out.join("best").display().to_string()])
        .succeeded()
        .out;
    for expected in [
        "songs (Songs), a card of its own",
        "sentence: {text}",
        "0 dull, 1 lovely",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }

    // Overrides win, and are reported in one line.
    let told = predict(&["--max-source-length=4", "--max-new-tokens=3", "--generate"]);
    for expected in [
        "overriding the training's settings: input.max_source_length = 4 (32 in training), evaluation.max_new_tokens = 3",
        "1 of 1 input sources are cut to 4 tokens",
    ] {
        assert!(told.err.contains(expected), "{expected}: {}", told.err);
    }
    assert_eq!(predict(&["--max-source-length=4", "--quiet"]).err, "");
}

#[test]
fn an_answer_is_as_long_as_those_of_the_training() {
    let (folder, out) = fresh("run");
    let data = folder.path().join("rows.jsonl");
    rows(&data, |_| "film ".repeat(35).trim().to_owned());
    let mut arguments = vec![option("data", &data), option("out", &out), "--method=full".to_owned()];
    arguments.extend(
        [
            "train.steps=12",
            "evaluation.every=12",
            "optimizer.full.warmup_steps=0",
            "optimizer.full.learning_rate=0.01",
            "input.max_target_length=40",
        ]
        .map(|set| format!("--set={set}")),
    );
    train_on(&nano(), &arguments).succeeded();
    let best = out.join("best");
    let words = |more: &[&str]| {
        let mut arguments = vec!["predict".to_owned(), option("backbone", &best)];
        arguments.extend(more.iter().map(ToString::to_string));
        let outcome = with_input(&arguments, "the sailor liked film 3\n").succeeded();
        (outcome.out.split_whitespace().count(), outcome.err)
    };
    let (own, said) = words(&[]);
    assert!(own > 20 && said.is_empty(), "{own} words: {said}");
    let (told, said) = words(&["--max-new-tokens=20"]);
    assert!(told <= 20, "{told}");
    assert_eq!(
        said,
        "overriding the training's settings: evaluation.max_new_tokens = 20 (40 in training)\n"
    );
    // A folder without this record uses the defaults.
    fs::remove_file(best.join("trained.json")).expect("it is there");
    assert_eq!(words(&[]), (told, String::new()));
}

#[test]
fn lengths_travel_in_adapters_and_those_of_before_still_load() {
    let (folder, out) = fresh("run");
    let data = folder.path().join("rows.jsonl");
    rows(&data, |number| format!("film {number} ").repeat(8).trim().to_owned());
    let lengths = "--set=input.max_target_length=40".to_owned();
    train(&[option("data", &data), option("out", &out), lengths]).succeeded();
    let (adapter, backbone) = (
        option("adapter", &out.join("best")),
        option("backbone", &sample().backbone),
    );
    let predict = |more: &[&str]| {
        let mut arguments = vec!["predict".to_owned(), adapter.clone(), backbone.clone()];
        arguments.extend(more.iter().map(ToString::to_string));
        with_input(&arguments, "the sailor liked film\n").succeeded()
    };
    assert_eq!(predict(&[]).err, "");
    assert_eq!(predict(&["--max-new-tokens=40", "--max-source-length=32"]).err, "");
    let told = predict(&["--max-new-tokens=20"]).err;
    assert!(
        told.contains("evaluation.max_new_tokens = 20 (40 in training)"),
        "{told}"
    );
    let result = json(&out.join("result.json"))["test"].clone();
    let scored = eval(&[adapter.clone(), backbone.clone(), option("data", &data)]).succeeded();
    assert_eq!(scores(&scored), result);
    assert!(!scored.err.contains("overriding"), "{}", scored.err);
    let told = eval(&[
        adapter.clone(),
        backbone.clone(),
        option("data", &data),
        "--set=input.max_target_length=20".to_owned(),
    ]);
    let told = told.succeeded().err;
    assert!(told.contains("input.max_target_length = 20 (40 in training)"), "{told}");
    assert!(told.contains("test targets are cut to 20 tokens"), "{told}");

    // Written by an older version of the program.
    let path = out.join("best/adapter_config.json");
    let mut config = json(&path);
    config["adept"]["format_version"] = 1.into();
    config["adept"].as_object_mut().expect("an object").remove("trained");
    fs::write(&path, config.to_string()).expect("a writable folder");
    assert_eq!(predict(&["--max-new-tokens=20"]).err, "");
    eval(&[adapter.clone(), backbone.clone(), option("data", &data)]).succeeded();

    // An unreadable record is reported.
    config["adept"]["trained"] = serde_json::json!({ "family": "t5" });
    fs::write(&path, config.to_string()).expect("a writable folder");
    let arguments = ["predict".to_owned(), adapter, backbone];
    finish(command(arguments)).failed(2, &["adapter_config.json", "adept.trained", "task"]);
}

#[test]
fn a_backbone_that_was_trained_whole_says_with_what() {
    let (folder, out) = fresh("run");
    let (card, data) = songs(folder.path());
    let more = [
        option("task", &card),
        option("data", &data),
        option("out", &out),
        "--method=full".to_owned(),
    ];
    train(&more).succeeded();
    let best = out.join("best");
    let trained = fs::read_to_string(best.join("trained.json")).expect("beside the weights");
    assert!(!trained.contains(&folder.path().display().to_string()), "{trained}");
    let scored = eval(&[option("backbone", &best), option("data", &data)]).succeeded();
    assert_eq!(scores(&scored), json(&out.join("result.json"))["test"]);
    let shown = adept(["inspect".to_owned(), best.display().to_string()])
        .succeeded()
        .out;
    assert!(shown.contains("songs (Songs), a card of its own"), "{shown}");
    fs::write(best.join("trained.json"), "{}").expect("a writable folder");
    eval(&[option("backbone", &best), option("data", &data)]).failed(2, &["trained.json", "family"]);
}

#[test]
fn what_targets_lose_is_said_once_before_training_and_is_in_the_record() {
    let (folder, out) = fresh("runs");
    let data = folder.path().join("rows.jsonl");
    let run_on = |backbone: &Path, name: &str, more: &[&str]| {
        let mut arguments = vec![option("data", &data), option("out", &out.join(name))];
        arguments.extend(more.iter().map(ToString::to_string));
        let outcome = train_on(backbone, &arguments).succeeded();
        let record = fs::read_to_string(out.join(name).join("record.jsonl")).expect("a record");
        let start: Value = serde_json::from_str(record.lines().next().expect("a line")).expect("JSON");
        (outcome.err, start["losses"].clone())
    };
    let run = |name: &str, more: &[&str]| run_on(&sample().backbone, name, more);
    rows(&data, |number| format!("{{\"film\": {number}}}"));
    let (said, recorded) = run("unknown", &[]);
    assert_eq!(said.matches("<unk>)").count(), 3, "a line for each split: {said}");
    assert!(
        said.contains("training targets have characters that the vocabulary has no token for (<unk>)"),
        "{said}"
    );
    assert_eq!(recorded[0]["split"], "training");
    assert_eq!(
        (&recorded[0]["losses"][0]["kind"], &recorded[0]["losses"][0]["text"]),
        (&"unknown".into(), &"target".into())
    );
    assert_eq!(run("quiet", &["--quiet"]), (String::new(), recorded));

    rows(&data, |number| format!("film {number} ").repeat(8).trim().to_owned());
    let (said, recorded) = run("cut", &[]);
    assert!(
        said.contains("training targets are cut to 20 tokens") && said.contains("row "),
        "{said}"
    );
    assert_eq!(
        (&recorded[0]["losses"][0]["kind"], &recorded[0]["losses"][0]["limit"]),
        (&"cut".into(), &20.into())
    );

    rows(&data, |number| format!("a\nfilm  {number}"));
    let (said, _) = run_on(&nano(), "altered", &["--set=train.steps=1"]);
    assert!(said.contains("are changed by the tokenizer"), "{said}");

    rows(&data, |number| format!("film {}", number % 10));
    let (said, recorded) = run("lossless", &[]);
    assert!(!said.contains("targets") && !said.contains("sources"), "{said}");
    assert_eq!(recorded, Value::Null);
}

#[test]
fn a_grid_takes_a_card_of_the_users_own_to_its_report() {
    let (folder, out) = fresh("grid");
    let (card, file) = songs(folder.path());
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("songs")).expect("a writable folder");
    fs::rename(&file, data.join("songs/train.jsonl")).expect("a writable folder");
    for name in ["validation", "test"] {
        fs::copy(data.join("songs/train.jsonl"), data.join(format!("songs/{name}.jsonl"))).expect("a writable folder");
    }
    crate::common::copy(&sample().data.join("RTE"), &data.join("RTE"));
    let grid = |tasks: &str, out: &Path| {
        let mut arguments: Vec<String> = [
            "reproduce",
            "glue",
            "--profile=paper",
            "--methods=pt,adept",
            "--seeds=42,",
        ]
        .map(str::to_owned)
        .into();
        arguments.extend([
            "--steps=2".to_owned(),
            format!("--tasks={tasks}"),
            option("data", &data),
            option("backbone", &sample().backbone),
            option("out", out),
        ]);
        let sets = SHORT
            .iter()
            .filter(|set| !set.contains("steps") && !set.contains("every"));
        arguments.extend(sets.map(ToString::to_string));
        adept(arguments)
    };
    let tasks = format!("{},rte", card.display());
    let first = grid(&tasks, &out).succeeded();
    assert!(first.out.contains("songs"), "{}", first.out);
    let results = json(&out.join("results.json"));
    assert_eq!(results["tasks"], serde_json::json!(["rte", "songs"]));
    assert_eq!(results["runs"].as_array().map(Vec::len), Some(4));
    let cell = &results["rows"][0]["cells"]["songs"];
    assert!(
        cell["measured"]["mean"].is_number() && cell["paper"].is_null(),
        "{cell}"
    );
    // The records suffice without the card's file, and a finished grid is skipped.
    let again = grid(&tasks, &out).succeeded();
    assert!(again.err.contains("0 to do, 0 to resume, 4 done"), "{}", again.err);
    let report = fs::read_to_string(out.join("report.md")).expect("a report");
    fs::remove_file(out.join("report.md")).expect("it was there");
    let aside = folder.path().join("aside.toml");
    fs::rename(&card, &aside).expect("a writable folder");
    adept(["report".to_owned(), option("out", &out)]).succeeded();
    assert_eq!(fs::read_to_string(out.join("report.md")).expect("a report"), report);
    // The card has changed, so these are different runs.
    fs::write(&card, CARD.replace("sentence:", "sentence1:")).expect("a writable folder");
    grid(&tasks, &out).failed(2, &["task's card", "choose another folder"]);

    // Names that would share a folder.
    let other = folder.path().join("other.toml");
    fs::write(&other, CARD.replace("sentence:", "sentence1:")).expect("a writable folder");
    let fails = |tasks: String, fragments: &[&str]| {
        let elsewhere = folder.path().join("elsewhere");
        grid(&tasks, &elsewhere).failed(2, fragments);
        assert!(!elsewhere.exists(), "nothing is written");
    };
    fs::rename(&aside, &card).expect("a writable folder");
    let both = format!("{},{}", card.display(), other.display());
    fails(both, &["have the same name, `songs`", "other.toml", "songs.toml"]);
    for name in ["rte", "SST-2"] {
        fs::write(&other, CARD.replace("\"songs\"", &format!("\"{name}\""))).expect("a writable folder");
        fails(
            other.display().to_string(),
            &["other.toml", "the built-in task", "have the same name"],
        );
    }
}
