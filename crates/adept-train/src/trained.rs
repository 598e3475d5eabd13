//! What a model was trained with, stored in its files: in an adapter's `adapter_config.json` under `adept.trained`, or
//! in `trained.json` next to a backbone after full fine-tuning.
//!
//! Evaluation and prediction start from it, so that an adapter trained on answers of 80 tokens is not cut at a default
//! of 20 and knows its labels without the card it was trained on. It contains no paths: a card is stored as text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adept_core::AdapterMetadata;
use adept_core::file::CONFIG_FILE;
use adept_data::Task;
use adept_models::Family;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::TrainError;
use crate::config::{self, Resolved, RunConfig, Told};
use crate::folder::{read_json, write_json};

/// Name of the file next to a fully fine-tuned backbone.
pub const TRAINED_FILE: &str = "trained.json";

/// Version of the file. Newer versions are refused; in an adapter, the version of the adapter format is used instead.
const FORMAT_VERSION: u64 = 1;

/// Settings that determine a model's input and its prediction method.
const SETTINGS: [&str; 13] = [
    "input.max_source_length",
    "input.max_target_length",
    "input.pad_to_max",
    "input.positions",
    "input.template",
    "input.chat_template",
    "input.chat_template_kwargs",
    "input.answers",
    "input.score_rounding",
    "input.reference_slips",
    "evaluation.method",
    "evaluation.max_new_tokens",
    "evaluation.metric",
];

/// The section `generation`, which determines how decoder-only backbones generate programs.
const GENERATION: &str = "generation.";

/// Settings that belong to the task: another task has its own prediction method and metrics.
const OF_THE_TASK: [&str; 2] = ["evaluation.method", "evaluation.metric"];

/// What a model was trained with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Version of this record.
    #[serde(default = "version")]
    pub format_version: u64,
    /// Family of the backbone, as in `model_type`.
    pub family: String,
    /// Name of the task.
    pub task: String,
    /// Text of the task's card: fields, template, labels, splits, metrics.
    pub card: String,
    /// The possible answers; `None` if targets are scores, texts or programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Maximum target length in tokens, including the end token; `None` for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_tokens: Option<usize>,
    /// Settings by dotted key.
    pub settings: BTreeMap<String, Value>,
}

fn version() -> u64 {
    FORMAT_VERSION
}

impl Trained {
    /// The training record of a run with this configuration.
    #[must_use]
    pub fn new(config: &RunConfig, task: &Task, family: Family, target_tokens: Option<usize>) -> Self {
        let travels = |key: &str| SETTINGS.contains(&key) || (family.is_causal() && key.starts_with(GENERATION));
        let settings = config
            .values()
            .into_iter()
            .filter(|(key, _)| travels(key))
            .map(|(key, value)| {
                (
                    key,
                    serde_json::to_value(value).expect("a TOML scalar is a JSON scalar"),
                )
            })
            .collect();
        Self {
            format_version: FORMAT_VERSION,
            family: family.name().to_owned(),
            task: task.name().to_owned(),
            card: task.card_text().to_owned(),
            labels: task.labels(),
            target_tokens,
            settings,
        }
    }

    /// In the form stored in an adapter's file.
    pub fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => unreachable!("a struct of JSON values is a JSON object"),
        }
    }

    /// Writes the file next to a backbone.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        write_json(&folder.join(TRAINED_FILE), self)
    }
}

/// A model's training record, with the file that contains it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedWith {
    /// The file.
    pub path: PathBuf,
    /// Its contents.
    pub trained: Trained,
    /// The task from its card.
    pub task: Task,
}

impl TrainedWith {
    /// The record of the adapter in `folder`; `None` if its file has none.
    ///
    /// # Errors
    /// [`TrainError::Trained`] for an unreadable record.
    pub fn of_adapter(folder: &Path, about: &AdapterMetadata) -> Result<Option<Self>, TrainError> {
        let Some(map) = &about.trained else { return Ok(None) };
        let path = folder.join(CONFIG_FILE);
        match serde_json::from_value(Value::Object(map.clone())) {
            Ok(trained) => Self::checked(path, trained).map(Some),
            Err(cause) => Err(invalid(&path, format!("`adept.trained`: {cause}"))),
        }
    }

    /// The record of a fully fine-tuned backbone in `folder`; `None` if it was not trained by this program.
    ///
    /// # Errors
    /// See [`TrainedWith::of_adapter`].
    pub fn of_backbone(folder: &Path) -> Result<Option<Self>, TrainError> {
        let path = folder.join(TRAINED_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let trained: Trained = read_json(&path)?;
        if trained.format_version > FORMAT_VERSION {
            let message = format!(
                "`format_version`: expected at most {FORMAT_VERSION}, found {} (the file is from a newer version of this \
                 program)",
                trained.format_version
            );
            return Err(invalid(&path, message));
        }
        Self::checked(path, trained).map(Some)
    }

    fn checked(path: PathBuf, trained: Trained) -> Result<Self, TrainError> {
        let task =
            Task::from_card(&trained.card).map_err(|cause| invalid(&path, format!("the task's card: {cause}")))?;
        Ok(Self { path, trained, task })
    }

    /// A configuration with the training's settings and `overrides`, and a list of those that differ. For another task,
    /// prediction method and metrics are that task's own.
    ///
    /// # Errors
    /// Invalid settings in the file or in `overrides`.
    pub fn resolve(&self, task: &Task, overrides: &[String]) -> Result<(Resolved, Vec<Told>), TrainError> {
        let same = task.has_card_of(&self.task);
        let kept = |key: &str| same || !OF_THE_TASK.contains(&key);
        let mut settings = Vec::new();
        for (key, value) in self.trained.settings.iter().filter(|(key, _)| kept(key)) {
            let value = toml::Value::deserialize(value)
                .map_err(|cause| invalid(&self.path, format!("`settings.{key}`: {cause}")))?;
            settings.push((key.clone(), value));
        }
        Ok(config::resolve_over(&self.path, settings, overrides)?)
    }
}

fn invalid(path: &Path, message: String) -> TrainError {
    TrainError::Trained {
        path: path.to_owned(),
        message,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::resolve;

    fn with(overrides: &[&str]) -> RunConfig {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        resolve(None, &overrides).unwrap().config
    }

    fn of(config: &RunConfig, task: &Task, family: Family) -> TrainedWith {
        let trained = Trained::new(config, task, family, Some(80));
        let mut about = AdapterMetadata::new(adept_core::AdapterConfig::pt(4, 2), "t5-nano");
        about.trained = Some(trained.to_map());
        let back = TrainedWith::of_adapter(Path::new("best"), &about).unwrap().unwrap();
        assert_eq!(back.trained, trained);
        back
    }

    #[test]
    fn what_was_trained_with_is_used_unless_told_otherwise() {
        let text = Task::named("text").unwrap();
        let config = with(&[
            "task=text",
            "preset=reference",
            "input.max_target_length=80",
            "evaluation.method=generate",
            "evaluation.max_new_tokens=90",
        ]);
        let trained = of(&config, &text, Family::T5);
        let (resolved, told) = trained.resolve(&text, &["task=text".to_owned()]).unwrap();
        let found = &resolved.config;
        assert_eq!(told, []);
        assert_eq!(
            (found.input.max_target_length, found.evaluation.max_new_tokens),
            (80, 90)
        );
        assert!(
            found.input.pad_to_max,
            "the reference's way, whatever preset this command starts from"
        );
        let (resolved, told) = trained
            .resolve(&text, &["input.max_target_length=20".to_owned()])
            .unwrap();
        assert_eq!(resolved.config.input.max_target_length, 20);
        assert_eq!(
            told,
            [Told {
                key: "input.max_target_length".to_owned(),
                told: 20.into(),
                trained: 80.into()
            }]
        );
    }

    #[test]
    fn another_task_is_answered_and_scored_as_its_own() {
        let rte = Task::named("rte").unwrap();
        let config = with(&[
            "task=rte",
            "evaluation.method=labels",
            "evaluation.metric=f1",
            "input.max_source_length=99",
        ]);
        let trained = of(&config, &rte, Family::T5);
        let (resolved, _) = trained
            .resolve(&Task::named("stsb").unwrap(), &["task=stsb".to_owned()])
            .unwrap();
        assert_eq!(resolved.config.input.max_source_length, 99);
        assert_eq!(
            resolved.config.evaluation.method,
            with(&["task=stsb"]).evaluation.method
        );
    }

    #[test]
    fn generation_travels_with_decoders_and_no_path_with_any() {
        let mbpp = Task::named("mbpp").unwrap();
        let config = with(&[
            "task=mbpp",
            "data=/home/me/data",
            "backbone=/home/me/llama",
            "generation.repetition_penalty=1.3",
        ]);
        let trained = of(&config, &mbpp, Family::Llama).trained;
        assert_eq!(trained.settings["generation.repetition_penalty"], 1.3);
        assert!(!serde_json::to_string(&trained).unwrap().contains("/home/me"));
        let settings = of(&with(&[]), &Task::named("rte").unwrap(), Family::T5)
            .trained
            .settings;
        assert!(
            settings.keys().all(|key| !key.starts_with("generation")),
            "{settings:?}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let rte = Task::named("rte").unwrap();
        let good = Trained::new(&with(&["task=rte"]), &rte, Family::T5, Some(2));
        let fails = |change: &dyn Fn(&mut Trained), fragments: &[&str]| {
            let mut trained = good.clone();
            change(&mut trained);
            let folder = tempfile::tempdir().unwrap();
            trained.write(folder.path()).unwrap();
            let found = TrainedWith::of_backbone(folder.path()).and_then(|found| found.unwrap().resolve(&rte, &[]));
            let error = found.unwrap_err().to_string();
            for fragment in fragments.iter().chain(&["trained.json"]) {
                assert!(error.contains(fragment), "{fragment} in {error}");
            }
        };
        fails(&|trained| trained.format_version = 9, &["format_version", "newer"]);
        fails(&|trained| trained.card = "name = 3".to_owned(), &["card", "line 1"]);
        let set = |key: &'static str, value: Value| {
            move |trained: &mut Trained| {
                trained.settings.insert(key.to_owned(), value.clone());
            }
        };
        fails(
            &set("input.max_source_length", (-1).into()),
            &["input.max_source_length", "-1"],
        );
        fails(
            &set("input.max_sauce_length", 1.into()),
            &["input.max_sauce_length", "nearest"],
        );
        fails(&set("evaluation.method", Value::Null), &["evaluation.method"]);
        assert_eq!(TrainedWith::of_backbone(Path::new("/no/such/folder")).unwrap(), None);
    }
}
