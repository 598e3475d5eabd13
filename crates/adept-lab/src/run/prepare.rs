//! Data that a grid of runs reads once: a backbone with its tokenizer, and a task as token ids.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adept_core::Fingerprint;
use adept_data::{
    DataFile, Encoded, LoadOptions, Right, SplitLosses, StoredRows, Task, TaskRows, TextTokenizer, open_task,
};
use adept_models::{Backbone as _, Loaded, Model, ModelError, Precision};
use adept_train::TrainError;
use adept_train::config::{ConfigError, RunConfig, SelectionMetric};
use adept_train::program::{PreparedPrograms, ProgramOptions, prepare_programs};
use adept_train::record::Majority;
use adept_train::rows::RowForm;
use adept_train::task::{LabelIds, label_ids, load_options, target_width, task_of, turn_end};
use burn::tensor::backend::Backend;

use super::door::check_tokenizer;
use crate::baseline;

/// A backbone with its tokenizer.
#[derive(Clone)]
pub struct LoadedBackbone<B: Backend> {
    /// The frozen model.
    pub model: Model<B>,
    /// The precision of its products, if it is frozen; `None` if it may be trained.
    pub frozen: Option<Precision>,
    /// Fingerprint of its weights.
    pub fingerprint: Fingerprint,
    /// Its tokenizer.
    pub tokenizer: Arc<TextTokenizer>,
    /// Folder it was loaded from.
    pub path: PathBuf,
}

impl<B: Backend> LoadedBackbone<B> {
    /// The same backbone with its products in a precision, or to be trained (`None`). What rounds is made of float32,
    /// and shares everything that this does not change; the rest is read again. One that may be trained also serves as
    /// one that is frozen in float32: its products are the same to the last bit.
    ///
    /// # Errors
    /// A checkpoint that cannot be read again, or that is another one by now.
    pub fn held(&self, frozen: Option<Precision>, device: &B::Device) -> Result<Cow<'_, Self>, TrainError> {
        if self.frozen == frozen || (self.frozen, frozen) == (None, Some(Precision::F32)) {
            return Ok(Cow::Borrowed(self));
        }
        let mut other = self.clone();
        other.frozen = frozen;
        match (self.frozen, frozen) {
            (None | Some(Precision::F32), Some(lower)) => other.model.prepare(lower),
            _ => {
                let Loaded { model, fingerprint } = load_model(&self.path, device, frozen)?;
                if fingerprint != self.fingerprint {
                    return Err(TrainError::BackboneChanged {
                        path: self.path.clone(),
                    });
                }
                other.model = model;
            }
        }
        Ok(Cow::Owned(other))
    }

    /// How the rows of a task are laid out for this backbone; without a task, how source and target are.
    ///
    /// # Errors
    /// Templates that are invalid or not applicable to this backbone.
    pub fn row_form(&self, config: &RunConfig, task: Option<&Task>) -> Result<RowForm, TrainError> {
        match self.model.family().is_causal() {
            true => RowForm::joined(config, task, &self.path, self.model.eos_id()),
            false => RowForm::apart(config, task),
        }
    }
}

fn load_model<B: Backend>(
    path: &Path,
    device: &B::Device,
    frozen: Option<Precision>,
) -> Result<Loaded<Model<B>>, ModelError> {
    match frozen {
        Some(precision) => Model::load_in(path, device, precision),
        None => Model::load(path, device),
    }
}

/// Loads a checkpoint and its tokenizer, and checks that they match: frozen, for products in a precision, or to be
/// trained (`None`).
///
/// # Errors
/// Unreadable files, or a tokenizer that does not belong to the checkpoint.
pub fn load_backbone<B: Backend>(
    path: &Path,
    device: &B::Device,
    frozen: Option<Precision>,
) -> Result<LoadedBackbone<B>, TrainError> {
    if path.as_os_str().is_empty() {
        return Err(ConfigError::Missing { key: "backbone" }.into());
    }
    let Loaded { model, fingerprint } = load_model(path, device, frozen)?;
    let tokenizer = Arc::new(TextTokenizer::from_dir(path)?);
    check_tokenizer(path, &model, &tokenizer)?;
    Ok(LoadedBackbone {
        model,
        frozen,
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
    /// The token with which the chat template ends an answer, of conversations.
    pub turn_end: Option<u32>,
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
    /// Targets are labels, scores or texts; of one task, or of several that are trained together.
    Rows(Vec<PreparedTask>),
    /// Targets are programs.
    Programs(Box<PreparedPrograms>),
}

impl PreparedData {
    /// The task; `None` for several.
    pub fn task(&self) -> Option<&Task> {
        match self {
            Self::Rows(rows) => match rows.as_slice() {
                [only] => Some(&only.task),
                _ => None,
            },
            Self::Programs(programs) => Some(&programs.task),
        }
    }

    /// Files the examples were read from. Of several tasks, names begin with the task's.
    pub fn files(&self) -> Vec<DataFile> {
        let rows = match self {
            Self::Programs(programs) => return programs.files.clone(),
            Self::Rows(rows) => rows,
        };
        let named = |task: &PreparedTask, file: &DataFile| match rows.len() {
            1 => file.clone(),
            _ => DataFile {
                name: format!("{}/{}", task.task.name(), file.name),
                ..file.clone()
            },
        };
        let files = rows
            .iter()
            .flat_map(|task| task.files.iter().map(move |file| named(task, file)));
        files.collect()
    }

    /// Truncated and unknown tokens, for each split that has any. Of several tasks, splits begin with the task's name.
    pub fn losses(&self) -> Vec<SplitLosses> {
        let rows = match self {
            Self::Programs(programs) => return programs.losses.clone(),
            Self::Rows(rows) => rows,
        };
        let named = |task: &PreparedTask, losses: &SplitLosses| match rows.len() {
            1 => losses.clone(),
            _ => SplitLosses {
                split: format!("{} {}", task.task.name(), losses.split),
                ..losses.clone()
            },
        };
        let losses = rows
            .iter()
            .flat_map(|task| task.losses.iter().map(move |losses| named(task, losses)));
        losses.collect()
    }

    /// Its rows, for operations that apply neither to programs nor to several tasks.
    ///
    /// # Errors
    /// [`TrainError::NotRows`], [`TrainError::SeveralTasks`].
    pub fn rows(&self) -> Result<&PreparedTask, TrainError> {
        match self {
            Self::Rows(rows) => match rows.as_slice() {
                [only] => Ok(only),
                _ => Err(TrainError::SeveralTasks { tasks: rows.len() }),
            },
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
    if !config.tasks.is_empty() {
        let tasks = (0..config.tasks.len()).map(|task| {
            let config = config.of_task(task);
            let options = load_options(&config);
            prepare_task(task_of(&config)?, &config, options, backbone, means.cache.as_deref())
        });
        let tasks = tasks.collect::<Result<Vec<_>, TrainError>>()?;
        let names = |place: usize| tasks[place].task.name();
        // Two cards may have one name, which scores and folders are told apart by.
        if let Some(twice) = (1..tasks.len()).find(|&place| (0..place).any(|before| names(before) == names(place))) {
            return Err(TrainError::TaskTwice {
                task: names(twice).to_owned(),
            });
        }
        return Ok(PreparedData::Rows(tasks));
    }
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
    let rows = prepare_task(task, config, load_options(config), backbone, means.cache.as_deref())?;
    Ok(PreparedData::Rows(vec![rows]))
}

/// Reads and tokenises a task, or loads it from `cache`, a folder that is created if necessary. Without a cache, token
/// ids are kept in a temporary file.
pub fn prepare_task<B: Backend>(
    task: Task,
    config: &RunConfig,
    options: LoadOptions,
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
    if let SelectionMetric::Metric(metric) = config.evaluation.metric
        && !task.is_measured_by(metric)
    {
        let task = task.name().to_owned();
        return Err(ConfigError::OtherMetric { metric, task }.into());
    }
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
        if rows == 0 && !(options.whole && split == "validation") {
            return Err(TrainError::EmptySplit {
                task: task.name().to_owned(),
                split,
            });
        }
    }
    let labels = label_ids(&task, encoder)?;
    let turn_end = turn_end(&task, encoder)?;
    let majority = baseline::majority(&task, &train, &test.1)?;
    Ok(PreparedTask {
        task,
        train,
        validation,
        test,
        labels,
        target_width,
        turn_end,
        form,
        majority,
        files,
        max_source_length: config.input.max_source_length,
        max_target_length: config.input.max_target_length,
        options,
        losses,
    })
}

/// Refuses data that were prepared with other settings.
pub(super) fn check_prepared(config: &RunConfig, data: &PreparedData) -> Result<(), TrainError> {
    let rows = match data {
        PreparedData::Programs(programs) => {
            let (options, form) = (programs.options, &programs.form);
            return check_task(config, (&programs.task, options, form));
        }
        PreparedData::Rows(rows) => rows,
    };
    let several = config.tasks.len().max(1);
    if rows.len() != several {
        return Err(TrainError::Prepared {
            field: "tasks",
            prepared: rows.len().to_string(),
            wanted: several.to_string(),
        });
    }
    for (place, task) in rows.iter().enumerate() {
        let config = match config.tasks.is_empty() {
            true => config.clone(),
            false => config.of_task(place),
        };
        check_task(&config, (&task.task, task.options, &task.form))?;
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
                return Err(TrainError::Prepared {
                    field,
                    prepared: prepared.to_string(),
                    wanted: wanted.to_string(),
                });
            }
        }
    }
    Ok(())
}

/// Refuses a task that was prepared with other settings.
fn check_task(config: &RunConfig, (task, found, form): (&Task, LoadOptions, &RowForm)) -> Result<(), TrainError> {
    let refuse = |field, prepared: String, wanted: String| {
        Err(TrainError::Prepared {
            field,
            prepared,
            wanted,
        })
    };
    let options = load_options(config);
    if task.reference() != config.task {
        return refuse("task", task.name().to_owned(), config.task.clone());
    }
    if found != options {
        return refuse("input", format!("{found:?}"), format!("{options:?}"));
    }
    match form.difference(config) {
        Some((key, prepared, wanted)) => refuse(key, prepared, wanted),
        None => Ok(()),
    }
}
