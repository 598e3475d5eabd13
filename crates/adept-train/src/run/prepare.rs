//! What a grid of runs reads once: a backbone with its tokenizer, and a task as token ids.

use std::path::{Path, PathBuf};

use adept_core::Fingerprint;
use adept_data::{DataFile, Encoded, Example, GlueTask, LoadOptions, StsbRounding, TextTokenizer, load_glue};
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
    pub task: GlueTask,
    /// Training examples.
    pub train: Vec<Encoded>,
    /// Validation examples and their right answers.
    pub validation: (Vec<Encoded>, Vec<String>),
    /// Test examples and their right answers.
    pub test: (Vec<Encoded>, Vec<String>),
    /// The task's labels and their ids; none for STS-B.
    pub labels: Option<(Vec<String>, Vec<Vec<u32>>)>,
    /// Tokens of the longest label, `</s>` included.
    pub target_width: usize,
    /// What the most frequent training label scores.
    pub majority: Majority,
    /// Files the examples came from.
    pub files: Vec<DataFile>,
    /// Source tokens kept.
    pub max_source_length: usize,
    /// STS-B targets.
    pub stsb_rounding: Rounding,
}

/// The task of a configuration.
pub fn glue_task(config: &RunConfig) -> Result<GlueTask, TrainError> {
    GlueTask::ALL
        .into_iter()
        .find(|task| task.name() == config.task)
        .ok_or_else(|| {
            TrainError::Config(ConfigError::Value {
                place: "configuration".into(),
                key: "task".into(),
                expected: format!("one of {}", GlueTask::ALL.map(GlueTask::name).join(", ")),
                found: config.task.clone(),
            })
        })
}

/// Reads and tokenises a task.
pub fn prepare_task(config: &RunConfig, tokenizer: &TextTokenizer) -> Result<PreparedTask, TrainError> {
    let task = glue_task(config)?;
    if config.data.as_os_str().is_empty() {
        return Err(ConfigError::Missing { key: "data" }.into());
    }
    let stsb = match config.input.stsb_rounding {
        Rounding::Tenth => StsbRounding::Tenth,
        Rounding::Fifth => StsbRounding::Fifth,
    };
    let data = load_glue(task, &config.data, &LoadOptions { stsb })?;
    let target_width = tokenizer.target_length(task.length_labels())?;
    let max_source_length = config.input.max_source_length;
    let encode = |examples: &[Example]| tokenizer.encode_examples(examples, max_source_length, target_width);
    let answers = |examples: &[Example]| examples.iter().map(|example| example.target.clone()).collect();
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
            Some((labels.iter().map(ToString::to_string).collect(), ids))
        }
    };
    Ok(PreparedTask {
        task,
        train: encode(&data.train)?,
        validation: (encode(&data.validation)?, answers(&data.validation)),
        test: (encode(&data.test)?, answers(&data.test)),
        labels,
        target_width,
        majority: Majority::of(task, &data.train, &data.test),
        files: data.files,
        max_source_length,
        stsb_rounding: config.input.stsb_rounding,
    })
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
    let (length, rounding) = (config.input.max_source_length, config.input.stsb_rounding);
    if task.task.name() != config.task {
        return refuse("task", task.task.name().to_owned(), config.task.clone());
    }
    if task.max_source_length != length {
        return refuse(
            "input.max_source_length",
            task.max_source_length.to_string(),
            length.to_string(),
        );
    }
    if task.stsb_rounding != rounding {
        return refuse(
            "input.stsb_rounding",
            format!("{:?}", task.stsb_rounding),
            format!("{rounding:?}"),
        );
    }
    Ok(())
}
