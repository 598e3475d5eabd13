//! The program end to end on the synthetic sample: training, evaluation, prediction, the grid and its report.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::SystemTime;

use crate::common::{SHORT, adept, command, copy, fresh, json, sample, train};
use serde_json::Value;

#[test]
fn help_is_complete() {
    for name in [
        "reproduce",
        "fetch",
        "import",
        "train",
        "eval",
        "predict",
        "inspect",
        "verify",
        "bench",
        "report",
        "config",
    ] {
        let help = adept([name, "--help"]).succeeded().out;
        assert!(help.contains("Usage: adept"), "{help}");
        assert!(adept(["--help"]).succeeded().out.contains(name));
    }
    assert_eq!(adept(["nonsense"]).code, Some(2));
    assert_eq!(adept(Vec::<&str>::new()).code, Some(2));
}

#[test]
fn a_preset_is_printed_as_a_file_that_can_be_used() {
    let (_folder, out) = fresh("run");
    let text = adept(["config", "--preset=reference"]).succeeded().out;
    assert!(text.contains("preset = \"reference\""), "{text}");
    assert!(
        text.contains("# AdamW: decay of the second moment. (a number from 0 to 0.999999)\nbeta2 = 0.999\n"),
        "{text}"
    );
    let file = out.with_extension("toml");
    fs::write(&file, text).expect("the folder is writable");
    let mut arguments = train(&sample().data, &sample().backbone, &out);
    arguments.push(format!("--config={}", file.display()));
    adept(arguments).succeeded();
    let config = fs::read_to_string(out.join("config.toml")).expect("the run wrote it");
    assert!(config.contains("preset = \"reference\""), "{config}");
}

#[test]
fn an_adapter_is_trained_scored_inspected_and_used() {
    let (_folder, out) = fresh("run");
    let trained = adept(train(&sample().data, &sample().backbone, &out)).succeeded();
    let result: Value = json(&out.join("result.json"));
    let accuracy = result["test"]["accuracy"].as_f64().expect("RTE is scored by accuracy");
    assert!(
        trained.out.contains(&format!("test       accuracy {accuracy:.2}")),
        "{}",
        trained.out
    );

    // Evaluating the adapter file alone gives the run's own score.
    let adapter = format!("--adapter={}", out.join("best").display());
    let backbone = format!("--backbone={}", sample().backbone.display());
    let data = format!("--data={}", sample().data.display());
    let scored = adept(["eval", &adapter, &backbone, &data, "--task=rte", "--json"]).succeeded();
    let scored: Value = serde_json::from_str(&scored.out).expect("--json prints one object");
    assert_eq!(scored["scores"]["accuracy"].as_f64(), Some(accuracy));
    assert_eq!(scored["examples"], 100);

    let shown = adept(["inspect", &out.join("best").display().to_string(), &backbone])
        .succeeded()
        .out;
    // m·d + 2·r·d + r + d with m 4, r 2, d 64.
    for expected in ["adept", "578", "prompt_embeddings", "[4, 64]", "sha256:", "0.23"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    // It also shows what the adapter was trained with.
    for expected in [
        "a backbone of family t5",
        "rte (RTE), built in",
        "0 entailment, 1 not_entailment",
        "input.max_source_length = 32",
        "evaluation.method = \"generate\"",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let shown = adept(["inspect", &out.display().to_string()]).succeeded().out;
    assert!(shown.contains("done") && shown.contains("train.steps = 3"), "{shown}");
    let shown = adept(["inspect", &sample().backbone.display().to_string(), "--tensors"])
        .succeeded()
        .out;
    assert!(
        shown.contains("shared.weight") && shown.contains("[192, 64]"),
        "{shown}"
    );
    let row = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert!(row("stored as").ends_with("F32"), "{shown}");
    assert!(row("end tokens").contains("1 \"</s>\""), "{shown}");

    // A finished run is not trained again.
    let again = adept(train(&sample().data, &sample().backbone, &out)).succeeded();
    assert!(again.err.contains("nothing is trained again"), "{}", again.err);
    assert_eq!(again.out, trained.out);

    let lines = "sentence1: the sailor liked a film . sentence2: the sailor liked a film .\n\nthird\n";
    let predicted = |mode: Option<&str>| {
        let mut arguments = vec!["predict", adapter.as_str(), backbone.as_str()];
        arguments.extend(mode);
        let predicted = with_input(&arguments, lines.as_bytes());
        assert_eq!(predicted.lines().count(), 3, "one line for each: {predicted}");
        predicted
    };
    assert_eq!(
        predicted(None),
        predicted(Some("--generate")),
        "it was trained and scored like that"
    );
    let labels = predicted(Some("--labels"));
    assert!(labels.lines().all(|line| ["0", "1"].contains(&line)), "{labels}");
    let predicted = with_input(
        &["predict", &adapter, &backbone, "--jsonl"],
        b"{\"id\":7,\"source\":\"the film\"}\n",
    );
    let predicted: Value = serde_json::from_str(&predicted).expect("a line of JSON for a line of JSON");
    assert_eq!(predicted["id"], 7);
    assert!(predicted["prediction"].is_string());
}

fn with_input(arguments: &[&str], input: &[u8]) -> String {
    let mut program = command(arguments);
    program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let mut running = program.spawn().expect("the program is built by cargo for this test");
    running
        .stdin
        .take()
        .expect("it is piped")
        .write_all(input)
        .expect("the program reads its input");
    let output = running.wait_with_output().expect("the program ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("predictions are text")
}

fn reproduce(data: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> = ["reproduce", "glue", "--methods=pt,adept", "--steps=3"]
        .map(str::to_owned)
        .into();
    arguments.push(format!("--data={}", data.display()));
    arguments.push(format!("--backbone={}", sample().backbone.display()));
    arguments.push(format!("--out={}", out.display()));
    // --steps also sets the evaluation interval.
    arguments.extend(
        SHORT
            .iter()
            .filter(|set| !set.contains("steps") && !set.contains("every"))
            .map(ToString::to_string),
    );
    arguments.extend(more.iter().map(ToString::to_string));
    arguments
}

#[test]
fn a_grid_is_run_reported_and_then_skipped() {
    let (_folder, out) = fresh("grid");
    let arguments = reproduce(&sample().data, &out, &["--tasks=rte", "--seeds=42,43"]);
    let mut plan = arguments.clone();
    plan.push("--plan".to_owned());
    let planned = adept(plan).succeeded().out;
    assert!(
        planned.contains("4 to do") && planned.contains("rte/adept/seed-43"),
        "{planned}"
    );
    assert!(!out.exists(), "a plan writes nothing");

    let first = adept(&arguments).succeeded();
    assert!(first.err.contains("4 to do, 0 to resume, 0 done"), "{}", first.err);

    let results = json(&out.join("results.json"));
    assert_eq!(results["runs"].as_array().map(Vec::len), Some(4));
    let page = fs::read_to_string(out.join("report.html")).expect("the report is there");
    let text = fs::read_to_string(out.join("report.md")).expect("the report is there");
    for (row, method) in results["rows"]
        .as_array()
        .expect("a list of rows")
        .iter()
        .zip(["pt", "adept"])
    {
        assert_eq!(row["method"], method);
        let values: Vec<f64> = [42, 43]
            .map(|seed| {
                let run = json(&out.join(format!("rte/{method}/seed-{seed}/result.json")));
                run["test"]["accuracy"].as_f64().expect("RTE is scored by accuracy")
            })
            .into();
        let mean = (values[0] + values[1]) / 2.0;
        let deviation = ((values[0] - mean).powi(2) + (values[1] - mean).powi(2)).sqrt();
        let cell = &row["cells"]["rte"]["measured"];
        assert!((cell["mean"].as_f64().expect("a number") - mean).abs() < 1e-9);
        assert!((cell["standard_deviation"].as_f64().expect("a number") - deviation).abs() < 1e-9);
        let printed = format!("{mean:.1} ± {deviation:.1}");
        let whole = format!("{printed} (n=2)");
        assert!(
            page.contains(&whole) && text.contains(&whole) && first.out.contains(&printed),
            "{printed}"
        );
        assert!(page.contains("(paper, t5-base)") && text.contains("(paper, t5-base)"));
    }
    assert!(page.contains("<svg"), "the validation curves");

    let times = || -> Vec<SystemTime> {
        let files = [
            "rte/pt/seed-42/result.json",
            "rte/adept/seed-43/best/adapter_model.safetensors",
        ];
        files
            .map(|file| {
                fs::metadata(out.join(file))
                    .and_then(|data| data.modified())
                    .expect("it is there")
            })
            .into()
    };
    let before = times();
    let second = adept(&arguments).succeeded();
    assert!(second.err.contains("0 to do, 0 to resume, 4 done"), "{}", second.err);
    assert_eq!(times(), before, "nothing was run again");
    assert_eq!(second.out, first.out);

    fs::remove_file(out.join("report.md")).expect("it was there");
    adept(["report".to_owned(), format!("--out={}", out.display())]).succeeded();
    assert_eq!(
        fs::read_to_string(out.join("report.md")).expect("it was made again"),
        text
    );

    let other = reproduce(&sample().data, &out, &["--tasks=rte", "--seeds=42,43", "--steps=4"]);
    let other: Vec<_> = other.into_iter().filter(|argument| argument != "--steps=3").collect();
    adept(other).failed(2, &["holds a run with", "choose another folder"]);
}

#[test]
fn a_failed_run_ends_the_grid_unless_it_may_go_on() {
    let (_folder, root) = fresh("root");
    let (data, out) = (root.join("data"), root.join("grid"));
    copy(&sample().data, &data);
    let broken = data.join("SST-2/train.tsv");
    let mut text = fs::read_to_string(&broken).expect("the sample has it");
    text.push_str("half a row\n");
    fs::write(&broken, text).expect("the copy is writable");

    let more = ["--tasks=sst2,rte", "--seeds=42,", "--quiet"];
    adept(reproduce(&data, &out, &more)).failed(2, &["sst2/pt/seed-42", "train.tsv:3002: expected 2 columns, found 1"]);
    assert!(!out.join("rte").exists(), "the first failure ends the grid");

    let outcome = adept(reproduce(&data, &out, &[&more[..], &["--keep-going"]].concat()));
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    assert!(
        outcome
            .err
            .contains("2 of 4 runs failed: sst2/pt/seed-42, sst2/adept/seed-42"),
        "{}",
        outcome.err
    );
    assert_eq!(
        json(&out.join("results.json"))["runs"].as_array().map(Vec::len),
        Some(2),
        "RTE's runs are done"
    );
}
