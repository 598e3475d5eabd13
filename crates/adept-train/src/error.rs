//! Everything that can go wrong in a run, with the figures that a reader needs to act.

use std::path::{Path, PathBuf};

use crate::config::TrainMethod;
use crate::folder::FolderError;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or is no UTF-8 text.
    #[error("the configuration {0}")]
    Read(#[from] adept_data::DataError),
    /// The file is not TOML.
    #[error("{place}: not TOML: {message}")]
    Syntax {
        /// File and line.
        place: String,
        /// What the parser said.
        message: String,
    },
    /// No field has this key.
    #[error("{place}: unknown key `{key}`; the nearest is `{nearest}` ({page} lists all)")]
    UnknownKey {
        /// File and line, or `--set`.
        place: String,
        /// The key as written.
        key: String,
        /// The known key that reads most like it.
        nearest: String,
        /// Page of the documentation with all keys.
        page: &'static str,
    },
    /// A key of another method's own section.
    #[error("{place}: `{key}` belongs to another method than the run's, which is {method}")]
    OtherMethod {
        /// File and line, or `--set`.
        place: String,
        /// The key as written.
        key: String,
        /// The run's method.
        method: String,
    },
    /// A section that the method needs is missing, as in records of older versions.
    #[error("the section `{key}`, which method {method} needs, is missing")]
    NoGroup {
        /// The section.
        key: String,
        /// The method.
        method: &'static str,
    },
    /// A value of the wrong type or out of range.
    #[error("{place}: `{key}` must be {expected}, found {found}")]
    Value {
        /// File and line, or `--set`.
        place: String,
        /// Dotted key.
        key: String,
        /// Type and range.
        expected: String,
        /// The value as written.
        found: String,
    },
    /// An override without `=`.
    #[error("`{text}` is not of the form key=value")]
    Assignment {
        /// The override as written.
        text: String,
    },
    /// Bucket widths out of order.
    #[error("`input.buckets` must ascend, found {after} after {before}")]
    BucketOrder {
        /// A width.
        before: usize,
        /// The one after it.
        after: usize,
    },
    /// Prompt tuning without a prompt.
    #[error("method `pt` with 0 virtual tokens has nothing to train; set `adapter.virtual_tokens`")]
    NothingToTrain,
    /// Text initialisation without a text.
    #[error("`adapter.init` is `text` but `adapter.init_text` is empty")]
    EmptyInitText,
    /// Label scoring of a task without labels.
    #[error("`evaluation.method` is `labels` but task `{task}` has no fixed labels; use `generate` or `auto`")]
    NoLabels {
        /// The task.
        task: String,
    },
    /// A setting that is no template.
    #[error("`input.template`: {cause}")]
    Template {
        /// Why.
        cause: adept_data::TemplateError,
    },
    /// A value that does not go with another one.
    #[error("`{key}` = {found}: {expected}")]
    Conflict {
        /// Dotted key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What would do, and why.
        expected: String,
    },
    /// A field without a default was not given.
    #[error("`{key}` has no default: give it in the configuration file or with --set {key}=…")]
    Missing {
        /// Dotted key.
        key: &'static str,
    },
}

impl ConfigError {
    /// The same error for a key inside a list of tables.
    pub(crate) fn inside(mut self, outer: &str) -> Self {
        if let ConfigError::UnknownKey { key, .. } | ConfigError::Value { key, .. } = &mut self {
            *key = format!("{outer}.{key}");
        }
        self
    }
}

/// Why one checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointProblem {
    /// A file is missing or cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// File inside the checkpoint.
        file: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The state is not what this program writes.
    #[error("state.json: {source}")]
    State {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The state was written by another version of the format.
    #[error("state.json: format {found}, expected {expected}")]
    Format {
        /// Format this program reads.
        expected: u32,
        /// Format of the file.
        found: u32,
    },
    /// Bytes differ from those written.
    #[error("{file}: checksum {found}, expected {expected}")]
    Checksum {
        /// File inside the checkpoint.
        file: &'static str,
        /// SHA-256 when written.
        expected: String,
        /// SHA-256 now.
        found: String,
    },
    /// The tensor file's header is damaged.
    #[error("tensors.safetensors: {source}")]
    Header {
        /// What the parser said.
        source: safetensors::SafeTensorError,
    },
    /// A tensor that training needs is not there.
    #[error("tensors.safetensors: no tensor `{name}`")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor of another size.
    #[error("tensors.safetensors: `{name}` has {found} values, expected {expected}")]
    Size {
        /// Its name.
        name: String,
        /// Values in the model.
        expected: usize,
        /// Values in the file.
        found: usize,
    },
}

/// A run that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data.
    #[error(transparent)]
    Data(#[from] adept_data::DataError),
    /// The adapter.
    #[error(transparent)]
    Core(#[from] adept_core::CoreError),
    /// The backbone.
    #[error(transparent)]
    Model(#[from] adept_models::ModelError),
    /// What a model was trained with cannot be read.
    #[error("{}: {message}", path.display())]
    Trained {
        /// The file that says it.
        path: PathBuf,
        /// Which field, what was expected and found.
        message: String,
    },
    /// A folder that is not ours to write into.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file or folder could not be written, flushed, renamed or removed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder could not be read.
    #[error("cannot {action} {}: {source}", path.display())]
    Read {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A JSON file of the run folder.
    #[error("{}, line {line}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// Another process runs the same folder.
    #[error("{} is in use by process {pid}; wait for it or choose another folder", path.display())]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// Its process id, as written in the lock.
        pid: String,
    },
    /// The folder has checkpoints and none can be read.
    #[error("no usable checkpoint in {}: {}", path.display(), tried.join("; "))]
    NoUsableCheckpoint {
        /// Folder of the checkpoints.
        path: PathBuf,
        /// Each one with its problem, newest first.
        tried: Vec<String>,
    },
    /// A verified checkpoint does not fit the model.
    #[error("checkpoint {}: {problem}", path.display())]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        problem: CheckpointProblem,
    },
    /// The folder holds a run of another configuration, data or backbone.
    #[error(
        "{} holds a run with {field} = {there}, this one has {here}; choose another folder or the same value",
        path.display()
    )]
    OtherRun {
        /// The run folder.
        path: PathBuf,
        /// Field, data file or `backbone fingerprint`.
        field: String,
        /// Value in the folder.
        there: String,
        /// Value of this run.
        here: String,
    },
    /// The loss or the gradient is not a number.
    #[error(
        "step {step}: loss {loss}, gradient norm {gradient_norm}; training rows {rows:?}, learning rates {}; the last \
         checkpoint is intact",
        rates.iter().map(|(group, rate)| format!("{group} {rate:e}")).collect::<Vec<_>>().join(", ")
    )]
    NotFinite {
        /// Optimiser step, from 0.
        step: usize,
        /// Mean loss of the step.
        loss: f32,
        /// Global norm of its gradient.
        gradient_norm: f32,
        /// Rows of the training split that made up the step.
        rows: Vec<usize>,
        /// Learning rate of each group.
        rates: Vec<(String, f64)>,
    },
    /// The loss or the gradient of a pretraining step is not a number.
    #[error(
        "step {step}: {what} is {found}, learning rate {rate:e}; the last checkpoint is intact; a lower \
         `optimizer.learning_rate` or a longer `schedule.warmup_steps` may help"
    )]
    Diverged {
        /// Optimiser step, from 0.
        step: usize,
        /// Loss on text, loss on tasks or gradient norm.
        what: &'static str,
        /// The value.
        found: f32,
        /// Highest learning rate of the step.
        rate: f64,
    },
    /// A tokenizer with more tokens than the model it is to be used with.
    #[error("{}: {found} tokens, but {} has an embedding of {expected} rows", tokenizer.display(), model.display())]
    Vocabulary {
        /// The tokenizer.
        tokenizer: PathBuf,
        /// Its tokens.
        found: usize,
        /// The model.
        model: PathBuf,
        /// Rows of its embedding.
        expected: usize,
    },
    /// A tokenizer that gives ids beyond the embedding.
    #[error(
        "{}: the tokenizer gives ids up to {found}, but the embedding has {rows} rows (ids up to {}): it is another \
         model's, or tokens were added to it and not to the weights",
        backbone.display(), rows - 1
    )]
    TokenWithoutRow {
        /// The backbone's folder.
        backbone: PathBuf,
        /// Largest id of its tokenizer.
        found: u32,
        /// Rows of its embedding.
        rows: usize,
    },
    /// A tokenizer that ends texts in another way than its model.
    #[error(
        "{}: the tokenizer puts {found} behind every text, expected an end token of the model, which config.json and \
         generation_config.json say are {expected:?}",
        backbone.display()
    )]
    EndToken {
        /// The backbone's folder.
        backbone: PathBuf,
        /// `eos_token_id`.
        expected: Vec<u32>,
        /// What the tokenizer puts there.
        found: String,
    },
    /// A row that is longer than the model's positions.
    #[error(
        "{what} {row}: {prompt} virtual tokens and {tokens} tokens of text, but the backbone has {positions} positions; lower \
         `input.max_source_length` or `adapter.virtual_tokens`"
    )]
    Positions {
        /// A training row or a problem.
        what: &'static str,
        /// The longest of them, from 0.
        row: usize,
        /// Its tokens as they are cut, pads counted where they have positions.
        tokens: usize,
        /// Virtual tokens before it.
        prompt: usize,
        /// Positions that the backbone was trained for.
        positions: usize,
    },
    /// A loss outside of training that is not a number.
    #[error("{what}: the loss is {found}, expected a finite number; rows {rows:?}")]
    LossNotFinite {
        /// What was scored.
        what: String,
        /// The loss.
        found: f64,
        /// Rows of the batch.
        rows: Vec<usize>,
    },
    /// A corpus or task file cannot be used.
    #[error("task `{label}` of the mixture: {source}")]
    MixtureTask {
        /// Its label.
        label: String,
        /// What is wrong; boxed, because it is larger than any other cause.
        source: Box<adept_data::DataError>,
    },
    /// A model is to be written into a folder that holds something.
    #[error("{}: is not empty; nothing was written; choose a new or an empty folder", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The budget leaves no room for an offset.
    #[error(
        "{method}: a budget of {budget_tokens} x {d_model} values leaves no room beside {virtual_tokens} virtual tokens; \
         raise `adapter.budget_tokens`, lower `adapter.virtual_tokens` or set `adapter.rank`"
    )]
    NoRoom {
        /// Method.
        method: TrainMethod,
        /// Budget in rows.
        budget_tokens: usize,
        /// Width of the model.
        d_model: usize,
        /// Prompt length.
        virtual_tokens: usize,
    },
    /// The data was encoded for other settings than the run's.
    #[error("the task was prepared with {field} = {prepared}, the run has {wanted}")]
    Prepared {
        /// Which setting.
        field: &'static str,
        /// Value when it was prepared.
        prepared: String,
        /// Value of the run.
        wanted: String,
    },
    /// The sandbox that programs run in could not be made or did not work.
    #[error("the sandbox: {0}")]
    Sandbox(#[from] adept_sandbox::SandboxError),
    /// A program could not be run, or what tests it could not.
    #[error("problem {problem}: {source}")]
    Judging {
        /// Its row in the task's file.
        problem: usize,
        /// Why.
        source: adept_sandbox::SandboxError,
    },
    /// A model could not write on.
    #[error(transparent)]
    Generate(#[from] adept_models::generate::GenerateError),
    /// A task whose targets are programs, which is trained on decoder-only backbones alone.
    #[error("task `{task}`: its targets are programs, which need a decoder-only backbone (CodeGen, Llama)")]
    Program {
        /// The task.
        task: String,
    },
    /// A task of programs where rows with labels, scores or texts are needed.
    #[error(
        "task `{task}`: its targets are programs: `adept train` and `adept reproduce` write and judge them, nothing else"
    )]
    NotRows {
        /// The task.
        task: String,
    },
    /// A setting of decoder-only backbones' texts, for one that reads source and target apart.
    #[error(
        "`{key}`: a T5 reads source and target apart: templates join them for decoder-only backbones (CodeGen, Llama)"
    )]
    ApartTemplate {
        /// The setting.
        key: &'static str,
    },
    /// Rows that targets fill by themselves.
    #[error(
        "`input.max_source_length` = {max_source_length}: source and target stand in one row of a decoder-only backbone, and \
         targets take up to {target_width} tokens of it: expected more than that"
    )]
    NoRoomForSource {
        /// Longest row.
        max_source_length: usize,
        /// Longest target.
        target_width: usize,
    },
    /// A split without examples.
    #[error("task `{task}` has no {split} examples")]
    EmptySplit {
        /// The task.
        task: String,
        /// The split.
        split: &'static str,
    },
    /// The kept best adapter or model was changed since it was written.
    #[error("{}: checksum {found}, expected {expected}", path.display())]
    BestChanged {
        /// The file.
        path: PathBuf,
        /// SHA-256 when written.
        expected: String,
        /// SHA-256 now.
        found: String,
    },
    /// The run was asked to stop; it can be continued.
    #[error("interrupted at step {step}; run the same command again to continue")]
    Interrupted {
        /// Optimiser steps done and saved.
        step: usize,
    },
}

impl TrainError {
    /// The same for a row that goes by another number elsewhere; only errors of one row in a batch change.
    #[must_use]
    pub(crate) fn of_row(self, number: impl FnOnce(usize) -> usize) -> Self {
        match self {
            Self::Generate(error) => Self::Generate(error.of_row(number)),
            other => other,
        }
    }

    /// Wraps the system's error with what was tried on which path, where something was written.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
        let path = path.to_owned();
        move |source| TrainError::Io { action, path, source }
    }

    /// As [`io`](Self::io), where something was read.
    pub fn read(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
        let path = path.to_owned();
        move |source| TrainError::Read { action, path, source }
    }

    /// Whether the system refused to write, however deep the cause lies: a full disk, a quota, a read-only file system.
    /// What was written before is whole.
    #[must_use]
    pub fn is_write(&self) -> bool {
        use adept_core::CoreError;
        use adept_data::DataError;
        use adept_data::pretrain::PretrainError;
        use adept_models::ModelError;
        let of_data = |error: &DataError| {
            matches!(
                error,
                DataError::Write { .. } | DataError::Pretrain(PretrainError::Write { .. })
            )
        };
        match self {
            Self::Io { .. } | Self::Core(CoreError::Write { .. }) | Self::Model(ModelError::Write { .. }) => true,
            Self::Data(error) => of_data(error),
            Self::MixtureTask { source, .. } => of_data(source),
            _ => false,
        }
    }
}
