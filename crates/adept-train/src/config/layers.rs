//! From preset, file and overrides to one resolved configuration.
//!
//! Three layers, each over the one before: the preset's defaults (with those of large tasks and of method `pt`), a TOML
//! file, `key=value` overrides. Every value is checked against [`super::fields::RUN`] where it enters, so an error
//! names the file and line, or the override, that holds it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use adept_data::text::read_text;
use serde::{Deserialize, Serialize};
use toml::Value;

use super::fields;
use super::schema::Schema;
use super::values::{check, parse_file, parse_override, unknown};
use super::{ConfigError, RunConfig};
use crate::preset::{self, Preset};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A preset's default.
    Preset,
    /// A line of a configuration file.
    File {
        /// The file.
        #[serde(with = "adept_data::path_text")]
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// What an adapter or a backbone was trained with, as its file says.
    Trained {
        /// The file.
        path: PathBuf,
    },
    /// A `key=value` override.
    Override,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Preset => write!(f, "preset"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Trained { path } => write!(f, "{}", path.display()),
            Origin::Override => write!(f, "--set"),
        }
    }
}

/// A value that differs from its preset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Override {
    /// Dotted key.
    pub key: String,
    /// The value in force.
    pub value: Value,
    /// What the preset says.
    pub preset: Value,
    /// Who changed it.
    pub origin: Origin,
}

/// What training sees, and how it came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// Every field's value.
    pub config: RunConfig,
    /// The fields that differ from the preset's defaults.
    pub overrides: Vec<Override>,
}

/// Values by dotted key, each with where it came from.
pub type Values = BTreeMap<String, (Value, Origin)>;

/// What a file and overrides say, the last one winning.
pub fn chosen(schema: &Schema, file: Option<&Path>, overrides: &[String]) -> Result<Values, ConfigError> {
    let mut chosen = Values::new();
    if let Some(path) = file {
        let text = read_text(path)?;
        chosen.extend(parse_file(schema, path, &text)?);
    }
    for assignment in overrides {
        let (key, value) = parse_override(schema, assignment)?;
        chosen.insert(key, (value, Origin::Override));
    }
    Ok(chosen)
}

/// Resolves a configuration from an optional file and `key=value` overrides, the last one winning.
///
/// The preset, the task and the method are taken from the uppermost layer that names them, because they choose the
/// defaults below.
pub fn resolve(file: Option<&Path>, overrides: &[String]) -> Result<Resolved, ConfigError> {
    resolve_values(chosen(&fields::RUN, file, overrides)?)
}

/// A value that was told and is not the one of the training.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Dotted key.
    pub key: String,
    /// The value in force.
    pub told: Value,
    /// The value of the training.
    pub trained: Value,
}

/// Resolves a configuration over the settings of a training, and says which of those are overridden. `path` is the
/// file that the settings come from.
pub(crate) fn resolve_over(
    path: &Path,
    trained: impl IntoIterator<Item = (String, Value)>,
    overrides: &[String],
) -> Result<(Resolved, Vec<Told>), ConfigError> {
    let origin = Origin::Trained { path: path.to_owned() };
    let mut values = Values::new();
    for (key, value) in trained {
        let field = fields::RUN
            .find(&key)
            .ok_or_else(|| unknown(&fields::RUN, &key, &origin))?;
        let value = check(&field.key, &field.kind, value, &origin)?;
        values.insert(field.key.clone(), (value, origin.clone()));
    }
    let told = chosen(&fields::RUN, None, overrides)?;
    let differs = |(key, (value, _)): (&String, &(Value, Origin))| {
        let (trained, _) = values.get(key)?;
        (trained != value).then(|| Told {
            key: key.clone(),
            told: value.clone(),
            trained: trained.clone(),
        })
    };
    let differences = told.iter().filter_map(differs).collect();
    values.extend(told);
    Ok((resolve_values(values)?, differences))
}

/// The method in force.
fn defaults_method(defaults: &BTreeMap<String, Value>, chosen: Option<&str>) -> String {
    let default = defaults.get("adapter.method").and_then(Value::as_str);
    chosen.or(default).unwrap_or_default().to_owned()
}

/// Resolves a configuration from what was chosen above the preset.
pub fn resolve_values(chosen: Values) -> Result<Resolved, ConfigError> {
    let word = |key: &str| chosen.get(key).and_then(|(value, _)| value.as_str());
    let preset = match word("preset") {
        Some("reference") => Preset::Reference,
        _ => Preset::Paper,
    };
    let defaults = preset::defaults(preset, word("task"), word("adapter.method"));
    let method = defaults_method(&defaults, word("adapter.method"));
    if let Some((key, (_, origin))) = chosen.iter().find(|(key, _)| !defaults.contains_key(key.as_str())) {
        return Err(ConfigError::OtherMethod {
            place: origin.to_string(),
            key: key.clone(),
            method,
        });
    }

    let mut merged: Values = defaults
        .iter()
        .map(|(key, value)| (key.clone(), (value.clone(), Origin::Preset)))
        .collect();
    merged.extend(chosen);
    let overrides = merged
        .iter()
        .filter(|(key, (value, _))| *value != defaults[key.as_str()])
        .map(|(key, (value, origin))| Override {
            key: key.clone(),
            value: value.clone(),
            preset: defaults[key.as_str()].clone(),
            origin: origin.clone(),
        })
        .collect();
    let config = RunConfig::from_values(merged.into_iter().map(|(key, (value, _))| (key, value)));
    config.validate()?;
    Ok(Resolved { config, overrides })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sets(overrides: &[&str]) -> Result<Resolved, ConfigError> {
        resolve(None, &overrides.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn file(text: &str) -> Result<Values, ConfigError> {
        parse_file(&fields::RUN, Path::new("run.toml"), text)
    }

    #[test]
    fn later_layers_win_and_are_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, "preset = \"reference\"\n[train]\nsteps = 100\nbatch_size = 8\n").unwrap();
        let resolved = resolve(Some(&path), &["train.steps=7".into(), "train.batch_size = 32".into()]).unwrap();
        assert_eq!(resolved.config.preset, Preset::Reference);
        assert_eq!(resolved.config.train.steps, 7);
        let changed: Vec<_> = resolved.overrides.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(changed, ["train.steps"], "a value equal to the preset's is no override");
        assert_eq!(resolved.overrides[0].origin, Origin::Override);
        assert_eq!(resolved.overrides[0].preset, Value::Integer(30_000));
    }

    #[test]
    fn task_and_method_choose_defaults() {
        let large = sets(&["task=mnli", "adapter.method=pt"]).unwrap();
        assert_eq!((large.config.train.steps, large.config.train.batch_size), (300_000, 16));
        assert_eq!(
            (large.config.train.accumulation, large.config.adapter.virtual_tokens),
            (2, 100)
        );
        assert!(
            large
                .overrides
                .iter()
                .all(|entry| ["task", "adapter.method"].contains(&entry.key.as_str()))
        );
    }

    #[test]
    fn a_dumped_configuration_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let resolved = sets(&[
            "preset=reference",
            "input.buckets=[16,48]",
            "data=/some where/x",
            "adapter.init_text=a \"b\"",
        ])
        .unwrap();
        for text in [resolved.to_toml(), resolved.to_commented_toml()] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(resolve(Some(&path), &[]).unwrap().config, resolved.config);
        }
    }

    #[test]
    fn a_former_name_of_a_key_is_still_read() {
        let resolved = sets(&["input.stsb_rounding=fifth"]).unwrap();
        assert_eq!(resolved.config.input.score_rounding, adept_data::ScoreRounding::Fifth);
        assert_eq!(resolved.overrides[0].key, "input.score_rounding");
        let found = file("[input]\nstsb_rounding = \"fifth\"\n").unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["input.score_rounding"]);
        let mut record = serde_json::to_value(&resolved.config).unwrap();
        let input = record["input"].as_object_mut().unwrap();
        let value = input.remove("score_rounding").unwrap();
        input.insert("stsb_rounding".to_owned(), value);
        assert_eq!(serde_json::from_value::<RunConfig>(record).unwrap(), resolved.config);
    }

    #[test]
    fn labels_are_refused_of_a_task_that_has_none() {
        for task in ["stsb", "squad", "text"] {
            let error = sets(&["evaluation.method=labels", &format!("task={task}")]).unwrap_err();
            assert!(
                matches!(&error, ConfigError::NoLabels { task: found } if found == task),
                "{error}"
            );
        }
        assert!(sets(&["evaluation.method=labels", "task=rte"]).is_ok());
    }

    #[test]
    fn refusals_name_place_key_and_figures() {
        let cases = [
            (
                file("[train]\nstep = 3\n").unwrap_err(),
                "run.toml:2: unknown key `train.step`; the nearest is `train.steps`",
            ),
            (
                file("seed = 1\n[optimiser]\nbeta1 = 0.9\n").unwrap_err(),
                "run.toml:3: unknown key `optimiser.beta1`; the nearest is `optimizer.beta1`",
            ),
            (
                file("[train]\nsteps = 0\n").unwrap_err(),
                "run.toml:2: `train.steps` must be a whole number from 1 to 100000000, found 0",
            ),
            (
                file("train = 3\n").unwrap_err(),
                "run.toml:1: unknown key `train`; the nearest is `task`",
            ),
            (file("seed = \n").unwrap_err(), "run.toml:1: not TOML: "),
            (
                sets(&["train.steps=ten"]).unwrap_err(),
                "--set: `train.steps` must be a whole number from 1 to 100000000, found \"ten\"",
            ),
            (
                sets(&["train.steps"]).unwrap_err(),
                "`train.steps` is not of the form key=value",
            ),
            (
                sets(&["optimizer.beta2=1"]).unwrap_err(),
                "--set: `optimizer.beta2` must be a number from 0 to 0.999999, found 1.0",
            ),
            (
                sets(&["optimizer.prompt.learning_rate=nan"]).unwrap_err(),
                "--set: `optimizer.prompt.learning_rate` must be a number from 0 to 100, found nan",
            ),
            (
                sets(&["adapter.method=loha"]).unwrap_err(),
                "--set: `adapter.method` must be one of full, pt, dept, adept, lora",
            ),
            (
                sets(&["input.buckets=64,a"]).unwrap_err(),
                "--set: `input.buckets` must be a list of whole numbers above 0, found \"64,a\"",
            ),
            (
                sets(&["input.buckets=64,32"]).unwrap_err(),
                "`input.buckets` must be in ascending order, found 32 after 64",
            ),
            (
                sets(&["adapter.method=pt", "adapter.virtual_tokens=0"]).unwrap_err(),
                "method `pt` with 0 virtual tokens has nothing to train",
            ),
        ];
        for (error, expected) in cases {
            let text = error.to_string();
            assert!(text.starts_with(expected), "\n found: {text}\nwanted: {expected}");
        }
    }
}
