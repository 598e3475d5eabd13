//! Events of a run as JSON lines, and its result.
//!
//! Reports are made from these alone, so the types are public and round-trip. Fields with times differ from run to run;
//! all others are the same on a CPU however often a run was interrupted, except that each resumption adds a
//! [`Line::Resume`]. In the file, each line also has the time of its writing (`time`, in seconds since 1970).

mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use adept_data::text::decoded;
use adept_data::{DataFile, SplitLosses, Task};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::TrainError;
use crate::config::{Resolved, RunConfig, TrainMethod};

pub use writer::{RecordLine, RecordWriter};

/// Scores by metric name, times 100.
pub type Scores = BTreeMap<String, f64>;

/// The majority baseline: the constant answer for a task (its most frequent training label, or the mean) and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Majority {
    /// The answer.
    pub answer: String,
    /// The task's metrics for that answer on the test split, times 100.
    pub test: Scores,
}

/// One line of `record.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Line {
    /// The run starts.
    Start(Box<Start>),
    /// The run resumes from a checkpoint.
    Resume(Resume),
    /// A point of the loss curve.
    Step(Step),
    /// An evaluation on the validation split.
    Evaluation(Evaluation),
    /// The run is done: the same content as `result.json`.
    End(Box<RunResult>),
}

/// Description of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Version of the program.
    pub code_version: String,
    /// Commit it was built from, if known ([`code_commit`]).
    pub code_commit: Option<String>,
    /// Backend and device.
    pub device: String,
    /// Number of threads the machine offers.
    pub threads: usize,
    /// Resolved configuration, and changes from its preset.
    pub resolved: Resolved,
    /// Files the examples were read from.
    pub data: Vec<DataFile>,
    /// Text of a user's task card; built-in cards are known by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Number of examples for training, for choosing the best step, and for the test.
    pub examples: [usize; 3],
    /// Truncated and unknown tokens, for each split that has any; missing in older records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<SplitLosses>,
    /// Name of the backbone: that of its repository on the hub, else that of its folder; missing in older records.
    #[serde(default)]
    pub backbone: String,
    /// Family of the backbone, as in `model_type`; missing in older records.
    #[serde(default)]
    pub family: String,
    /// Fingerprint of the backbone's weights.
    pub fingerprint: String,
    /// Number of trainable parameters.
    pub trainable_parameters: usize,
    /// Number of backbone parameters.
    pub backbone_parameters: usize,
    /// Prompt length m.
    pub virtual_tokens: usize,
    /// Bottleneck or rank r, after solving for the budget.
    pub rank: usize,
    /// Missing layers of the sandbox in which programs run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_layers: Vec<MissingLayer>,
}

impl Start {
    /// The task: from the card in the record, else the built-in one of that name; `None` if only a newer program knows
    /// it.
    #[must_use]
    pub fn own_task(&self) -> Option<Task> {
        task_of(self.card.as_deref(), &self.resolved.config.task)
    }

    /// The task's name; the configuration may hold the path of a card instead. Several are joined by `+`.
    #[must_use]
    pub fn task_name(&self) -> String {
        let stem = |name: &str| {
            let stem = Path::new(name).file_stem();
            stem.unwrap_or_default().to_string_lossy().into_owned()
        };
        let config = &self.resolved.config;
        if !config.tasks.is_empty() {
            let names: Vec<String> = config.tasks.iter().map(|task| stem(&task.name)).collect();
            return names.join("+");
        }
        let unknown = || stem(&config.task);
        self.own_task().map_or_else(unknown, |task| task.name().to_owned())
    }
}

/// The task of a card's text, or the built-in one of that name.
fn task_of(card: Option<&str>, name: &str) -> Option<Task> {
    match card {
        Some(card) => Task::from_card(card).ok(),
        None => Task::named(name).ok(),
    }
}

/// A missing layer of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingLayer {
    /// Its name, such as `landlock`.
    pub layer: String,
    /// Why it is missing.
    pub reason: String,
    /// How to fix it; empty if the layer was disabled on purpose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl MissingLayer {
    /// The missing layers of a sandbox.
    pub fn all(layers: &adept_sandbox::Layers) -> Vec<Self> {
        let missing = layers.missing().into_iter().map(|trial| Self {
            layer: trial.layer.name().to_owned(),
            reason: trial.detail,
            remedy: trial.remedy,
        });
        missing.collect()
    }
}

/// A resumption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// Steps done at the start.
    pub step: usize,
    /// Newer checkpoints that are unusable, with the reason.
    pub damaged: Vec<String>,
    /// Version of the program that resumes.
    pub code_version: String,
}

/// A point of the loss curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Steps done.
    pub step: usize,
    /// Mean loss over the steps since the previous entry.
    pub loss: f64,
    /// Global gradient norm of the last step, before clipping.
    pub gradient_norm: f64,
    /// Learning rate of each group at the last step.
    pub learning_rates: BTreeMap<String, f64>,
    /// Training examples per second since the previous entry, without evaluation.
    pub samples_per_second: f64,
    /// Source tokens per second, without padding and prompt.
    pub tokens_per_second: f64,
    /// Seconds of training so far.
    pub seconds: f64,
}

/// An evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Steps done.
    pub step: usize,
    /// The task's metrics on the validation split.
    pub scores: Scores,
    /// Whether this is the best so far in the task's first metric.
    pub best: bool,
    /// Duration in seconds.
    pub seconds: f64,
}

/// The step kept in `best/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Steps done when it was saved.
    pub step: usize,
    /// Metric used to choose it.
    pub metric: String,
    /// Its value on the validation split.
    pub score: f64,
    /// All metrics on the validation split.
    pub scores: Scores,
    /// SHA-256 of each file in the same folder.
    #[serde(deserialize_with = "files_beside")]
    pub files: BTreeMap<String, String>,
}

/// Deserialises file names that must not leave the folder: the files are read to their end, which a device does not
/// have.
fn files_beside<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let files = BTreeMap::<String, String>::deserialize(deserializer)?;
    let is_plain = |name: &str| Path::new(name).file_name().is_some_and(|plain| plain == name);
    match files.keys().find(|name| !is_plain(name)) {
        Some(name) => Err(serde::de::Error::custom(format_args!(
            "expected the name of a file beside this one, found `{name}`"
        ))),
        None => Ok(files),
    }
}

/// How fast programs were written and run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Throughput {
    /// Tokens generated, without those of an interrupted session.
    pub tokens: usize,
    /// Seconds of generation.
    pub writing_seconds: f64,
    /// Programs run, reference solutions among them.
    pub programs: usize,
    /// Seconds of running them.
    pub judging_seconds: f64,
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |count: usize, seconds: f64| count as f64 / seconds.max(1e-9);
        write!(
            f,
            "{} tokens written in {:.0} s ({:.0} a second), {} programs run in {:.0} s ({:.1} a second)",
            self.tokens,
            self.writing_seconds,
            rate(self.tokens, self.writing_seconds),
            self.programs,
            self.judging_seconds,
            rate(self.programs, self.judging_seconds)
        )
    }
}

/// Verdicts on the programs of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProgramTally {
    /// Programs by outcome, as in `judged.json`.
    pub outcomes: BTreeMap<String, usize>,
    /// Programs without a verdict by reason. pass@k counts them as not passed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unsupported: BTreeMap<String, usize>,
}

impl ProgramTally {
    /// Total number of programs.
    #[must_use]
    pub fn all(&self) -> usize {
        total(&self.outcomes)
    }

    /// Number of programs without a verdict.
    #[must_use]
    pub fn unjudged(&self) -> usize {
        total(&self.unsupported)
    }

    /// The most frequent reason for a missing verdict.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        let most = self.unsupported.iter().rev().max_by_key(|(_, count)| **count);
        most.map(|(reason, _)| reason.as_str())
    }
}

/// Sum of counts from a file, which may be arbitrary.
fn total(counts: &BTreeMap<String, usize>) -> usize {
    counts.values().fold(0, |sum, count| sum.saturating_add(*count))
}

/// The result of a run: the content of `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The task's name.
    pub task: String,
    /// Text of a user's task card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Method.
    pub method: TrainMethod,
    /// Seed.
    pub seed: u64,
    /// Resolved configuration.
    pub config: RunConfig,
    /// Prompt length m.
    pub virtual_tokens: usize,
    /// Bottleneck or rank r.
    pub rank: usize,
    /// Number of trainable parameters.
    pub trainable_parameters: usize,
    /// Number of backbone parameters.
    pub backbone_parameters: usize,
    /// Fingerprint of the backbone's weights.
    pub fingerprint: String,
    /// Files the examples were read from.
    pub data: Vec<DataFile>,
    /// Step kept in `best/`.
    pub best_step: usize,
    /// Metric used to choose it.
    pub selection_metric: String,
    /// Scores of the best step on the validation split.
    pub validation: Scores,
    /// Scores of the best step on the test split.
    pub test: Scores,
    /// Score of the most frequent training label on the test split; missing in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub majority: Option<Majority>,
    /// Verdicts on the generated programs, for a task of programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programs: Option<ProgramTally>,
    /// How fast these were written and run; missing in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<Throughput>,
    /// Seconds of training, without evaluation.
    pub training_seconds: f64,
    /// Training examples per second.
    pub samples_per_second: f64,
    /// Seconds in which the test split was answered; missing in older records and where another process answered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_seconds: Option<f64>,
    /// Number of examples of the test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_examples: Option<usize>,
    /// Version of the program.
    pub code_version: String,
    /// Backend and device.
    pub device: String,
    /// Missing layers of the sandbox in which programs were judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_layers: Vec<MissingLayer>,
}

impl RunResult {
    /// Examples of the test split answered per second.
    #[must_use]
    pub fn inference_speed(&self) -> Option<f64> {
        Some(self.test_examples? as f64 / self.test_seconds?.max(1e-9))
    }

    /// The task: from the card in the record, else the built-in one of that name; `None` if only a newer program knows
    /// it.
    #[must_use]
    pub fn own_task(&self) -> Option<Task> {
        task_of(self.card.as_deref(), &self.task)
    }
}

/// Version of this program.
pub fn code_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// The commit of this program: from `cargo xtask` (`ADEPT_GIT_HASH`) at run time, else from the build. Read at run time
/// so that a new commit alone does not cause recompilation.
pub fn code_commit() -> Option<String> {
    let told = std::env::var("ADEPT_GIT_HASH").ok().filter(|commit| !commit.is_empty());
    told.or_else(|| option_env!("ADEPT_GIT_HASH").map(ToOwned::to_owned))
}

/// Reads a record. An incomplete last line, as a kill may leave, is skipped.
pub fn read(path: &Path) -> Result<Vec<Line>, TrainError> {
    read_lines(path)
}

/// Like [`read`], for other types of lines.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, TrainError> {
    let bytes = std::fs::read(path).map_err(TrainError::read("read", path))?;
    let text = decoded(path, &bytes)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|source| TrainError::Json {
                path: path.to_owned(),
                line: index + 1,
                source,
            })
        })
        .collect()
}
