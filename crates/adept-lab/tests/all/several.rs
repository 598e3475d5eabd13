//! Runs on several tasks: batches, scores of each task, and what is left of each.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{AB, Watcher, alone, beside_others, bytes};
use crate::world::world;
use adept_core::{Adapter, Intervention as _, file};
use adept_lab::run::{load_backbone, prepare, run};
use adept_models::Backbone as _;
use adept_train::TrainError;
use adept_train::config::{Resolved, resolve};
use adept_train::folder::read_json;
use adept_train::record::{self, Line, RunResult};
use burn_flex::Flex;

/// RTE and CoLA for the tiny T5.
fn two_tasks(root: &Path) -> (PathBuf, PathBuf) {
    let (data, backbone) = world(root);
    fs::create_dir_all(data.join("CoLA")).unwrap();
    for (name, rows) in [("train.tsv", 30), ("dev.tsv", 20)] {
        let mut text = String::new();
        for row in 0..rows {
            let colour = if row % 2 == 0 { "red" } else { "blue" };
            text.push_str(&format!(
                "x\t{}\t\tthe sky is {}{colour}\n",
                row % 2,
                "not ".repeat(row % 3)
            ));
        }
        fs::write(data.join("CoLA").join(name), text).unwrap();
    }
    (data, backbone)
}

fn settings(root: &Path, (data, backbone): &(PathBuf, PathBuf), overrides: &[&str]) -> Resolved {
    let path = root.join("mixture.toml");
    let table = |name: &str| {
        format!(
            "[[tasks]]\nname = \"{name}\"\ndata = {:?}\n",
            data.display().to_string()
        )
    };
    fs::write(&path, table("rte") + &table("cola")).unwrap();
    let mut all: Vec<String> = [
        "preset=reference",
        "adapter.virtual_tokens=5",
        "adapter.init_text=the text is not red",
        "input.max_source_length=24",
        "train.steps=8",
        "train.batch_size=8",
        "train.log_every=1",
        "evaluation.every=4",
        "evaluation.batch_size=5",
    ]
    .map(String::from)
    .to_vec();
    all.push(format!("backbone={}", backbone.display()));
    all.extend(overrides.iter().map(ToString::to_string));
    resolve(Some(&path), &all).unwrap()
}

fn go(resolved: &Resolved, folder: &Path, watcher: &mut Watcher) -> Result<RunResult, TrainError> {
    run::<AB>(resolved, folder, &Default::default(), &Default::default(), watcher)
}

#[test]
fn tasks_are_scored_apart_and_together_and_leave_an_adapter_each() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let places = two_tasks(root.path());
    let device = Default::default();
    let loaded = load_backbone::<Flex>(&places.1, &device, None).unwrap();
    let sites = loaded.model.sites();
    let load = |folder: &Path| file::load::<Flex>(folder, &sites, &device).unwrap();
    for (method, parts) in [
        ("mpt", "1"),
        ("mpt", "2"),
        ("pt", "4"),
        ("lora", "1"),
        ("attempt", "1"),
        ("adapter", "1"),
        ("hyperformer", "2"),
        ("hyperdecoder", "2"),
        ("full", "2"),
    ] {
        let method_is = format!("adapter.method={method}");
        let parts_are = format!("mixture.tasks_per_batch={parts}");
        let mut overrides = vec![method_is.as_str(), parts_are.as_str(), "optimizer.mpt.warmup_steps=1"];
        if method != "mpt" {
            overrides.pop();
        }
        let source = format!("adapter.sources={}", root.path().join("pt-4/tasks/cola").display());
        if method == "attempt" {
            overrides.push(&source);
        }
        let resolved = settings(root.path(), &places, &overrides);
        let folder = root.path().join(format!("{method}-{parts}"));
        let mut watcher = Watcher::default();
        let result = go(&resolved, &folder, &mut watcher).unwrap();
        assert_eq!(
            (result.task.as_str(), watcher.losses.len()),
            ("rte+cola", 8),
            "{method}"
        );
        assert_eq!(result.selection_metric, "mean");
        let mean = (result.test["rte/accuracy"] + result.test["cola/matthews_correlation"]) / 2.0;
        assert_eq!(result.test["mean"], mean, "{method}");
        let files: Vec<&str> = result.data.iter().map(|file| file.name.as_str()).collect();
        assert!(
            files.contains(&"rte/RTE/train.tsv") || files.contains(&"rte/train.tsv"),
            "{files:?}"
        );

        for (place, (task, metric)) in [("rte", "accuracy"), ("cola", "matthews_correlation")]
            .into_iter()
            .enumerate()
        {
            let own = folder.join("tasks").join(task);
            let alone: RunResult = read_json(&own.join("result.json")).unwrap();
            assert_eq!((alone.task.as_str(), alone.selection_metric.as_str()), (task, metric));
            assert_eq!(
                alone.test[metric],
                result.test[&format!("{task}/{metric}")],
                "{method} {task}"
            );
            assert_eq!(alone.validation.len(), 1);
            if method == "full" {
                assert!(!own.join("best").exists(), "the model is the same for all tasks");
                continue;
            }
            let ((whole, _), (part, about)) = (load(&folder.join("best")), load(&own.join("best")));
            assert_eq!((about.task.as_deref(), about.config.tasks()), (Some(task), 1));
            match (&whole, &part) {
                // A plain prompt, for peft and for every other program.
                (Adapter::Mpt(whole), part) => {
                    assert_eq!(about.config.method().name(), "pt");
                    let found = part.prompt().unwrap().into_data();
                    assert_eq!(found, whole.prompt_of(place).into_data());
                }
                (Adapter::Attempt(whole), Adapter::Attempt(part)) => {
                    let own = whole.targets.val().narrow(0, place, 1).into_data();
                    assert_eq!(part.targets.val().into_data(), own);
                    assert_eq!(part.sources.to_data(), whole.sources.to_data());
                }
                (Adapter::Hyperformer(_) | Adapter::Adapter(_), part) => {
                    assert_eq!(about.config.method().name(), "adapter");
                    // What is made for the task is what stands in its own adapter.
                    let of_task = whole.of_task(place).unwrap();
                    for layer in &sites.sublayers {
                        let [of_task, own] = [of_task.after(layer.site), part.after(layer.site)];
                        let values =
                            |found: Option<adept_core::Bottleneck<Flex>>| found.map(|found| found.up.into_data());
                        assert_eq!(values(of_task), values(own), "{method} {}", layer.name);
                    }
                }
                (whole, part) => assert_eq!(whole.tensors(), part.tensors(), "{method}"),
            }
        }
        let lines = record::read(&folder.join("record.jsonl")).unwrap();
        let evaluations = lines.iter().filter(|line| matches!(line, Line::Evaluation(_)));
        assert_eq!(evaluations.count(), 2, "{method}");
    }
    // A prompt of each task starts the next run: of several, at the mean of their factors.
    let from = format!("adapter.init_from={}", root.path().join("mpt-1").display());
    let single = [
        "task=rte",
        "adapter.method=mpt",
        "adapter.init=adapter",
        "adapter.virtual_tokens=5",
        "input.max_source_length=24",
        "train.steps=1",
        "evaluation.every=1",
        from.as_str(),
    ];
    let mut all: Vec<String> = single.map(String::from).to_vec();
    all.push(format!("data={}", places.0.display()));
    all.push(format!("backbone={}", places.1.display()));
    let resolved = resolve(None, &all).unwrap();
    let result = go(&resolved, &root.path().join("next"), &mut Watcher::default()).unwrap();
    // The prompt and one task's factors.
    assert_eq!(result.trainable_parameters, 5 * 16 + 5 + 16);
    assert!(result.data.iter().any(|file| file.name == "adapter.init_from"));
}

#[test]
fn a_stopped_run_on_several_tasks_goes_on_to_the_same_adapter_byte_for_byte() {
    let _turn = alone();
    let root = tempfile::tempdir().unwrap();
    let places = two_tasks(root.path());
    let teachers = root.path().join("teachers");
    go(
        &settings(root.path(), &places, &["adapter.method=pt"]),
        &teachers,
        &mut Watcher::default(),
    )
    .unwrap();
    let taught = ["rte", "cola"].map(|task| teachers.join("tasks").join(task).display().to_string());
    let taught = format!("distillation.teachers={}", taught.join(","));
    // Of adapters, a task's own tensors get no gradient in the passes of another.
    for method in ["mpt", "adapter"] {
        let method_is = format!("adapter.method={method}");
        let mut overrides = vec![
            method_is.as_str(),
            "mixture.tasks_per_batch=2",
            "checkpoint.every=3",
            "train.backbone_dropout=0.1",
        ];
        if method == "mpt" {
            overrides.push(&taught);
        }
        let resolved = settings(root.path(), &places, &overrides);
        let whole = root.path().join(format!("{method}-whole"));
        let expected = go(&resolved, &whole, &mut Watcher::default()).unwrap();
        let stopped = root.path().join(format!("{method}-stopped"));
        for question in [3, 7, 13] {
            let mut watcher = Watcher::stopping_at(question);
            let outcome = go(&resolved, &stopped, &mut watcher);
            assert!(
                matches!(outcome, Err(TrainError::Interrupted { .. })),
                "{question}: {outcome:?}"
            );
        }
        let found = go(&resolved, &stopped, &mut Watcher::default()).unwrap();
        assert_eq!((&found.test, &found.validation), (&expected.test, &expected.validation));
        for part in ["best", "tasks/rte/best", "tasks/cola/best"] {
            assert_eq!(bytes(&stopped.join(part)), bytes(&whole.join(part)), "{method} {part}");
        }
    }
}

/// The step of each task's adapter is that of its own best score, also in a run that was stopped.
#[test]
fn each_task_may_keep_its_own_best_step() {
    let _turn = alone();
    let root = tempfile::tempdir().unwrap();
    let places = two_tasks(root.path());
    let overrides = [
        "adapter.method=pt",
        "mixture.best=each",
        "evaluation.every=1",
        "checkpoint.every=1",
    ];
    let resolved = settings(root.path(), &places, &overrides);
    let whole = root.path().join("whole");
    go(&resolved, &whole, &mut Watcher::default()).unwrap();
    let lines = record::read(&whole.join("record.jsonl")).unwrap();
    for task in ["rte", "cola"] {
        let own: RunResult = read_json(&whole.join("tasks").join(task).join("result.json")).unwrap();
        let score = format!("{task}/{}", own.selection_metric);
        let mut best: Option<(usize, f64)> = None;
        for line in &lines {
            if let Line::Evaluation(evaluation) = line
                && best.is_none_or(|(_, best)| evaluation.scores[&score] > best)
            {
                best = Some((evaluation.step, evaluation.scores[&score]));
            }
        }
        let found = own.validation[&own.selection_metric];
        assert_eq!(Some((own.best_step, found)), best, "{task}");
    }
    let stopped = root.path().join("stopped");
    for question in [5, 11, 23] {
        let outcome = go(&resolved, &stopped, &mut Watcher::stopping_at(question));
        assert!(matches!(outcome, Err(TrainError::Interrupted { .. })), "{outcome:?}");
    }
    go(&resolved, &stopped, &mut Watcher::default()).unwrap();
    for part in [
        "best",
        "best-of/rte",
        "best-of/cola",
        "tasks/rte/best",
        "tasks/cola/best",
    ] {
        assert_eq!(bytes(&stopped.join(part)), bytes(&whole.join(part)), "{part}");
    }
}

/// A student that starts as its teacher has nothing to learn from it: the divergence and its gradient are zero, so the
/// first loss is that of the targets alone.
#[test]
fn teachers_add_to_the_loss_what_a_student_lacks() {
    let _turn = alone();
    let root = tempfile::tempdir().unwrap();
    let places = two_tasks(root.path());
    let first_loss = |name: &str, overrides: &[&str]| {
        let folder = root.path().join(name);
        go(
            &settings(root.path(), &places, overrides),
            &folder,
            &mut Watcher::default(),
        )
        .unwrap();
        let lines = record::read(&folder.join("record.jsonl")).unwrap();
        let first = lines.iter().find_map(|line| match line {
            Line::Step(step) => Some(step.loss),
            _ => None,
        });
        first.unwrap()
    };
    first_loss("teachers", &["adapter.method=pt", "adapter.init=random"]);
    let taught = |task: &str| root.path().join("teachers/tasks").join(task).display().to_string();
    let both = format!("distillation.teachers={},{}", taught("rte"), taught("cola"));
    let from = format!("adapter.init_from={}", root.path().join("teachers").display());
    // Dropout is the student's alone.
    let without = "train.backbone_dropout=0";
    let same = ["adapter.method=pt", "adapter.init=adapter", from.as_str(), without];
    let plain = first_loss("plain", &same);
    let equal = first_loss("equal", &[same.as_slice(), &[both.as_str()]].concat());
    assert!((plain - equal).abs() < 1e-5, "{plain} {equal}");
    let other = ["adapter.method=pt", "adapter.init=random", "seed=9", without];
    let plain = first_loss("other-plain", &other);
    let more = first_loss("other", &[other.as_slice(), &[both.as_str()]].concat());
    assert!(more > plain + 1e-3, "{plain} {more}");
    // The teachers belong to the run.
    let result: RunResult = read_json(&root.path().join("other/result.json")).unwrap();
    let names: Vec<&str> = result.data.iter().map(|file| file.name.as_str()).collect();
    assert!(names.contains(&"distillation.teachers 2"), "{names:?}");
    let one = format!("distillation.teachers={}", taught("rte"));
    let all = ["adapter.method=pt", one.as_str()].map(String::from);
    let error = resolve(Some(&root.path().join("mixture.toml")), &all)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("must have one teacher for each task, of which there are 2"),
        "{error}"
    );
}

#[test]
fn mixtures_that_make_no_sense_are_refused() {
    let refused = |text: &str, overrides: &[&str], expected: &str| {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("mixture.toml");
        fs::write(&path, text).unwrap();
        let all: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let error = resolve(Some(&path), &all).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let table = |name: &str| format!("[[tasks]]\nname = \"{name}\"\ndata = \"x\"\n");
    let two = table("rte") + &table("cola");
    refused(
        &(table("rte") + &table("rte")),
        &[],
        "`tasks.name` = \"rte\": another [[tasks]] table has this task",
    );
    refused(&table("rte"), &[], "a single task is to be given as `task` and `data`");
    refused(&two, &["task=mrpc"], "`task` = \"mrpc\": must be left out");
    refused(&two, &["mixture.tasks_per_batch=5"], "must divide `train.batch_size`");
    refused(
        &two,
        &["mixture.temperature=0"],
        "`mixture.temperature` must be a number from 0.01",
    );
    refused(
        &format!("{two}[mixture]\ntemperature = 0\n"),
        &[],
        "mixture.toml:8: `mixture.temperature`",
    );
    refused("[[tasks]]\nname = \"rte\"\n", &[], "`tasks.data` has no default");
    refused(
        "[[tasks]]\nname = \"no\"\ndata = \"x\"\n",
        &[],
        "mixture.toml:2: `tasks.name` must be one of",
    );
    refused("", &["mixture.tasks_per_batch=2"], "must be 1 without [[tasks]] tables");
}

#[test]
fn a_task_without_the_data_it_needs_is_named() {
    let root = tempfile::tempdir().unwrap();
    let places = two_tasks(root.path());
    let resolved = settings(root.path(), &places, &["adapter.method=pt"]);
    fs::remove_file(places.0.join("CoLA/dev.tsv")).unwrap();
    let loaded = load_backbone::<Flex>(&places.1, &Default::default(), None).unwrap();
    let error = prepare(&resolved.config, &loaded, &Default::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("CoLA") && error.contains("dev.tsv"), "{error}");
}
