//! A run's configuration: what training sees.
//!
//! [`resolve`] makes it from a preset, a TOML file and `key=value` overrides; [`fields::RUN`] is its schema, with the
//! meaning of every field, and `docs/configuration.md` the page made from it.

pub mod document;
pub mod fields;
mod layers;
mod method;
pub mod methods;
mod own_fields;
pub mod schema;
mod sections;
mod values;

use std::path::PathBuf;

use adept_core::{Merge, Method};
use adept_data::{RowTemplate, Task, template_variables};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use crate::error::ConfigError;
pub use crate::preset::Preset;
pub(crate) use layers::resolve_over;
pub use layers::{Origin, Override, Resolved, Told, resolve};
pub use layers::{Values, chosen, resolve_values};
pub use method::TrainMethod;
pub use own_fields::default_settings;
pub(crate) use own_fields::defaults_of;
pub(crate) use sections::yes;
pub use sections::{
    AdapterSection, BestBy, CheckpointSection, DistillationSection, EvaluationSection, GenerationSection, GroupSection,
    InputSection, MixedTask, MixtureSection, ModelRate, ModelWord, OptimizerSection, PrecisionSetting,
    PredictionMethod, PromptStart, SelectionMetric, TidyRule, TrainSection,
};
pub use values::collect;

/// Every field of a run. Doc comments here and in the sections are the meanings in `docs/configuration.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Which protocol gives the defaults: the paper's text or the published script.
    pub preset: Preset,
    /// Task: the name of a built-in one, or the path of a card (docs/tasks.md). Where none is named and `data` is a
    /// file, it is `text`: your own data.
    #[schemars(extend("x-task" = true))]
    pub task: String,
    /// Folder that holds the task's own files, or your own file (docs/tasks.md); where it is not given, the hub's
    /// cache. Resuming compares the files' checksums, not this path.
    #[schemars(with = "String", extend("x-free" = true))]
    #[serde(with = "adept_data::path_text")]
    pub data: PathBuf,
    /// Folder of the checkpoint (T5 or a decoder) in Hugging Face form, tokenizer included. Resuming compares the
    /// fingerprint of its weights, not this path.
    #[schemars(with = "String", extend("x-free" = true))]
    #[serde(with = "adept_data::path_text")]
    pub backbone: PathBuf,
    /// Decides initial values, order of the examples and dropout. Order and randomness are functions of (seed, step).
    #[schemars(range(min = 0))]
    pub seed: u64,
    /// Several tasks that are trained together, one `[[tasks]]` table each, in place of `task` and `data`.
    // Records from before this was a setting lack it, as they do the next one. Names are compared on resuming.
    #[schemars(extend("x-free" = true))]
    #[serde(default)]
    pub tasks: Vec<MixedTask>,
    /// What is trained, and its size.
    pub adapter: AdapterSection,
    /// Which rows enter the backbone, and in what form.
    pub input: InputSection,
    /// Steps, batches and dropout.
    pub train: TrainSection,
    /// How several tasks are mixed. Which task a batch is of is a function of (seed, step).
    #[serde(default)]
    pub mixture: MixtureSection,
    /// Adapters whose answers and states a run learns from, beside the targets.
    #[serde(default)]
    pub distillation: DistillationSection,
    /// AdamW, its defaults as PyTorch's. Each parameter group has a section of its own with its rate.
    pub optimizer: OptimizerSection,
    /// How rows are answered and scored, and which step is kept.
    pub evaluation: EvaluationSection,
    /// How decoder-only backbones generate: programs and free text.
    // Records from before this was a section lack it.
    #[serde(default)]
    pub generation: GenerationSection,
    /// When state is saved, for runs that are interrupted.
    pub checkpoint: CheckpointSection,
}

impl RunConfig {
    /// Builds the struct from checked dotted values; the schema and this struct name the same fields (tested).
    fn from_values(values: impl IntoIterator<Item = (String, Value)>) -> Self {
        Value::Table(nested(values))
            .try_into()
            .expect("every value was checked against the schema, which names these fields")
    }

    /// All fields as dotted keys and values.
    pub fn values(&self) -> Vec<(String, Value)> {
        let table = Table::try_from(self).expect("a configuration holds TOML types only");
        flatten(&table)
    }

    /// The fields that decide what is trained and that differ from `other`, as (key, here, there). What a method
    /// declares has its default where `other` lacks it: records from before it was a setting do.
    pub fn differences(&self, other: &RunConfig) -> Vec<(String, String, String)> {
        let declared = other.adapter.method.adapter().into_iter().flat_map(defaults_of);
        let there: std::collections::BTreeMap<_, _> = declared.chain(other.values()).collect();
        self.values()
            .into_iter()
            .filter(|(key, value)| {
                fields::RUN.find(key).is_some_and(|field| field.decides) && there.get(key) != Some(value)
            })
            .map(|(key, value)| {
                let other = there.get(&key).map_or_else(String::new, ToString::to_string);
                (key, value.to_string(), other)
            })
            .collect()
    }

    /// The configuration of one of the tasks that are trained together, as if it was trained alone.
    ///
    /// # Panics
    /// If there are not that many.
    #[must_use]
    pub fn of_task(&self, task: usize) -> Self {
        let MixedTask { name, data } = self.tasks[task].clone();
        Self {
            task: name,
            data,
            tasks: Vec::new(),
            distillation: DistillationSection {
                teachers: self.distillation.teachers.get(task).cloned().into_iter().collect(),
                ..self.distillation.clone()
            },
            ..self.clone()
        }
    }

    /// Checks the tasks that are trained together.
    fn validate_tasks(&self) -> Result<(), ConfigError> {
        let refuse = |key, found: String, expected: &str| {
            let expected = expected.to_owned();
            Err(ConfigError::Conflict { key, found, expected })
        };
        if self.tasks.is_empty() {
            return match self.mixture.tasks_per_batch {
                1 => Ok(()),
                more => refuse(
                    "mixture.tasks_per_batch",
                    more.to_string(),
                    "must be 1 without [[tasks]] tables",
                ),
            };
        }
        if !self.task.is_empty() {
            return refuse(
                "task",
                format!("{:?}", self.task),
                "must be left out where there are [[tasks]] tables",
            );
        }
        for (place, MixedTask { name, data }) in self.tasks.iter().enumerate() {
            if name.is_empty() {
                return Err(ConfigError::Missing { key: "tasks.name" });
            }
            if data.as_os_str().is_empty() {
                return Err(ConfigError::Missing { key: "tasks.data" });
            }
            if self.tasks[..place].iter().any(|before| before.name == *name) {
                return refuse(
                    "tasks.name",
                    format!("{name:?}"),
                    "another [[tasks]] table has this task",
                );
            }
        }
        if let [only] = self.tasks.as_slice() {
            let expected = "a single task is to be given as `task` and `data`, not as a [[tasks]] table";
            return refuse("tasks.name", format!("{:?}", only.name), expected);
        }
        let (size, parts) = (self.train.batch_size, self.mixture.tasks_per_batch);
        if !size.is_multiple_of(parts) {
            let expected = format!("must divide `train.batch_size`, which is {size}");
            return refuse("mixture.tasks_per_batch", parts.to_string(), &expected);
        }
        Ok(())
    }

    /// Checks the adapters that a run learns from.
    fn validate_teachers(&self) -> Result<(), ConfigError> {
        let (teachers, tasks) = (self.distillation.teachers.len(), self.tasks.len().max(1));
        let expected = match self.adapter.method {
            _ if teachers == 0 => return Ok(()),
            TrainMethod::Full => {
                "must be empty with method full: teachers are adapters of the same backbone".to_owned()
            }
            TrainMethod::Adapter(_) if teachers == tasks => return Ok(()),
            TrainMethod::Adapter(_) => format!("must have one teacher for each task, of which there are {tasks}"),
        };
        Err(ConfigError::Conflict {
            key: "distillation.teachers",
            found: format!("{teachers} teachers"),
            expected,
        })
    }

    /// Checks what concerns more than one field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_tasks()?;
        self.validate_teachers()?;
        for pair in self.input.buckets.windows(2) {
            if pair[1] <= pair[0] {
                return Err(ConfigError::BucketOrder {
                    before: pair[0],
                    after: pair[1],
                });
            }
        }
        if self.input.max_target_length == 1 {
            return Err(ConfigError::Conflict {
                key: "input.max_target_length",
                found: "1".to_owned(),
                expected: "must be 0, or from 2 to 16384: of one token, `</s>`, every target would be the same"
                    .to_owned(),
            });
        }
        if !self.input.template.is_empty()
            && let Err(cause) = RowTemplate::parse(&self.input.template)
        {
            return Err(ConfigError::Template { cause });
        }
        template_variables(&self.input.chat_template_kwargs).map_err(|cause| ConfigError::ChatVariables { cause })?;
        let is_cut = self
            .adapter
            .method
            .adapter()
            .is_some_and(|method| !method.joins_blocks());
        if self.train.recompute && !is_cut {
            return Err(ConfigError::Conflict {
                key: "train.recompute",
                found: "true".to_owned(),
                expected: format!(
                    "must be false with method {}, whose blocks cannot be computed again one by one",
                    self.adapter.method
                ),
            });
        }
        let merge = self.adapter.method.adapter().map(|method| method.info().merge);
        if self.evaluation.folded_vocabulary && merge != Some(Merge::Table) {
            return Err(ConfigError::Conflict {
                key: "evaluation.folded_vocabulary",
                found: "true".to_owned(),
                expected: format!(
                    "must be false with method {}, whose effect on a token is not a function of the token alone",
                    self.adapter.method
                ),
            });
        }
        let is_prompt_alone = matches!(
            self.adapter.method,
            TrainMethod::Adapter(Method::Pt | Method::Residual | Method::PTuning)
        );
        if is_prompt_alone && self.adapter.virtual_tokens == 0 {
            return Err(ConfigError::NothingToTrain);
        }
        if self.adapter.init == PromptStart::Text && self.adapter.init_text.is_empty() {
            return Err(ConfigError::EmptyInitText);
        }
        let (init, from) = (self.adapter.init, &self.adapter.init_from);
        let starts = matches!(init, PromptStart::Adapter | PromptStart::Nearest);
        if starts && from.is_empty() {
            return Err(ConfigError::Conflict {
                key: "adapter.init_from",
                found: "\"\"".to_owned(),
                expected: "must name an adapter, a run or a file of virtual tokens, as `adapter.init` is `adapter` or \
                           `nearest`"
                    .to_owned(),
            });
        }
        if !starts && !from.is_empty() {
            return Err(ConfigError::Conflict {
                key: "adapter.init_from",
                found: format!("{from:?}"),
                expected: "must be empty unless `adapter.init` is `adapter` or `nearest`".to_owned(),
            });
        }
        if init == PromptStart::Nearest && self.adapter.sources.is_empty() {
            return Err(ConfigError::Conflict {
                key: "adapter.sources",
                found: "[]".to_owned(),
                expected: "must name the prompts among which `adapter.init` = `nearest` chooses".to_owned(),
            });
        }
        if starts && self.adapter.method == TrainMethod::Full {
            return Err(ConfigError::Conflict {
                key: "adapter.init",
                found: "adapter or nearest".to_owned(),
                expected: "must be left out with method full, which starts from the backbone".to_owned(),
            });
        }
        // A card that cannot be read is an error where the run is prepared.
        if self.evaluation.method == PredictionMethod::Labels
            && let Ok(task) = self.task.parse::<Task>()
            && task.labels().is_none()
        {
            return Err(ConfigError::NoLabels {
                task: self.task.clone(),
            });
        }
        Ok(())
    }
}

impl Resolved {
    /// The configuration as a TOML file that says on top which values differ from the preset.
    pub fn to_toml(&self) -> String {
        let fields = toml::to_string(&self.config).expect("a configuration holds TOML types only");
        format!("{}\n{fields}", self.head())
    }

    /// The same file with a comment above each field: its meaning, type and range.
    pub fn to_commented_toml(&self) -> String {
        format!("{}\n{}", self.head(), document::commented(&self.config))
    }

    fn head(&self) -> String {
        let mut text = format!("# Resolved configuration of a run: preset `{}`", self.config.preset);
        if self.overrides.is_empty() {
            text.push_str(", nothing changed.\n");
        } else {
            text.push_str(" with these values changed:\n");
        }
        for entry in &self.overrides {
            text.push_str(&format!(
                "#   {} = {} (preset: {})\n",
                entry.key, entry.value, entry.preset
            ));
        }
        text
    }
}

/// Nested tables of dotted keys and values.
pub(crate) fn nested(values: impl IntoIterator<Item = (String, Value)>) -> Table {
    let mut root = Table::new();
    for (key, value) in values {
        let mut table = &mut root;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                table.insert(part.to_owned(), value.clone());
                break;
            }
            table = table
                .entry(part)
                .or_insert_with(|| Value::Table(Table::new()))
                .as_table_mut()
                .expect("no key of the schema is the section of another");
        }
    }
    root
}

/// Dotted keys and values of nested tables.
pub(crate) fn flatten(table: &Table) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                values.extend(
                    flatten(inner)
                        .into_iter()
                        .map(|(rest, value)| (format!("{key}.{rest}"), value)),
                );
            }
            other => values.push((key.clone(), other.clone())),
        }
    }
    values
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn schema_and_struct_name_the_same_fields() {
        for method in TrainMethod::all() {
            let is_meant = |field: &&fields::Field| field.method.is_none_or(|own| Some(own) == method.adapter());
            let meant = fields::RUN.fields.iter().filter(is_meant);
            let mut schema: Vec<_> = meant.map(|field| field.key.clone()).collect();
            let resolved = resolve(None, &[format!("adapter.method={method}")]).unwrap();
            let mut fields: Vec<_> = resolved.config.values().into_iter().map(|(key, _)| key).collect();
            schema.sort();
            fields.sort();
            assert_eq!(schema, fields, "{method}");
        }
    }

    #[test]
    fn differences_leave_out_what_decides_nothing() {
        let one = resolve(None, &[]).unwrap().config;
        let mut other = one.clone();
        other.train.log_every = 99;
        other.data = "elsewhere".into();
        assert_eq!(one.differences(&other), []);
        other.train.steps = 5;
        assert_eq!(
            one.differences(&other),
            [("train.steps".into(), "30000".into(), "5".into())]
        );
    }

    #[test]
    fn a_setting_that_a_record_lacks_has_its_default() {
        let now = |more: &[&str]| {
            let all = ["adapter.method=adept"].iter().chain(more).map(ToString::to_string);
            resolve(None, &all.collect::<Vec<_>>()).unwrap().config
        };
        let mut before = now(&[]);
        before.adapter.own.clear();
        before.optimizer.own.clear();
        assert_eq!(now(&[]).differences(&before), []);
        let found = now(&["adapter.adept.prompt=residual"]).differences(&before);
        let expected = ("adapter.adept.prompt".into(), "\"residual\"".into(), "\"plain\"".into());
        assert_eq!(found, [expected]);
    }

    #[test]
    fn widths_end_at_the_maximum() {
        let mut input = resolve(None, &[]).unwrap().config.input;
        for (maximum, expected) in [(256, vec![32, 64, 128, 256]), (100, vec![32, 64, 100]), (16, vec![16])] {
            input.max_source_length = maximum;
            assert_eq!(input.widths(), expected);
        }
    }
}
