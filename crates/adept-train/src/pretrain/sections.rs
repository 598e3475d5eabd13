//! Every field of a pretraining configuration. Doc comments are the meanings in `docs/pretraining.md`.

use std::path::PathBuf;

use adept_models::t5::FeedForwardKind;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::config::fields::BELOW_ONE;
use crate::config::schema::words;
use crate::config::yes;
use crate::schedule::ScheduleName;

/// A pretraining run.
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
    // The last field, because TOML writes lists of tables last.
    pub tasks: Vec<TaskSection>,
}

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
    /// Whether the loss curve, scores and settings are also written to an event file for TensorBoard
    /// (`events.out.tfevents.adept`), beside the record and made from it.
    // Configurations from before this was a setting lack it.
    #[schemars(extend("x-free" = true))]
    #[serde(default = "yes")]
    pub tensorboard: bool,
}
