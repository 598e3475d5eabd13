//! The sections of a configuration and their words. The meanings are those of [`super::fields::fields`].

use std::collections::BTreeMap;

use adept_core::Method;
use adept_data::Metric;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ConfigError;

/// What is trained: `full` is the baseline that steps every backbone parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TrainMethod {
    /// All parameters of the backbone, no adapter.
    Full,
    /// An adapter.
    Adapter(Method),
}

impl TrainMethod {
    /// Every method, in the order of tables.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Full]
            .into_iter()
            .chain(Method::ALL.iter().copied().map(Self::Adapter))
    }

    /// The adapter's method; `None` for `full`.
    pub fn adapter(self) -> Option<Method> {
        match self {
            TrainMethod::Full => None,
            TrainMethod::Adapter(method) => Some(method),
        }
    }

    /// Name as in configurations and folders.
    pub fn name(self) -> &'static str {
        match self {
            TrainMethod::Full => "full",
            TrainMethod::Adapter(method) => method.name(),
        }
    }
}

impl std::fmt::Display for TrainMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for TrainMethod {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::all().find(|method| method.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(Self::name).collect();
            ConfigError::Value {
                place: "method".into(),
                key: "adapter.method".into(),
                expected: format!("one of {}", names.join(", ")),
                found: format!("{text:?}"),
            }
        })
    }
}

impl TryFrom<String> for TrainMethod {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl From<TrainMethod> for String {
    fn from(method: TrainMethod) -> Self {
        method.name().to_owned()
    }
}

/// How the soft prompt starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptStart {
    /// Embeddings of sampled frequent tokens.
    Vocabulary,
    /// Embeddings of a fixed text.
    Text,
    /// Normal random values.
    Random,
}

/// Range of the first offset matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FanInRule {
    /// ±1/sqrt(r), the published code.
    Reference,
    /// ±1/sqrt(d).
    Standard,
}

/// Section `[adapter]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterSection {
    /// Method.
    pub method: TrainMethod,
    /// Prompt length m.
    pub virtual_tokens: usize,
    /// Bottleneck or rank r; 0: by the budget.
    pub rank: usize,
    /// Budget l, in rows of the model's width.
    pub budget_tokens: usize,
    /// DePT's alpha; 0: not scaled.
    pub dept_alpha: f64,
    /// ADePT's dropout before the activation.
    pub bottleneck_dropout: f64,
    /// How the prompt starts.
    pub init: PromptStart,
    /// Text of [`PromptStart::Text`].
    pub init_text: String,
    /// Number of tokens [`PromptStart::Vocabulary`] samples from.
    pub init_candidates: usize,
    /// Standard deviation of [`PromptStart::Random`].
    pub init_std: f64,
    /// Range of the first offset matrix.
    pub fan_in: FanInRule,
    /// The section of the method itself (`[adapter.lora]`), by the method's name, as it declares it.
    #[serde(flatten)]
    pub own: BTreeMap<String, Map<String, Value>>,
}

/// STS-B targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// One decimal, the published script.
    Tenth,
    /// Nearest 0.2, original T5.
    Fifth,
}

/// How the slots of a row with pads on its left are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionRule {
    /// Tokens alone.
    #[default]
    Tokens,
    /// Pads too.
    Slots,
}

/// Section `[input]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSection {
    /// Source tokens kept.
    pub max_source_length: usize,
    /// Widths that batches are padded to.
    pub buckets: Vec<usize>,
    /// Pad to the maximum always.
    pub pad_to_max: bool,
    /// STS-B targets.
    pub stsb_rounding: Rounding,
    /// The published script's slips in texts. Records from before this was a setting lack it, as they lack the next two.
    #[serde(default)]
    pub reference_slips: bool,
    /// Training rows drawn; 0: all.
    #[serde(default)]
    pub few_shot: usize,
    /// Target tokens kept where targets are free text; 0: the card's.
    #[serde(default)]
    pub max_target_length: usize,
    /// How the slots of a row with pads on its left are counted. Records from before this was a setting lack it.
    #[serde(default)]
    pub positions: PositionRule,
    /// How source and target are joined for a decoder-only backbone; empty: as the card says. Records from before this was
    /// a setting lack it, as they lack the next.
    #[serde(default)]
    pub template: String,
    /// Whether the tokenizer's chat template wraps prompts.
    #[serde(default)]
    pub chat_template: bool,
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ModelRate {
    /// This value.
    Value(f64),
    /// The word `model`: the backbone's configuration has it.
    Model(ModelWord),
}

/// The word `model`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSection {
    /// Optimiser steps.
    pub steps: usize,
    /// Examples of one pass.
    pub batch_size: usize,
    /// Passes of one step.
    pub accumulation: usize,
    /// Dropout inside the backbone.
    pub backbone_dropout: ModelRate,
    /// Steps between entries of the loss curve.
    pub log_every: usize,
    /// Steps between reads of the loss from the device.
    pub check_every: usize,
}

/// Rate, decay and warm-up of one parameter group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSection {
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Decoupled decay.
    pub weight_decay: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
}

/// Section `[optimizer]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimizerSection {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Largest global gradient norm; 0: none.
    pub clip_norm: f64,
    /// The soft prompt.
    pub prompt: GroupSection,
    /// The offset's tensors.
    pub offset: GroupSection,
    /// The backbone's parameters, method `full`.
    pub full: GroupSection,
    /// Groups that the method declares itself, by their names.
    #[serde(flatten)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

impl Default for SelectionMetric {
    fn default() -> Self {
        Self::Task(TaskWord::Task)
    }
}

/// The word `task`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskWord {
    /// `task`.
    Task,
}

/// Section `[evaluation]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSection {
    /// Steps between evaluations.
    pub every: usize,
    /// How predictions are made.
    pub method: PredictionMethod,
    /// Examples of one pass.
    pub batch_size: usize,
    /// Longest generated answer; 0: the task's longest label.
    pub max_new_tokens: usize,
    /// Rows that choose the best step; 0: all. Records from before this was a setting lack it.
    #[serde(default)]
    pub validation_rows: usize,
    /// Which metric chooses the best step. Records from before this was a setting lack it.
    #[serde(default)]
    pub metric: SelectionMetric,
}

/// Section `[generation]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationSection {
    /// Programs written for each problem.
    pub samples: usize,
    /// Temperature; 0: the likeliest token.
    pub temperature: f64,
    /// Share of probability that tokens are drawn from.
    pub top_p: f64,
    /// Number of tokens that are drawn from; 0: all.
    pub top_k: usize,
    /// How much less likely tokens are that a row has already; 1: not at all. Records from before this was a setting lack
    /// it.
    #[serde(default = "none")]
    pub repetition_penalty: f64,
    /// Whether new tokens pass the offset.
    pub offset_new_tokens: bool,
    /// Whether stray lines go and bodies are indented anew.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSection {
    /// Steps between checkpoints.
    pub every: usize,
    /// Checkpoints kept.
    pub keep: usize,
}
