//! A pretraining run's configuration: defaults, a TOML file, overrides, in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use adept_models::t5::FeedForwardKind;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::config::fields::BELOW_ONE;
use crate::config::schema::{Schema, words};
use crate::config::{ConfigError, Origin, Override, chosen, flatten, nested};
use crate::schedule::{Schedule, ScheduleName};

/// Every field of a pretraining run. Doc comments here and in the sections are the meanings in
/// `docs/pretraining.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Decides initial values, order, noise and dropout. All are functions of (seed, step).
    #[schemars(range(min = 0))]
    pub seed: u64,
    /// Architecture or checkpoint to begin with.
    pub model: ModelSection,
    /// Tokenizer to use or to train.
    pub tokenizer: TokenizerSection,
    /// Corpus and its corruption.
    pub text: TextSection,
    /// How tasks are mixed in.
    pub mixture: MixtureSection,
    /// Optimiser.
    pub optimizer: OptimizerSection,
    /// Learning rate over time.
    pub schedule: ScheduleSection,
    /// Steps, logging, saving.
    pub train: TrainSection,
    /// Supervised tasks of the mixture, one `[[tasks]]` table each.
    pub tasks: Vec<TaskSection>,
}

/// A pretraining run.
pub static PRETRAIN: LazyLock<Schema> = LazyLock::new(|| Schema::of::<PretrainConfig>("docs/pretraining.md"));

fn feed_forward(_: &mut SchemaGenerator) -> schemars::Schema {
    words(FeedForwardKind::ALL)
}

/// Architecture or checkpoint to begin with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// Folder of a T5 checkpoint to start from. Its `config.json` then gives the architecture and the fields below are
    /// not used; its tokenizer is used unless `tokenizer.path` names another. Empty: random weights by Hugging Face's
    /// scheme. Resuming compares the fingerprint of its weights, not this path.
    #[schemars(with = "String", extend("x-free" = true))]
    #[serde(with = "adept_data::path_text")]
    pub init: PathBuf,
    /// Channels of the residual stream.
    #[schemars(range(min = 1, max = 65_536))]
    pub d_model: usize,
    /// Channels of one attention head.
    #[schemars(range(min = 1, max = 65_536))]
    pub d_kv: usize,
    /// Inner channels of the feed-forward layers.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub d_ff: usize,
    /// Encoder blocks.
    #[schemars(range(min = 1, max = 1000))]
    pub layers: usize,
    /// Decoder blocks. 0: as many as the encoder's.
    #[schemars(range(min = 0, max = 1000))]
    pub decoder_layers: usize,
    /// Attention heads.
    #[schemars(range(min = 1, max = 1024))]
    pub heads: usize,
    /// Heads of each encoder layer and cross-attention whose queries begin as their keys, so that they find words that
    /// stand twice (Trockman and Kolter 2023). Tasks over pairs of sentences are learnt many times sooner.
    #[schemars(range(min = 0))]
    pub matching_heads: usize,
    /// Form of the feed-forward layers: T5 v1.0's or v1.1's.
    #[schemars(schema_with = "feed_forward")]
    pub feed_forward: FeedForwardKind,
    /// Whether the output head is the embedding matrix, as in T5 v1.0 (the decoder's output is then scaled by
    /// d_model^-0.5), or has separate weights, as in v1.1.
    pub tie_word_embeddings: bool,
    /// `dropout_rate` of the written `config.json`, for whoever fine-tunes the model; `train.dropout` is the rate of
    /// this run.
    #[schemars(range(min = 0.0, max = BELOW_ONE))]
    pub dropout: f64,
}

/// Tokenizer to use or to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenizerSection {
    /// Folder of a tokenizer (`tokenizer.json`) with sentinels to use. Empty: one is trained on the corpus and the
    /// tasks' training rows. Resuming compares the file's checksum, not this path.
    #[schemars(with = "String", extend("x-free" = true))]
    #[serde(with = "adept_data::path_text")]
    pub path: PathBuf,
    /// Tokens of a trained tokenizer, the special ones and the sentinels included.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub vocab_size: usize,
    /// Sentinels (`<extra_id_0>` and so on) of a trained tokenizer: at least as many as a window has noise spans.
    #[schemars(range(min = 1, max = 1000))]
    pub sentinels: usize,
    /// Characters of the corpus that a tokenizer is trained on, spread evenly over it.
    #[schemars(range(min = 1000))]
    pub max_characters: usize,
    /// Share of the text's characters that get a piece of their own; the rarest others become `<unk>`.
    #[schemars(range(min = 0.5, max = 1.0))]
    pub character_coverage: f64,
    /// Longest piece of a trained tokenizer in characters.
    #[schemars(range(min = 1, max = 64))]
    pub max_piece_length: usize,
}

/// Corpus and its corruption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextSection {
    /// Corpus: files (plain or gzip) and folders (all `.txt` and `.txt.gz` below them), one paragraph a line. Resuming
    /// compares the files' checksums, not these paths.
    #[schemars(with = "Vec<String>", extend("x-free" = true))]
    #[serde(with = "adept_data::path_text::list")]
    pub files: Vec<PathBuf>,
    /// The tasks' training sources are text too, as they will be seen later but without prefix and answer; they come
    /// before the files. What a pair of sentences has in common is then learnt from every word that one of them lacks,
    /// not from labels alone.
    pub tasks: bool,
    /// Lines with fewer characters (headings, page numbers) are left out.
    #[schemars(range(min = 0))]
    pub min_characters: usize,
    /// Leave out headings: lines with `::::` and lines whose letters are all upper-case.
    pub drop_headings: bool,
    /// Tokens of a corrupted input, `</s>` included. A window holds as many tokens of text as corrupt to that.
    #[schemars(range(min = 8, max = 16_384))]
    pub input_length: usize,
    /// Share of a window's tokens that are noise.
    #[schemars(range(min = 0.01, max = 0.9))]
    pub noise_density: f64,
    /// Mean length of a noise span in tokens.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub mean_span_length: f64,
    /// Windows of one pass over text.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch_size: usize,
    /// Windows at the end of the corpus that are never trained on; their loss is the held-out loss.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub holdout_windows: usize,
}

/// One supervised task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSection {
    /// Task: the name of a built-in one, or the path of a card (docs/tasks.md).
    #[schemars(extend("x-task" = true))]
    pub name: String,
    /// Folder of GLUE's own files. Its training rows are trained on, its validation rows are scored; its test rows are
    /// not used.
    #[schemars(with = "String", extend("x-free" = true))]
    #[serde(with = "adept_data::path_text")]
    pub data: PathBuf,
    /// Name in the record; left out, `name`. Two tables of one task need two labels.
    pub label: String,
    /// Put before every source; left out, `name` and a space.
    pub prefix: String,
}

/// How tasks are mixed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixtureSection {
    /// Share of the passes that are over tasks, spread evenly by error diffusion over the passes' numbers.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub task_share: f64,
    /// Examples-proportional mixing: a task counts with at most this many rows.
    #[schemars(range(min = 1))]
    pub limit: usize,
    /// A task's rate is its (limited) size to the power of 1/temperature: 1 is proportional, large is even.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub temperature: f64,
    /// Examples of one pass over tasks.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch_size: usize,
    /// Source tokens of a task's example kept, `</s>` included.
    #[schemars(range(min = 2, max = 16_384))]
    pub max_source_length: usize,
    /// Widths that task batches are padded to. Widths from the maximum on are dropped and the maximum is added.
    #[schemars(length(min = 1), inner(range(min = 1)))]
    pub buckets: Vec<usize>,
}

impl MixtureSection {
    /// Widths of task batches, ascending, the last one the maximum.
    pub fn widths(&self) -> Vec<usize> {
        let narrower = self.buckets.iter().copied();
        narrower
            .filter(|width| *width < self.max_source_length)
            .chain([self.max_source_length])
            .collect()
    }
}

/// Which optimiser steps the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Loshchilov and Hutter.
    Adamw,
    /// Shazeer and Stern 2018.
    Adafactor,
}

/// Optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptimizerSection {
    /// AdamW (as PyTorch's) or Adafactor (as transformers', without relative step).
    pub name: OptimizerName,
    /// Highest rate.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub learning_rate: f64,
    /// Decoupled decay of all parameters, norm weights and relative biases included.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight_decay: f64,
    /// Largest global norm of the gradient; larger ones are scaled down. 0: no clipping.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub clip_norm: f64,
    /// AdamW: decay of the first moment.
    #[schemars(range(min = 0.0, max = BELOW_ONE))]
    pub beta1: f64,
    /// AdamW: decay of the second moment.
    #[schemars(range(min = 0.0, max = BELOW_ONE))]
    pub beta2: f64,
    /// AdamW: added to the root of the second moment.
    #[schemars(range(min = 1e-12, max = 1.0))]
    pub epsilon: f64,
    /// The embedding matrix's rate is the highest rate times this.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub embedding_factor: f64,
    /// Adafactor: the second moment's decay at step t is 1 - t^-decay_rate.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub decay_rate: f64,
    /// Adafactor: an update whose root mean square is larger is scaled down to it.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub clip_threshold: f64,
    /// Adafactor: keep only row and column means of a matrix's second moment.
    pub factored: bool,
    /// Multiply the rate by the parameter's root mean square. T5's matrices begin with standard deviations from 1/64 to
    /// 1; one rate for all of them is too high for the small ones or too low for the others.
    pub multiply_by_parameter_scale: bool,
    /// Adafactor: added to the squared gradient (epsilon_1).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub square_epsilon: f64,
    /// Least value of a parameter's scale (Adafactor's epsilon_2).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub scale_epsilon: f64,
}

/// Learning rate over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSection {
    /// What follows a linear warm-up: a constant rate; a linear decay to 0 over all steps; sqrt(warmup_steps / step);
    /// or a constant rate and a linear decay to 0 over the last `decay_steps`. On resume it may change as `train.steps`
    /// may.
    pub name: ScheduleName,
    /// Steps of linear warm-up. On resume it may change as `train.steps` may.
    #[schemars(range(min = 0))]
    pub warmup_steps: usize,
    /// Steps of the decay of `decay-at-end`. On resume it may change as `train.steps` may.
    #[schemars(range(min = 0))]
    pub decay_steps: usize,
}

/// Steps, logging, saving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainSection {
    /// Optimiser steps. On resume it may change where the rates of the steps already done stay the same.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub steps: usize,
    /// Passes of one optimiser step, each over text or over tasks. The gradient is the mean of the passes' own.
    #[schemars(range(min = 1, max = 4096))]
    pub accumulation: usize,
    /// Dropout inside the model.
    #[schemars(range(min = 0.0, max = BELOW_ONE))]
    pub dropout: f64,
    /// Steps between two entries of the record's loss curve. Losses are read from the device, and a NaN is found, at
    /// these, before evaluations and before checkpoints.
    #[schemars(range(min = 1), extend("x-free" = true))]
    pub log_every: usize,
    /// Steps between two evaluations; the model is written after each, and the last step is always evaluated.
    #[schemars(range(min = 1), extend("x-free" = true))]
    pub evaluate_every: usize,
    /// Rows of a task's validation split that an evaluation scores, spread evenly over the split.
    #[schemars(range(min = 1), extend("x-free" = true))]
    pub evaluation_rows: usize,
    /// Steps between two checkpoints; one is also written after every evaluation and when a run is interrupted.
    #[schemars(range(min = 1), extend("x-free" = true))]
    pub save_every: usize,
    /// Checkpoints kept.
    #[schemars(range(min = 1, max = 1000), extend("x-free" = true))]
    pub keep: usize,
}

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
