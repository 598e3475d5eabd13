//! The sections of a configuration and their words. The meanings are those of [`super::fields::fields`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use adept_core::FanIn;
use adept_data::{Metric, Positions, ScoreRounding, TrainedAnswers};
use adept_models::Precision;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::TrainMethod;
use super::fields::BELOW_ONE;
use super::schema::{json_words, words};
use schemars::{Schema, SchemaGenerator};

/// The words of enums that other crates declare.
fn fan_in(_: &mut SchemaGenerator) -> Schema {
    words(FanIn::ALL)
}

fn positions(_: &mut SchemaGenerator) -> Schema {
    words(Positions::ALL)
}

fn trained_answers(_: &mut SchemaGenerator) -> Schema {
    words(TrainedAnswers::ALL)
}

fn score_rounding(_: &mut SchemaGenerator) -> Schema {
    words(ScoreRounding::ALL)
}

/// How the soft prompt starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PromptStart {
    /// Embeddings of sampled frequent tokens.
    Vocabulary,
    /// Embeddings of a fixed text.
    Text,
    /// Normal random values.
    Random,
    /// Values of another adapter or prompt.
    Adapter,
    /// The most similar of several prompts.
    Nearest,
}

/// Section `[adapter]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdapterSection {
    /// What is trained: all of the backbone, or an adapter (docs/methods.md).
    pub method: TrainMethod,
    /// Prompt length m in tokens. 0 trains the offset alone. Methods `pt`, `p_tuning`, `mpt` and
    /// `attempt` default to 100, `residual` to 10.
    #[schemars(range(min = 0, max = 4096))]
    pub virtual_tokens: usize,
    /// Bottleneck of ADePT or rank of DePT, r. 0: the largest that the budget allows. Not used by `pt`.
    #[schemars(range(min = 0, max = 65536))]
    pub rank: usize,
    /// Budget l of trainable values, in rows of the model's width: l·d. Only used where `adapter.rank` is 0.
    #[schemars(range(min = 1, max = 4096))]
    pub budget_tokens: usize,
    /// DePT's product A·B is scaled by alpha / sqrt(r), as in its published code. 0: not scaled.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub dept_alpha: f64,
    /// Share of ADePT's bottleneck values dropped before the activation, in training.
    #[schemars(range(min = 0.0, max = BELOW_ONE))]
    pub bottleneck_dropout: f64,
    /// Initial prompt: embeddings of sampled frequent tokens, of a fixed text, normal random values, what
    /// `adapter.init_from` holds (`adapter`), or that of `adapter.sources` which is most similar to it (`nearest`: by
    /// the cosine of mean tokens, as in SPoT; `init_from` is then a prompt trained on the task itself).
    pub init: PromptStart,
    /// Where `init = "adapter"` starts: the folder of an adapter or of a run, whose values are all taken if method and
    /// sizes are the same and whose virtual tokens alone otherwise (as SPoT does); or a file of virtual tokens (a
    /// tensor of PyTorch, `.npy`, safetensors).
    // Records from before this was a setting lack it.
    #[serde(default)]
    pub init_from: String,
    /// Prompts of other tasks, each a folder or a file as in `adapter.init_from`: those that ATTEMPT mixes (MNLI, QNLI,
    /// QQP, SST-2, SQuAD and ReCoRD in its published runs; its own prompt starts as the first), and those among which
    /// `init = "nearest"` chooses.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Text of `init = "text"`; its tokens (with `</s>`) are repeated and cut to m.
    pub init_text: String,
    /// Number of tokens `init = "vocabulary"` samples from: the first of the vocabulary after the special ones, which
    /// T5's tokenizer orders by frequency.
    #[schemars(range(min = 1))]
    pub init_candidates: usize,
    /// Standard deviation of `init = "random"`.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub init_std: f64,
    /// Range of the first offset matrix: ±1/sqrt(r) as PyTorch's initialiser gives for a `[d, r]` tensor, or
    /// ±1/sqrt(d).
    #[schemars(schema_with = "fan_in")]
    pub fan_in: FanIn,
    /// The section of the method itself (`[adapter.lora]`), by the method's name, as it declares it.
    #[serde(flatten)]
    #[schemars(skip)]
    pub own: BTreeMap<String, Map<String, Value>>,
}

/// One of several tasks that are trained together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixedTask {
    /// Task: the name of a built-in one, or the path of a card (docs/tasks.md).
    #[schemars(extend("x-task" = true))]
    #[serde(default)]
    pub name: String,
    /// Folder that holds the task's own files, or your own file.
    #[schemars(with = "String", extend("x-free" = true))]
    #[serde(default, with = "adept_data::path_text")]
    pub data: PathBuf,
}

/// How tasks are mixed. Which task a batch is of is a function of (seed, step).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixtureSection {
    /// Examples-proportional mixing: a task counts with at most this many training rows.
    #[schemars(range(min = 1))]
    pub limit: usize,
    /// A task is drawn with its (limited) number of rows to the power of 1/temperature: 1 is proportional, large is
    /// even.
    #[schemars(range(min = 0.01, max = 1e6))]
    pub temperature: f64,
    /// Tasks of one batch, drawn with replacement; the batch is split evenly among them.
    #[schemars(range(min = 1, max = 4096))]
    pub tasks_per_batch: usize,
    /// Which step each task's adapter is of: that with the best mean over the tasks (`mean`), or with the task's own
    /// best validation score (`each`).
    // Records from before there was a choice lack it.
    #[serde(default)]
    pub best: BestBy,
}

/// Which validation score chooses the step of a task's adapter, of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BestBy {
    /// The mean over the tasks.
    #[default]
    Mean,
    /// The task's own.
    Each,
}

impl Default for MixtureSection {
    /// The presets' values, for records from before this was a section.
    fn default() -> Self {
        Self {
            limit: 262_144,
            temperature: 1.0,
            tasks_per_batch: 1,
            best: BestBy::Mean,
        }
    }
}

/// Training beside adapters that know a task: their answers and states count as well (Wang et al., 2023, section 3.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistillationSection {
    /// Adapters of the same backbone, one for each task in its order: folders of adapters or of runs on one task.
    /// Empty: no distillation.
    #[serde(default)]
    pub teachers: Vec<String>,
    /// Factor λ of what is added to the loss: the divergence KL(teacher ‖ student) over the target's tokens, and the
    /// mean squared difference of the last states of encoder and decoder over the tokens.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub weight: f64,
}

impl Default for DistillationSection {
    /// The presets' values, for records from before this was a section.
    fn default() -> Self {
        Self {
            teachers: Vec::new(),
            weight: 0.9,
        }
    }
}

/// Section `[input]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputSection {
    /// Source tokens kept, `</s>` included and the prompt not counted; the default is on the task's card (256, MultiRC
    /// 348, answers 512). Of a decoder-only backbone source and target together. Also the number of rows of DePT's A.
    #[schemars(range(min = 2, max = 16384))]
    pub max_source_length: usize,
    /// Widths that batches are padded to. Widths from the maximum on are dropped and the maximum is added.
    #[schemars(length(min = 1), inner(range(min = 1)))]
    pub buckets: Vec<usize>,
    /// Pad every source to the maximum, as the published script does, instead of to the next bucket.
    pub pad_to_max: bool,
    /// Targets that are scores: rounded to one decimal as the published script does, or to the nearest 0.2 as T5 does.
    // Its former name was that of the one task in the paper whose targets are scores.
    #[serde(alias = "stsb_rounding")]
    #[schemars(schema_with = "score_rounding", extend("x-was" = "stsb_rounding"))]
    pub score_rounding: ScoreRounding,
    /// Make the published script's slips in texts as well: WinoGrande's two options are both the first one's text.
    // Records from before this was a setting lack it, as they lack the next two.
    #[serde(default)]
    pub reference_slips: bool,
    /// Training rows to draw by `seed`, as many of each class (Table 15: 4, 16 or 32); 0: all of them.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub few_shot: usize,
    /// Target tokens kept, `</s>` included, of tasks whose targets are free text; at least 2. 0: as on the task's card
    /// (20). Labels and scores are never cut.
    #[schemars(range(min = 0, max = 16384))]
    #[serde(default)]
    pub max_target_length: usize,
    /// Decoder-only backbones: how the slots of a row with padding on its left are counted: `tokens` alone, so that a
    /// row is the same in every batch, or all `slots`, as peft does.
    // Records from before this was a setting lack it.
    #[serde(default)]
    #[schemars(schema_with = "positions")]
    pub positions: Positions,
    /// Decoder-only backbones: how source and target are joined, for example `{source} {target}`; `{target}` comes
    /// last, and spaces before it belong to it (docs/tasks.md). Empty: as the task's card says.
    // Records from before this was a setting lack it, as they lack the next.
    #[serde(default)]
    pub template: String,
    /// Decoder-only backbones: whether what stands before the target is a user's message in the tokenizer's chat
    /// template, and the target the answer to it. Conversations always have that template.
    #[serde(default)]
    pub chat_template: bool,
    /// Variables of the chat template, as a JSON object: `{"enable_thinking": false}`. A conversation's own
    /// `chat_template_kwargs` take their place.
    // Records from before this was a setting lack it.
    #[serde(default)]
    pub chat_template_kwargs: String,
    /// Conversations: whether every answer of the assistant is trained on, or only the last.
    // Records from before this was a setting lack it.
    #[serde(default)]
    #[schemars(schema_with = "trained_answers")]
    pub answers: TrainedAnswers,
}

impl InputSection {
    /// The widths in force: those below the maximum, then the maximum.
    pub fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .buckets
            .iter()
            .copied()
            .filter(|width| *width < self.max_source_length)
            .collect();
        widths.push(self.max_source_length);
        widths
    }
}

/// A rate that is given, or is the backbone's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ModelRate {
    /// This value.
    Value(#[schemars(range(min = 0.0, max = BELOW_ONE))] f64),
    /// The word `model`: as in the backbone's configuration.
    Model(ModelWord),
}

/// The word `model`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelWord {
    /// `model`.
    Model,
}

impl ModelRate {
    /// The rate, given the backbone's own.
    pub fn or(self, own: f64) -> f64 {
        match self {
            ModelRate::Value(value) => value,
            ModelRate::Model(_) => own,
        }
    }
}

/// Section `[train]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainSection {
    /// Optimiser steps. 300,000 for tasks of more than 70,000 training rows.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub steps: usize,
    /// Examples of one forward and backward pass. 16 for tasks of more than 70,000 training rows.
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: usize,
    /// Passes of one optimiser step. The step's loss is the mean over all its target tokens, however they fall into
    /// passes. 2 for MNLI, QQP and QNLI.
    #[schemars(range(min = 1, max = 4096))]
    pub accumulation: usize,
    /// In what the products of the frozen backbone are computed. `bf16` rounds their operands to bfloat16 and sums in
    /// float32, with half the memory for the weights; on AMD's processors with AVX512-BF16 it is nearly twice as fast.
    /// `bf16x3` adds up three products of operands in two bfloat16 parts each: float32 in effect, and meant for
    /// processors with AMX. `auto` is `bf16x3` there and `f32` elsewhere. Everything else, and full fine-tuning, stays
    /// in float32.
    // Configurations from before this was a setting lack it.
    #[serde(default)]
    pub precision: PrecisionSetting,
    /// Keep only the input of each block in the forward pass, and compute the block again on the way back: about half
    /// more time for a fraction of the memory. The gradients are the same, dropout's random numbers aside. Not with
    /// method full, nor with methods whose blocks read a common network.
    #[serde(default)]
    #[schemars(extend("x-free" = true))]
    pub recompute: bool,
    /// Dropout inside the backbone in training; "model" takes `dropout_rate` of its config.json.
    pub backbone_dropout: ModelRate,
    /// Steps between two entries of the record's loss curve.
    #[schemars(range(min = 1), extend("x-free" = true))]
    pub log_every: usize,
    /// Steps between two reads of loss and gradient norm from the device. 1 stops at a NaN before the step is taken;
    /// more saves a GPU from waiting, and a NaN is then found before anything is evaluated or saved.
    #[schemars(range(min = 1), extend("x-free" = true))]
    pub check_every: usize,
    /// Whether the loss curve, scores and settings are also written to an event file for TensorBoard
    /// (`events.out.tfevents.adept`), beside the record and made from it.
    // Configurations from before this was a setting lack it.
    #[schemars(extend("x-free" = true))]
    #[serde(default = "yes")]
    pub tensorboard: bool,
}

/// In what the products of the frozen backbone are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionSetting {
    /// float32.
    #[default]
    F32,
    /// Operands in two bfloat16 parts each, sums in float32.
    Bf16x3,
    /// Operands in bfloat16, sums in float32.
    Bf16,
    /// The fastest of those that are float32 in effect.
    Auto,
}

impl fmt::Display for PrecisionSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::Bf16x3 => "bf16x3",
            Self::Bf16 => "bf16",
            Self::Auto => "auto",
        })
    }
}

impl PrecisionSetting {
    /// What it is on a backend.
    #[must_use]
    pub fn on<B: Backend>(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16x3 => Precision::Bf16x3,
            Self::Bf16 => Precision::Bf16,
            Self::Auto => Precision::fastest_exact::<B>(),
        }
    }
}

/// Default of a flag that is on.
pub(crate) fn yes() -> bool {
    true
}

/// Rate, decay and warm-up of one parameter group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSection {
    /// Highest learning rate.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub learning_rate: f64,
    /// Decoupled weight decay.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight_decay: f64,
    /// Steps of linear warm-up; a linear decay to 0 follows.
    #[schemars(range(min = 0))]
    pub warmup_steps: usize,
}

/// Section `[optimizer]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OptimizerSection {
    /// AdamW: decay of the first moment.
    #[schemars(range(min = 0.0, max = BELOW_ONE))]
    pub beta1: f64,
    /// AdamW: decay of the second moment.
    #[schemars(range(min = 0.0, max = BELOW_ONE))]
    pub beta2: f64,
    /// AdamW: added to the root of the second moment.
    #[schemars(range(min = 1e-12, max = 1.0))]
    pub epsilon: f64,
    /// Largest global norm of the gradient; larger ones are scaled down. 0: no clipping.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub clip_norm: f64,
    /// The soft prompt (PT, DePT, ADePT).
    pub prompt: GroupSection,
    /// The offset's tensors (DePT, ADePT).
    pub offset: GroupSection,
    /// The backbone's parameters (method `full`).
    pub full: GroupSection,
    /// Groups that the method declares itself, by their names.
    #[serde(flatten)]
    #[schemars(skip)]
    pub own: BTreeMap<String, GroupSection>,
}

impl OptimizerSection {
    /// The group of that name, where there is one.
    pub fn group(&self, name: &str) -> Option<&GroupSection> {
        match name {
            "prompt" => Some(&self.prompt),
            "offset" => Some(&self.offset),
            "full" => Some(&self.full),
            other => self.own.get(other),
        }
    }
}

/// How predictions are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PredictionMethod {
    /// Greedy generation.
    Generate,
    /// The label of highest probability.
    Labels,
    /// By labels where the task has them.
    Auto,
}

/// Which metric chooses the best step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SelectionMetric {
    /// This one.
    Metric(Metric),
    /// The word `task`: the first of the task's card.
    Task(TaskWord),
}

impl SelectionMetric {
    /// The word `task`, then every metric of a run on rows.
    fn all() -> impl Iterator<Item = Self> {
        let metrics = Metric::ALL.into_iter().filter(|metric| *metric != Metric::PassAt1);
        std::iter::once(Self::default()).chain(metrics.map(Self::Metric))
    }
}

impl Default for SelectionMetric {
    fn default() -> Self {
        Self::Task(TaskWord::Task)
    }
}

json_words!(SelectionMetric, "SelectionMetric", Self::all());

/// The word `task`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskWord {
    /// `task`.
    Task,
}

/// Section `[evaluation]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSection {
    /// Steps between two evaluations on the validation split; the last step is always evaluated.
    #[schemars(range(min = 1))]
    pub every: usize,
    /// How predictions are made: greedy generation, the label of highest probability, or (`auto`) by labels where the
    /// task has them and by generation otherwise.
    pub method: PredictionMethod,
    /// Examples of one evaluation pass.
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: usize,
    /// Longest generated answer in tokens. 0: the task's longest label.
    #[schemars(range(min = 0, max = 4096))]
    pub max_new_tokens: usize,
    /// Rows of the validation split that choose the best step, taken evenly over the split. 0: all of them. The test
    /// split is always scored whole.
    // Records from before this was a setting lack it.
    #[schemars(range(min = 0))]
    #[serde(default)]
    pub validation_rows: usize,
    /// The metric that chooses the best step (docs/tasks.md); `task`: the first of the task's card. One that the card
    /// does not name is scored too.
    // Records from before this was a setting lack it.
    #[serde(default)]
    pub metric: SelectionMetric,
    /// Whether ADePT's offsets are computed for the whole vocabulary before an evaluation, which then looks tokens up
    /// in that table instead of computing an offset for each. Needs the memory of a second embedding matrix.
    // Records from before this was a setting lack it.
    #[serde(default)]
    pub folded_vocabulary: bool,
}

/// Section `[generation]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerationSection {
    /// Programs written for each problem (MBPP); pass@k is estimated from them.
    #[schemars(range(min = 1, max = 1000))]
    pub samples: usize,
    /// Sampling temperature; 0 takes the most likely token.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub temperature: f64,
    /// Nucleus sampling: tokens are drawn from the most likely ones that together have this probability.
    #[schemars(range(min = 1e-6, max = 1.0))]
    pub top_p: f64,
    /// Number of most likely tokens to sample from. 0: all.
    #[schemars(range(min = 0))]
    pub top_k: usize,
    /// Logits of tokens that a text has already, its prompt included, are divided by it where they are positive and
    /// multiplied where they are negative. 1: none.
    #[schemars(range(min = 1e-3, max = 1e3))]
    #[serde(default = "none")]
    pub repetition_penalty: f64,
    /// Whether a token that was written passes ADePT's or DePT's offset before it is read again, as in training. The
    /// published script feeds plain embeddings.
    pub offset_new_tokens: bool,
    /// Whether stray lines (`:`, `//`, `.`) are taken out of a program and its body is indented as its prompt; `auto`:
    /// of those that a Llama writes.
    pub tidy: TidyRule,
}

impl Default for GenerationSection {
    fn default() -> Self {
        Self {
            samples: 1,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            repetition_penalty: none(),
            offset_new_tokens: true,
            tidy: TidyRule::Auto,
        }
    }
}

/// The penalty that is none.
fn none() -> f64 {
    1.0
}

/// When completions are tidied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TidyRule {
    /// Those of Llama.
    Auto,
    /// All.
    Always,
    /// None.
    Never,
}

/// Section `[checkpoint]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSection {
    /// Steps between two checkpoints; one is also written after every evaluation and when a run is interrupted.
    #[schemars(range(min = 1), extend("x-free" = true))]
    pub every: usize,
    /// Checkpoints kept. With two or more, a damaged newest one costs only the steps since the one before.
    #[schemars(range(min = 1, max = 1000), extend("x-free" = true))]
    pub keep: usize,
}
