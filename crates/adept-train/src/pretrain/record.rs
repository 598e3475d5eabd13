//! The record of a pretraining run, and what a checkpoint says of it.

use std::collections::BTreeMap;

use adept_data::DataFile;
use serde::{Deserialize, Serialize};

use super::config::{PretrainConfig, ResolvedPretrain};
use crate::checkpoint::Position;
use crate::record::Resume;

/// One line of `record.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PretrainLine {
    /// What is about to run.
    Start(Box<PretrainStart>),
    /// A continuation from a checkpoint, under what may have changed since.
    Resume(Box<Continuation>),
    /// A point of the loss curve.
    Step(PretrainStep),
    /// An evaluation.
    Evaluation(PretrainEvaluation),
    /// The end.
    End(PretrainEnd),
}

/// A task of the mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Its label.
    pub label: String,
    /// GLUE task.
    pub name: String,
    /// What is put before every source.
    pub prefix: String,
    /// Files the rows came from.
    pub files: Vec<DataFile>,
    /// Rows trained on.
    pub rows: usize,
    /// Share of the task batches' rows.
    pub rate: f64,
    /// Rows of the validation split that are scored.
    pub scored_rows: usize,
}

/// What a run is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainStart {
    /// Version of the program.
    pub code_version: String,
    /// Commit it was built from, where known.
    pub code_commit: Option<String>,
    /// Backend and device.
    pub device: String,
    /// Threads that the machine offers.
    pub threads: usize,
    /// Resolved configuration.
    pub resolved: ResolvedPretrain,
    /// The corpus: `rows` counts paragraphs kept, `skipped` those left out.
    pub corpus: Vec<DataFile>,
    /// Tokens of the corpus, one `</s>` a paragraph included.
    pub corpus_tokens: u64,
    /// Tokens of a window of text before corruption.
    pub window_tokens: usize,
    /// Windows that are trained on.
    pub train_windows: u64,
    /// SHA-256 of `tokenizer.json`.
    pub tokenizer_sha256: String,
    /// Its tokens.
    pub vocab_size: usize,
    /// Fingerprint of the weights the run begins with, where they came from a checkpoint.
    pub init_fingerprint: Option<String>,
    /// Values of the model, all trained.
    pub parameters: usize,
    /// The mixture.
    pub tasks: Vec<TaskRecord>,
}

/// A continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Continuation {
    /// Where it begins, and what could not be used.
    #[serde(flatten)]
    pub resume: Resume,
    /// Backend and device.
    pub device: String,
    /// The configuration from here on: steps and schedule may differ from the start's where the past is not affected.
    pub config: PretrainConfig,
}

/// A point of the loss curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainStep {
    /// Steps done.
    pub step: usize,
    /// Mean loss of the passes over text since the entry before; none where there was no such pass.
    pub loss_text: Option<f64>,
    /// Mean loss of the passes over tasks since the entry before.
    pub loss_tasks: Option<f64>,
    /// Global gradient norm of the last step, before clipping; none without clipping.
    pub gradient_norm: Option<f64>,
    /// Highest learning rate of the last step, without the embedding's factor.
    pub learning_rate: f64,
    /// Input and target tokens a second since the entry before, padding and evaluation not counted.
    pub tokens_per_second: f64,
    /// Tokens so far.
    pub tokens: u64,
    /// Seconds of training so far.
    pub seconds: f64,
}

/// Loss and accuracy on rows of a task's validation split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// Mean loss a target token.
    pub loss: f64,
    /// Share of rows whose right label is the most probable, times 100; none for tasks without labels.
    pub accuracy: Option<f64>,
}

/// An evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainEvaluation {
    /// Steps done.
    pub step: usize,
    /// Mean loss a target token on the held-out windows.
    pub held_out_loss: f64,
    /// Each task by its label.
    pub tasks: BTreeMap<String, TaskScore>,
    /// Seconds it took.
    pub seconds: f64,
}

/// The end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainEnd {
    /// Steps done.
    pub step: usize,
    /// Tokens seen.
    pub tokens: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// The last evaluation.
    pub evaluation: PretrainEvaluation,
    /// Fingerprint of the written model, as `adept inspect` prints it.
    pub fingerprint: String,
}

/// What a checkpoint belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainIdentity {
    /// Configuration.
    pub config: PretrainConfig,
    /// The corpus.
    pub corpus: Vec<DataFile>,
    /// Files of each task by its label.
    pub tasks: BTreeMap<String, Vec<DataFile>>,
    /// SHA-256 of `tokenizer.json`.
    pub tokenizer_sha256: String,
    /// Fingerprint of the weights the run began with, where they came from a checkpoint.
    pub init_fingerprint: Option<String>,
}

impl PretrainIdentity {
    /// The first difference that keeps this run from going on where `there` is after `steps` steps, as (field, value
    /// there, value here).
    pub fn difference(&self, there: &Self, steps: usize) -> Option<(String, String, String)> {
        if let Some(difference) = self.config.difference(&there.config, steps) {
            return Some(difference);
        }
        let begin = |fingerprint: &Option<String>| fingerprint.clone().unwrap_or_else(|| "random".into());
        let pairs = [
            (
                "tokenizer.json",
                there.tokenizer_sha256.clone(),
                self.tokenizer_sha256.clone(),
            ),
            (
                "fingerprint of `model.init`",
                begin(&there.init_fingerprint),
                begin(&self.init_fingerprint),
            ),
        ];
        if let Some((name, there, here)) = pairs.into_iter().find(|(_, there, here)| there != here) {
            return Some((name.to_owned(), there, here));
        }
        let (ours, theirs) = (self.sums(), there.sums());
        ours.keys()
            .chain(theirs.keys())
            .find(|name| ours.get(*name) != theirs.get(*name))
            .map(|name| {
                let value =
                    |sums: &BTreeMap<String, String>| sums.get(name).map_or("absent", String::as_str).to_owned();
                (name.clone(), value(&theirs), value(&ours))
            })
    }

    /// Checksums by file, and the order of the corpus, which decides its tokens.
    fn sums(&self) -> BTreeMap<String, String> {
        let corpus = self.corpus.iter().enumerate().map(|(number, file)| {
            (
                format!("corpus file {} ({})", number + 1, file.name),
                file.sha256.clone(),
            )
        });
        let tasks = self.tasks.iter().flat_map(|(label, files)| {
            files
                .iter()
                .map(move |file| (format!("data file {} of task {label}", file.name), file.sha256.clone()))
        });
        corpus.chain(tasks).collect()
    }
}

/// Where a run stands, tensors apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainPosition {
    /// Optimiser steps done.
    pub step: usize,
    /// The last evaluation.
    pub evaluation: Option<PretrainEvaluation>,
    /// Sum and number of the losses on text since the last point of the curve.
    pub text: (f64, usize),
    /// Sum and number of the losses on tasks since the last point of the curve.
    pub tasks: (f64, usize),
    /// Seconds of training so far.
    pub seconds: f64,
    /// Tokens so far, padding not counted.
    pub tokens: u64,
    /// Length of the record in bytes.
    pub record_bytes: u64,
}

impl Position for PretrainPosition {
    fn step(&self) -> usize {
        self.step
    }
}
