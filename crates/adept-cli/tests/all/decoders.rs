//! Label, score and text tasks on decoder-only backbones: training, scoring, prediction, templates.

use std::fs;
use std::path::{Path, PathBuf};

use adept_core::Method;
use adept_train::config::TrainMethod;
use serde_json::{Value, json as value};

use crate::common::{Outcome, adept, command, copy, finish, fresh, json, sample};

fn golden(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/goldens")
        .join(family)
}

/// A card with two classes, for sentences whose first word decides.
const CARD: &str = r#"
name = "weather"
template = "{source}\nGood? {target}"
[source]
pieces = [{ field = "text" }]
[target]
kind = "class"
field = "verdict"
classes = ["bad", "good"]
[metrics]
all = ["accuracy"]
"#;

/// Writes the card and its rows to `folder`.
fn weather(folder: &Path) -> (PathBuf, PathBuf) {
    let (card, data) = (folder.join("weather.toml"), folder.join("rows.jsonl"));
    fs::write(&card, CARD).expect("a writable folder");
    let row = |number: usize| {
        let (word, verdict) = [("rain", "bad"), ("sun", "good")][number / 3 % 2];
        let rest = ["over the hill", "again", "", "on a long and quiet day"][number % 4];
        format!("{}\n", value!({"text": format!("{word} {rest}"), "verdict": verdict}))
    };
    fs::write(&data, (0..240).map(row).collect::<String>()).expect("a writable folder");
    (card, data)
}

const SHORT: &[&str] = &[
    "--set=train.steps=4",
    "--set=evaluation.every=2",
    "--set=train.batch_size=4",
    "--set=adapter.virtual_tokens=3",
    "--set=adapter.rank=2",
    "--set=input.max_source_length=48",
    "--set=evaluation.batch_size=16",
    "--set=evaluation.method=auto",
];

fn with(word: &str, paths: &[(&str, &Path)], more: &[&str]) -> Vec<String> {
    let paths = paths.iter().map(|(key, path)| format!("--{key}={}", path.display()));
    let more = more.iter().map(ToString::to_string);
    std::iter::once(word.to_owned()).chain(paths).chain(more).collect()
}

fn train(task: &Path, data: &Path, backbone: &Path, out: &Path, more: &[&str]) -> Outcome {
    let paths = [("task", task), ("data", data), ("backbone", backbone), ("out", out)];
    adept(with("train", &paths, &[SHORT, more].concat()))
}

#[test]
fn labels_are_learnt_scored_and_predicted_with_every_method_of_adapters() {
    for (family, method) in [("llama", "adept"), ("codegen", "dept"), ("llama_tied", "pt")] {
        let (folder, out) = fresh("run");
        let (card, data) = weather(folder.path());
        let backbone = golden(family);
        let method = format!("--method={method}");
        let rank = if family == "llama_tied" {
            "--set=adapter.rank=0"
        } else {
            "--set=adapter.rank=2"
        };
        train(&card, &data, &backbone, &out, &[&method, rank]).succeeded();
        let result = json(&out.join("result.json"));
        let adapter = json(&out.join("best/adapter_config.json"));
        assert_eq!(adapter["task_type"], "CAUSAL_LM");
        let trained = &adapter["adept"]["trained"];
        assert_eq!(trained["labels"], value!(["0", "1"]));
        assert!(
            trained["card"]
                .as_str()
                .is_some_and(|card| card.contains("Good? {target}")),
            "the template travels with the card: {trained}"
        );
        // Evaluating the adapter alone gives the same score.
        let best = out.join("best");
        let paths = [("data", data.as_path()), ("backbone", &backbone), ("adapter", &best)];
        let found: Value =
            serde_json::from_str(&adept(with("eval", &paths, &["--json"])).succeeded().out).expect("JSON");
        assert_eq!(found["scores"], result["test"], "{family}");
        // ADePT's offsets can be looked up; DePT's depend on positions.
        let folded = adept(with(
            "eval",
            &paths,
            &["--json", "--set=evaluation.folded_vocabulary=true"],
        ));
        if family == "codegen" {
            folded.failed(
                2,
                &["evaluation.folded_vocabulary", "DePT's offsets depend on the position"],
            );
        } else {
            let found: Value = serde_json::from_str(&folded.succeeded().out).expect("JSON");
            assert_eq!(found["scores"], result["test"], "{family}");
        }
        // Every line gets one of the labels, whatever its length.
        let texts = folder.path().join("texts");
        fs::write(
            &texts,
            "rain again\n\nsun over the hill and far away and far away and far away and farther\n",
        )
        .expect("a folder");
        let paths = [("input", texts.as_path()), ("backbone", &backbone), ("adapter", &best)];
        let answers = adept(with("predict", &paths, &[])).succeeded().out;
        assert_eq!(answers.lines().count(), 3, "{answers}");
        assert!(answers.lines().all(|line| ["0", "1"].contains(&line)), "{answers}");
    }
}

/// Full fine-tuning of a small decoder learns what the first word means and gives a backbone that answers without an
/// adapter.
#[test]
fn a_decoder_trained_whole_learns_a_task() {
    let (folder, out) = fresh("run");
    let (card, data) = weather(folder.path());
    let more = [
        "--method=full",
        "--set=train.steps=120",
        "--set=evaluation.every=60",
        "--set=train.batch_size=16",
        "--set=optimizer.full.learning_rate=0.003",
        "--set=optimizer.full.warmup_steps=5",
        "--set=evaluation.method=generate",
    ];
    train(&card, &data, &golden("llama"), &out, &more).succeeded();
    let result = json(&out.join("result.json"));
    let accuracy = result["test"]["accuracy"].as_f64().expect("a number");
    assert!(accuracy > 95.0, "two words tell the classes apart: {accuracy}");
    let best = out.join("best");
    let texts = folder.path().join("texts");
    fs::write(&texts, "rain again\nsun again\n").expect("a folder");
    let by_labels = adept(with(
        "predict",
        &[("input", &texts), ("backbone", &best)],
        &["--labels"],
    ))
    .succeeded();
    assert_eq!(by_labels.out, "0\n1\n");
    // It has learnt to generate them and to stop.
    let written = adept(with(
        "predict",
        &[("input", &texts), ("backbone", &best)],
        &["--generate"],
    ))
    .succeeded();
    assert_eq!(written.out, "0\n1\n");
    let paths = [("data", data.as_path()), ("backbone", &best)];
    let found: Value = serde_json::from_str(&adept(with("eval", &paths, &["--json"])).succeeded().out).expect("JSON");
    assert_eq!(found["scores"], result["test"]);
}

#[test]
fn a_bare_decoder_is_scored_and_answers() {
    let (folder, _) = fresh("run");
    let (card, data) = weather(folder.path());
    let backbone = golden("codegen");
    let paths = [("data", data.as_path()), ("backbone", &backbone), ("task", &card)];
    let short = ["--set=input.max_source_length=48", "--json"];
    let found: Value = serde_json::from_str(&adept(with("eval", &paths, &short)).succeeded().out).expect("JSON");
    assert!(found["scores"]["accuracy"].is_number(), "{found}");
    let texts = folder.path().join("texts");
    fs::write(&texts, "one\n\nthree three three\n").expect("a folder");
    let paths = [("input", texts.as_path()), ("backbone", &backbone)];
    let answers = adept(with(
        "predict",
        &paths,
        &["--max-source-length=64", "--max-new-tokens=5"],
    ))
    .succeeded();
    assert_eq!(answers.out.lines().count(), 3, "{}", answers.out);
    let chosen = adept(with(
        "predict",
        &paths,
        &["--task=rte", "--labels", "--max-source-length=64"],
    ))
    .succeeded();
    assert!(
        chosen.out.lines().all(|line| ["0", "1"].contains(&line)),
        "{}",
        chosen.out
    );
}

/// GLUE's sample: labels by scoring, similarities as text, your own file without a card.
#[test]
fn every_kind_of_target_runs_on_decoders() {
    let (_folder, out) = fresh("run");
    for (task, metric, family, method) in [
        ("rte", "accuracy", "llama", "--method=adept"),
        ("stsb", "pearson", "codegen", "--method=full"),
    ] {
        let out = out.with_file_name(task);
        let sized = [method, "--set=input.max_source_length=96"];
        train(Path::new(task), &sample().data, &golden(family), &out, &sized).succeeded();
        assert!(json(&out.join("result.json"))["test"][metric].is_number());
    }
    let rows = |number: usize| {
        let source = ["", "a question", "so"][number % 3];
        format!("{}\n", value!({"source": source, "target": "an answer"}))
    };
    let data = out.with_file_name("rows.jsonl");
    fs::write(&data, (0..40).map(rows).collect::<String>()).expect("a writable folder");
    let more = [
        "--method=pt",
        "--set=adapter.rank=0",
        "--set=input.template={source} -> {target}",
        "--set=input.max_target_length=12",
        "--set=generation.temperature=0.7",
    ];
    train(Path::new("text"), &data, &golden("codegen"), &out, &more).succeeded();
    let trained = &json(&out.join("best/adapter_config.json"))["adept"]["trained"];
    assert_eq!(trained["settings"]["input.template"], "{source} -> {target}");
    assert_eq!(trained["settings"]["generation.temperature"], 0.7);
    assert_eq!(trained["target_tokens"], 12);
}

#[test]
fn a_chat_template_wraps_what_is_read() {
    let (folder, out) = fresh("run");
    let (card, data) = weather(folder.path());
    let backbone = folder.path().join("chatty");
    copy(&golden("llama"), &backbone);
    fs::write(
        backbone.join("chat_template.jinja"),
        "{{ bos_token }}{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}\n\
         {% if add_generation_prompt %}<assistant>{% endif %}",
    )
    .expect("a writable folder");
    let chat = "--set=input.chat_template=true";
    train(&card, &data, &backbone, &out, &["--method=adept", chat]).succeeded();
    let result = json(&out.join("result.json"));
    assert_eq!(result["config"]["input"]["chat_template"], true);
    let best = out.join("best");
    let paths = [("data", data.as_path()), ("backbone", &backbone), ("adapter", &best)];
    let found: Value = serde_json::from_str(&adept(with("eval", &paths, &["--json"])).succeeded().out).expect("JSON");
    assert_eq!(
        found["scores"], result["test"],
        "it knows that it was trained in conversations"
    );
    // Another template makes it another run.
    let refused = train(&card, &data, &backbone, &out, &["--method=adept"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(
        refused
            .err
            .contains("a run with `input.chat_template` = true, this one has false"),
        "{}",
        refused.err
    );
    // With full fine-tuning the template is stored with the model.
    let whole = folder.path().join("whole");
    train(&card, &data, &backbone, &whole, &["--method=full", chat]).succeeded();
    assert!(whole.join("best/chat_template.jinja").is_file());

    let other = folder.path().join("other");
    let fails = |template: Option<&str>, fragments: &[&str]| {
        let path = backbone.join("chat_template.jinja");
        match template {
            Some(template) => fs::write(&path, template).expect("a writable folder"),
            None => fs::remove_file(&path).expect("it is there"),
        }
        train(&card, &data, &backbone, &other, &["--method=adept", chat]).failed(2, fragments);
    };
    fails(
        Some("{{ bos_token }}\n{{ raise_exception('only in pairs') }}"),
        &["chat_template.jinja: chat template, line 2: only in pairs"],
    );
    fails(Some("{% if %}"), &["chat_template.jinja: chat template, line 1: "]);
    fails(
        None,
        &[
            "chatty: expected a chat template (chat_template.jinja, or `chat_template` in tokenizer_config.json), found none",
        ],
    );
}

#[test]
fn templates_and_lengths_that_make_no_rows_are_refused() {
    let (folder, out) = fresh("run");
    let (card, data) = weather(folder.path());
    let llama = golden("llama");
    let fails = |more: &[&str], fragments: &[&str]| {
        let more = [&["--method=adept"], more].concat();
        train(&card, &data, &llama, &out, &more).failed(2, fragments);
        assert!(!out.join("result.json").exists());
    };
    fails(
        &["--set=input.template={source}"],
        &["`input.template`: expected {target} exactly once, found it 0 times"],
    );
    fails(
        &["--set=input.template={text} {target}"],
        &["`input.template`: expected the fields {source} and {target}, found {text}"],
    );
    fails(
        &["--set=input.max_source_length=3"],
        &["`input.max_source_length` = 3", "targets need up to 3 tokens"],
    );
    fails(
        &[
            "--set=input.max_source_length=1000",
            "--set=input.positions=slots",
            "--set=input.pad_to_max=true",
        ],
        &["512"],
    );
    let apart = ["--method=adept", "--set=input.template={source} {target}"];
    train(&card, &data, &sample().backbone, &out, &apart)
        .failed(2, &["`input.template`", "T5 reads source and target separately"]);
    // A template in the card itself.
    fs::write(&card, CARD.replace("{source}", "{text}")).expect("a writable folder");
    train(&card, &data, &llama, &out, &["--method=adept"])
        .failed(2, &["weather.toml", "line 3: `template`: ", "found {text}"]);
}

#[test]
fn programs_are_not_predicted_as_texts() {
    let (folder, _) = fresh("run");
    let backbone = golden("codegen");
    let texts = folder.path().join("texts");
    fs::write(&texts, "def f():\n").expect("a folder");
    let paths = [("input", texts.as_path()), ("backbone", &backbone)];
    adept(with("predict", &paths, &["--task=mbpp"])).failed(2, &["mbpp", "its targets are programs"]);
}

/// A grid on a decoder: planned, measured, run, reported.
#[test]
fn a_grid_runs_on_a_decoder() {
    let (_folder, out) = fresh("grid");
    let llama = golden("llama");
    let paths = [("data", sample().data.as_path()), ("backbone", &llama), ("out", &out)];
    let more = [
        "glue",
        "--tasks=rte,stsb",
        "--methods=all",
        "--seeds=42,",
        "--steps=2",
        "--set=train.batch_size=2",
        "--set=evaluation.validation_rows=8",
        "--set=adapter.virtual_tokens=3",
        "--set=adapter.lst.reduction=2",
        "--set=input.max_source_length=64",
    ];
    let mut arguments = with("reproduce", &paths, &[]);
    arguments.splice(1..1, more.map(str::to_owned));
    let plan: Vec<String> = arguments.iter().cloned().chain(["--plan".to_owned()]).collect();
    let plan = finish(command(plan)).succeeded().out;
    assert!(plan.contains("time       about"), "{plan}");
    let done = finish(command(arguments)).succeeded();
    // They use the whole input, before a word of the answer is read.
    for method in ["attempt", "hyperdecoder"] {
        let reason = format!("{method} is left out: {method}: expected a model with an encoder");
        assert!(done.err.contains(&reason), "{}", done.err);
    }
    let needs_encoder = |method: &TrainMethod| method.adapter().is_some_and(Method::needs_encoder);
    let methods = TrainMethod::all()
        .filter(|method| !needs_encoder(method))
        .map(TrainMethod::name);
    let methods: Vec<&str> = methods
        .chain(["spot", "full_multi", "adapter_multi", "mpt_multi"])
        .collect();
    for (task, metric) in [("rte", "accuracy"), ("stsb", "pearson")] {
        for method in &methods {
            let together = out.join("all").join(method).join("seed-42/tasks").join(task);
            let folder = match together.exists() {
                true => together,
                false => out.join(task).join(method).join("seed-42"),
            };
            let result = json(&folder.join("result.json"));
            assert!(result["test"][metric].is_number(), "{task} {method}: {result}");
        }
    }
    assert!(out.join("report.md").is_file());
}
