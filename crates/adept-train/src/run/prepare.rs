//! What a grid of runs reads once: a backbone with its tokenizer, and a task as token ids.

use std::path::{Path, PathBuf};

use adept_core::Fingerprint;
use adept_data::{
    DataFile, Encoded, Example, FewShot, LoadOptions, Right, ScoreRounding, Task, TextTokenizer, load_task,
};
use adept_models::T5;
use burn::tensor::backend::Backend;

use crate::TrainError;
use crate::baseline::Majority;
use crate::config::{ConfigError, Rounding, RunConfig};

/// A backbone with its tokenizer.
pub struct LoadedBackbone<B: Backend> {
    /// The model, frozen.
    pub model: T5<B>,
    /// Identity of its weights.
    pub fingerprint: Fingerprint,
    /// Its tokenizer.
    pub tokenizer: TextTokenizer,
    /// Folder it was read from.
    pub path: PathBuf,
}

/// Reads a T5 checkpoint and its tokenizer.
pub fn load_backbone<B: Backend>(path: &Path, device: &B::Device) -> Result<LoadedBackbone<B>, TrainError> {
    if path.as_os_str().is_empty() {
        return Err(ConfigError::Missing { key: "backbone" }.into());
    }
    let loaded = T5::<B>::load(path, device)?;
    let tokenizer = TextTokenizer::from_dir(path)?;
    Ok(LoadedBackbone {
        model: loaded.model,
        fingerprint: loaded.fingerprint,
        tokenizer,
        path: path.to_owned(),
    })
}

/// A task as token ids.
#[derive(Debug, Clone)]
pub struct PreparedTask {
    /// The task.
    pub task: Task,
    /// Training examples.
    pub train: Vec<Encoded>,
    /// Validation examples and their right answers.
    pub validation: (Vec<Encoded>, Right),
    /// Test examples and their right answers.
    pub test: (Vec<Encoded>, Right),
    /// The task's labels and their ids; none where targets are scores or answers.
    pub labels: Option<(Vec<String>, Vec<Vec<u32>>)>,
    /// Width of the targets in tokens, `</s>` included.
    pub target_width: usize,
    /// What the most frequent training label scores.
    pub majority: Majority,
    /// Files the examples came from.
    pub files: Vec<DataFile>,
    /// Source tokens kept.
    pub max_source_length: usize,
    /// What its loader was told.
    pub options: LoadOptions,
}

/// The task of a configuration.
pub fn task_of(config: &RunConfig) -> Result<Task, TrainError> {
    Ok(config.task.parse()?)
}

/// Reads and tokenises a task.
pub fn prepare_task(config: &RunConfig, tokenizer: &TextTokenizer) -> Result<PreparedTask, TrainError> {
    let task = task_of(config)?;
    if config.data.as_os_str().is_empty() {
        return Err(ConfigError::Missing { key: "data" }.into());
    }
    let options = load_options(config);
    let data = load_task(&task, &config.data, &options)?;
    let target_width = tokenizer.target_length(&task.target_length())?;
    let max_source_length = config.input.max_source_length;
    let encode = |examples: &[Example]| tokenizer.encode_examples(examples, max_source_length, target_width);
    for (split, examples) in [
        ("training", &data.train),
        ("validation", &data.validation),
        ("test", &data.test),
    ] {
        if examples.is_empty() {
            return Err(TrainError::EmptySplit {
                task: config.task.clone(),
                split,
            });
        }
    }
    let labels = match task.labels() {
        None => None,
        Some(labels) => {
            let ids = labels
                .iter()
                .map(|label| tokenizer.encode(label, target_width))
                .collect::<Result<_, _>>()?;
            Some((labels, ids))
        }
    };
    let majority = Majority::of(&task, &data.train, &data.test);
    Ok(PreparedTask {
        task,
        train: encode(&data.train)?,
        validation: (encode(&data.validation)?, Right::of_examples(&data.validation)),
        test: (encode(&data.test)?, Right::of_examples(&data.test)),
        labels,
        target_width,
        majority,
        files: data.files,
        max_source_length,
        options,
    })
}

/// What a configuration tells the loader.
pub(crate) fn load_options(config: &RunConfig) -> LoadOptions {
    let input = &config.input;
    LoadOptions {
        rounding: match input.stsb_rounding {
            Rounding::Tenth => ScoreRounding::Tenth,
            Rounding::Fifth => ScoreRounding::Fifth,
        },
        reference: input.reference_slips,
        few_shot: (input.few_shot > 0).then_some(FewShot {
            rows: input.few_shot,
            seed: config.seed,
        }),
    }
}

/// Refuses a task that was prepared with other settings.
pub(super) fn check_prepared(config: &RunConfig, task: &PreparedTask) -> Result<(), TrainError> {
    let refuse = |field, prepared: String, wanted: String| {
        Err(TrainError::Prepared {
            field,
            prepared,
            wanted,
        })
    };
    let (length, options) = (config.input.max_source_length, load_options(config));
    if task.task.reference() != config.task {
        return refuse("task", task.task.name().to_owned(), config.task.clone());
    }
    if task.max_source_length != length {
        return refuse(
            "input.max_source_length",
            task.max_source_length.to_string(),
            length.to_string(),
        );
    }
    if task.options != options {
        return refuse("input", format!("{:?}", task.options), format!("{options:?}"));
    }
    Ok(())
}
