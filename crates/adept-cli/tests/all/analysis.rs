//! `adept reproduce table1`, `table2`, `table11`, `table16` and `section3.4` on a tiny world: plans, tables, reuse of a GLUE reproduction's runs, an
//! interrupt and bad input.

use std::fs;
use std::path::Path;

use crate::common::{Outcome, copy, finish, fresh, json, sample, with_datasets};

/// Arguments for a table of short runs.
fn arguments(table: &str, out: &Path, more: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> = ["reproduce", table, "--steps=4", "--set=train.batch_size=4"]
        .map(str::to_owned)
        .into();
    if table != "glue" {
        // Must not pick up the folder of a real reproduction.
        arguments.push(format!("--reuse={}", out.with_file_name("glue").display()));
    }
    arguments.push(format!("--out={}", out.display()));
    arguments.extend(more.iter().map(ToString::to_string));
    arguments
}

fn run(table: &str, out: &Path, more: &[&str]) -> Outcome {
    finish(with_datasets(arguments(table, out, more)))
}

#[test]
fn the_tables_are_made_from_runs_that_a_reproduction_of_glue_left() {
    let (_folder, out) = fresh("tables");
    let glue = out.with_file_name("glue");
    run("glue", &glue, &["--tasks=rte", "--methods=dept,adept"]).succeeded();

    let plan = run("table1", &out, &["--plan", "--verbose"]).succeeded().out;
    for expected in [
        "Table 1: DePT's offsets",
        "glue-sample, written by a program",
        "RTE, QNLI",
        "12, seeds 42, 43, 44: 10 to do, 0 to resume, 2 done and skipped",
        "rte/dept/seed-42: done",
        "reused     2 finished runs of",
        "shifts     1, 2, 4, 8 and the paper's",
        "measure    12 of 12 runs; 0 are measured already",
        "  time       about ",
    ] {
        assert!(plan.contains(expected), "{expected}:\n{plan}");
    }
    assert!(!out.exists(), "a plan writes nothing");

    let few: &[&str] = &["--tasks=rte", "--seeds=42,43"];
    let first = run("table1", &out, few).succeeded();
    for expected in [
        "DePT (0)",
        "DePT (100)",
        "ADePT",
        "The paper's figures (t5-base, real tasks)",
        "table1.md",
    ] {
        assert!(first.out.contains(expected), "{expected}:\n{}", first.out);
    }
    assert!(!out.join("rte/dept/seed-42").exists() && out.join("rte/dept/seed-43").exists());
    let table = json(&out.join("table1.json"));
    let rte = &table["tasks"][0];
    assert_eq!(rte["unshifted_as_recorded"], true);
    assert_eq!(rte["positions"], 128);
    let shifts: Vec<&String> = rte["dept"].as_object().expect("an object").keys().collect();
    assert_eq!(shifts, ["0", "1", "2", "4", "8", "25", "50", "75", "100"]);
    for (method, seed, folder) in [("dept", "42", &glue), ("dept", "43", &out)] {
        let result = json(&folder.join(format!("rte/{method}/seed-{seed}/result.json")));
        assert_eq!(
            rte["dept"]["0"]["values"][seed], result["test"]["accuracy"],
            "seed {seed}"
        );
    }
    // Everything is done: the same table is printed.
    let again = run("table1", &out, few).succeeded();
    assert_eq!(again.out, first.out);
    assert!(again.err.contains("no run is left to train") && again.err.contains("4 are measured already"));

    // Table 2 uses the same runs.
    let second = run("table2", &out, &["--tasks=rte", "--seeds=42,43"]).succeeded();
    assert!(second.err.contains("4 done and skipped"), "{}", second.err);
    for expected in [
        "Input embeddings",
        "Offsets of DePT",
        "Offsets of ADePT",
        "16.29",
        "table2.json",
    ] {
        assert!(second.out.contains(expected), "{expected}:\n{}", second.out);
    }
    let table = json(&out.join("table2.json"));
    assert_eq!(table["tasks"][0]["adept"]["mean"]["n"], 2);
    let quiet = run("table2", &out, &["--tasks=rte", "--seeds=42,43", "--quiet"]).succeeded();
    assert_eq!((quiet.out, quiet.err.as_str()), (second.out, ""));
}

#[test]
fn table_11_and_section_3_4_share_their_runs() {
    let (_folder, out) = fresh("tables");
    let few: &[&str] = &["--tasks=rte", "--seeds=42,"];
    let first = run("table11", &out, few).succeeded();
    for expected in ["RTE with offsets", "DePT", "ADePT", "58.3", "table11.md"] {
        assert!(first.out.contains(expected), "{expected}:\n{}", first.out);
    }
    let again = run("table11", &out, few).succeeded();
    assert_eq!(again.out, first.out);
    assert!(again.err.contains("2 are measured already"), "{}", again.err);

    let section = run("section3.4", &out, &["--seeds=42,", "--rows=3"]).succeeded();
    for expected in ["2 done and skipped", "rows       3 of each task's test split"] {
        assert!(section.err.contains(expected), "{expected}:\n{}", section.err);
    }
    for expected in ["by tokens", "PT", "Checks:", "section3.4.html"] {
        assert!(section.out.contains(expected), "{expected}:\n{}", section.out);
    }
    assert_eq!(json(&out.join("section3.4.json"))["tasks"][0]["rows"], 3);
    assert!(out.join("section3.4.html").exists() && out.join("rte/pt/seed-42").exists());
}

#[test]
fn table_16_needs_no_runs() {
    let (_folder, out) = fresh("table16");
    let arguments = |more: &[String]| {
        let mut arguments = vec!["reproduce".to_owned(), "table16".to_owned()];
        arguments.push(format!("--out={}", out.display()));
        arguments.extend(more.iter().cloned());
        finish(with_datasets(arguments))
    };
    let first = arguments(&[]).succeeded();
    for expected in [
        "RTE",
        "392,702",
        "Not at hand:",
        "no folder of its files",
        "table16.json",
    ] {
        assert!(first.out.contains(expected), "{expected}:\n{}", first.out);
    }
    assert!(first.err.contains("reading RTE"), "{}", first.err);
    let table = json(&out.join("table16.json"));
    assert_eq!(
        (table["synthetic"].as_bool(), table["agreement"].is_null()),
        (Some(true), true)
    );
    assert!(table["datasets"][0]["source"]["tokens"].as_f64() > Some(2.0));
    // The same folder again, and a backbone that has no tokenizer.
    arguments(&["--quiet".to_owned()]).succeeded();
    let data = format!("--data={}", out.display());
    arguments(&[data, format!("--backbone={}", out.display())]).failed(2, &["expected a tokenizer.json"]);
    arguments(&["--data=/no/such/folder".to_owned()]).failed(2, &["/no/such/folder"]);
}

#[test]
fn the_papers_tasks_are_the_default_where_boolqs_files_are_at_hand() {
    let (folder, out) = fresh("tables");
    let data = folder.path().join("data");
    copy(&sample().data.join("RTE"), &data.join("glue/RTE"));
    copy(&sample().data.join("QNLI"), &data.join("glue/QNLI"));
    let planned = |expected: &str| {
        let data = format!("--data={}", data.display());
        let more = ["--profile=real-small", "--plan", "--seeds=42,", data.as_str()];
        let plan = run("table1", &out, &more).succeeded().out;
        assert!(plan.contains(expected), "{expected}:\n{plan}");
    };
    planned("RTE, QNLI");
    let boolq = data.join("superglue/BoolQ");
    fs::create_dir_all(&boolq).expect("a writable folder");
    let row = r#"{"question": "is it red", "passage": "the sky is blue", "label": false, "idx": 0}"#;
    for name in ["train.jsonl", "val.jsonl"] {
        fs::write(boolq.join(name), format!("{row}\n").repeat(40)).expect("a writable folder");
    }
    planned("RTE, BoolQ");
}

#[test]
fn what_makes_no_sense_is_named() {
    let (_folder, out) = fresh("tables");
    let fails = |table: &str, more: &[&str], fragments: &[&str]| {
        run(table, &out, more).failed(2, fragments);
    };
    fails(
        "table1",
        &["--shifts=129"],
        &["a shift of 129 exceeds the 128 positions"],
    );
    fails("table1", &["--shifts=1,x"], &["--shifts"]);
    fails("table1", &["--tasks=wnli"], &["wnli", "rte"]);
    fails("table2", &["--shifts=1"], &["--shifts"]);
    fails(
        "table2",
        &["--profile=real-small"],
        &[
            "no --data is given",
            "does not hold rte, qnli",
            "`adept fetch rte qnli`",
        ],
    );
    fails("section3.4", &["--rows=0"], &["--rows"]);
    fails(
        "table1",
        &["--set=adapter.method=pt"],
        &["`adapter.method` cannot be set here"],
    );
    assert!(!out.exists(), "nothing was written");
}
