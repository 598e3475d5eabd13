//! Llama's `config.json`: supported, optional and refused fields.

use std::path::Path;

use adept_core::ModelSites;
use serde::Deserialize;
use serde_json::{Value, json};

use super::rope::{self, RopeFields, RopeScaling, Stated};
use crate::auto::ModelConfig;
use crate::causal::Rotary;
use crate::error::ModelError;
use crate::files::{ConfigFiles, Object, Signs, one_or_many};
use crate::json;

/// Default number of positions.
const POSITIONS: usize = 2048;

/// A Llama's architecture, with Hugging Face's field names.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Rows of the embedding matrix.
    pub vocab_size: usize,
    /// Channels of the residual stream.
    pub hidden_size: usize,
    /// Inner channels of the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key/value heads; each serves a group of query heads.
    pub num_key_value_heads: usize,
    /// Channels per head.
    pub head_dim: usize,
    /// Number of positions it was trained for.
    pub max_position_embeddings: usize,
    /// Epsilon added to the mean square in every norm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Scaling of the rotary frequencies.
    pub rope_scaling: Option<RopeScaling>,
    /// Whether the attention projections have biases.
    pub attention_bias: bool,
    /// Whether the feed-forward projections have biases.
    pub mlp_bias: bool,
    /// Whether the output head is tied to the embedding matrix.
    pub tie_word_embeddings: bool,
    /// Dropout of attention weights; only used by the `reference` preset. The published models have 0.
    pub dropout_rate: f64,
    /// Standard deviation of random initialisation.
    pub initializer_range: f64,
    /// The start token of a text.
    pub bos_token_id: Option<u32>,
    /// The end tokens: one, or several for chat models. Training appends the first.
    pub eos_token_ids: Vec<u32>,
    /// The padding token: the file's, or else the first end token.
    pub pad_token_id: u32,
}

/// The fields of `config.json`; those that some models omit are optional.
#[derive(Debug, Deserialize)]
struct File {
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
    /// Number of positions before they were scaled; also in `rope_scaling`.
    original_max_position_embeddings: Option<f64>,
    rope_scaling: Option<RopeFields>,
    rope_parameters: Option<RopeFields>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    attention_dropout: Option<f64>,
    initializer_range: Option<f64>,
}

const SIGNS: Signs = Signs {
    model_type: "llama",
    architecture: "llama",
    is_encoder_decoder: false,
};

impl LlamaConfig {
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
        let settings = &files.config;
        settings.only("hidden_act", &["silu".into(), "swish".into()])?;
        settings.only("partial_rotary_factor", &[1.into()])?;
        check_window(settings, file.max_position_embeddings)?;
        let rope = rope::resolve(
            settings,
            &Stated {
                scaling: file.rope_scaling,
                parameters: file.rope_parameters,
                theta: file.rope_theta,
                original: file.original_max_position_embeddings,
                positions: file.max_position_embeddings.unwrap_or(POSITIONS),
            },
        )?;
        let tokens = files.tokens()?;
        let eos_token_ids = tokens.eos.unwrap_or(vec![2]);
        let pad_token_id = tokens.pad.unwrap_or(eos_token_ids[0]);
        let heads = file.num_attention_heads;
        let config = Self {
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            num_hidden_layers: file.num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: file.num_key_value_heads.unwrap_or(heads),
            head_dim: file.head_dim.unwrap_or(file.hidden_size / heads.max(1)),
            max_position_embeddings: file.max_position_embeddings.unwrap_or(POSITIONS),
            rms_norm_eps: file.rms_norm_eps.unwrap_or(1e-6),
            rope_theta: rope.theta.unwrap_or(10000.0),
            rope_scaling: rope.scaling,
            attention_bias: file.attention_bias.unwrap_or(false),
            mlp_bias: file.mlp_bias.unwrap_or(false),
            tie_word_embeddings: file.tie_word_embeddings.unwrap_or(false),
            dropout_rate: file.attention_dropout.unwrap_or(0.0),
            initializer_range: file.initializer_range.unwrap_or(0.02),
            bos_token_id: tokens.bos,
            eos_token_ids,
            pad_token_id,
        };
        config.validate()?;
        Ok(config)
    }

    /// Refuses impossible sizes and token ids outside of the vocabulary.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn validate(&self) -> Result<(), ModelError> {
        json::sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("max_position_embeddings", self.max_position_embeddings),
            ("head_dim", self.head_dim),
        ])?;
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let expected = format!("a divisor of num_attention_heads {}", self.num_attention_heads);
            return Err(ModelError::config(
                "num_key_value_heads",
                expected,
                self.num_key_value_heads,
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(ModelError::config("head_dim", "even, at least 2", self.head_dim));
        }
        if !(self.rope_theta > 0.0 && self.rope_theta.is_finite()) {
            return Err(ModelError::config("rope_theta", "more than 0", self.rope_theta));
        }
        json::open_unit("rms_norm_eps", self.rms_norm_eps)?;
        json::rate("attention_dropout", self.dropout_rate)?;
        json::tokens("eos_token_id", &self.eos_token_ids, self.vocab_size)?;
        if let Some(bos) = self.bos_token_id {
            json::token("bos_token_id", bos, self.vocab_size)?;
        }
        json::token("pad_token_id", self.pad_token_id, self.vocab_size)
    }

    /// Rotary frequencies after scaling.
    pub fn rotary(&self) -> Rotary {
        let plain = Rotary::new(self.rope_theta, self.head_dim);
        match self.rope_scaling {
            Some(scaling) => scaling.apply(&plain),
            None => plain,
        }
    }

    /// The configuration as transformers reads it, for weights of an element type given by its PyTorch name.
    pub fn to_json_as(&self, torch_dtype: &str) -> String {
        let scaling = match self.rope_scaling {
            None => Value::Null,
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
        let value = json!({
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": self.attention_bias,
            "attention_dropout": self.dropout_rate,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": one_or_many(&self.eos_token_ids),
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

/// Refuses sliding-window attention. `Llama` in transformers has none, but files of models converted to it may ask for
/// it.
fn check_window(settings: &Object, positions: Option<usize>) -> Result<(), ModelError> {
    let full = "full_attention";
    if let Some(Value::Array(types)) = settings.get("layer_types")
        && let Some(other) = types.iter().find(|layer| *layer != full)
    {
        return Err(settings.refuse("layer_types", full, other));
    }
    let is_used = settings.get("use_sliding_window") != Some(&Value::Bool(false));
    let positions = positions.unwrap_or(POSITIONS);
    match settings.get("sliding_window").filter(|_| is_used) {
        Some(window) if window.as_u64().is_none_or(|window| window < positions as u64) => {
            let expected = format!("nothing, or at least max_position_embeddings {positions}");
            Err(settings.refuse("sliding_window", expected, window))
        }
        _ => Ok(()),
    }
}

impl ModelConfig for LlamaConfig {
    fn sites(&self) -> ModelSites {
        LlamaConfig::sites(self)
    }

    fn parameters(&self) -> usize {
        let matrices = if self.tie_word_embeddings { 1 } else { 2 };
        self.sites().parameters() + matrices * self.vocab_size * self.hidden_size
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
        let heads = format!(
            "{} of {} channels, keys and values {}",
            self.num_attention_heads, self.head_dim, self.num_key_value_heads
        );
        let mut rows = vec![
            ("blocks", self.num_hidden_layers.to_string()),
            ("heads", heads),
            (
                "feed-forward",
                format!("{} channels, gated SiLU", self.intermediate_size),
            ),
            ("vocabulary", self.vocab_size.to_string()),
            ("positions", self.max_position_embeddings.to_string()),
            ("rotary base", self.rope_theta.to_string()),
        ];
        rows.extend(
            self.rope_scaling
                .map(|scaling| ("rotary scaling", format!("{scaling:?}"))),
        );
        rows.extend([("head", head.to_owned()), ("dropout", self.dropout_rate.to_string())]);
        rows
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
        // The older key `type`, alone and together with the newer one.
        let word = format!("\"rope_scaling\":{}", SCALED.replace("rope_type", "type"));
        assert_eq!(with("\"rope_scaling\":null", &word).unwrap(), older);
        let both = SCALED.replace('{', "{\"type\":\"llama3\",");
        for text in [
            format!("\"rope_scaling\":{both}"),
            format!("\"rope_parameters\":{}", both.replace('{', "{\"rope_theta\":5e5,")),
            format!("\"rope_scaling\":{SCALED},\"rope_parameters\":{both}"),
            format!("\"rope_scaling\":null,\"rope_parameters\":{SCALED}"),
            // Next to the scaling, and at the top level if the scaling lacks it.
            format!(
                "\"original_max_position_embeddings\":8192,\"rope_scaling\":{}",
                without(SCALED)
            ),
            format!("\"rope_scaling\":{}", without(SCALED)),
        ] {
            assert_eq!(with("\"rope_scaling\":null", &text).unwrap(), older, "{text}");
        }
    }

    /// Scaling without the number of original positions.
    fn without(scaling: &str) -> String {
        let short = scaling.replace("\"original_max_position_embeddings\":8192,", "");
        assert_ne!(short, scaling);
        short
    }

    #[test]
    fn each_kind_of_rotary_scaling_reads_under_either_word() {
        for (fields, expected) in [
            ("", None),
            ("\"rope_type\":\"default\"", None),
            ("\"type\":\"default\",\"factor\":8.0", None),
            ("\"rope_type\":\"default\",\"type\":\"default\"", None),
            (
                "\"type\":\"linear\",\"factor\":4",
                Some(RopeScaling::Linear { factor: 4.0 }),
            ),
            (
                "\"rope_type\":\"linear\",\"type\":\"linear\",\"factor\":4.0",
                Some(RopeScaling::Linear { factor: 4.0 }),
            ),
        ] {
            for key in ["rope_scaling", "rope_parameters"] {
                let config = with("\"rope_scaling\":null", &format!("\"{key}\":{{{fields}}}")).unwrap();
                assert_eq!(
                    (config.rope_scaling, config.rope_theta),
                    (expected, 500_000.0),
                    "{key} {fields}"
                );
            }
        }
        for (text, key) in [
            (
                "\"rope_scaling\":{\"type\":\"linear\",\"rope_type\":\"llama3\"}",
                "rope_scaling.type",
            ),
            ("\"rope_parameters\":{\"rope_theta\":1e4}", "rope_theta"),
            (
                "\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},\"rope_parameters\":{\"rope_type\":\"default\"}",
                "rope_parameters",
            ),
            ("\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}", "dynamic"),
            ("\"rope_parameters\":{\"rope_type\":\"longrope\"}", "longrope"),
            ("\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2}", "yarn"),
            (
                "\"rope_parameters\":{\"partial_rotary_factor\":0.5}",
                "partial_rotary_factor",
            ),
            ("\"rope_scaling\":\"linear\"", "line"),
        ] {
            let error = with("\"rope_scaling\":null", text).unwrap_err().to_string();
            assert!(error.contains(key), "{key}: {error}");
        }
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
            (
                "\"eos_token_id\":128001",
                "\"eos_token_id\":[1,\"</s>\"]",
                "eos_token_id",
            ),
            ("\"bos_token_id\":128000", "\"bos_token_id\":128256", "bos_token_id"),
            ("LlamaForCausalLM", "MistralForCausalLM", "architectures"),
            ("\"bfloat16\"", "\"int8\"", "torch_dtype"),
            (
                "\"use_cache\":true",
                "\"is_encoder_decoder\":true",
                "is_encoder_decoder",
            ),
            (
                "\"use_cache\":true",
                "\"partial_rotary_factor\":0.5",
                "partial_rotary_factor",
            ),
            ("\"use_cache\":true", "\"sliding_window\":4096", "sliding_window"),
            (
                "\"use_cache\":true",
                "\"layer_types\":[\"sliding_attention\"]",
                "layer_types",
            ),
            (
                "\"use_cache\":true",
                "\"quantization_config\":{\"quant_method\":\"gptq\"}",
                "quantization_config",
            ),
            ("\"use_cache\":true", "\"scale_embedding\":true", "scale_embedding"),
            (
                "\"use_cache\":true",
                "\"text_config\":{\"vocab_size\":3}",
                "text_config",
            ),
            ("\"use_cache\":true", "\"suppress_tokens\":[3]", "suppress_tokens"),
            ("\"vocab_size\":128256", "\"vocab_size\":1180591620717411303424", "line"),
            (
                "\"hidden_size\":4096",
                "\"hidden_size\":9007199254740993",
                "hidden_size",
            ),
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
