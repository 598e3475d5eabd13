//! Edge values of every numeric setting, and data with very few rows: either a run, or an error that says what is wrong
//! and what would be accepted. Never a panic.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use adept_lab::run::run;
use adept_train::TrainError;
use adept_train::config::fields::{Field, Kind, RUN};
use adept_train::config::{ConfigError, Resolved, resolve};
use adept_train::pretrain;

use crate::common::{AB, Watcher, beside_others};
use crate::thorough::thorough;
use crate::world::world;

/// Edge values of a kind, as a user would write them.
fn edges(kind: &Kind) -> Vec<String> {
    let huge = [
        "1000000000000000000",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
    ];
    let words = ["-1", "0", "1", "2", "nan", "inf", "-inf", "", "one", "0x10", "1e400"];
    let mut values: Vec<String> = words.iter().chain(&huge).map(ToString::to_string).collect();
    match kind {
        &Kind::Integer { min, max } => {
            values.extend([min.to_string(), max.to_string()]);
            values.extend(
                [min.checked_sub(1), max.checked_add(1)]
                    .into_iter()
                    .flatten()
                    .map(|edge| edge.to_string()),
            );
        }
        &Kind::Number { min, max } | &Kind::NumberOr { min, max, .. } => {
            values.extend([min, max, min - 1e-3, max * 1.5, 5e-324, f64::MAX].map(|edge| edge.to_string()));
        }
        Kind::Widths => values.extend(["[]", "[0]", "[1]", "[1,2]", "[2,1]", "[1,1]", "[-1]"].map(String::from)),
        _ => {}
    }
    values.sort();
    values.dedup();
    values
}

fn is_numeric(field: &&Field) -> bool {
    matches!(
        field.kind,
        Kind::Integer { .. } | Kind::Number { .. } | Kind::NumberOr { .. } | Kind::Widths
    )
}

/// Sizes above this are accepted, but run only where tests take their time: they need half a minute of matrix products
/// and take no other way through the code.
const LARGEST_RUN: i64 = 128;

/// Whether a setting is a size of what is trained or generated, and `text` too large a one to run.
fn is_long(field: &Field, text: &str) -> bool {
    let is_size = field.key.starts_with("adapter.") || field.key == "evaluation.max_new_tokens";
    is_size && matches!(field.kind, Kind::Integer { .. }) && text.parse().is_ok_and(|value: i64| value > LARGEST_RUN)
}

/// Whether a value is within its field's range.
fn is_within(kind: &Kind, text: &str) -> bool {
    match kind {
        &Kind::Integer { min, max } => text.parse().is_ok_and(|value: i64| (min..=max).contains(&value)),
        &Kind::Number { min, max } | &Kind::NumberOr { min, max, .. } => {
            text.parse().is_ok_and(|value: f64| (min..=max).contains(&value))
        }
        _ => true,
    }
}

/// Resolves a field's edge values and returns the accepted ones.
fn accepted(field: &Field, resolve: &dyn Fn(String) -> Result<(), ConfigError>) -> Vec<String> {
    let mut kept = Vec::new();
    for value in edges(&field.kind) {
        let assignment = format!("{}={value}", field.key);
        match resolve(assignment.clone()) {
            Ok(()) => {
                assert!(is_within(&field.kind, &value), "{assignment} is accepted");
                kept.push(value);
            }
            Err(ConfigError::Value { key, expected, .. }) => {
                assert_eq!(key, field.key);
                assert_eq!(expected, field.kind.describe(), "{assignment}: the range is not said");
                assert!(
                    !is_within(&field.kind, &value) || matches!(field.kind, Kind::Widths),
                    "{assignment} is refused, though it is {expected}"
                );
            }
            // Refused in combination with other fields.
            Err(cause) => {
                let message = cause.to_string();
                let last = field.key.rsplit('.').next().unwrap();
                let words = last.replace("warmup_steps", "steps of warm-up");
                assert!(
                    message.contains(last) || message.contains(&words),
                    "{assignment}: {message}"
                );
            }
        }
    }
    assert!(!kept.is_empty(), "{}: no edge is accepted", field.key);
    kept
}

struct World {
    _root: tempfile::TempDir,
    root: std::path::PathBuf,
    data: std::path::PathBuf,
    backbone: std::path::PathBuf,
    /// A prompt of another task.
    source: std::path::PathBuf,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (data, backbone) = world(root.path());
        let source = root.path().join("source.safetensors");
        let values = [0; 3 * 16 * 4];
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![3, 16], &values).unwrap();
        fs::write(&source, safetensors::serialize([("prompt", view)], None).unwrap()).unwrap();
        Self {
            source,
            root: root.path().to_owned(),
            _root: root,
            data,
            backbone,
        }
    }

    fn settings(&self, overrides: &[String]) -> Result<Resolved, ConfigError> {
        let mut all: Vec<String> = [
            "task=rte",
            "adapter.virtual_tokens=3",
            "adapter.rank=2",
            "input.max_source_length=24",
            "train.steps=2",
            "train.batch_size=2",
            "evaluation.every=1",
            "evaluation.validation_rows=2",
            "checkpoint.every=1",
        ]
        .map(String::from)
        .to_vec();
        all.push(format!("data={}", self.data.display()));
        all.push(format!("backbone={}", self.backbone.display()));
        all.extend(overrides.iter().cloned());
        if all.iter().any(|assignment| assignment == "adapter.method=attempt") {
            all.push(format!("adapter.sources={}", self.source.display()));
        }
        resolve(None, &all)
    }

    /// Runs a few passes. Refusals must be reported as such, and so must a diverged loss.
    fn run(&self, overrides: &[String]) -> Result<(), TrainError> {
        let resolved = self.settings(overrides)?;
        let out = tempfile::tempdir_in(&self.root).unwrap();
        let mut watcher = Watcher::stopping_at(6);
        match run::<AB>(
            &resolved,
            out.path(),
            &Default::default(),
            &Default::default(),
            &mut watcher,
        ) {
            Err(TrainError::Interrupted { .. } | TrainError::NotFinite { .. }) | Ok(_) => Ok(()),
            Err(cause) => Err(cause),
        }
    }
}

#[test]
fn every_number_of_a_run_is_used_or_refused_by_its_range() {
    let _turn = beside_others();
    let world = World::new();
    for field in RUN.fields.iter().filter(is_numeric) {
        // Settings of a method need a run of that method.
        let method = field.method.map(|method| format!("adapter.method={method}"));
        let with = |assignment: String| -> Vec<String> { method.iter().cloned().chain([assignment]).collect() };
        let kept = accepted(field, &|assignment| world.settings(&with(assignment)).map(drop));
        for value in kept {
            let is_long = is_long(field, &value);
            let value = match is_long && !thorough() {
                true => LARGEST_RUN.to_string(),
                false => value,
            };
            let assignment = format!("{}={value}", field.key);
            let mut overrides = with(assignment.clone());
            if is_long {
                overrides.extend(["train.steps=1", "evaluation.validation_rows=1"].map(String::from));
            }
            if let Err(cause) = world.run(&overrides) {
                assert!(is_refusal(&cause), "{assignment}: {cause:?}");
            }
        }
    }
}

/// Errors that name the setting or rows at fault.
fn is_refusal(cause: &TrainError) -> bool {
    use adept_core::CoreError;
    use adept_data::DataError;
    matches!(
        cause,
        TrainError::Config(_)
            | TrainError::NoRoom { .. }
            | TrainError::EmptySplit { .. }
            | TrainError::Core(
                CoreError::InvalidConfig { .. }
                    | CoreError::NoBlocks { .. }
                    | CoreError::Reduction { .. }
                    | CoreError::NoSideBlocks { .. }
            )
            | TrainError::Data(DataError::FewShot { .. } | DataError::TooFewRows { .. })
    )
}

#[test]
fn edges_of_sizes_run_with_every_method() {
    let _turn = beside_others();
    let world = World::new();
    for method in ["pt", "dept", "adept", "full"] {
        for edge in [
            &["adapter.virtual_tokens=1"][..],
            &["adapter.virtual_tokens=0"],
            &["adapter.rank=1"],
            &["adapter.rank=17", "adapter.virtual_tokens=0"],
            &["input.max_source_length=2"],
            &[
                "input.max_source_length=2",
                "input.pad_to_max=true",
                "adapter.virtual_tokens=0",
            ],
            &["evaluation.max_new_tokens=1", "evaluation.method=generate"],
            &["train.batch_size=4096", "evaluation.batch_size=4096"],
            &["train.steps=1", "train.accumulation=3"],
        ] {
            let mut all: Vec<String> = edge.iter().map(ToString::to_string).collect();
            all.push(format!("adapter.method={method}"));
            match world.run(&all) {
                Ok(()) => assert!(method != "pt" || !edge.contains(&"adapter.virtual_tokens=0")),
                Err(cause) => assert!(method == "pt" && is_refusal(&cause), "{method} {edge:?}: {cause}"),
            }
        }
    }
}

#[test]
fn targets_of_one_token_are_refused_by_their_range() {
    let world = World::new();
    let refused = world
        .settings(&["input.max_target_length=1".to_owned()])
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("`input.max_target_length` = 1") && refused.contains("from 2 to"),
        "{refused}"
    );
}

/// Files with very few rows, with a single class, with an empty split.
#[test]
fn data_of_hardly_any_rows_run_or_are_refused() {
    let _turn = beside_others();
    let world = World::new();
    let file = |rows: usize, classes: usize| {
        let row = |row: usize| {
            let label = ["entailment", "not_entailment"][row % classes];
            format!("{row}\tthe sky\tis red {row}\t{label}\n")
        };
        let rows: String = (0..rows).map(row).collect();
        format!("index\tsentence1\tsentence2\tlabel\n{rows}")
    };
    let put = |name: &str, text: String| fs::write(world.data.join("RTE").join(name), text).unwrap();
    let run = || world.run(&[]);
    for (train, dev, classes, runs) in [
        (1, 24, 1, true),
        (1, 2, 2, true),
        (3, 3, 2, true),
        (40, 24, 1, true),
        (40, 1, 2, false),
        (40, 0, 2, false),
        (0, 24, 2, false),
    ] {
        put("train.tsv", file(train, classes));
        put("dev.tsv", file(dev, classes));
        match run() {
            Ok(()) => assert!(runs, "{train} and {dev} rows ran"),
            Err(cause) => assert!(
                !runs && says_rows(&cause),
                "{train} and {dev} rows of {classes} classes: {cause}"
            ),
        }
    }
}

/// Whether a message is about missing rows.
fn says_rows(cause: &TrainError) -> bool {
    let message = cause.to_string();
    is_refusal(cause) || message.contains("row") || message.contains("empty")
}

#[test]
fn every_number_of_a_pretraining_is_refused_by_its_range_or_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pretrain.toml");
    fs::write(&file, "[text]\nfiles = [\"a.txt\"]\n[mixture]\ntask_share = 0.0\n").unwrap();
    let resolve = |assignment: String| pretrain::resolve(Some(&file), &[assignment]).map(drop);
    for field in pretrain::config::PRETRAIN.fields.iter().filter(is_numeric) {
        accepted(field, &resolve);
    }
}

/// One pretraining run for each field's smallest value, on a corpus of a few hundred words.
#[test]
fn the_smallest_numbers_of_a_pretraining_run_or_are_refused() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let words = [
        "harbour", "lantern", "crossed", "morning", "painter", "followed", "winter", "garden", "letter",
    ];
    // A tokenizer needs different words.
    let ends = ["", "s", "like", "less", "ful", "ness", "ish", "mate", "ward"];
    let word = |row: usize, at: usize| {
        let place = row * (at + 3) + row / 5 + at * 7;
        format!("{}{}", words[place % 9], ends[(place / 5 + at) % 9])
    };
    let sentence = |row: usize| (0..9).map(|at| word(row, at)).collect::<Vec<_>>().join(" ");
    let text: String = (0..400).map(|row| sentence(row) + ".\n").collect();
    fs::write(root.path().join("a.txt"), text).unwrap();
    let file = root.path().join("pretrain.toml");
    fs::write(
        &file,
        "[model]\nd_model = 8\nd_kv = 4\nd_ff = 8\nlayers = 1\nheads = 2\n[tokenizer]\nvocab_size = 50\nsentinels = 8\n\
         [text]\nfiles = [\"a.txt\"]\ninput_length = 24\nbatch_size = 2\nholdout_windows = 2\n\
         [mixture]\ntask_share = 0.0\n[schedule]\nwarmup_steps = 1\ndecay_steps = 1\n\
         [train]\nsteps = 2\nevaluate_every = 2\n",
    )
    .unwrap();
    let smallest = |field: &&Field| match field.kind {
        Kind::Integer { min, .. } => Some(format!("{}={min}", field.key)),
        Kind::Number { min, .. } => Some(format!("{}={min}", field.key)),
        _ => None,
    };
    // Sections that determine sizes and divisors.
    let tried = ["model.", "tokenizer.", "text.", "schedule.", "train.", "optimizer."];
    let fields = pretrain::config::PRETRAIN
        .fields
        .iter()
        .filter(|field| tried.iter().any(|begin| field.key.starts_with(begin)));
    let mut ran = 0;
    for assignment in fields.filter_map(|field| smallest(&field)) {
        let Ok(resolved) = pretrain::resolve(Some(&file), std::slice::from_ref(&assignment)) else {
            continue;
        };
        match pretrain_in(root.path(), &resolved) {
            Ok(()) => ran += 1,
            Err(TrainError::Diverged { .. }) => {}
            Err(cause) => {
                let message = cause.to_string();
                let refused = ["at least", "sentinels", "held-out", "pieces", "tokens", "noise"];
                assert!(
                    refused.iter().any(|word| message.contains(word)),
                    "{assignment}: {message}"
                );
            }
        }
    }
    assert!(ran > 25, "only {ran} ran");
}

fn pretrain_in(root: &Path, resolved: &pretrain::ResolvedPretrain) -> Result<(), TrainError> {
    let out = tempfile::tempdir_in(root).unwrap();
    let roots = pretrain::Roots {
        config: root.to_owned(),
        data: root.to_owned(),
    };
    pretrain::run::<AB>(resolved, &roots, out.path(), &Default::default(), &mut ()).map(drop)
}
