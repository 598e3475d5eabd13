//! A decoder's architecture: every choice in which the families differ, and nothing that depends on their names.

use std::path::Path;
use std::sync::Arc;

use adept_core::ModelSites;
use serde_json::{Map, Value};

use super::names::{self, Names};
use super::norm::NormKind;
use super::rope::Rope;
use crate::auto::{Family, ModelConfig};
use crate::causal::{Scoring, Sight};
use crate::error::ModelError;
use crate::files::{ConfigFiles, one_or_many};
use crate::json;

/// The architecture of a decoder-only model. Families read it from their own `config.json` (module `family`).
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// The family whose files it has.
    pub family: Family,
    /// Rows of the embedding matrix.
    pub vocab_size: usize,
    /// Channels of the residual stream.
    pub hidden_size: usize,
    /// Inner channels of the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key/value heads; each serves a group of query heads.
    pub key_heads: usize,
    /// Channels per head.
    pub head_dim: usize,
    /// Number of positions it was trained for.
    pub positions: usize,
    /// How queries, keys and values are projected.
    pub projections: ProjectionKind,
    /// The feed-forward layers.
    pub feed_forward: FeedForwardKind,
    /// The activation of the feed-forward layers.
    pub activation: Activation,
    /// Which maps have biases.
    pub biases: Biases,
    /// The kind of every norm.
    pub norm: NormKind,
    /// Epsilon of every norm.
    pub norm_epsilon: f64,
    /// How a block adds its sublayers to its input.
    pub residual: Residual,
    /// Whether each sublayer's output is normed, too.
    pub has_output_norms: bool,
    /// Whether queries and keys are normed head by head.
    pub has_head_norms: bool,
    /// Rotary positions.
    pub rope: Option<Rope>,
    /// Rotary positions of the blocks with a window, if they are others.
    pub window_rope: Option<Rope>,
    /// How rotated channels are paired.
    pub pairs: adept_kernels::RotaryPairs,
    /// The blocks whose queries and keys are rotated.
    pub rotated: Pattern,
    /// Whether the model has a table of learned positions.
    pub has_position_table: bool,
    /// Slots that a block with a window sees, its own included.
    pub window: Option<usize>,
    /// The blocks with a window.
    pub windowed: Pattern,
    /// Scores are divided by the square root of this; the channels of a head if it is `None`.
    pub query_scalar: Option<f64>,
    /// Cap of the attention scores.
    pub score_cap: Option<f64>,
    /// Cap of the logits.
    pub logit_cap: Option<f64>,
    /// What token embeddings are multiplied by.
    pub embedding_scale: f64,
    /// Whether the output head is tied to the embedding matrix.
    pub is_tied: bool,
    /// Dropout in training; only used by the `reference` preset.
    pub dropout_rate: f64,
    /// Whether embeddings and sublayers are dropped out, too, and not attention weights alone.
    pub drops_layers: bool,
    /// Standard deviation of random initialisation.
    pub initializer_range: f64,
    /// The start token of a text.
    pub bos_token_id: Option<u32>,
    /// The end tokens: one, or several for chat models. Training appends the first.
    pub eos_token_ids: Vec<u32>,
    /// The padding token: the file's, or else the first end token.
    pub pad_token_id: u32,
    /// Names in checkpoints.
    pub(super) names: &'static Names,
    /// What is written as `config.json`, but for the tokens above and the type of the weights.
    pub(super) file: Map<String, Value>,
}

/// Projections of queries, keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectionKind {
    /// Three maps.
    Apart,
    /// One map; in files, its outputs are in this order.
    Fused(FusedOrder),
}

/// The order of a fused projection's outputs in files. The model has queries, keys, values of all heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FusedOrder {
    /// Queries, keys, values of all heads.
    Plain,
    /// Query, key and value head by head (GPT-NeoX).
    ByHead,
    /// In that many parts, each with queries, values, keys of its heads (CodeGen).
    Parts(usize),
}

/// Maps of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForwardKind {
    /// `down(activation(up(x)))`.
    Plain,
    /// `down(activation(gate(x)) · up(x))`.
    Gated,
    /// The same with gate and up in one map.
    GatedFused,
}

/// The activation of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// GELU by the error function.
    Gelu,
    /// GELU in its tanh form.
    GeluTanh,
}

/// Which linear maps have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biases {
    /// Queries, keys and values.
    pub projections: bool,
    /// The attention's output.
    pub output: bool,
    /// Feed-forward maps.
    pub feed_forward: bool,
    /// The output head.
    pub head: bool,
}

/// How a block adds its sublayers, `a` and `f`, to its input `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// `y = x + a(norm(x))`, `y + f(norm(y))`.
    Sequential,
    /// `x + a(norm(x)) + f(norm(x))`, each with a norm of its own.
    Parallel,
    /// The same with one norm for both.
    ParallelShared,
}

/// A set of blocks, as small as the file that describes it: a file may claim any number of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// None.
    Never,
    /// All.
    Always,
    /// Those from this one on.
    From(usize),
    /// Every nth: the last of each n.
    Every(usize),
    /// All but every nth.
    ExceptEvery(usize),
    /// Those whose place is true.
    Listed(Arc<[bool]>),
}

impl Pattern {
    /// Whether a block, counted from 0, belongs to it.
    pub fn contains(&self, block: usize) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::From(first) => block >= *first,
            Self::Every(nth) => (block + 1).is_multiple_of(*nth),
            Self::ExceptEvery(nth) => !(block + 1).is_multiple_of(*nth),
            Self::Listed(listed) => listed.get(block).copied().unwrap_or_default(),
        }
    }
}

impl DecoderConfig {
    /// Reads `config.json` of a checkpoint folder, and the token ids in its `generation_config.json`.
    ///
    /// # Errors
    /// A file that cannot be read, another family's, or one that does not describe a supported model.
    pub fn from_dir(dir: &Path) -> Result<Self, ModelError> {
        let family = Family::of(dir)?;
        match family.reader() {
            Some(read) => read(&ConfigFiles::from_dir(dir)?),
            None => Err(ModelError::NotADecoder {
                path: dir.to_owned(),
                found: family.name(),
            }),
        }
    }

    /// Refuses impossible sizes and token ids outside of the vocabulary.
    ///
    /// # Errors
    /// The first invalid field, by its name in the family's files.
    pub fn validate(&self) -> Result<(), ModelError> {
        let fields = self.names.fields;
        json::sizes(&[
            ("vocab_size", self.vocab_size),
            (fields.hidden_size, self.hidden_size),
            (fields.intermediate_size, self.intermediate_size),
            (fields.blocks, self.blocks),
            (fields.heads, self.heads),
            (fields.key_heads, self.key_heads),
            (fields.positions, self.positions),
            (fields.head_dim, self.head_dim),
        ])?;
        if !self.heads.is_multiple_of(self.key_heads) {
            let expected = format!("a divisor of {} {}", fields.heads, self.heads);
            return Err(ModelError::config(fields.key_heads, expected, self.key_heads));
        }
        for rope in [&self.rope, &self.window_rope].into_iter().flatten() {
            self.check_rope(rope)?;
        }
        if self.window == Some(0) {
            return Err(ModelError::config("sliding_window", "1 or more, or null", 0));
        }
        for (field, cap) in [
            ("attn_logit_softcapping", self.score_cap),
            ("final_logit_softcapping", self.logit_cap),
            ("query_pre_attn_scalar", self.query_scalar),
        ] {
            if let Some(found) = cap.filter(|cap| !(*cap > 0.0 && cap.is_finite())) {
                return Err(ModelError::config(field, "more than 0, or null", found));
            }
        }
        json::open_unit(fields.norm_epsilon, self.norm_epsilon)?;
        json::rate(fields.dropout, self.dropout_rate)?;
        json::tokens("eos_token_id", &self.eos_token_ids, self.vocab_size)?;
        if let Some(bos) = self.bos_token_id {
            json::token("bos_token_id", bos, self.vocab_size)?;
        }
        json::token("pad_token_id", self.pad_token_id, self.vocab_size)
    }

    fn check_rope(&self, rope: &Rope) -> Result<(), ModelError> {
        let fields = self.names.fields;
        if !(rope.theta > 0.0 && rope.theta.is_finite()) {
            return Err(ModelError::config(fields.theta, "more than 0", rope.theta));
        }
        let channels = rope.channels;
        if channels == 0 || !channels.is_multiple_of(2) || channels > self.head_dim {
            let whole = channels == self.head_dim && fields.rotated == names::LLAMA_FIELDS.rotated;
            let (field, expected) = match whole {
                true => (fields.head_dim, "even, at least 2".to_owned()),
                false => (
                    fields.rotated,
                    format!("even, from 2 to the {} channels of a head", self.head_dim),
                ),
            };
            return Err(ModelError::config(field, expected, channels));
        }
        rope.check()
    }

    /// Rotary frequencies of batches within the original positions.
    ///
    /// # Panics
    /// If the model has no rotary positions.
    pub fn rotary(&self) -> crate::causal::Rotary {
        let rope = self.rope.as_ref();
        rope.expect("a model with rotary positions").rotary(1)
    }

    /// The configuration as transformers reads it, for weights of an element type given by its PyTorch name.
    pub fn to_json_as(&self, torch_dtype: &str) -> String {
        let mut file = self.file.clone();
        file.remove("dtype");
        file.insert("torch_dtype".to_owned(), torch_dtype.into());
        if let Some(bos) = self.bos_token_id {
            file.insert("bos_token_id".to_owned(), bos.into());
        }
        file.insert("eos_token_id".to_owned(), one_or_many(&self.eos_token_ids));
        file.insert("pad_token_id".to_owned(), self.pad_token_id.into());
        format!("{:#}\n", Value::Object(file))
    }

    /// The same architecture with all widths divided by `reduction`, which divides them all; numbers of heads stay.
    pub(super) fn narrowed(&self, reduction: usize) -> Self {
        let narrowed = |rope: &Rope| Rope {
            step: reduction,
            ..rope.clone()
        };
        Self {
            hidden_size: self.hidden_size / reduction,
            intermediate_size: self.intermediate_size / reduction,
            head_dim: self.head_dim / reduction,
            rope: self.rope.as_ref().map(narrowed),
            window_rope: self.window_rope.as_ref().map(narrowed),
            query_scalar: self.query_scalar.map(|scalar| scalar / reduction as f64),
            ..self.clone()
        }
    }

    /// Output channels of queries, and of keys or values.
    pub(super) fn widths(&self) -> [usize; 2] {
        [self.heads * self.head_dim, self.key_heads * self.head_dim]
    }

    /// What attentions ask of a pass.
    pub(super) fn sight(&self) -> Sight {
        Sight {
            heads: self.heads,
            window: self.window.filter(|_| self.windowed != Pattern::Never),
            is_capped: self.score_cap.is_some(),
        }
    }

    /// How a block's attention scores its slots.
    pub(super) fn scoring(&self, block: usize) -> Scoring {
        Scoring {
            heads: self.heads,
            scale: self.query_scalar.unwrap_or(self.head_dim as f64).powf(-0.5),
            cap: self.score_cap,
            is_windowed: self.windowed.contains(block),
        }
    }
}

impl ModelConfig for DecoderConfig {
    fn sites(&self) -> ModelSites {
        DecoderConfig::sites(self)
    }

    fn parameters(&self) -> usize {
        let matrices = if self.is_tied { 1 } else { 2 };
        let rows = matrices * self.vocab_size + if self.has_position_table { self.positions } else { 0 };
        let bias = if self.biases.head { self.vocab_size } else { 0 };
        self.sites().parameters() + rows * self.hidden_size + bias
    }

    fn dropout_rate(&self) -> f64 {
        self.dropout_rate
    }

    fn eos_token_ids(&self) -> &[u32] {
        &self.eos_token_ids
    }

    fn summary(&self) -> Vec<(&'static str, String)> {
        let mut heads = format!("{} of {} channels", self.heads, self.head_dim);
        if self.key_heads != self.heads {
            heads.push_str(&format!(", keys and values {}", self.key_heads));
        }
        if let Some(rope) = self.rope.as_ref().filter(|rope| rope.channels < self.head_dim) {
            heads.push_str(&format!(", {} of them turned", rope.channels));
        }
        let activation = match self.activation {
            Activation::Silu => "SiLU",
            Activation::Gelu | Activation::GeluTanh => "GELU",
        };
        let gated = match self.feed_forward {
            FeedForwardKind::Plain => "",
            FeedForwardKind::Gated | FeedForwardKind::GatedFused => "gated ",
        };
        let head = match self.is_tied {
            true => "tied to the embeddings",
            false => "separate",
        };
        let feed_forward = format!("{} channels, {gated}{activation}", self.intermediate_size);
        let mut rows = vec![
            ("blocks", self.blocks.to_string()),
            ("heads", heads),
            ("feed-forward", feed_forward),
            ("vocabulary", self.vocab_size.to_string()),
            ("positions", self.positions.to_string()),
        ];
        if let Some(rope) = &self.rope {
            rows.push(("rotary base", rope.theta.to_string()));
            let scaling = rope.scaling.as_ref();
            rows.extend(scaling.map(|scaling| ("rotary scaling", format!("{scaling:?}"))));
        }
        rows.extend(self.sight().window.map(|window| ("window", window.to_string())));
        rows.extend([("head", head.to_owned()), ("dropout", self.dropout_rate.to_string())]);
        rows
    }
}
