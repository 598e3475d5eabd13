//! Whole runs: from files on disk to `result.json`, and the handling of folders that already contain a run.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use crate::common::{AB, Watcher, alone, beside_others, bytes, t5_config};
use crate::world::world;
use adept_core::Intervention as _;
use adept_lab::run::{load_backbone, prepare, run, run_prepared};
use adept_models::Backbone as _;
use adept_models::T5;
use adept_models::t5::T5Config;
use adept_train::TrainError;
use adept_train::config::{Resolved, TrainMethod, resolve};
use adept_train::record::{self, Line, RunResult};
use adept_train::test_answers::TestAnswers;
use burn_flex::Flex;

pub fn settings(data: &Path, backbone: &Path, overrides: &[&str]) -> Resolved {
    let mut all: Vec<String> = [
        "preset=reference",
        "task=rte",
        "adapter.virtual_tokens=5",
        "adapter.rank=0",
        "adapter.budget_tokens=20",
        "adapter.init_text=the text is not red",
        "input.max_source_length=24",
        "train.steps=6",
        "train.batch_size=8",
        "train.log_every=1",
        "evaluation.every=3",
        "evaluation.batch_size=5",
        "optimizer.prompt.warmup_steps=1",
    ]
    .map(String::from)
    .to_vec();
    all.push(format!("data={}", data.display()));
    all.push(format!("backbone={}", backbone.display()));
    all.extend(overrides.iter().map(ToString::to_string));
    resolve(None, &all).unwrap()
}

fn go(resolved: &Resolved, folder: &Path, watcher: &mut Watcher) -> Result<RunResult, TrainError> {
    run::<AB>(resolved, folder, &Default::default(), &Default::default(), watcher)
}

/// The record says it, the results are not those of float32, and full fine-tuning is in float32 whatever is set.
#[test]
fn the_precision_is_that_of_the_frozen_backbone() {
    let _turn = alone();
    let root = tempfile::tempdir().unwrap();
    let (data, backbone) = world(root.path());
    let losses = |method: &str, precision: &str| {
        let overrides = [
            format!("adapter.method={method}"),
            format!("train.precision={precision}"),
        ];
        let all: Vec<&str> = overrides.iter().map(String::as_str).collect();
        let folder = root.path().join(format!("{method}-{precision}"));
        let mut watcher = Watcher::default();
        go(&settings(&data, &backbone, &all), &folder, &mut watcher).unwrap();
        let lines = record::read(&folder.join("record.jsonl")).unwrap();
        let Line::Start(start) = &lines[0] else {
            panic!("{:?}", lines[0])
        };
        (watcher.losses, start.device.contains("bf16 ("))
    };
    let (single, rounded) = (losses("adept", "f32"), losses("adept", "bf16"));
    assert_eq!((single.1, rounded.1), (false, true));
    let differences: Vec<f64> = single.0.iter().zip(&rounded.0).map(|(a, b)| (a - b).abs()).collect();
    // Operands have 8 significant bits; losses of this tiny model are near 10.
    let largest = differences.iter().copied().fold(0.0, f64::max);
    assert!(largest > 1e-6 && largest < 0.05, "{differences:?}");
    assert_eq!(losses("full", "bf16"), losses("full", "f32"));
}

#[test]
fn every_method_runs_from_files_to_a_result_that_loads() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let (data, backbone) = world(root.path());
    let device = Default::default();
    let loaded = load_backbone::<Flex>(&backbone, &device, None).unwrap();
    let ways = ["generate", "labels", "auto"].into_iter().cycle();
    for (method, how) in TrainMethod::all().map(TrainMethod::name).zip(ways) {
        let overrides = [format!("adapter.method={method}"), format!("evaluation.method={how}")];
        // The prompts of other tasks: those of the runs before.
        let sources = ["pt", "adept"].map(|source| root.path().join(source).display().to_string());
        let sources = format!("adapter.sources={}", sources.join(","));
        let mut all: Vec<&str> = overrides.iter().map(String::as_str).collect();
        if method == "attempt" {
            all.push(&sources);
        }
        let resolved = settings(&data, &backbone, &all);
        let folder = root.path().join(method);
        let mut watcher = Watcher::default();
        let result = go(&resolved, &folder, &mut watcher).unwrap();
        assert_eq!(
            (watcher.started, watcher.ended, watcher.losses.len()),
            (1, 1, 6),
            "{method}"
        );
        assert_eq!(
            adept_train::folder::read_json::<RunResult>(&folder.join("result.json")).unwrap(),
            result
        );
        assert!(
            result.best_step == 3 || result.best_step == 6,
            "{method}: best step {}",
            result.best_step
        );
        assert!(
            result.test.contains_key("accuracy") && result.validation.contains_key("accuracy"),
            "{method}"
        );
        assert!(
            !folder.join("checkpoint").exists(),
            "a finished run needs no checkpoint"
        );
        let answers = TestAnswers::read(&folder.join("test-answers.json")).unwrap();
        let labels = answers.labels.unwrap();
        let right = labels
            .right
            .iter()
            .zip(&labels.answers)
            .filter(|(right, answer)| right == answer);
        // Rounded where it is divided, here before the factor and there after it.
        let share = right.count() as f64 / 12.0;
        assert!((result.test["accuracy"] - 100.0 * share).abs() < 1e-9, "{method}");

        let lines = record::read(&folder.join("record.jsonl")).unwrap();
        let Line::Start(start) = &lines[0] else {
            panic!("{:?}", lines[0])
        };
        assert_eq!(start.resolved, resolved);
        let files = if method == "attempt" { 4 } else { 2 };
        assert_eq!((start.examples, start.data.len()), ([40, 12, 12], files));
        assert!(
            matches!(lines.last(), Some(Line::End(end)) if **end == result),
            "{method}"
        );
        assert_eq!(
            resolve(Some(&folder.join("config.toml")), &[]).unwrap().config,
            resolved.config
        );
        check_card(&folder, &result, root.path());

        if method == "full" {
            assert_eq!(
                (result.trainable_parameters, result.rank),
                (result.backbone_parameters, 0)
            );
            let trained = load_backbone::<Flex>(&folder.join("best"), &device, None).unwrap();
            assert_ne!(trained.fingerprint, loaded.fingerprint);
        } else {
            let (adapter, about) =
                adept_core::file::load::<Flex>(&folder.join("best"), &loaded.model.sites(), &device).unwrap();
            about.check_backbone(&loaded.fingerprint).unwrap();
            assert_eq!(
                (about.base_model.as_str(), about.task.as_deref()),
                ("tiny-t5", Some("rte"))
            );
            let has_tokens = about.config.method().has_prompt() || method == "prefix";
            assert_eq!(adapter.virtual_tokens(), if has_tokens { 5 } else { 0 }, "{method}");
            let count = about.config.trainable_parameters(&loaded.model.sites()).unwrap();
            assert_eq!(result.trainable_parameters, count);
            // The budget: m·d + 2·r·d + r + d for ADePT, m·d + r·(length + d) for DePT, of 20·16 values.
            let rank = match method {
                "dept" => (20 * 16 - 5 * 16) / (24 + 16),
                "adept" => (20 * 16 - 5 * 16 - 16) / (2 * 16 + 1),
                "lora" | "lora_bitfit" => 32,
                "adapter" | "adapter_drop" | "hyperformer" | "hyperdecoder" => 1,
                _ => 0,
            };
            assert_eq!(result.rank, rank, "{method}");
        }
    }
}

/// The model card has the scores of both splits and the data's checksums, and no path; it says how peft loads what peft
/// can load.
fn check_card(folder: &Path, result: &RunResult, root: &Path) {
    let card = fs::read_to_string(folder.join("best/README.md")).unwrap();
    let method = result.method.name();
    let scores = [("validation", &result.validation), ("test", &result.test)];
    let scores = scores.map(|(split, scores)| format!("| {split} | accuracy | {:.2} |", scores["accuracy"]));
    let sums = result.data.iter().map(|file| file.sha256.clone());
    for part in scores.into_iter().chain(sums).chain([result.fingerprint.clone()]) {
        assert!(card.contains(&part), "{method}: {part} in {card}");
    }
    assert!(!card.contains(&*root.to_string_lossy()), "{method}: {card}");
    let by_peft = ["pt", "residual", "p_tuning", "lora", "ia3"].contains(&method);
    assert_eq!(card.contains("PeftModel"), by_peft, "{method}: {card}");
}

#[test]
fn a_finished_run_is_not_run_again_and_another_is_refused() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let (data, backbone) = world(root.path());
    let folder = root.path().join("run");
    let first = go(&settings(&data, &backbone, &[]), &folder, &mut Watcher::default()).unwrap();
    let before = bytes(&folder);
    let mut watcher = Watcher::default();
    // Fields that do not affect the result may differ.
    let again = go(
        &settings(&data, &backbone, &["train.log_every=3"]),
        &folder,
        &mut watcher,
    )
    .unwrap();
    assert_eq!((again, watcher.started), (first, 0));
    assert_eq!(bytes(&folder), before);

    let refusal = |resolved: &Resolved| go(resolved, &folder, &mut Watcher::default()).unwrap_err().to_string();
    let error = refusal(&settings(&data, &backbone, &["optimizer.prompt.learning_rate=0.4"]));
    assert!(
        error.contains("`optimizer.prompt.learning_rate` = 0.3, this one has 0.4"),
        "{error}"
    );

    let file = data.join("RTE/dev.tsv");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("blue", "red", 1)).unwrap();
    let error = refusal(&settings(&data, &backbone, &[]));
    assert!(error.contains("data file") && error.contains("dev.tsv"), "{error}");
    fs::write(&file, text).unwrap();

    let other = T5Config {
        vocab_size: 20,
        ..t5_config()
    };
    T5::<Flex>::random(&other, 8, &Default::default())
        .save_pretrained(&backbone)
        .unwrap();
    let error = refusal(&settings(&data, &backbone, &[]));
    assert!(error.contains("backbone fingerprint = sha256:"), "{error}");
}

#[test]
fn an_interrupted_run_goes_on_with_the_same_settings_only() {
    let _turn = alone();
    let root = tempfile::tempdir().unwrap();
    let (data, backbone) = world(root.path());
    let (whole, stopped) = (root.path().join("whole"), root.path().join("stopped"));
    let resolved = settings(&data, &backbone, &[]);
    let expected = go(&resolved, &whole, &mut Watcher::default()).unwrap();
    let error = go(&resolved, &stopped, &mut Watcher::stopping_at(4)).unwrap_err();
    assert!(matches!(error, TrainError::Interrupted { .. }), "{error}");
    assert!(!stopped.join("result.json").exists());

    let error = go(
        &settings(&data, &backbone, &["seed=9"]),
        &stopped,
        &mut Watcher::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("`seed` = 42, this one has 9"), "{error}");

    let mut watcher = Watcher::default();
    let found = go(&resolved, &stopped, &mut watcher).unwrap();
    assert_eq!(watcher.resumed.len(), 1);
    assert_eq!(
        (&found.validation, &found.test, found.best_step),
        (&expected.validation, &expected.test, expected.best_step)
    );
    assert_eq!(bytes(&whole.join("best")), bytes(&stopped.join("best")));
    let answers = |folder: &Path| TestAnswers::read(&folder.join("test-answers.json")).unwrap();
    assert_eq!(answers(&stopped), answers(&whole));
}

#[test]
fn what_is_missing_or_does_not_fit_is_named() {
    let root = tempfile::tempdir().unwrap();
    let (data, backbone) = world(root.path());
    let folder = root.path().join("run");
    let error = |resolved: &Resolved| go(resolved, &folder, &mut Watcher::default()).unwrap_err().to_string();
    let none = Path::new("");
    assert!(error(&settings(none, &backbone, &[])).starts_with("`data` has no default"));
    assert!(error(&settings(&data, none, &[])).starts_with("`backbone` has no default"));
    let text = error(&settings(&data, &backbone, &["adapter.budget_tokens=5"]));
    assert!(
        text.starts_with("adept: a budget of 5 x 16 values leaves no room beside 5 virtual tokens"),
        "{text}"
    );

    let resolved = settings(&data, &backbone, &[]);
    let loaded = load_backbone::<Flex>(&backbone, &Default::default(), None).unwrap();
    let task = prepare(&resolved.config, &loaded, &Default::default()).unwrap();
    let other = settings(&data, &backbone, &["input.max_source_length=16"]);
    let refused = run_prepared::<AB>(&other, &folder, &loaded, &task, &Default::default(), &mut ()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the task was prepared with input.max_source_length = 24, the run has 16"
    );
}
