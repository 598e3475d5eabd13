//! A pretraining run's configuration: defaults, a TOML file, overrides, in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::sections::PretrainConfig;
use crate::config::schema::Schema;
use crate::config::{ConfigError, Origin, Override, chosen, flatten, nested};
use crate::schedule::{Schedule, ScheduleName};

/// A pretraining run.
pub static PRETRAIN: LazyLock<Schema> = LazyLock::new(|| Schema::of::<PretrainConfig>("docs/pretraining.md"));

/// A configuration, and what in it differs from the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResolvedPretrain {
    /// Every field's value, paths as they were given.
    pub config: PretrainConfig,
    /// The fields that differ from the defaults.
    pub overrides: Vec<Override>,
}

/// Resolves a configuration from an optional file and `key=value` overrides, the last one winning.
pub fn resolve(file: Option<&Path>, overrides: &[String]) -> Result<ResolvedPretrain, ConfigError> {
    let defaults = defaults();
    let mut merged: BTreeMap<String, (Value, Origin)> = defaults
        .iter()
        .map(|(key, value)| (key.clone(), (value.clone(), Origin::Preset)))
        .collect();
    merged.extend(chosen(&PRETRAIN, file, overrides)?);
    if let Some((Value::Array(tasks), _)) = merged.get_mut("tasks") {
        tasks.iter_mut().for_each(complete_task);
    }
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
    let values = merged.into_iter().map(|(key, (value, _))| (key, value));
    let config: PretrainConfig = Value::Table(nested(values))
        .try_into()
        .expect("every value was checked against the schema, which names these fields");
    config.validate()?;
    Ok(ResolvedPretrain { config, overrides })
}

/// Fills in what a `[[tasks]]` table may leave out.
fn complete_task(task: &mut Value) {
    let Some(task) = task.as_table_mut() else { return };
    let text = |task: &Table, key: &str| task.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text(task, "name");
    let data = text(task, "data");
    for (key, value) in [
        ("prefix", format!("{name} ")),
        ("label", name.clone()),
        ("name", name),
        ("data", data),
    ] {
        task.entry(key).or_insert(Value::String(value));
    }
}

/// Every field's default, by dotted key.
pub(super) fn defaults() -> BTreeMap<String, Value> {
    let table: Table = include_str!("../../presets/pretrain.toml")
        .parse()
        .expect("the defaults are TOML; a test parses them");
    flatten(&table).into_iter().collect()
}

impl PretrainConfig {
    /// The learning rate's factor at each step.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            name: self.schedule.name,
            warmup: self.schedule.warmup_steps,
            decay: self.schedule.decay_steps,
            total: self.train.steps,
        }
    }

    /// Checks what concerns more than one field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let conflict = |key, found: String, expected: &str| {
            Err(ConfigError::Conflict {
                key,
                found,
                expected: expected.to_owned(),
            })
        };
        for pair in self.mixture.buckets.windows(2) {
            if pair[1] <= pair[0] {
                let found = format!("{:?}", self.mixture.buckets);
                return conflict("mixture.buckets", found, "the widths must ascend");
            }
        }
        if self.model.matching_heads > self.model.heads {
            return conflict(
                "model.matching_heads",
                self.model.matching_heads.to_string(),
                &format!("there are `model.heads` = {}", self.model.heads),
            );
        }
        if self.text.files.is_empty() {
            return Err(ConfigError::Missing { key: "text.files" });
        }
        if self.mixture.task_share > 0.0 && self.tasks.is_empty() {
            let found = self.mixture.task_share.to_string();
            return conflict(
                "mixture.task_share",
                found,
                "there is no [[tasks]] table, so the share must be 0",
            );
        }
        let mut labels = BTreeSet::new();
        for task in &self.tasks {
            if task.name.is_empty() {
                return Err(ConfigError::Missing { key: "tasks.name" });
            }
            if task.data.as_os_str().is_empty() {
                return Err(ConfigError::Missing { key: "tasks.data" });
            }
            if !labels.insert(&task.label) {
                return conflict(
                    "tasks.label",
                    format!("{:?}", task.label),
                    "another task has this label; give each its own",
                );
            }
        }
        if self.schedule.name == ScheduleName::DecayAtEnd
            && self.schedule.warmup_steps + self.schedule.decay_steps > self.train.steps
        {
            return conflict(
                "schedule.decay_steps",
                self.schedule.decay_steps.to_string(),
                &format!(
                    "with {} steps of warm-up it does not fit into `train.steps` = {}",
                    self.schedule.warmup_steps, self.train.steps
                ),
            );
        }
        Ok(())
    }

    /// All fields as dotted keys and values.
    pub fn values(&self) -> Vec<(String, Value)> {
        flatten(&Table::try_from(self).expect("a configuration holds TOML types only"))
    }

    /// The first field that keeps a run of configuration `there`, which has done `steps` steps, from going on as this
    /// one, as (key in backticks, value there, value here).
    ///
    /// Paths, logging and saving may differ. The schedule and the number of steps may differ where every rate of the
    /// steps already done is the same under both.
    pub fn difference(&self, there: &PretrainConfig, steps: usize) -> Option<(String, String, String)> {
        let (ours, theirs) = (self.schedule(), there.schedule());
        let same_past = (0..steps).all(|step| ours.multiplier(step) == theirs.multiplier(step));
        let others: BTreeMap<_, _> = there.decisive(same_past).into_iter().collect();
        self.decisive(same_past)
            .into_iter()
            .find(|(key, value)| others.get(key) != Some(value))
            .map(|(key, value)| {
                let other = others.get(&key).map_or_else(String::new, ToString::to_string);
                (format!("`{key}`"), other, value.to_string())
            })
    }

    /// The values that decide what is trained.
    fn decisive(&self, same_past: bool) -> Vec<(String, Value)> {
        let from_schedule = |key: &str| key.starts_with("schedule.") || key == "train.steps";
        let mut values = self.values();
        values.retain(|(key, _)| {
            PRETRAIN.find(key).is_some_and(|field| field.decides) && !(same_past && from_schedule(key))
        });
        for (_, value) in values.iter_mut().filter(|(key, _)| key == "tasks") {
            for task in value.as_array_mut().into_iter().flatten() {
                // The files' checksums are compared apart.
                task.as_table_mut().map(|task| task.remove("data"));
            }
        }
        values
    }
}

impl ResolvedPretrain {
    /// The configuration as a TOML file.
    pub fn to_toml(&self) -> String {
        let text = toml::to_string(&self.config).expect("a configuration holds TOML types only");
        format!("# Resolved configuration of a pretraining run; paths are as they were given.\n\n{text}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<ResolvedPretrain, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pretrain.toml");
        std::fs::write(&path, text).unwrap();
        resolve(Some(&path), &[])
    }

    const SMALL: &str = "[text]\nfiles = [\"a\", \"b\"]\n[[tasks]]\nname = \"sst2\"\ndata = \"glue\"\n";

    #[test]
    fn schema_defaults_and_struct_name_the_same_fields() {
        let mut schema: Vec<_> = PRETRAIN.fields.iter().map(|field| field.key.clone()).collect();
        schema.sort();
        assert_eq!(schema, defaults().into_keys().collect::<Vec<_>>());
        let resolved = file(SMALL).unwrap();
        let mut fields: Vec<_> = resolved.config.values().into_iter().map(|(key, _)| key).collect();
        fields.sort();
        assert_eq!(schema, fields);
    }

    #[test]
    fn tasks_are_completed_and_the_dump_reads_back() {
        let resolved = file(SMALL).unwrap();
        assert_eq!(resolved.config.tasks[0].prefix, "sst2 ");
        assert_eq!(resolved.config.tasks[0].label, "sst2");
        assert_eq!(file(&resolved.to_toml()).unwrap().config, resolved.config);
    }

    #[test]
    fn refusals_name_place_key_and_figures() {
        for (text, expected) in [
            (
                "[text]\nfile = [\"a\"]\n",
                ":2: unknown key `text.file`; the nearest is `text.files`",
            ),
            (
                "[text]\nfiles = [\"a\"]\n[[tasks]]\nname = \"sst3\"\ndata = \"x\"\n",
                ":4: `tasks.name` must be one of",
            ),
            (
                "[text]\nfiles = [\"a\"]\n[[tasks]]\nnam = \"sst2\"\n",
                ":4: unknown key `tasks.nam`; the nearest is `name`",
            ),
            ("tasks = [1]\n", ":1: `tasks` must be a list of tables"),
            ("[text]\nfiles = \"a\"\n", ":2: `text.files` must be a list of texts"),
            ("seed = 1\n", "`text.files` has no default"),
            (
                "[text]\nfiles = [\"a\"]\n",
                "`mixture.task_share` = 0.5: there is no [[tasks]] table",
            ),
            (
                &format!("{SMALL}[[tasks]]\nname = \"sst2\"\ndata = \"other\"\n"),
                "`tasks.label` = \"sst2\": another task has this label",
            ),
            (
                &format!("{SMALL}[model]\nheads = 2\nmatching_heads = 3\n"),
                "`model.matching_heads` = 3: there are `model.heads` = 2",
            ),
            (
                &format!("{SMALL}[train]\nsteps = 100\n"),
                "`schedule.decay_steps` = 2000: with 500 steps of warm-up it does not fit",
            ),
        ] {
            let error = file(text).unwrap_err().to_string();
            assert!(error.contains(expected), "\n found: {error}\nwanted: {expected}");
        }
    }

    #[test]
    fn only_what_leaves_the_past_alone_may_change() {
        let begun = file(SMALL).unwrap().config;
        let mut other = begun.clone();
        other.train.steps = 20_000;
        other.schedule.decay_steps = 4000;
        other.train.log_every = 7;
        other.text.files.clear();
        other.tasks[0].data = "elsewhere".into();
        assert_eq!(
            other.difference(&begun, 8000),
            None,
            "the decay would have begun at step 8000"
        );
        assert_eq!(
            other.difference(&begun, 8002),
            Some(("`schedule.decay_steps`".into(), "2000".into(), "4000".into()))
        );
        other = begun.clone();
        other.text.batch_size = 8;
        assert_eq!(
            other.difference(&begun, 0),
            Some(("`text.batch_size`".into(), "32".into(), "8".into()))
        );
        other = begun.clone();
        other.tasks[0].prefix = "film ".into();
        assert!(other.difference(&begun, 0).is_some());
    }
}
