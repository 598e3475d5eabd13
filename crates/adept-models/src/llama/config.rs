//! Llama's `config.json`: what is read, what may be absent, what is refused.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::rope::{RopeFields, RopeScaling};
use crate::causal::Rotary;
use crate::error::ModelError;
use crate::json;

/// A Llama's shape and conventions, by Hugging Face's field names.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Rows of the embedding matrix.
    pub vocab_size: usize,
    /// Channels of the residual stream.
    pub hidden_size: usize,
    /// Inner channels of the feed-forward layers.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads of queries.
    pub num_attention_heads: usize,
    /// Heads of keys and values; each serves a group of query heads.
    pub num_key_value_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// Positions it was trained for.
    pub max_position_embeddings: usize,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are changed.
    pub rope_scaling: Option<RopeScaling>,
    /// Whether the maps of the attention have biases.
    pub attention_bias: bool,
    /// Whether the maps of the feed-forward layer have biases.
    pub mlp_bias: bool,
    /// Whether the output head is the embedding matrix.
    pub tie_word_embeddings: bool,
    /// Dropout of attention weights; used by the `reference` preset only. The published models say 0.
    pub dropout_rate: f64,
    /// Standard deviation of a random start.
    pub initializer_range: f64,
    /// The token that begins a text.
    pub bos_token_id: Option<u32>,
    /// The tokens that end a text: one, or several for models that hold conversations. The first is what training appends.
    pub eos_token_ids: Vec<u32>,
    /// The token that fills rows up: the file's, or the first end token.
    pub pad_token_id: u32,
}

/// `config.json` as it stands in the file; fields that models leave out are options.
#[derive(Debug, Deserialize)]
struct File {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RopeFields>,
    rope_parameters: Option<RopeFields>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    attention_dropout: Option<f64>,
    initializer_range: Option<f64>,
    bos_token_id: Option<u32>,
    eos_token_id: Option<OneOrMany>,
    /// −1 in the first published files: none.
    pad_token_id: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl LlamaConfig {
    /// Reads `config.json` of a checkpoint folder.
    ///
    /// # Errors
    /// A file that cannot be read or describes a model that cannot be built.
    pub fn from_dir(dir: &Path) -> Result<Self, ModelError> {
        let (path, text) = json::config_text(dir)?;
        Self::parse(&text, path)
    }

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// As [`from_dir`](Self::from_dir).
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        Self::parse(text, PathBuf::from("config.json"))
    }

    fn parse(text: &str, path: PathBuf) -> Result<Self, ModelError> {
        let file: File = serde_json::from_str(text).map_err(|source| ModelError::Json { path, source })?;
        if let Some(found) = file.model_type.filter(|found| found != "llama") {
            return Err(ModelError::config("model_type", "llama", found));
        }
        if let Some(found) = file.hidden_act.filter(|found| found != "silu") {
            return Err(ModelError::config("hidden_act", "silu", found));
        }
        let rope = file.rope_parameters.or(file.rope_scaling);
        let eos_token_ids = match file.eos_token_id {
            None => vec![2],
            Some(OneOrMany::One(id)) => vec![id],
            Some(OneOrMany::Many(ids)) => ids,
        };
        let Some(&first_eos) = eos_token_ids.first() else {
            return Err(ModelError::config("eos_token_id", "one token or more", "an empty list"));
        };
        let pad_token_id = match file.pad_token_id {
            None | Some(-1) => first_eos,
            Some(id) => u32::try_from(id)
                .map_err(|_| ModelError::config("pad_token_id", format!("below vocab_size {}", file.vocab_size), id))?,
        };
        let heads = file.num_attention_heads;
        let config = Self {
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            num_hidden_layers: file.num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: file.num_key_value_heads.unwrap_or(heads),
            head_dim: file.head_dim.unwrap_or(file.hidden_size / heads.max(1)),
            max_position_embeddings: file.max_position_embeddings.unwrap_or(2048),
            rms_norm_eps: file.rms_norm_eps.unwrap_or(1e-6),
            rope_theta: rope
                .as_ref()
                .and_then(|rope| rope.rope_theta)
                .or(file.rope_theta)
                .unwrap_or(10000.0),
            rope_scaling: rope.map_or(Ok(None), |rope| rope.scaling())?,
            attention_bias: file.attention_bias.unwrap_or(false),
            mlp_bias: file.mlp_bias.unwrap_or(false),
            tie_word_embeddings: file.tie_word_embeddings.unwrap_or(false),
            dropout_rate: file.attention_dropout.unwrap_or(0.0),
            initializer_range: file.initializer_range.unwrap_or(0.02),
            bos_token_id: file.bos_token_id,
            eos_token_ids,
            pad_token_id,
        };
        config.validate()?;
        Ok(config)
    }

    /// Refuses sizes that no model can have and token ids outside the vocabulary.
    ///
    /// # Errors
    /// The first field that does not fit.
    pub fn validate(&self) -> Result<(), ModelError> {
        json::at_least_one(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("max_position_embeddings", self.max_position_embeddings),
        ])?;
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let expected = format!("a divisor of num_attention_heads {}", self.num_attention_heads);
            return Err(ModelError::config(
                "num_key_value_heads",
                expected,
                self.num_key_value_heads,
            ));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(ModelError::config("head_dim", "even, at least 2", self.head_dim));
        }
        if !(self.rope_theta > 0.0 && self.rope_theta.is_finite()) {
            return Err(ModelError::config("rope_theta", "more than 0", self.rope_theta));
        }
        json::open_unit("rms_norm_eps", self.rms_norm_eps)?;
        json::rate("attention_dropout", self.dropout_rate)?;
        for &id in &self.eos_token_ids {
            json::token("eos_token_id", id, self.vocab_size)?;
        }
        json::token("pad_token_id", self.pad_token_id, self.vocab_size)
    }

    /// Rotary angles a position.
    pub fn rotary(&self) -> Rotary {
        let plain = Rotary::new(self.rope_theta, self.head_dim);
        match self.rope_scaling {
            Some(scaling) => scaling.apply(&plain),
            None => plain,
        }
    }

    /// The file's text as transformers reads it, for weights of an element type by PyTorch's name.
    pub fn to_json_as(&self, torch_dtype: &str) -> String {
        let scaling = match self.rope_scaling {
            None => serde_json::Value::Null,
            Some(RopeScaling::Linear { factor }) => json!({ "rope_type": "linear", "factor": factor }),
            Some(RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            }) => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            }),
        };
        let eos = match self.eos_token_ids.as_slice() {
            [one] => json!(one),
            many => json!(many),
        };
        let value = json!({
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": self.attention_bias,
            "attention_dropout": self.dropout_rate,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": eos,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "mlp_bias": self.mlp_bias,
            "model_type": "llama",
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "num_key_value_heads": self.num_key_value_heads,
            "pad_token_id": self.pad_token_id,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_scaling": scaling,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": torch_dtype,
            "use_cache": true,
            "vocab_size": self.vocab_size,
        });
        format!("{value:#}\n")
    }

    /// The published Llama-3-8B: 8.03 B parameters.
    pub fn llama_3_8b() -> Self {
        Self {
            vocab_size: 128_256,
            hidden_size: 4096,
            intermediate_size: 14_336,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 8,
            head_dim: 128,
            max_position_embeddings: 8192,
            rms_norm_eps: 1e-5,
            rope_theta: 500_000.0,
            rope_scaling: None,
            attention_bias: false,
            mlp_bias: false,
            tie_word_embeddings: false,
            dropout_rate: 0.0,
            initializer_range: 0.02,
            bos_token_id: Some(128_000),
            eos_token_ids: vec![128_001],
            pad_token_id: 128_001,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: &str = r#"{"architectures":["LlamaForCausalLM"],"attention_bias":false,"attention_dropout":0.0,
        "bos_token_id":128000,"eos_token_id":128001,"hidden_act":"silu","hidden_size":4096,"initializer_range":0.02,
        "intermediate_size":14336,"max_position_embeddings":8192,"model_type":"llama","num_attention_heads":32,
        "num_hidden_layers":32,"num_key_value_heads":8,"pretraining_tp":1,"rms_norm_eps":1e-05,"rope_scaling":null,
        "rope_theta":500000.0,"tie_word_embeddings":false,"torch_dtype":"bfloat16","use_cache":true,"vocab_size":128256}"#;
    const SCALED: &str = r#"{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
        "original_max_position_embeddings":8192,"rope_type":"llama3"}"#;

    fn with(from: &str, to: &str) -> Result<LlamaConfig, ModelError> {
        let text = PUBLISHED.replace(from, to);
        assert_ne!(text, PUBLISHED, "{from}");
        LlamaConfig::from_json(&text)
    }

    #[test]
    fn the_published_config_reads_and_what_is_written_reads_back() {
        let config = LlamaConfig::from_json(PUBLISHED).unwrap();
        assert_eq!(config, LlamaConfig::llama_3_8b());
        let scaled = with("\"rope_scaling\":null", &format!("\"rope_scaling\":{SCALED}")).unwrap();
        assert!(scaled.rope_scaling.is_some());
        for config in [config, scaled] {
            assert_eq!(LlamaConfig::from_json(&config.to_json_as("float32")).unwrap(), config);
        }
    }

    #[test]
    fn both_places_of_rotary_settings_are_read() {
        let older = with("\"rope_scaling\":null", &format!("\"rope_scaling\":{SCALED}")).unwrap();
        let newer = SCALED.replace('{', "{\"rope_theta\":500000.0,");
        let newer = PUBLISHED
            .replace("\"rope_scaling\":null", &format!("\"rope_parameters\":{newer}"))
            .replace("\"rope_theta\":500000.0,\"tie", "\"tie");
        assert_eq!(LlamaConfig::from_json(&newer).unwrap(), older);
        // The word `type` of older files.
        let word = format!("\"rope_scaling\":{}", SCALED.replace("rope_type", "type"));
        assert_eq!(with("\"rope_scaling\":null", &word).unwrap(), older);
    }

    #[test]
    fn end_tokens_are_one_or_several() {
        let several = with("\"eos_token_id\":128001", "\"eos_token_id\":[128001,128009]").unwrap();
        assert_eq!(several.eos_token_ids, [128_001, 128_009]);
        assert_eq!(
            LlamaConfig::from_json(&several.to_json_as("bfloat16")).unwrap(),
            several
        );
        let early = with("\"eos_token_id\":128001", "\"eos_token_id\":2,\"pad_token_id\":-1").unwrap();
        assert_eq!(early.pad_token_id, 2);
    }

    #[test]
    fn each_bad_field_is_named() {
        for (from, to, field) in [
            ("\"llama\"", "\"mistral\"", "model_type"),
            ("silu", "gelu", "hidden_act"),
            (
                "\"num_key_value_heads\":8",
                "\"num_key_value_heads\":5",
                "num_key_value_heads",
            ),
            (
                "\"hidden_size\":4096",
                "\"hidden_size\":4096,\"head_dim\":3",
                "head_dim",
            ),
            ("\"eos_token_id\":128001", "\"eos_token_id\":[]", "eos_token_id"),
            ("\"eos_token_id\":128001", "\"eos_token_id\":128256", "eos_token_id"),
            (
                "\"eos_token_id\":128001",
                "\"eos_token_id\":1,\"pad_token_id\":-2",
                "pad_token_id",
            ),
            (
                "\"rope_scaling\":null",
                "\"rope_scaling\":{\"rope_type\":\"yarn\"}",
                "rope_type",
            ),
            (
                "\"rope_scaling\":null",
                "\"rope_scaling\":{\"rope_type\":\"llama3\"}",
                "low_freq_factor",
            ),
            (
                "\"rope_scaling\":null",
                "\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}",
                "factor",
            ),
            ("500000.0", "-1", "rope_theta"),
        ] {
            let error = with(from, to).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
    }
}
