//! The record of a pretraining run, and the identity and progress in its checkpoints.

use std::collections::BTreeMap;

use adept_data::DataFile;
use serde::{Deserialize, Serialize};

use super::config::ResolvedPretrain;
use super::sections::PretrainConfig;
use crate::checkpoint::Position;
use crate::record::Resume;

/// One line of `record.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PretrainLine {
    /// The run starts.
    Start(Box<PretrainStart>),
    /// The run resumes from a checkpoint, with settings that may have changed.
    Resume(Box<Continuation>),
    /// A point of the loss curve.
    Step(PretrainStep),
    /// An evaluation.
    Evaluation(PretrainEvaluation),
    /// The run is done.
    End(PretrainEnd),
}

/// A task of the mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Its label.
    pub label: String,
    /// Name of the GLUE task.
    pub name: String,
    /// Prefix of every source.
    pub prefix: String,
    /// Files the rows were read from.
    pub files: Vec<DataFile>,
    /// Number of training rows.
    pub rows: usize,
    /// Fraction of the rows in task batches.
    pub rate: f64,
    /// Number of evaluated rows of the validation split.
    pub scored_rows: usize,
}

/// Description of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainStart {
    /// Version of the program.
    pub code_version: String,
    /// Commit it was built from, if known.
    pub code_commit: Option<String>,
    /// Backend and device.
    pub device: String,
    /// Number of threads the machine offers.
    pub threads: usize,
    /// Resolved configuration.
    pub resolved: ResolvedPretrain,
    /// The corpus: `rows` is the number of paragraphs kept, `skipped` of those left out.
    pub corpus: Vec<DataFile>,
    /// Tokens of the corpus, including one `</s>` per paragraph.
    pub corpus_tokens: u64,
    /// Length of a text window in tokens, before corruption.
    pub window_tokens: usize,
    /// Number of training windows.
    pub train_windows: u64,
    /// SHA-256 of `tokenizer.json`.
    pub tokenizer_sha256: String,
    /// Number of its tokens.
    pub vocab_size: usize,
    /// Fingerprint of the initial weights, if loaded from a checkpoint.
    pub init_fingerprint: Option<String>,
    /// Number of parameters, all of them trained.
    pub parameters: usize,
    /// The mixture of tasks.
    pub tasks: Vec<TaskRecord>,
}

/// A resumption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Continuation {
    /// Where it starts, and unusable checkpoints.
    #[serde(flatten)]
    pub resume: Resume,
    /// Backend and device.
    pub device: String,
    /// The configuration from here on: steps and schedule may differ from the start's if that does not affect earlier
    /// steps.
    pub config: PretrainConfig,
}

/// A point of the loss curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainStep {
    /// Steps done.
    pub step: usize,
    /// Mean loss of the text passes since the previous entry; `None` without such passes.
    pub loss_text: Option<f64>,
    /// Mean loss of the task passes since the previous entry.
    pub loss_tasks: Option<f64>,
    /// Global gradient norm of the last step, before clipping; `None` without clipping.
    pub gradient_norm: Option<f64>,
    /// Peak learning rate of the last step, without the embedding's factor.
    pub learning_rate: f64,
    /// Input and target tokens per second since the previous entry, without padding and evaluation.
    pub tokens_per_second: f64,
    /// Total tokens so far.
    pub tokens: u64,
    /// Seconds of training so far.
    pub seconds: f64,
}

/// Loss and accuracy on rows of a task's validation split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// Mean loss per target token.
    pub loss: f64,
    /// Percentage of rows whose right label is the most probable; `None` for tasks without labels.
    pub accuracy: Option<f64>,
}

/// An evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainEvaluation {
    /// Steps done.
    pub step: usize,
    /// Mean loss per target token on the held-out windows.
    pub held_out_loss: f64,
    /// Scores of the tasks by label.
    pub tasks: BTreeMap<String, TaskScore>,
    /// Duration in seconds.
    pub seconds: f64,
}

/// The end of a run.
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

/// Identity of a run, stored in its checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainIdentity {
    /// Configuration.
    pub config: PretrainConfig,
    /// The corpus.
    pub corpus: Vec<DataFile>,
    /// Files of each task, by its label.
    pub tasks: BTreeMap<String, Vec<DataFile>>,
    /// SHA-256 of `tokenizer.json`.
    pub tokenizer_sha256: String,
    /// Fingerprint of the initial weights, if loaded from a checkpoint.
    pub init_fingerprint: Option<String>,
}

impl PretrainIdentity {
    /// The first difference that prevents this run from resuming where `there` is after `steps` steps, as (field, value
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

    /// Checksums by file, and the order of the corpus, which determines its tokens.
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

/// Progress of a run, apart from tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainPosition {
    /// Optimiser steps done.
    pub step: usize,
    /// The last evaluation.
    pub evaluation: Option<PretrainEvaluation>,
    /// Sum and number of losses on text since the last point of the loss curve.
    pub text: (f64, usize),
    /// Sum and number of losses on tasks since the last point of the loss curve.
    pub tasks: (f64, usize),
    /// Seconds of training so far.
    pub seconds: f64,
    /// Tokens so far, without padding.
    pub tokens: u64,
    /// Length of the record in bytes.
    pub record_bytes: u64,
}

impl Position for PretrainPosition {
    fn step(&self) -> usize {
        self.step
    }
}
