//! Data that a grid of runs reads once: a backbone with its tokenizer, and a task as token ids.

use std::path::{Path, PathBuf};

use adept_core::Fingerprint;
use adept_data::{
    DataFile, Encoded, LoadOptions, Right, SplitLosses, StoredRows, Task, TaskRows, TextTokenizer, open_task,
};
use adept_models::{Loaded, Model};
use adept_train::TrainError;
use adept_train::config::{ConfigError, RunConfig};
use adept_train::program::{PreparedPrograms, ProgramOptions, prepare_programs};
use adept_train::record::Majority;
use adept_train::rows::RowForm;
use adept_train::task::{LabelIds, label_ids, load_options, target_width, task_of};
use burn::tensor::backend::Backend;

use super::door::check_tokenizer;
use crate::baseline;

/// A backbone with its tokenizer.
pub struct LoadedBackbone<B: Backend> {
    /// The frozen model.
    pub model: Model<B>,
    /// Fingerprint of its weights.
    pub fingerprint: Fingerprint,
    /// Its tokenizer.
    pub tokenizer: TextTokenizer,
    /// Folder it was loaded from.
    pub path: PathBuf,
}

impl<B: Backend> LoadedBackbone<B> {
    /// How the rows of a task are laid out for this backbone; without a task, how source and target are.
    ///
    /// # Errors
    /// Templates that are invalid or not applicable to this backbone.
    pub fn row_form(&self, config: &RunConfig, task: Option<&Task>) -> Result<RowForm, TrainError> {
        match self.model.family().is_causal() {
            true => RowForm::joined(config, task, &self.path, self.model.eos_id()),
            false => RowForm::apart(config),
        }
    }
}

/// Loads a checkpoint and its tokenizer, and checks that they match.
///
/// # Errors
/// Unreadable files, or a tokenizer that does not belong to the checkpoint.
pub fn load_backbone<B: Backend>(path: &Path, device: &B::Device) -> Result<LoadedBackbone<B>, TrainError> {
    if path.as_os_str().is_empty() {
        return Err(ConfigError::Missing { key: "backbone" }.into());
    }
    let Loaded { model, fingerprint } = Model::load(path, device)?;
    let tokenizer = TextTokenizer::from_dir(path)?;
    check_tokenizer(path, &model, &tokenizer)?;
    Ok(LoadedBackbone {
        model,
        fingerprint,
        tokenizer,
        path: path.to_owned(),
    })
}

/// A task as token ids.
#[derive(Debug, Clone)]
pub struct PreparedTask {
    /// The task.
    pub task: Task,
    /// Training examples, on disk.
    pub train: StoredRows,
    /// Validation examples and their references.
    pub validation: (Vec<Encoded>, Right),
    /// Test examples and their references.
    pub test: (Vec<Encoded>, Right),
    /// The task's labels and their ids; `None` if targets are scores or free text.
    pub labels: Option<LabelIds>,
    /// Maximum target length in tokens, including the end token.
    pub target_width: usize,
    /// How its rows are laid out for the backbone.
    pub form: RowForm,
    /// Score of the most frequent training label.
    pub majority: Majority,
    /// Files the examples were read from.
    pub files: Vec<DataFile>,
    /// Source length after truncation, in tokens.
    pub max_source_length: usize,
    /// Target length from the configuration.
    pub max_target_length: usize,
    /// Options passed to its loader.
    pub options: LoadOptions,
    /// Truncated and unknown tokens, for each split that has any.
    pub losses: Vec<SplitLosses>,
}

/// A task in the form needed by a run.
#[derive(Debug, Clone)]
pub enum PreparedData {
    /// Targets are labels, scores or texts.
    Rows(Box<PreparedTask>),
    /// Targets are programs.
    Programs(Box<PreparedPrograms>),
}

impl PreparedData {
    /// The task.
    pub fn task(&self) -> &Task {
        match self {
            Self::Rows(rows) => &rows.task,
            Self::Programs(programs) => &programs.task,
        }
    }

    /// Files the examples were read from.
    pub fn files(&self) -> &[DataFile] {
        match self {
            Self::Rows(rows) => &rows.files,
            Self::Programs(programs) => &programs.files,
        }
    }

    /// Truncated and unknown tokens, for each split that has any.
    pub fn losses(&self) -> &[SplitLosses] {
        match self {
            Self::Rows(rows) => &rows.losses,
            Self::Programs(programs) => &programs.losses,
        }
    }

    /// Its rows, for operations that do not apply to programs.
    ///
    /// # Errors
    /// [`TrainError::NotRows`].
    pub fn rows(&self) -> Result<&PreparedTask, TrainError> {
        match self {
            Self::Rows(rows) => Ok(rows),
            Self::Programs(programs) => Err(TrainError::NotRows {
                task: programs.task.name().to_owned(),
            }),
        }
    }

    /// Whether it was prepared with these settings.
    pub fn is_of(&self, config: &RunConfig) -> bool {
        check_prepared(config, self).is_ok()
    }
}

/// Resources for preparing a task, besides its configuration and a tokenizer.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// Cache folder for tokenised tasks; `None` disables caching.
    pub cache: Option<PathBuf>,
    /// Options for running programs.
    pub programs: ProgramOptions,
}

/// Reads and tokenises a task of either kind.
///
/// # Errors
/// Data that cannot be read or encoded, and for programs an incomplete sandbox.
pub fn prepare<B: Backend>(
    config: &RunConfig,
    backbone: &LoadedBackbone<B>,
    means: &Means,
) -> Result<PreparedData, TrainError> {
    let task = task_of(config)?;
    if task.is_program() {
        if !backbone.model.family().is_causal() {
            let task = config.task.clone();
            return Err(TrainError::Program { task });
        }
        let form = backbone.row_form(config, Some(&task))?;
        return prepare_programs(config, &backbone.tokenizer, form, &means.programs)
            .map(|programs| PreparedData::Programs(Box::new(programs)));
    }
    prepare_task(task, config, backbone, means.cache.as_deref()).map(|rows| PreparedData::Rows(Box::new(rows)))
}

/// Reads and tokenises a task, or loads it from `cache`, a folder that is created if necessary. Without a cache, token
/// ids are kept in a temporary file.
pub fn prepare_task<B: Backend>(
    task: Task,
    config: &RunConfig,
    backbone: &LoadedBackbone<B>,
    cache: Option<&Path>,
) -> Result<PreparedTask, TrainError> {
    if task.is_program() {
        return Err(TrainError::NotRows {
            task: task.name().to_owned(),
        });
    }
    if config.data.as_os_str().is_empty() {
        return Err(ConfigError::Missing { key: "data" }.into());
    }
    let options = load_options(config);
    let form = backbone.row_form(config, Some(&task))?;
    let encoder = form.encoder(&backbone.tokenizer);
    let target_width = target_width(config, &task, encoder)?;
    let lengths = form.lengths(config, target_width)?;
    let TaskRows {
        train,
        validation,
        test,
        files,
        losses,
        ..
    } = open_task(&task, &config.data, &options, encoder, lengths, cache)?;
    for (split, rows) in [
        ("training", train.len()),
        ("validation", validation.0.len()),
        ("test", test.0.len()),
    ] {
        if rows == 0 {
            return Err(TrainError::EmptySplit {
                task: task.name().to_owned(),
                split,
            });
        }
    }
    let labels = label_ids(&task, encoder)?;
    let majority = baseline::majority(&task, &train, &test.1)?;
    Ok(PreparedTask {
        task,
        train,
        validation,
        test,
        labels,
        target_width,
        form,
        majority,
        files,
        max_source_length: config.input.max_source_length,
        max_target_length: config.input.max_target_length,
        options,
        losses,
    })
}

/// Refuses a task that was prepared with other settings.
pub(super) fn check_prepared(config: &RunConfig, data: &PreparedData) -> Result<(), TrainError> {
    let refuse = |field, prepared: String, wanted: String| {
        Err(TrainError::Prepared {
            field,
            prepared,
            wanted,
        })
    };
    let options = load_options(config);
    if data.task().reference() != config.task {
        return refuse("task", data.task().name().to_owned(), config.task.clone());
    }
    let found = match data {
        PreparedData::Rows(rows) => rows.options,
        PreparedData::Programs(programs) => programs.options,
    };
    if found != options {
        return refuse("input", format!("{found:?}"), format!("{options:?}"));
    }
    let form = match data {
        PreparedData::Rows(rows) => &rows.form,
        PreparedData::Programs(programs) => &programs.form,
    };
    if let Some((key, prepared, wanted)) = form.difference(config) {
        return refuse(key, prepared, wanted);
    }
    let PreparedData::Rows(task) = data else {
        return Ok(());
    };
    for (field, prepared, wanted) in [
        (
            "input.max_source_length",
            task.max_source_length,
            config.input.max_source_length,
        ),
        (
            "input.max_target_length",
            task.max_target_length,
            config.input.max_target_length,
        ),
    ] {
        if prepared != wanted {
            return refuse(field, prepared.to_string(), wanted.to_string());
        }
    }
    Ok(())
}
