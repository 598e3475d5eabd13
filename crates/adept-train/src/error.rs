//! Errors of a run, with the figures needed to act on them.

use std::path::{Path, PathBuf};

use crate::config::TrainMethod;
use crate::folder::FolderError;

/// An invalid configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is unreadable or not UTF-8.
    #[error("the configuration {0}")]
    Read(#[from] adept_data::DataError),
    /// The file is not TOML.
    #[error("{place}: not TOML: {message}")]
    Syntax {
        /// File and line.
        place: String,
        /// The parser's message.
        message: String,
    },
    /// An unknown key.
    #[error("{place}: unknown key `{key}`; the nearest is `{nearest}` ({page} lists all)")]
    UnknownKey {
        /// File and line, or `--set`.
        place: String,
        /// The key as written.
        key: String,
        /// The most similar known key.
        nearest: String,
        /// Documentation page that lists all keys.
        page: &'static str,
    },
    /// A key from another method's section.
    #[error("{place}: `{key}` belongs to another method; this run's method is {method}")]
    OtherMethod {
        /// File and line, or `--set`.
        place: String,
        /// The key as written.
        key: String,
        /// The run's method.
        method: String,
    },
    /// A section required by the method is missing, as in records of older versions.
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
        /// Accepted type and range.
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
    /// Bucket widths are not in ascending order.
    #[error("`input.buckets` must be in ascending order, found {after} after {before}")]
    BucketOrder {
        /// A width.
        before: usize,
        /// The one after it.
        after: usize,
    },
    /// Prompt tuning without virtual tokens.
    #[error("method `pt` with 0 virtual tokens has nothing to train; set `adapter.virtual_tokens`")]
    NothingToTrain,
    /// Initialisation from text without a text.
    #[error("`adapter.init` is `text` but `adapter.init_text` is empty")]
    EmptyInitText,
    /// Label scoring for a task without labels.
    #[error("`evaluation.method` is `labels` but task `{task}` has no fixed labels; use `generate` or `auto`")]
    NoLabels {
        /// The task.
        task: String,
    },
    /// An invalid template.
    #[error("`input.template`: {cause}")]
    Template {
        /// The cause.
        cause: adept_data::TemplateError,
    },
    /// A metric of other targets.
    #[error("`evaluation.metric` = \"{metric}\": task `{task}` has no targets that it measures (docs/tasks.md)")]
    OtherMetric {
        /// The metric.
        metric: adept_data::Metric,
        /// The task.
        task: String,
    },
    /// What is no list of variables of a chat template.
    #[error("`input.chat_template_kwargs`: {cause}")]
    ChatVariables {
        /// The cause.
        cause: adept_data::ConversationFault,
    },
    /// A value that conflicts with another setting.
    #[error("`{key}` = {found}: {expected}")]
    Conflict {
        /// Dotted key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What would be accepted, and why.
        expected: String,
    },
    /// A required field is missing.
    #[error("`{key}` has no default: give it in the configuration file or with --set {key}=…")]
    Missing {
        /// Dotted key.
        key: &'static str,
    },
}

impl ConfigError {
    /// Prefixes the key with that of an enclosing list of tables.
    pub(crate) fn inside(mut self, outer: &str) -> Self {
        if let ConfigError::UnknownKey { key, .. } | ConfigError::Value { key, .. } = &mut self {
            *key = format!("{outer}.{key}");
        }
        self
    }
}

/// Why a checkpoint is unusable.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointProblem {
    /// A file is missing or cannot be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// File in the checkpoint.
        file: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The state is not in the format written by this program.
    #[error("state.json: {source}")]
    State {
        /// The parser's message.
        source: serde_json::Error,
    },
    /// The state has another format version.
    #[error("state.json: format {found}, expected {expected}")]
    Format {
        /// Format this program supports.
        expected: u32,
        /// Format of the file.
        found: u32,
    },
    /// A file's contents have changed since it was written.
    #[error("{file}: checksum {found}, expected {expected}")]
    Checksum {
        /// File in the checkpoint.
        file: &'static str,
        /// SHA-256 when written.
        expected: String,
        /// SHA-256 now.
        found: String,
    },
    /// The tensor file's header is damaged.
    #[error("tensors.safetensors: {source}")]
    Header {
        /// The parser's message.
        source: safetensors::SafeTensorError,
    },
    /// A tensor needed for training is missing.
    #[error("tensors.safetensors: no tensor `{name}`")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor has the wrong size.
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

/// Why a run cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Invalid configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Unusable data.
    #[error(transparent)]
    Data(#[from] adept_data::DataError),
    /// Invalid adapter.
    #[error(transparent)]
    Core(#[from] adept_core::CoreError),
    /// Several tasks where one is needed.
    #[error("expected a single task, found {tasks} in [[tasks]] tables")]
    SeveralTasks {
        /// Number of tasks.
        tasks: usize,
    },

    /// A task of several whose name another one has.
    #[error("[[tasks]]: two cards have the name `{task}`: expected one table for each task")]
    TaskTwice {
        /// The name.
        task: String,
    },

    /// A method that mixes prompts of other tasks, without any.
    #[error("`adapter.sources` is empty: expected prompts of other tasks, which {method} mixes")]
    NoSources {
        /// The method.
        method: TrainMethod,
    },

    /// An adapter or prompt that cannot be the start of another.
    #[error("a prompt or adapter to start from: {}: {problem}", path.display())]
    InitFrom {
        /// The file or folder.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// An adapter whose offsets do not fit into a vocabulary table.
    #[error(transparent)]
    Fold(#[from] adept_core::FoldError),
    /// Unusable backbone.
    #[error(transparent)]
    Model(#[from] adept_models::ModelError),
    /// A file of answers contradicts itself.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Answers {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A model's training record is unreadable.
    #[error("{}: {message}", path.display())]
    Trained {
        /// The file that contains the record.
        path: PathBuf,
        /// The field, and what was expected and found.
        message: String,
    },
    /// A folder that this program must not write to.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A file or folder could not be written, flushed, renamed or removed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The attempted operation.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file or folder could not be read.
    #[error("cannot {action} {}: {source}", path.display())]
    Read {
        /// The attempted operation.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// An invalid JSON file in the run's folder.
    #[error("{}, line {line}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: usize,
        /// The parser's message.
        source: serde_json::Error,
    },
    /// Another process is using the folder.
    #[error("{} is in use by process {pid}; wait for it or choose another folder", path.display())]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// Its process id, from the lock file.
        pid: String,
    },
    /// The folder has checkpoints, but none is usable.
    #[error("no usable checkpoint in {}: {}", path.display(), tried.join("; "))]
    NoUsableCheckpoint {
        /// Folder of the checkpoints.
        path: PathBuf,
        /// Each checkpoint with its problem, newest first.
        tried: Vec<String>,
    },
    /// A verified checkpoint does not match the model.
    #[error("checkpoint {}: {problem}", path.display())]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        problem: CheckpointProblem,
    },
    /// The folder holds a run with another configuration, other data or another backbone.
    #[error(
        "{} holds a run with {field} = {there}, this one has {here}; choose another folder or the same value",
        path.display()
    )]
    OtherRun {
        /// The run folder.
        path: PathBuf,
        /// The field, data file, or `backbone fingerprint`.
        field: String,
        /// Value in the folder.
        there: String,
        /// Value of this run.
        here: String,
    },
    /// The loss or the gradient is NaN or infinite.
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
        /// Rows of the training split in this step.
        rows: Vec<usize>,
        /// Learning rate of each group.
        rates: Vec<(String, f64)>,
    },
    /// The loss or the gradient of a pretraining step is NaN or infinite.
    #[error(
        "step {step}: {what} is {found}, learning rate {rate:e}; the last checkpoint is intact; a lower \
         `optimizer.learning_rate` or a longer `schedule.warmup_steps` may help"
    )]
    Diverged {
        /// Optimiser step, from 0.
        step: usize,
        /// Loss on text, loss on tasks, or gradient norm.
        what: &'static str,
        /// The value.
        found: f32,
        /// Peak learning rate of the step.
        rate: f64,
    },
    /// A tokenizer with more tokens than the model's embedding has rows.
    #[error("{}: {found} tokens, but {} has an embedding of {expected} rows", tokenizer.display(), model.display())]
    Vocabulary {
        /// The tokenizer.
        tokenizer: PathBuf,
        /// Number of its tokens.
        found: usize,
        /// The model.
        model: PathBuf,
        /// Rows of its embedding.
        expected: usize,
    },
    /// A tokenizer with ids beyond the embedding.
    #[error(
        "{}: the tokenizer has ids up to {found}, but the embedding has {rows} rows (ids up to {}): it belongs to \
         another model, or tokens were added without resizing the embedding",
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
    /// A tokenizer whose texts do not end with an end token of the model.
    #[error(
        "{}: the tokenizer appends {found} to every text, expected one of the model's end tokens {expected:?} \
         (config.json, generation_config.json)",
        backbone.display()
    )]
    EndToken {
        /// The backbone's folder.
        backbone: PathBuf,
        /// `eos_token_id`.
        expected: Vec<u32>,
        /// The token that the tokenizer appends.
        found: String,
    },
    /// A row exceeds the model's positions.
    #[error(
        "{what} {row}: {prompt} virtual tokens and {tokens} tokens of text, but the backbone has {positions} positions; lower \
         `input.max_source_length` or `adapter.virtual_tokens`"
    )]
    Positions {
        /// Kind of row: a training row or a problem.
        what: &'static str,
        /// Index of the longest one, from 0.
        row: usize,
        /// Its tokens after truncation, including padding if that occupies positions.
        tokens: usize,
        /// Virtual tokens before it.
        prompt: usize,
        /// Number of positions the backbone was trained for.
        positions: usize,
    },
    /// A loss outside of training is NaN or infinite.
    #[error("{what}: the loss is {found}, expected a finite number; rows {rows:?}")]
    LossNotFinite {
        /// What was scored.
        what: String,
        /// The loss.
        found: f64,
        /// Rows of the batch.
        rows: Vec<usize>,
    },
    /// A corpus or task file is unusable.
    #[error("task `{label}` of the mixture: {source}")]
    MixtureTask {
        /// Its label.
        label: String,
        /// The cause; boxed because it is larger than any other.
        source: Box<adept_data::DataError>,
    },
    /// A model cannot be written to a folder that is not empty.
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
    /// The data were encoded with settings that differ from the run's.
    #[error("the task was prepared with {field} = {prepared}, the run has {wanted}")]
    Prepared {
        /// The setting.
        field: &'static str,
        /// Value used for encoding.
        prepared: String,
        /// Value of the run.
        wanted: String,
    },
    /// A backbone was read again, and is another one by now.
    #[error("{}: the checkpoint has changed since it was loaded", path.display())]
    BackboneChanged {
        /// Its folder.
        path: PathBuf,
    },
    /// The sandbox for programs could not be set up or failed.
    #[error("the sandbox: {0}")]
    Sandbox(#[from] adept_sandbox::SandboxError),
    /// A program or its tests could not be run.
    #[error("problem {problem}: {source}")]
    Judging {
        /// Row in the task's file.
        problem: usize,
        /// The cause.
        source: adept_sandbox::SandboxError,
    },
    /// Generation failed.
    #[error(transparent)]
    Generate(#[from] adept_models::generate::GenerateError),
    /// A task of programs, which requires a decoder-only backbone.
    #[error("task `{task}`: its targets are programs, which need a decoder-only backbone")]
    Program {
        /// The task.
        task: String,
    },
    /// A task of programs where rows with labels, scores or texts are required.
    #[error(
        "task `{task}`: its targets are programs: only `adept train`, `adept reproduce` and `adept eval` support them"
    )]
    NotRows {
        /// The task.
        task: String,
    },
    /// A setting for decoder-only rows, with a backbone that reads source and target separately.
    #[error("`{key}`: T5 reads source and target separately; templates are for decoder-only backbones")]
    ApartTemplate {
        /// The setting.
        key: &'static str,
    },
    /// Conversations, with a backbone that reads source and target separately.
    #[error("{task}: conversations need a decoder-only backbone; T5 reads source and target separately")]
    ApartConversations {
        /// The task.
        task: String,
    },
    /// A template of rows, for conversations.
    #[error("`input.template`: the conversations of {task} have the tokenizer's chat template, and no other")]
    ConversationTemplate {
        /// The task.
        task: String,
    },
    /// A merged model was expected, and this is the one that the adapter was trained on.
    #[error("{}: expected a model that the adapter is merged into, found the one that it was trained on", path.display())]
    NotMerged {
        /// The model's folder.
        path: PathBuf,
    },
    /// Variables of a chat template for rows that have none.
    #[error(
        "`input.chat_template_kwargs`: only conversations have a chat template, and rows with `input.chat_template` = true"
    )]
    NoChatTemplate,
    /// Targets leave no room for sources in a joined row.
    #[error(
        "`input.max_source_length` = {max_source_length}: source and target share one row of a decoder-only backbone; \
         targets need up to {target_width} tokens, so it must be larger"
    )]
    NoRoomForSource {
        /// Maximum length of a row.
        max_source_length: usize,
        /// Maximum length of a target.
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
    /// The best adapter or model was modified after it was written.
    #[error("{}: checksum {found}, expected {expected}", path.display())]
    BestChanged {
        /// The file.
        path: PathBuf,
        /// SHA-256 when written.
        expected: String,
        /// SHA-256 now.
        found: String,
    },
    /// The run was interrupted; it can be resumed.
    #[error("interrupted at step {step}; run the same command again to continue")]
    Interrupted {
        /// Optimiser steps done and saved.
        step: usize,
    },
}

impl TrainError {
    /// Renumbers the row in errors about a single row of a batch.
    #[must_use]
    pub(crate) fn of_row(self, number: impl FnOnce(usize) -> usize) -> Self {
        match self {
            Self::Generate(error) => Self::Generate(error.of_row(number)),
            other => other,
        }
    }

    /// Wraps an I/O error of a write operation with the attempted action and the path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
        let path = path.to_owned();
        move |source| TrainError::Io { action, path, source }
    }

    /// Like [`io`](Self::io), for a read operation.
    pub fn read(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
        let path = path.to_owned();
        move |source| TrainError::Read { action, path, source }
    }

    /// Whether the cause, at any depth, is a failed write: a full disk, a quota, a read-only file system. Files written
    /// before are intact.
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
