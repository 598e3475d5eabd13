//! `adept reproduce table1` and `table2` on a tiny world: plans, tables, reuse of a GLUE reproduction's runs, an
//! interrupt and bad input.

use std::path::Path;

use crate::common::{Outcome, finish, fresh, json, with_datasets};

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
    fails(
        "table1",
        &["--set=adapter.method=pt"],
        &["`adapter.method` cannot be set here"],
    );
    assert!(!out.exists(), "nothing was written");
}
