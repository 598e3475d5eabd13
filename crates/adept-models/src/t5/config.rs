//! T5's `config.json`: supported, optional and refused fields.
//!
//! Checkpoints from different versions of transformers disagree about the output head. Up to version 4,
//! `tie_word_embeddings` (default true) controls both whether the head is tied to the embedding matrix and whether the
//! decoder's output is scaled by `d_model^-0.5`. Version 5 writes `tie_word_embeddings: true` for every T5 and the
//! scaling separately, as `scale_decoder_outputs`; then only the weights tell whether the head is tied (see
//! [`super::weights`]).

use std::path::Path;

use adept_core::ModelSites;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auto::ModelConfig;
use crate::error::ModelError;
use crate::files::{ConfigFiles, Signs, one_or_many};
use crate::json;

/// Type of feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FeedForwardKind {
    /// `wo(relu(wi x))`: T5 v1.0.
    #[serde(rename = "relu")]
    Relu,
    /// `wo(gelu_tanh(wi_0 x) * wi_1 x)`: T5 v1.1 and flan.
    #[serde(rename = "gated-gelu")]
    GatedGelu,
}

impl FeedForwardKind {
    /// All types.
    pub const ALL: [Self; 2] = [Self::Relu, Self::GatedGelu];
}

/// A T5's architecture, with Hugging Face's field names.
#[derive(Debug, Clone, PartialEq)]
pub struct T5Config {
    /// Rows of the embedding matrix; larger than the tokenizer's vocabulary (32128 against 32100).
    pub vocab_size: usize,
    /// Channels of the residual stream.
    pub d_model: usize,
    /// Channels of one attention head.
    pub d_kv: usize,
    /// Inner channels of the feed-forward layers.
    pub d_ff: usize,
    /// Number of encoder blocks.
    pub num_layers: usize,
    /// Number of decoder blocks; defaults to the encoder's.
    pub num_decoder_layers: usize,
    /// Number of attention heads.
    pub num_heads: usize,
    /// Rows of the relative position table.
    pub relative_attention_num_buckets: usize,
    /// Distances from this one on share the last bucket.
    pub relative_attention_max_distance: usize,
    /// Epsilon added to the mean square in every norm.
    pub layer_norm_epsilon: f64,
    /// Type of feed-forward layer.
    pub feed_forward_proj: FeedForwardKind,
    /// Whether the output head is tied to the embedding matrix.
    pub tie_word_embeddings: bool,
    /// Whether the decoder's output is multiplied by `d_model^-0.5` before the head; usual with a tied head.
    pub scale_decoder_outputs: bool,
    /// Dropout rate of the original training; only used by the `reference` preset.
    pub dropout_rate: f64,
    /// Scale of random initialisation.
    pub initializer_factor: f64,
    /// The padding token.
    pub pad_token_id: u32,
    /// The end tokens.
    pub eos_token_ids: Vec<u32>,
    /// The start token of the decoder.
    pub decoder_start_token_id: u32,
}

/// The fields of `config.json`; those that some models omit are optional.
#[derive(Debug, Deserialize)]
struct File {
    vocab_size: usize,
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_decoder_layers: Option<usize>,
    num_heads: usize,
    relative_attention_num_buckets: Option<usize>,
    relative_attention_max_distance: Option<usize>,
    layer_norm_epsilon: Option<f64>,
    feed_forward_proj: Option<String>,
    tie_word_embeddings: Option<bool>,
    scale_decoder_outputs: Option<bool>,
    dropout_rate: Option<f64>,
    initializer_factor: Option<f64>,
}

const SIGNS: Signs = Signs {
    model_type: "t5",
    architecture: "t5",
    is_encoder_decoder: true,
    reads: &[],
};

impl T5Config {
    /// Reads `config.json` of a checkpoint folder, and the token ids in its `generation_config.json`.
    ///
    /// # Errors
    /// A file that cannot be read or does not describe a supported model.
    pub fn from_dir(dir: &Path) -> Result<Self, ModelError> {
        Self::parse(&ConfigFiles::from_dir(dir)?)
    }

    /// Parses a `config.json`.
    ///
    /// # Errors
    /// As [`from_dir`](Self::from_dir).
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        Self::from_texts(text, None)
    }

    /// Parses a `config.json` and a `generation_config.json`.
    ///
    /// # Errors
    /// As [`from_dir`](Self::from_dir).
    pub fn from_texts(config: &str, generation: Option<&str>) -> Result<Self, ModelError> {
        Self::parse(&ConfigFiles::from_texts(config, generation)?)
    }

    fn parse(files: &ConfigFiles) -> Result<Self, ModelError> {
        files.check(SIGNS)?;
        let file: File = files.fields()?;
        let feed_forward_proj = match file.feed_forward_proj.as_deref() {
            None | Some("relu") => FeedForwardKind::Relu,
            Some("gated-gelu") => FeedForwardKind::GatedGelu,
            Some(other) => return Err(ModelError::config("feed_forward_proj", "relu or gated-gelu", other)),
        };
        // transformers derives these from the field above, but honours them if they were edited.
        let (act, gated) = match feed_forward_proj {
            FeedForwardKind::Relu => (["relu", "relu"], false),
            FeedForwardKind::GatedGelu => (["gelu_new", "gelu_pytorch_tanh"], true),
        };
        files.config.only("dense_act_fn", &act.map(Value::from))?;
        files.config.only("is_gated_act", &[gated.into()])?;
        let tie_word_embeddings = file.tie_word_embeddings.unwrap_or(true);
        let tokens = files.tokens()?;
        let pad_token_id = tokens.pad.unwrap_or(0);
        let config = Self {
            vocab_size: file.vocab_size,
            d_model: file.d_model,
            d_kv: file.d_kv,
            d_ff: file.d_ff,
            num_layers: file.num_layers,
            num_decoder_layers: file.num_decoder_layers.unwrap_or(file.num_layers),
            num_heads: file.num_heads,
            relative_attention_num_buckets: file.relative_attention_num_buckets.unwrap_or(32),
            relative_attention_max_distance: file.relative_attention_max_distance.unwrap_or(128),
            layer_norm_epsilon: file.layer_norm_epsilon.unwrap_or(1e-6),
            feed_forward_proj,
            tie_word_embeddings,
            scale_decoder_outputs: file.scale_decoder_outputs.unwrap_or(tie_word_embeddings),
            dropout_rate: file.dropout_rate.unwrap_or(0.1),
            initializer_factor: file.initializer_factor.unwrap_or(1.0),
            pad_token_id,
            eos_token_ids: tokens.eos.unwrap_or(vec![1]),
            decoder_start_token_id: tokens.decoder_start.unwrap_or(pad_token_id),
        };
        config.validate()?;
        if let Some(bos) = tokens.bos {
            json::token("bos_token_id", bos, config.vocab_size)?;
        }
        Ok(config)
    }

    /// Refuses impossible sizes and token ids outside of the vocabulary.
    pub fn validate(&self) -> Result<(), ModelError> {
        json::sizes(&[
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_layers", self.num_layers),
            ("num_decoder_layers", self.num_decoder_layers),
            ("num_heads", self.num_heads),
            ("relative_attention_num_buckets", self.relative_attention_num_buckets),
            ("relative_attention_max_distance", self.relative_attention_max_distance),
        ])?;
        // Each half of the bidirectional table needs an exact and a logarithmic part.
        let buckets = self.relative_attention_num_buckets;
        if buckets < 4 || !buckets.is_multiple_of(4) {
            return Err(ModelError::config(
                "relative_attention_num_buckets",
                "a multiple of 4, at least 4",
                buckets,
            ));
        }
        let distance = self.relative_attention_max_distance;
        if distance <= buckets / 2 {
            return Err(ModelError::config(
                "relative_attention_max_distance",
                format!("more than {}", buckets / 2),
                distance,
            ));
        }
        json::open_unit("layer_norm_epsilon", self.layer_norm_epsilon)?;
        json::rate("dropout_rate", self.dropout_rate)?;
        for (field, id) in [
            ("pad_token_id", self.pad_token_id),
            ("decoder_start_token_id", self.decoder_start_token_id),
        ] {
            json::token(field, id, self.vocab_size)?;
        }
        json::tokens("eos_token_id", &self.eos_token_ids, self.vocab_size)
    }

    /// Channels of all heads combined.
    pub fn inner(&self) -> usize {
        self.num_heads * self.d_kv
    }

    /// The configuration in a form that every version of transformers reads.
    pub fn to_json(&self) -> String {
        self.to_json_as("float32")
    }

    /// Like [`to_json`](Self::to_json), for weights of an element type given by its PyTorch name.
    pub fn to_json_as(&self, torch_dtype: &str) -> String {
        let gated = self.feed_forward_proj == FeedForwardKind::GatedGelu;
        let value = serde_json::json!({
            "architectures": ["T5ForConditionalGeneration"],
            "d_ff": self.d_ff,
            "d_kv": self.d_kv,
            "d_model": self.d_model,
            "decoder_start_token_id": self.decoder_start_token_id,
            "dense_act_fn": if gated { "gelu_new" } else { "relu" },
            "dropout_rate": self.dropout_rate,
            "eos_token_id": one_or_many(&self.eos_token_ids),
            "feed_forward_proj": self.feed_forward_proj,
            "initializer_factor": self.initializer_factor,
            "is_encoder_decoder": true,
            "is_gated_act": gated,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "model_type": "t5",
            "num_decoder_layers": self.num_decoder_layers,
            "num_heads": self.num_heads,
            "num_layers": self.num_layers,
            "pad_token_id": self.pad_token_id,
            "relative_attention_max_distance": self.relative_attention_max_distance,
            "relative_attention_num_buckets": self.relative_attention_num_buckets,
            "scale_decoder_outputs": self.scale_decoder_outputs,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": torch_dtype,
            "use_cache": true,
            "vocab_size": self.vocab_size,
        });
        format!("{value:#}\n")
    }

    /// The published `t5-small`: 60.5 M parameters.
    pub fn t5_small() -> Self {
        Self {
            vocab_size: 32128,
            d_model: 512,
            d_kv: 64,
            d_ff: 2048,
            num_layers: 6,
            num_decoder_layers: 6,
            num_heads: 8,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: FeedForwardKind::Relu,
            tie_word_embeddings: true,
            scale_decoder_outputs: true,
            dropout_rate: 0.1,
            initializer_factor: 1.0,
            pad_token_id: 0,
            eos_token_ids: vec![1],
            decoder_start_token_id: 0,
        }
    }

    /// The published `t5-base`: 222.9 M parameters.
    pub fn t5_base() -> Self {
        Self {
            d_model: 768,
            d_ff: 3072,
            num_layers: 12,
            num_decoder_layers: 12,
            num_heads: 12,
            ..Self::t5_small()
        }
    }

    /// The published T5-3B (v1.0).
    pub fn t5_3b() -> Self {
        Self {
            d_model: 1024,
            d_kv: 128,
            d_ff: 16384,
            num_layers: 24,
            num_decoder_layers: 24,
            num_heads: 32,
            ..Self::t5_small()
        }
    }
}

impl ModelConfig for T5Config {
    fn sites(&self) -> ModelSites {
        T5Config::sites(self)
    }

    fn parameters(&self) -> usize {
        let matrices = if self.tie_word_embeddings { 1 } else { 2 };
        let positions = 2 * self.relative_attention_num_buckets * self.num_heads;
        self.sites().parameters() + matrices * self.vocab_size * self.d_model + positions
    }

    fn dropout_rate(&self) -> f64 {
        self.dropout_rate
    }

    fn eos_token_ids(&self) -> &[u32] {
        &self.eos_token_ids
    }

    fn summary(&self) -> Vec<(&'static str, String)> {
        let head = match self.tie_word_embeddings {
            true => "tied to the embeddings",
            false => "separate",
        };
        vec![
            (
                "blocks",
                format!("{} encoder, {} decoder", self.num_layers, self.num_decoder_layers),
            ),
            ("heads", format!("{} of {} channels", self.num_heads, self.d_kv)),
            (
                "feed-forward",
                format!("{} channels, {:?}", self.d_ff, self.feed_forward_proj),
            ),
            ("vocabulary", self.vocab_size.to_string()),
            ("head", head.to_owned()),
            ("dropout", self.dropout_rate.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"architectures":["T5ForConditionalGeneration"],"d_ff":2048,"d_kv":64,"d_model":512,
        "decoder_start_token_id":0,"dropout_rate":0.1,"eos_token_id":1,"initializer_factor":1.0,
        "is_encoder_decoder":true,"layer_norm_epsilon":1e-06,"model_type":"t5","n_positions":512,"num_heads":8,
        "num_layers":6,"output_past":true,"pad_token_id":0,"relative_attention_num_buckets":32,
        "task_specific_params":{"x":{}},"vocab_size":32128}"#;

    #[test]
    fn the_published_config_of_t5_small_reads() {
        assert_eq!(T5Config::from_json(SMALL).unwrap(), T5Config::t5_small());
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut config = T5Config::t5_base();
        config.num_decoder_layers = 3;
        config.feed_forward_proj = FeedForwardKind::GatedGelu;
        config.tie_word_embeddings = false;
        config.scale_decoder_outputs = false;
        assert_eq!(T5Config::from_json(&config.to_json()).unwrap(), config);
    }

    #[test]
    fn each_bad_field_is_named() {
        for (from, to, field) in [
            ("\"model_type\":\"t5\"", "\"model_type\":\"bert\"", "model_type"),
            ("\"d_kv\":64", "\"d_kv\":0", "d_kv"),
            (
                "\"num_heads\":8",
                "\"num_heads\":8,\"feed_forward_proj\":\"gated-silu\"",
                "feed_forward_proj",
            ),
            ("num_buckets\":32", "num_buckets\":30", "relative_attention_num_buckets"),
            (
                "\"num_heads\":8",
                "\"num_heads\":8,\"relative_attention_max_distance\":16",
                "relative_attention_max_distance",
            ),
            ("\"eos_token_id\":1", "\"eos_token_id\":32128", "eos_token_id"),
            ("1e-06", "-1.0", "layer_norm_epsilon"),
            ("\"dropout_rate\":0.1", "\"dropout_rate\":1.0", "dropout_rate"),
        ] {
            let text = SMALL.replace(from, to);
            assert_ne!(text, SMALL, "{from}");
            let error = T5Config::from_json(&text).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
        for text in ["{}", "[", "{\"vocab_size\": \"many\"}"] {
            assert!(
                matches!(T5Config::from_json(text), Err(ModelError::Json { .. })),
                "{text}"
            );
        }
    }
}
