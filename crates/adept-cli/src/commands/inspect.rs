//! `adept inspect`: shows the contents of a folder. An adapter, a backbone and a run are told apart by their files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use adept_core::file;
use adept_data::task::TargetCard;
use adept_data::{SplitLosses, TextTokenizer};
use adept_lab::report::text::{duration, thousands};
use adept_models::auto::{self, Opened};
use adept_models::checkpoint::Checkpoint;
use adept_train::folder::read_json;
use adept_train::record::{self, Line, RunResult};
use adept_train::trained::TrainedWith;
use burn::tensor::TensorData;

use super::{hub, run_failure};
use crate::args::Inspect;
use crate::failure::{Failure, say};
use crate::progress::scores;

/// Prints a description of the folder.
pub fn run(arguments: &Inspect) -> Result<(), Failure> {
    let folder = &arguments.folder;
    // Includes dangling links: opening one gives the appropriate error.
    let holds = |name: &str| adept_files::is_named(&folder.join(name));
    if holds("adapter_config.json") {
        return adapter(arguments);
    }
    if holds("model/config.json") && holds("record.jsonl") {
        row("run", format_args!("{}, of pretraining; its model:", folder.display()))?;
        return backbone(&folder.join("model"), arguments.tensors);
    }
    if holds("record.jsonl") || holds("result.json") {
        return run_folder(folder);
    }
    if holds("config.json") {
        return backbone(folder, arguments.tensors);
    }
    let found = match folder.read_dir() {
        Ok(_) => io::Error::new(
            io::ErrorKind::NotFound,
            "expected adapter_config.json (an adapter), config.json (a backbone) or record.jsonl (a run), found none",
        ),
        Err(cause) => cause,
    };
    Err(Failure::input(found).context(folder.display()))
}

fn row(name: &str, value: impl std::fmt::Display) -> Result<(), Failure> {
    say(format_args!("{name:<22} {value}"))
}

/// Prints an adapter's metadata and tensors.
fn adapter(arguments: &Inspect) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let (about, tensors) = file::read(folder).map_err(Failure::input)?;
    let config = &about.config;
    row("adapter", folder.display())?;
    row(
        "method",
        format_args!("{} ({})", config.method(), config.method().info().title),
    )?;
    let trained = TrainedWith::of_adapter(folder, &about).map_err(run_failure)?;
    if trained.is_none() {
        row("task", about.task.as_deref().unwrap_or("not named"))?;
    }
    row("base model", &about.base_model)?;
    row(
        "backbone fingerprint",
        about
            .fingerprint
            .as_ref()
            .map_or("not named", |fingerprint| fingerprint.as_str()),
    )?;
    for (name, fact) in config.facts() {
        row(name, fact)?;
    }
    let count: usize = tensors.values().map(TensorData::num_elements).sum();
    row("trainable parameters", thousands(count))?;
    if let Some(trained) = &trained {
        trained_rows(trained)?;
    }
    if let Some(backbone) = &arguments.backbone {
        let opened = auto::open(&hub::backbone(backbone)?).map_err(Failure::input)?;
        about
            .check_backbone(&opened.checkpoint.fingerprint())
            .map_err(Failure::input)?;
        config.tensor_shapes(&opened.config.sites()).map_err(Failure::input)?;
        row(
            "of all parameters",
            share(count, opened.checkpoint.parameters() + count),
        )?;
    }
    say("")?;
    for (name, data) in &tensors {
        say(format_args!("  {name:<22} {:?}", &*data.shape))?;
    }
    Ok(())
}

/// Prints what a model was trained with.
fn trained_rows(with: &TrainedWith) -> Result<(), Failure> {
    let (trained, card) = (&with.trained, with.task.card());
    row("trained on", format_args!("a backbone of family {}", trained.family))?;
    let origin = match with.task.own_card() {
        Some(_) => "a card of its own",
        None => "built in",
    };
    row("task", format_args!("{} ({}), {origin}", card.name, card.display))?;
    let pieces: Vec<String> = card
        .source
        .pieces
        .iter()
        .map(|piece| format!("{}{{{}}}", spaced(&piece.marker), piece.field))
        .collect();
    row("source", pieces.join(" "))?;
    if let TargetCard::Class { classes, .. } = &card.target {
        let classes = classes.iter().zip(trained.labels.iter().flatten());
        let labels: Vec<String> = classes.map(|(class, label)| format!("{label} {class}")).collect();
        row("labels", labels.join(", "))?;
    }
    if let Some(tokens) = trained.target_tokens {
        row("max target length", tokens)?;
    }
    let metrics: Vec<&str> = with.task.metrics().iter().map(|metric| metric.name()).collect();
    row("metrics", metrics.join(", "))?;
    for (key, value) in &trained.settings {
        row("", format_args!("{key} = {value}"))?;
    }
    Ok(())
}

/// A marker followed by a space; empty without a marker.
fn spaced(marker: &str) -> String {
    match marker {
        "" => String::new(),
        marker => format!("{marker} "),
    }
}

/// Element types of a checkpoint's tensors with their numbers of values, most frequent first.
fn stored_types(checkpoint: &Checkpoint) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in checkpoint.names() {
        let values: usize = checkpoint.shape(name).map_or(0, |shape| shape.iter().product());
        let dtype = checkpoint.raw(name).map(|(dtype, _)| format!("{dtype:?}"));
        *counts.entry(dtype.unwrap_or_default()).or_default() += values;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match &counts[..] {
        [(dtype, _)] => dtype.clone(),
        all => {
            let part = |(dtype, count): &(String, usize)| format!("{dtype} ({} values)", thousands(*count));
            all.iter().map(part).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Ids of the end tokens, with their texts if the folder has a tokenizer.
fn end_tokens(folder: &Path, ids: &[u32]) -> String {
    let tokenizer = TextTokenizer::from_dir(folder).ok();
    let token = |id: &u32| match tokenizer
        .as_ref()
        .and_then(|tokenizer| tokenizer.decode(&[*id], false).ok())
    {
        Some(text) if !text.is_empty() => format!("{id} {text:?}"),
        _ => id.to_string(),
    };
    ids.iter().map(token).collect::<Vec<_>>().join(", ")
}

fn share(part: usize, all: usize) -> String {
    format!(
        "{:.4} % ({} of {})",
        100.0 * part as f64 / all.max(1) as f64,
        thousands(part),
        thousands(all)
    )
}

fn backbone(folder: &Path, tensors: bool) -> Result<(), Failure> {
    let Opened {
        family,
        config,
        checkpoint,
    } = auto::open(folder).map_err(Failure::input)?;
    row("backbone", folder.display())?;
    row("family", format_args!("{family:?}"))?;
    row("parameters", thousands(checkpoint.parameters()))?;
    row("tensors", checkpoint.names().count())?;
    row("fingerprint", checkpoint.fingerprint().as_str())?;
    row("stored as", stored_types(&checkpoint))?;
    row("width d", config.sites().d_model)?;
    for (label, value) in config.summary() {
        row(label, value)?;
    }
    row("end tokens", end_tokens(folder, config.eos_token_ids()))?;
    row(
        "tokenizer",
        if folder.join("tokenizer.json").exists() {
            "tokenizer.json"
        } else {
            "none in this folder"
        },
    )?;
    if let Some(trained) = TrainedWith::of_backbone(folder).map_err(run_failure)? {
        trained_rows(&trained)?;
    }
    if tensors {
        say("")?;
        for name in checkpoint.names() {
            let dtype = checkpoint
                .raw(name)
                .map(|(dtype, _)| format!("{dtype:?}"))
                .unwrap_or_default();
            say(format_args!(
                "  {name:<64} {dtype:<5} {:?}",
                checkpoint.shape(name).unwrap_or_default()
            ))?;
        }
    }
    Ok(())
}

fn run_folder(folder: &Path) -> Result<(), Failure> {
    row("run", folder.display())?;
    let lines = record::read(&folder.join("record.jsonl")).map_err(Failure::input)?;
    for line in &lines {
        if let Line::Start(start) = line {
            let config = &start.resolved.config;
            row("task", &config.task)?;
            row("method", config.adapter.method)?;
            row("seed", config.seed)?;
            row("backbone", config.backbone.display())?;
            row("backbone fingerprint", &start.fingerprint)?;
            row("trained", share(start.trainable_parameters, total(start)))?;
            row(
                "prompt m, rank r",
                format_args!("{}, {}", start.virtual_tokens, start.rank),
            )?;
            row(
                "examples",
                format_args!("{:?} (training, validation, test)", start.examples),
            )?;
            row("preset", config.preset)?;
            for change in &start.resolved.overrides {
                row(
                    "",
                    format_args!("{} = {} (preset: {})", change.key, change.value, change.preset),
                )?;
            }
            row("code", code(start))?;
            row("device", &start.device)?;
            for line in start.losses.iter().flat_map(SplitLosses::lines) {
                row("lost", line)?;
            }
        }
    }
    let evaluations = lines.iter().filter_map(|line| match line {
        Line::Evaluation(evaluation) => Some(evaluation),
        _ => None,
    });
    for evaluation in evaluations {
        let best = if evaluation.best { "  best so far" } else { "" };
        row(
            &format!("step {}", evaluation.step),
            format_args!("validation {}{best}", scores(&evaluation.scores)),
        )?;
    }
    let result = folder.join("result.json");
    if !result.exists() {
        return row("state", "unfinished: run the same command again to resume");
    }
    let result: RunResult = read_json(&result).map_err(Failure::input)?;
    row("state", "done")?;
    row("best step", result.best_step)?;
    row("test", scores(&result.test))?;
    row(
        "training",
        format_args!(
            "{}, {:.1} samples/s",
            duration(result.training_seconds),
            result.samples_per_second
        ),
    )
}

/// Total number of parameters in a run.
fn total(start: &record::Start) -> usize {
    let full = start.resolved.config.adapter.method == adept_train::config::TrainMethod::Full;
    start.backbone_parameters + if full { 0 } else { start.trainable_parameters }
}

fn code(start: &record::Start) -> String {
    match &start.code_commit {
        Some(commit) => format!("{} ({commit})", start.code_version),
        None => start.code_version.clone(),
    }
}
