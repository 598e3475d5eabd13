//! The profiles of `adept reproduce glue` on a tiny world: the default plan, what a profile requires, an interrupted
//! and resumed grid, and the majority baseline.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::{Outcome, adept, finish, fresh, json, sample, with_datasets};

/// The default profile, shortened to take seconds.
fn short(out: &Path, more: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "reproduce",
        "glue",
        "--tasks=rte,stsb",
        "--steps=4",
        "--set=train.batch_size=4",
        "--set=evaluation.validation_rows=20",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--out={}", out.display()));
    arguments.extend(more.iter().map(ToString::to_string));
    arguments
}

fn run(arguments: &[String]) -> Outcome {
    finish(with_datasets(arguments))
}

#[test]
fn without_arguments_the_plan_is_the_sample_profile_on_our_own_data_and_backbone() {
    let (_folder, out) = fresh("grid");
    let outcome = finish(with_datasets([
        "reproduce",
        "glue",
        "--plan",
        "--out",
        &out.display().to_string(),
    ]));
    let plan = outcome.succeeded().out;
    for expected in [
        "GLUE, profile sample:",
        "glue-sample, written by a program",
        "backbones/t5-nano",
        "32, seed 42: 32 to do, 0 to resume, 0 done and skipped",
        "MNLI, QQP, QNLI, SST-2, STS-B, MRPC, RTE, CoLA",
        "full       trains ",
        "pt         trains 1,280 parameters; adapter.virtual_tokens=20 (100)",
        "adept      trains ",
        "train.steps=200",
        "evaluation.every=100 (1000)",
        "cola/adept/seed-42: to do, 200 steps",
        "  time       about ",
        "by a measurement of",
    ] {
        assert!(plan.contains(expected), "{expected}:\n{plan}");
    }
    assert!(!out.exists(), "a plan writes nothing");
}

#[test]
fn a_profile_says_what_it_needs() {
    let (_folder, out) = fresh("grid");
    let out = format!("--out={}", out.display());
    let data = format!("--data={}", sample().data.display());
    let backbone = format!("--backbone={}", sample().backbone.display());
    let fails = |more: &[&str], fragments: &[&str]| {
        let arguments = ["reproduce", "glue", "--plan", &out];
        let arguments = arguments.iter().chain(more);
        finish(with_datasets(arguments)).failed(2, fragments);
    };
    fails(
        &["--profile=real-small"],
        &[
            "the profile real-small: no --data is given, and the hub's cache",
            "does not hold mnli, qqp",
            "`adept fetch glue` brings them, or name the folder of the files with --data",
        ],
    );
    fails(
        &["--profile=paper"],
        &[
            "the profile paper needs --backbone DIR",
            "--profile paper --data DATA --backbone t5-base",
        ],
    );
    fails(&["--profile=paper", &data], &["the profile paper needs --backbone DIR"]);
    fails(&[&data], &["--data alone", "--profile real-small"]);
    fails(&[&backbone], &["--backbone alone", "--profile sample"]);
    fails(
        &["--set=train.step=3"],
        &["unknown key `train.step`; the nearest is `train.steps`"],
    );
    fails(&["--set=seed=3"], &["`seed` cannot be set here: --seeds decides it"]);
    // Missing files of a task are reported before anything runs.
    let (_folder, partial) = fresh("data");
    crate::common::copy(&sample().data.join("RTE"), &partial.join("RTE"));
    let elsewhere = format!("--data={}", partial.display());
    fails(
        &["--profile=real-small", &elsewhere, "--tasks=rte,cola"],
        &["cola", "a folder CoLA", "found RTE"],
    );

    // Neither of the project's backbones writes programs of MBPP; Table 5 has a backbone of its own.
    for (table, profile, checkpoint) in [
        ("mbpp", "real-small", "codegen-350M-mono"),
        ("table5", "paper", "t5-3b"),
    ] {
        let named = format!("--profile={profile}");
        let example = format!("reproduce {table} --profile {profile} --data DATA --backbone {checkpoint}");
        let said = format!("the profile {profile} needs --backbone DIR for");
        finish(with_datasets(["reproduce", table, "--plan", &out, &named, &data])).failed(2, &[&said, &example]);
    }

    // The backbone is the project's, the data the user's.
    let arguments = ["reproduce", "glue", "--plan", "--profile=real-small", &data, &out];
    let plan = finish(with_datasets(arguments)).succeeded().out;
    assert!(
        plan.contains("96, seeds 42, 43, 44: 96 to do") && plan.contains("backbones/t5-nano"),
        "{plan}"
    );
    assert!(
        !plan.contains("written by a program"),
        "the user's data are not ours: {plan}"
    );
}

#[test]
fn a_missing_datasets_folder_is_named() {
    let (_folder, out) = fresh("grid");
    let arguments = [
        "reproduce".to_owned(),
        "glue".to_owned(),
        format!("--out={}", out.display()),
    ];
    // The tests' other commands use a datasets folder that does not exist.
    adept(&arguments).failed(
        2,
        &["the profile sample", "/no/such/folder", "ADEPT_DATASETS should name"],
    );
    let mut elsewhere = crate::common::command(&arguments);
    fs::create_dir_all(&out).expect("the folder is writable");
    elsewhere.env_remove("ADEPT_DATASETS").current_dir(&out);
    finish(elsewhere).failed(
        2,
        &[
            "found no ",
            &out.join("datasets").display().to_string(),
            "set ADEPT_DATASETS",
        ],
    );
}

#[test]
fn the_sample_gives_the_same_table_on_every_run_with_the_baseline_first() {
    let (_folder, root) = fresh("root");
    let (one, two) = (root.join("one"), root.join("two"));
    let first = run(&short(&one, &[])).succeeded();
    for expected in ["8, seed 42: 8 to do", "[8/8] stsb adept, seed 42: test ", "about "] {
        assert!(first.err.contains(expected), "{expected}: {}", first.err);
    }
    let table: Vec<&str> = first.out.lines().collect();
    assert_eq!(table[0], "Test scores, times 100, of one seed:");
    let words: Vec<Vec<&str>> = table[2..8]
        .iter()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(words[0], ["Method", "Trained", "STS-B", "RTE", "Mean"]);
    let names: Vec<&str> = words[1..].iter().map(|line| line[0]).collect();
    assert_eq!(names, ["Majority", "Full", "PT", "DePT", "ADePT"]);
    for expected in [
        "report.html",
        "report.md",
        "results.json",
        "cargo xtask reproduce glue --profile paper --data DATA --backbone t5-base",
    ] {
        assert!(first.out.contains(expected), "{expected}: {}", first.out);
    }

    // The baseline by hand: the most frequent label of the training file, counted in the test rows.
    let results = json(&one.join("results.json"));
    let cells = &results["majority"]["cells"];
    assert_eq!(cells["stsb"].as_f64(), Some(0.0), "a constant correlates with nothing");
    let rte = cells["rte"].as_f64().expect("RTE has a figure");
    assert!((rte - majority_of_rte()).abs() < 1e-9, "{rte}");
    assert!((results["majority"]["mean"].as_f64().expect("both tasks have one") - rte / 2.0).abs() < 1e-9);
    assert_eq!(
        words[1],
        [
            "Majority",
            "label",
            "0",
            "0.0",
            &format!("{rte:.1}"),
            &format!("{:.1}", rte / 2.0)
        ]
    );
    let result = json(&one.join("rte/pt/seed-42/result.json"));
    assert_eq!(result["majority"]["test"]["accuracy"].as_f64(), Some(rte));
    for page in ["report.md", "report.html"] {
        let text = fs::read_to_string(one.join(page)).expect("the report is there");
        assert!(text.contains("Majority label") && text.contains("synthetic"), "{text}");
        assert!(
            !text.contains("t5-base"),
            "nothing is quoted beside synthetic data: {text}"
        );
    }

    let second = run(&short(&two, &[])).succeeded();
    assert_eq!(second.out.replace("/two/", "/one/"), first.out);

    // A quiet run skips the time measurement, which must not affect training.
    let three = root.join("three");
    let quiet = run(&short(&three, &["--quiet"])).succeeded();
    assert_eq!(
        (quiet.err.as_str(), quiet.out.lines().take(8).collect::<Vec<_>>()),
        ("", table[..8].to_vec())
    );
    for file in [
        "rte/adept/seed-42/best/adapter_model.safetensors",
        "stsb/full/seed-42/best/model.safetensors",
    ] {
        let bytes = |root: &Path| fs::read(root.join(file)).expect("the run is done");
        assert!(bytes(&one) == bytes(&three), "{file}");
    }
}

/// Score of the most frequent label in RTE's training file on a run's test rows.
fn majority_of_rte() -> f64 {
    use adept_data::{LoadOptions, Task, load_task};
    let text = fs::read_to_string(sample().data.join("RTE/train.tsv")).expect("the sample has it");
    let entailed = text
        .lines()
        .skip(1)
        .filter(|line| line.ends_with("\tentailment"))
        .count();
    let answer = if 2 * entailed >= text.lines().count() - 1 {
        "0"
    } else {
        "1"
    };
    let data = load_task(
        &Task::named("rte").expect("a task"),
        &sample().data,
        &LoadOptions::default(),
    )
    .expect("RTE is well formed");
    let right = data.test.iter().filter(|example| example.target == answer).count();
    100.0 * right as f64 / data.test.len() as f64
}

#[test]
fn results_from_before_the_baseline_are_still_reported() {
    let (_folder, out) = fresh("grid");
    run(&short(&out, &["--quiet", "--methods=pt"])).succeeded();
    for task in ["rte", "stsb"] {
        let path = out.join(task).join("pt/seed-42/result.json");
        let mut result = json(&path);
        let fields = result.as_object_mut().expect("a result is an object");
        fields.remove("majority").expect("it is in new results");
        for (section, field) in [
            ("evaluation", "validation_rows"),
            ("evaluation", "metric"),
            ("input", "reference_slips"),
            ("input", "few_shot"),
            ("input", "max_target_length"),
        ] {
            let section = fields["config"][section].as_object_mut().expect("a section");
            section.remove(field).expect("it is in new results");
        }
        fs::write(&path, result.to_string()).expect("the folder is writable");
    }
    adept(["report".to_owned(), format!("--out={}", out.display())]).succeeded();
    assert!(json(&out.join("results.json"))["majority"].is_null());
}

#[cfg(unix)]
#[test]
fn a_grid_that_is_killed_goes_on_where_it_was_and_ends_in_the_same_table() {
    let (_folder, root) = fresh("root");
    let (whole, stopped) = (root.join("one"), root.join("two"));
    let more = [
        "--steps=30",
        "--set=checkpoint.every=1",
        "--set=evaluation.every=10",
        "--methods=pt,adept",
    ];
    let arguments = |out: &Path| -> Vec<String> {
        let all = short(out, &more);
        all.into_iter().filter(|argument| argument != "--steps=4").collect()
    };
    let expected = run(&arguments(&whole)).succeeded().out;

    let mut running = with_datasets(arguments(&stopped))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program is built by cargo for this test");
    // The first run is done and the second one has started.
    let begun = Instant::now();
    let second = stopped.join("rte/adept/seed-42/checkpoint");
    let has_checkpoint = || {
        let entries = fs::read_dir(&second).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name())
            .any(|name| name.to_string_lossy().starts_with("step-"))
    };
    while !has_checkpoint() && begun.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(2));
    }
    running.kill().expect("it is our child");
    running.wait().expect("it is our child");
    assert!(stopped.join("rte/pt/seed-42/result.json").exists());
    assert!(!stopped.join("results.json").exists() || json(&stopped.join("results.json"))["runs"].is_array());

    let mut plan = arguments(&stopped);
    plan.push("--plan".to_owned());
    let planned = run(&plan).succeeded().out;
    assert!(
        planned.contains("2 to do, 1 to resume, 1 done and skipped"),
        "{planned}"
    );
    let resumed = run(&arguments(&stopped)).succeeded();
    assert!(
        resumed.err.contains("rte adept, seed 42: resumed at step"),
        "{}",
        resumed.err
    );
    assert!(resumed.err.contains("[3/3] stsb adept"), "{}", resumed.err);
    assert_eq!(resumed.out.replace("/two/", "/one/"), expected);

    // Everything is done: nothing is measured or run, the table is the same.
    let again = run(&arguments(&stopped)).succeeded();
    assert!(
        again.err.contains("0 to do, 0 to resume, 4 done") && again.err.contains("every run is done"),
        "{}",
        again.err
    );
    assert_eq!(again.out, resumed.out);

    // Runs of another profile are not accepted here.
    let other = [
        "reproduce",
        "glue",
        "--profile=real-small",
        &format!("--data={}", sample().data.display()),
        &format!("--out={}", stopped.display()),
        "--plan",
    ]
    .map(str::to_owned);
    run(&other).failed(
        2,
        &[
            "holds a grid of profile `sample`, this one is `real-small`",
            "choose another folder",
        ],
    );
}

/// SPoT starts from a run of PT on MNLI, which is added; MPT on tasks together, ATTEMPT from four more.
#[test]
fn rows_that_start_from_other_runs_bring_them_along_and_are_not_run_twice() {
    let (_folder, out) = fresh("grid");
    let arguments = |methods: &str, more: &[&str]| {
        let mut all = short(&out, more);
        all.retain(|argument| argument != "--tasks=rte,stsb");
        all.push("--tasks=rte,mrpc".to_owned());
        all.push(format!("--methods={methods}"));
        all
    };
    let plan = run(&arguments("spot,full_multi,mpt_multi", &["--plan"]))
        .succeeded()
        .out;
    for expected in [
        "7, seed 42: 7 to do",
        "mnli/pt/seed-42: to do",
        // What MPT learns from.
        "mrpc/pt/seed-42: to do",
        "rte/spot/seed-42: to do",
        "all/mpt_multi/seed-42: to do",
        "all/full_multi/seed-42: to do",
    ] {
        assert!(plan.contains(expected), "{expected}:\n{plan}");
    }
    let place = |name: &str| plan.find(name).unwrap_or_else(|| panic!("{name}:\n{plan}"));
    assert!(place("mnli/pt/seed-42") < place("rte/spot/seed-42"), "{plan}");

    let done = run(&arguments("spot,mpt_multi", &[])).succeeded();
    assert!(
        done.out.contains("SPoT (t)") && done.out.contains("MPT (m)"),
        "{}",
        done.out
    );
    let results = json(&out.join("results.json"));
    let runs = results["runs"].as_array().expect("a list");
    let of = |row: &str, task: &str| {
        let found = runs.iter().find(|run| run["row"] == row && run["task"] == task);
        found.unwrap_or_else(|| panic!("{row} {task}: {results}"))
    };
    for task in ["rte", "mrpc"] {
        assert_eq!(of("spot", task)["trainable_parameters"], 1280);
        // The shared prompt and the factors of two tasks, for each of the two.
        let all = 1280 + 2 * (20 + 64);
        assert_eq!(of("mpt_multi", task)["trainable_parameters"], all / 2);
        let folder = of("mpt_multi", task)["folder"].as_str().expect("a text");
        assert_eq!(folder, format!("all/mpt_multi/seed-42/tasks/{task}"));
        assert!(out.join(folder).join("best/adapter_model.safetensors").exists());
    }
    of("pt", "mnli");

    let again = run(&arguments("spot,mpt_multi", &[])).succeeded();
    assert!(
        again.err.contains("0 to do") && again.err.contains("every run is done"),
        "{}",
        again.err
    );
    assert_eq!(again.out, done.out);

    run(&arguments(
        "dept",
        &["--set=adapter.init=adapter", "--set=adapter.init_from={mnli/none}"],
    ))
    .failed(2, &["starts from mnli/none", "run the row none first"]);
    run(&arguments(
        "dept",
        &["--set=adapter.init=adapter", "--set=adapter.init_from={mnli}"],
    ))
    .failed(2, &["`{mnli}` names no run"]);
    run(&arguments(
        "dept",
        &[
            "--set=adapter.init=adapter",
            "--set=adapter.init_from={superglue:boolq/pt}",
        ],
    ))
    .failed(2, &["which is not finished", "adept reproduce superglue --methods pt"]);
    // Every row that is missing, in one command.
    run(&arguments(
        "dept",
        &[
            "--set=adapter.init=adapter",
            "--set=adapter.init_from={superglue:boolq/dept}",
            "--set=adapter.sources={superglue:boolq/dept},{superglue:boolq/pt}",
        ],
    ))
    .failed(2, &["adept reproduce superglue --methods dept,pt` first"]);
    run(&arguments("spott", &[])).failed(2, &["spott"]);
}

/// A row of Table 15 is on each task that of the source whose run validates best; the sources are no columns.
#[test]
fn few_training_rows_start_from_the_best_of_several_sources() {
    let (_folder, out) = fresh("grid");
    let mut arguments = short(&out, &["--methods=pt_k4,spot_k4,mpt_k16"]);
    arguments[1] = "table15".to_owned();
    arguments[2] = "--tasks=rte".to_owned();
    let done = run(&arguments).succeeded();
    for label in ["PT, k = 4", "SPoT, k = 4", "MPT, k = 16"] {
        assert!(done.out.contains(label), "{label}: {}", done.out);
    }
    let results = json(&out.join("results.json"));
    assert_eq!(results["tasks"], serde_json::json!(["rte"]));
    let runs = results["runs"].as_array().expect("a list");
    let from = |source: &str| {
        let row = format!("spot_k4-from-{source}");
        let found = runs.iter().find(|run| run["row"] == row.as_str());
        found.unwrap_or_else(|| panic!("{row}: {results}"))
    };
    let sources = ["mnli", "qqp", "sst2"].map(from);
    let validation = |run: &serde_json::Value| run["best_validation"].as_f64().expect("a score");
    let best = sources
        .into_iter()
        .reduce(|best, next| {
            if validation(next) > validation(best) {
                next
            } else {
                best
            }
        })
        .expect("there are three");
    let rows = results["rows"].as_array().expect("a list");
    let row = rows.iter().find(|row| row["name"] == "spot_k4").expect("the row");
    assert_eq!(row["cells"]["rte"]["values"]["42"], best["test"]);
    for run in runs.iter().filter(|run| run["task"] == "rte") {
        let overrides = run["overrides"].to_string();
        let rows = if run["row"] == "mpt_k16" { 16 } else { 4 };
        assert!(overrides.contains(&format!("input.few_shot={rows}\"")), "{overrides}");
    }
    // MPT's first stage is on the sources together, beside a prompt for each of them.
    let stage = out.join("all/mpt_sources/seed-42/result.json");
    let learnt_from = json(&stage)["config"]["distillation"]["teachers"].to_string();
    for source in ["mnli", "qqp", "sst2"] {
        assert!(learnt_from.contains(&format!("{source}/pt/seed-42")), "{learnt_from}");
    }
    let again = run(&arguments).succeeded();
    assert!(again.err.contains("every run is done"), "{}", again.err);
}
