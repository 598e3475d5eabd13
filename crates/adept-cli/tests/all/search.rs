//! Searches of settings and the paper's smaller tables, on a tiny world.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{Outcome, finish, fresh, json, with_datasets};
use crate::thorough::thorough;

/// `reproduce TABLE` on RTE, shortened to take seconds.
fn arguments(table: &str, out: &Path, more: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "reproduce",
        table,
        "--set=train.batch_size=4",
        "--set=evaluation.validation_rows=20",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--out={}", out.display()));
    arguments.extend(more.iter().map(ToString::to_string));
    arguments
}

fn run(table: &str, out: &Path, more: &[&str]) -> Outcome {
    finish(with_datasets(arguments(table, out, more)))
}

const RATES: &str = "--search=optimizer.prompt.learning_rate=0.01,0.3,0.5";

/// What a round tried: name and validation score.
fn tried(round: &Value) -> Vec<(String, f64)> {
    let tried = round["tried"].as_array().expect("a round has a list");
    let one = |tried: &Value| {
        let name = tried["name"].as_str().expect("a candidate has a name").to_owned();
        (name, tried["validation"].as_f64().expect("the run has a score"))
    };
    tried.iter().map(one).collect()
}

/// The first of the best.
fn best(tried: &[(String, f64)]) -> &str {
    let highest = tried.iter().map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
    let first = tried.iter().find(|(_, score)| *score == highest);
    &first.expect("something was tried").0
}

#[test]
fn a_search_chooses_by_validation_and_runs_every_seed_with_the_choice() {
    let (_folder, out) = fresh("grid");
    let more = ["--tasks=rte", "--steps=4", "--methods=pt,lora", "--seeds=42,43", RATES];
    let plan = run("glue", &out, &[&more[..], &["--plan"]].concat()).succeeded().out;
    let plan = plan.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "search on each task",
        "3 candidates for all steps",
        "lora: nothing to search",
    ] {
        assert!(plan.contains(expected), "{expected}: {plan}");
    }
    let first = run("glue", &out, &more).succeeded();
    assert!(
        first.err.contains("search of pt on rte: 3 runs of 4 steps"),
        "{}",
        first.err
    );

    let record = json(&out.join("rte/pt/search.json"));
    let tried = tried(&record["rounds"][0]);
    assert_eq!(tried.len(), 3);
    let chosen = record["chosen"].as_str().expect("one was chosen");
    assert_eq!(chosen, best(&tried));
    assert!(!out.join("rte/lora/search.json").exists());
    // The chosen run has become the first seed's; the others stay where they were.
    for (name, _) in &tried {
        let folder = out.join("rte/pt/search").join(name).join("seed-42");
        assert_eq!(folder.join("result.json").exists(), name != chosen, "{name}");
    }
    let rate = |seed: &str| {
        json(&out.join("rte/pt").join(seed).join("result.json"))["config"]["optimizer"]["prompt"]["learning_rate"]
            .clone()
    };
    assert!(chosen.ends_with(&rate("seed-42").to_string()), "{chosen}");
    assert_eq!(rate("seed-42"), rate("seed-43"));
    for page in ["report.md", "report.html"] {
        let text = fs::read_to_string(out.join(page)).expect("the report is there");
        assert!(
            text.contains("Searches") && text.contains("optimizer.prompt.learning_rate="),
            "{text}"
        );
    }

    let again = run("glue", &out, &more).succeeded();
    assert!(
        !again.err.contains("search of pt"),
        "nothing is left to search: {}",
        again.err
    );
    assert_eq!(again.out, first.out);
    assert_eq!(json(&out.join("rte/pt/search.json")), record);
}

#[test]
fn halving_gives_the_better_third_three_times_as_many_steps() {
    let (_folder, out) = fresh("grid");
    let more = [
        "--tasks=rte",
        "--steps=9",
        "--methods=pt",
        "--search=halving",
        "--search=optimizer.prompt.learning_rate=0.01,0.1,0.2,0.3,0.5",
    ];
    run("glue", &out, &more).succeeded();
    let record = json(&out.join("rte/pt/search.json"));
    let rounds = record["rounds"].as_array().expect("a search has rounds");
    let steps: Vec<u64> = rounds.iter().filter_map(|round| round["steps"].as_u64()).collect();
    assert_eq!(steps, [3, 9]);
    let (first, last) = (tried(&rounds[0]), tried(&rounds[1]));
    assert_eq!((first.len(), last.len()), (5, 2));
    let lowest = last
        .iter()
        .map(|(name, _)| score(&first, name))
        .fold(f64::INFINITY, f64::min);
    let dropped = first
        .iter()
        .filter(|(name, _)| last.iter().all(|(kept, _)| kept != name));
    assert!(dropped.clone().count() == 3 && dropped.clone().all(|(_, score)| *score <= lowest));
    assert_eq!(record["chosen"].as_str(), Some(best(&last)));
    assert!(out.join("rte/pt/search/steps-3").is_dir());
}

fn score(tried: &[(String, f64)], name: &str) -> f64 {
    let found = tried.iter().find(|(known, _)| known == name);
    found.expect("it was tried before").1
}

#[cfg(unix)]
#[test]
fn a_search_that_is_killed_goes_on_and_chooses_the_same() {
    let (_folder, root) = fresh("root");
    let (whole, stopped) = (root.join("one"), root.join("two"));
    let more = [
        "--tasks=rte",
        "--steps=30",
        "--methods=pt",
        "--set=checkpoint.every=1",
        "--set=evaluation.every=10",
        RATES,
    ];
    let expected = run("glue", &whole, &more).succeeded().out;
    let mut running = with_datasets(arguments("glue", &stopped, &more))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program is built by cargo for this test");
    let second = stopped.join("rte/pt/search/learning_rate-0.3/seed-42/checkpoint");
    let begun = Instant::now();
    while !second.exists() && begun.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(2));
    }
    running.kill().expect("it is our child");
    running.wait().expect("it is our child");
    assert!(second.exists() && !stopped.join("rte/pt/search.json").exists());

    let resumed = run("glue", &stopped, &more).succeeded();
    assert!(resumed.err.contains("search of pt on rte: 2 runs"), "{}", resumed.err);
    assert_eq!(resumed.out.replace("/two/", "/one/"), expected);
    let file = |root: &Path, name: &str| fs::read(root.join("rte/pt").join(name)).expect("the run is done");
    for name in ["search.json", "seed-42/best/adapter_model.safetensors"] {
        assert!(file(&whole, name) == file(&stopped, name), "{name}");
    }
}

#[test]
fn searches_that_cannot_be_made_are_refused() {
    let (_folder, out) = fresh("grid");
    let fails = |words: &[&str], fragments: &[&str]| {
        let more = [&["--tasks=rte", "--methods=pt,adept", "--plan"], words].concat();
        run("glue", &out, &more).failed(2, fragments);
    };
    fails(
        &["--search=papper"],
        &["`papper` is not a search", "`paper`, `small`", "`halving`"],
    );
    fails(
        &["--search=optimizer.prompt.learning_rat=1,2"],
        &[
            "unknown key `optimizer.prompt.learning_rat`",
            "the nearest is `optimizer.prompt.learning_rate`",
        ],
    );
    fails(
        &["--search=train.steps=0,3"],
        &["`train.steps` must be a whole number from 1"],
    );
    fails(
        &["--search=train.batch_size="],
        &["`train.batch_size` has no value to try"],
    );
    fails(&["--search=train.batch_size=4"], &["nothing to search"]);
    fails(&["--search=train.batch_size=4,4"], &["the same candidate twice"]);
    fails(
        &["--search=paper", "--search=train.batch_size=4,8"],
        &["either `paper` or lists of your own"],
    );
    fails(
        &["--search=adapter.virtual_tokens=8,400"],
        &["the candidate adapter.virtual_tokens=400 of"],
    );
    assert!(!out.exists());
}

#[test]
fn a_table_has_rows_of_its_own() {
    let (_folder, out) = fresh("grid");
    let plan = run("table12", &out, &["--plan"]).succeeded().out;
    for expected in ["Table 12", "4, seed 42: 4 to do", "adept_r5", "adapter.rank=1"] {
        assert!(plan.contains(expected), "{expected}: {plan}");
    }
    let table = run("table14", &out, &["--steps=4"]).succeeded().out;
    for expected in ["Only feed-forward neural network", "ADePT"] {
        assert!(
            table.lines().any(|line| line.starts_with(expected)),
            "{expected}: {table}"
        );
    }
    let result = json(&out.join("rte/adept_network/seed-42/result.json"));
    assert_eq!(result["virtual_tokens"].as_u64(), Some(0));
    run("table14", &out, &["--methods=lora", "--plan"]).failed(2, &["the table has no row of lora", "adept"]);
}

#[test]
fn tables_of_the_same_runs_share_them() {
    let (_folder, out) = fresh("grid");
    let more = ["--tasks=qqp", "--methods=pt,lora", "--steps=4"];
    run("table5", &out, &more).succeeded();
    let time = run("table9", &out, &more).succeeded();
    assert!(time.err.contains("2 done and skipped"), "{}", time.err);
    assert!(time.out.starts_with("Hours of training, of one seed:"), "{}", time.out);
}

#[test]
fn both_halves_of_a_table_are_run_as_far_as_there_are_data() {
    let (_folder, out) = fresh("grid");
    // These tests have a smaller copy of the project's data, without this part.
    let outcome = run("table3", &out, &["--plan"]).succeeded();
    assert!(outcome.out.contains("GLUE, profile sample"), "{}", outcome.out);
    assert!(
        outcome.err.contains("table3: a part is left out") && outcome.err.contains("superglue-sample"),
        "{}",
        outcome.err
    );
    run("superglue", &out, &["--plan"]).failed(2, &["found no superglue-sample"]);
    run("mbpp", &out, &["--plan"]).failed(2, &["found no mbpp-sample"]);
    // A plan measures a step of every task.
    if !thorough() {
        return;
    }
    for (table, titles) in [
        ("table3", ["GLUE, profile sample", "SuperGLUE, profile sample"]),
        (
            "table4",
            [
                "MRQA, profile sample",
                "WinoGrande, Yelp, SciTail, PAWS, profile sample",
            ],
        ),
    ] {
        let mut whole = with_datasets(arguments(table, &out, &["--plan"]));
        whole.env("ADEPT_DATASETS", concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets"));
        let outcome = finish(whole).succeeded();
        for title in titles {
            assert!(
                outcome.out.lines().any(|line| line.starts_with(title)),
                "{title}: {}",
                outcome.out
            );
        }
        assert!(!outcome.err.contains("left out"), "{}", outcome.err);
    }
}

/// Programs have data, a backbone and methods of their own among the project's.
#[test]
fn the_sample_of_programs_has_its_own_backbone_and_methods() {
    if !thorough() {
        return;
    }
    let (_folder, out) = fresh("grid");
    let mut whole = with_datasets(arguments("table7", &out, &["--plan", "--allow-missing-layers"]));
    whole.env("ADEPT_DATASETS", concat!(env!("CARGO_MANIFEST_DIR"), "/../../datasets"));
    let plan = finish(whole).succeeded().out;
    for expected in [
        "MBPP, profile sample",
        "mbpp-sample, written by a program",
        "backbones/llama-nano, 869,504 parameters",
        "5, seed 42: 5 to do",
        "mbpp/lora/seed-42: to do, 150 steps",
        "mbpp/adept/seed-42: to do, 150 steps",
    ] {
        assert!(plan.contains(expected), "{expected}: {plan}");
    }
}
