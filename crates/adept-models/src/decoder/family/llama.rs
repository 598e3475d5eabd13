//! Llama (Touvron et al. 2023, arXiv 2302.13971 and 2307.09288; Llama 3: arXiv 2407.21783): RMS pre-norms, rotary
//! positions over whole heads, grouped-query attention, a gated SiLU feed-forward layer. Llama 2, 3, 3.1, 3.2,
//! TinyLlama, SmolLM and SmolLM2 differ in their sizes, the scaling of rotary frequencies and whether the head is tied.

use std::path::Path;

use adept_core::ModelSites;
use adept_kernels::RotaryPairs;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auto::{Family, ModelConfig};
use crate::causal::Rotary;
use crate::decoder::config::{Activation, Biases, DecoderConfig, FeedForwardKind, Pattern, ProjectionKind, Residual};
use crate::decoder::names;
use crate::decoder::norm::NormKind;
use crate::decoder::rope::{Rope, RopeScaling};
use crate::decoder::rope_fields::{self, RopeFields, Stated};
use crate::error::ModelError;
use crate::files::{ConfigFiles, Object, Signs, one_or_many};

/// What the files of Llama and its relatives have in common, with Hugging Face's field names.
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
    partial_rotary_factor: Option<f64>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    attention_dropout: Option<f64>,
    initializer_range: Option<f64>,
}

/// How the files of one of Llama's relatives are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub family: Family,
    pub signs: Signs,
    /// Values of `hidden_act` that mean the family's activation.
    pub activations: &'static [&'static str],
    /// Whether a part of a head's channels may be rotated.
    pub rotates_parts: bool,
    /// Whether `longrope` may be called `su` or `yarn`.
    pub has_old_longrope: bool,
    /// Whether `rope_parameters` holds settings for each type of layer, which the family reads itself.
    pub has_ropes_by_layer: bool,
    /// transformers' values for absent keys.
    pub absent: Absent,
}

/// transformers' values for absent keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absent {
    pub positions: usize,
    pub theta: f64,
    pub epsilon: f64,
    /// Channels of a head; if `None`, the width divided by the heads.
    pub head_dim: Option<usize>,
    /// Key/value heads; if `None`, as many as of queries.
    pub key_heads: Option<usize>,
    pub is_tied: bool,
    pub eos: u32,
    pub pad: Option<u32>,
    /// Number of positions before they were scaled; if `None`, that of all.
    pub original: Option<f64>,
}

/// Llama's.
pub(super) const DIALECT: Dialect = Dialect {
    family: Family::Llama,
    signs: Signs::causal("llama", "llama"),
    activations: &["silu", "swish"],
    rotates_parts: false,
    has_old_longrope: false,
    has_ropes_by_layer: false,
    absent: Absent {
        positions: 2048,
        theta: 10000.0,
        epsilon: 1e-6,
        head_dim: None,
        key_heads: None,
        is_tied: false,
        eos: 2,
        pad: None,
        original: None,
    },
};

/// Reads a Llama's files.
pub(crate) fn read(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    let config = read_as(files, &DIALECT)?;
    check_window(&files.config)?;
    Ok(config)
}

/// Reads the files of a relative as a Llama's, whose architecture its own module completes and validates.
pub(super) fn read_as(files: &ConfigFiles, dialect: &Dialect) -> Result<DecoderConfig, ModelError> {
    let (llama, part) = LlamaConfig::read(files, dialect)?;
    let channels = (llama.head_dim as f64 * part) as usize;
    let mut config = DecoderConfig {
        family: dialect.family,
        file: files.config.fields().clone(),
        ..DecoderConfig::from(&llama)
    };
    if let Some(rope) = &mut config.rope {
        rope.channels = channels;
    }
    config.validate()?;
    Ok(config)
}

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
        let (config, _) = Self::read(files, &DIALECT)?;
        check_window(&files.config)?;
        config.validate()?;
        Ok(config)
    }

    /// Reads files of that dialect: what they share with a Llama's, not validated, and the part of a head's channels
    /// that is rotated.
    fn read(files: &ConfigFiles, dialect: &Dialect) -> Result<(Self, f64), ModelError> {
        files.check(dialect.signs)?;
        let file: File = files.fields()?;
        let (settings, absent) = (&files.config, dialect.absent);
        let activations: Vec<Value> = dialect.activations.iter().map(|&name| name.into()).collect();
        settings.only("hidden_act", &activations)?;
        if !dialect.rotates_parts {
            settings.only("partial_rotary_factor", &[1.into()])?;
        }
        let positions = file.max_position_embeddings.unwrap_or(absent.positions);
        let current = |fields: Option<RopeFields>| match dialect.has_old_longrope {
            true => fields.map(RopeFields::with_current_name),
            false => fields,
        };
        let rope = rope_fields::resolve(
            settings,
            &Stated {
                scaling: current(file.rope_scaling),
                parameters: current(file.rope_parameters),
                theta: file.rope_theta,
                part: file.partial_rotary_factor,
                original: file.original_max_position_embeddings,
                usual_original: absent.original,
                is_by_layer: dialect.has_ropes_by_layer,
                positions,
            },
        )?;
        let part = rope.part.unwrap_or(1.0);
        if part != 1.0 && !dialect.rotates_parts {
            return Err(settings.refuse("partial_rotary_factor", 1, part));
        }
        if !(part > 0.0 && part <= 1.0) {
            return Err(settings.refuse("partial_rotary_factor", "above 0, at most 1", part));
        }
        let tokens = files.tokens()?;
        let eos_token_ids = tokens.eos.unwrap_or(vec![absent.eos]);
        // A null is no padding token, whatever the default for an absent key.
        let usual = absent.pad.filter(|_| !settings.is_null("pad_token_id"));
        let pad_token_id = tokens.pad.or(usual).unwrap_or(eos_token_ids[0]);
        let heads = file.num_attention_heads;
        let config = Self {
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            num_hidden_layers: file.num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: file.num_key_value_heads.or(absent.key_heads).unwrap_or(heads),
            head_dim: file
                .head_dim
                .or(absent.head_dim)
                .unwrap_or(file.hidden_size / heads.max(1)),
            max_position_embeddings: positions,
            rms_norm_eps: file.rms_norm_eps.unwrap_or(absent.epsilon),
            rope_theta: rope.theta.unwrap_or(absent.theta),
            rope_scaling: rope.scaling,
            attention_bias: file.attention_bias.unwrap_or(false),
            mlp_bias: file.mlp_bias.unwrap_or(false),
            tie_word_embeddings: file.tie_word_embeddings.unwrap_or(absent.is_tied),
            dropout_rate: file.attention_dropout.unwrap_or(0.0),
            initializer_range: file.initializer_range.unwrap_or(0.02),
            bos_token_id: tokens.bos,
            eos_token_ids,
            pad_token_id,
        };
        Ok((config, part))
    }

    /// Refuses impossible sizes and token ids outside of the vocabulary.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn validate(&self) -> Result<(), ModelError> {
        DecoderConfig::from(self).validate()
    }

    /// Every place of the model.
    pub fn sites(&self) -> ModelSites {
        DecoderConfig::from(self).sites()
    }

    /// Rotary frequencies after scaling.
    pub fn rotary(&self) -> Rotary {
        DecoderConfig::from(self).rotary()
    }

    /// The configuration as transformers reads it, for weights of an element type given by its PyTorch name.
    pub fn to_json_as(&self, torch_dtype: &str) -> String {
        format!("{:#}\n", self.to_value(torch_dtype))
    }

    fn to_value(&self, torch_dtype: &str) -> Value {
        json!({
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
            "rope_scaling": self.rope_scaling.as_ref().map(RopeScaling::to_value),
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": torch_dtype,
            "use_cache": true,
            "vocab_size": self.vocab_size,
        })
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

impl From<&LlamaConfig> for DecoderConfig {
    /// A Llama's architecture, or what a relative's is made from.
    fn from(llama: &LlamaConfig) -> Self {
        Self {
            family: Family::Llama,
            vocab_size: llama.vocab_size,
            hidden_size: llama.hidden_size,
            intermediate_size: llama.intermediate_size,
            blocks: llama.num_hidden_layers,
            heads: llama.num_attention_heads,
            key_heads: llama.num_key_value_heads,
            head_dim: llama.head_dim,
            positions: llama.max_position_embeddings,
            projections: ProjectionKind::Apart,
            feed_forward: FeedForwardKind::Gated,
            activation: Activation::Silu,
            biases: Biases {
                projections: llama.attention_bias,
                output: llama.attention_bias,
                feed_forward: llama.mlp_bias,
                head: false,
            },
            norm: NormKind::Rms,
            norm_epsilon: llama.rms_norm_eps,
            residual: Residual::Sequential,
            has_output_norms: false,
            has_head_norms: false,
            rope: Some(Rope::new(llama.rope_theta, llama.head_dim, llama.rope_scaling.clone())),
            window_rope: None,
            pairs: RotaryPairs::Halves,
            rotated: Pattern::Always,
            has_position_table: false,
            window: None,
            windowed: Pattern::Never,
            query_scalar: None,
            score_cap: None,
            logit_cap: None,
            embedding_scale: 1.0,
            is_tied: llama.tie_word_embeddings,
            dropout_rate: llama.dropout_rate,
            drops_layers: false,
            initializer_range: llama.initializer_range,
            bos_token_id: llama.bos_token_id,
            eos_token_ids: llama.eos_token_ids.clone(),
            pad_token_id: llama.pad_token_id,
            names: &names::LLAMA,
            file: match llama.to_value("float32") {
                Value::Object(file) => file,
                _ => unreachable!("it is made as an object"),
            },
        }
    }
}

impl ModelConfig for LlamaConfig {
    fn sites(&self) -> ModelSites {
        LlamaConfig::sites(self)
    }

    fn parameters(&self) -> usize {
        DecoderConfig::from(self).parameters()
    }

    fn dropout_rate(&self) -> f64 {
        self.dropout_rate
    }

    fn eos_token_ids(&self) -> &[u32] {
        &self.eos_token_ids
    }

    fn summary(&self) -> Vec<(&'static str, String)> {
        DecoderConfig::from(self).summary()
    }
}

/// Refuses sliding-window attention. `Llama` in transformers has none, but files of models converted to it may ask for
/// it.
fn check_window(settings: &Object) -> Result<(), ModelError> {
    let full = "full_attention";
    if let Some(Value::Array(types)) = settings.get("layer_types")
        && let Some(other) = types.iter().find(|layer| *layer != full)
    {
        return Err(settings.refuse("layer_types", full, other));
    }
    let is_used = settings.get("use_sliding_window") != Some(&Value::Bool(false));
    let positions = settings.get("max_position_embeddings").and_then(Value::as_u64);
    let positions = positions.unwrap_or(DIALECT.absent.positions as u64);
    match settings.get("sliding_window").filter(|_| is_used) {
        Some(window) if window.as_u64().is_none_or(|window| window < positions) => {
            let expected = format!("nothing, or at least max_position_embeddings {positions}");
            Err(settings.refuse("sliding_window", expected, window))
        }
        _ => Ok(()),
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
            (
                "\"type\":\"dynamic\",\"factor\":2",
                Some(RopeScaling::Dynamic { factor: 2.0 }),
            ),
        ] {
            for key in ["rope_scaling", "rope_parameters"] {
                let config = with("\"rope_scaling\":null", &format!("\"{key}\":{{{fields}}}")).unwrap();
                assert_eq!(
                    (config.rope_scaling, config.rope_theta),
                    (expected.clone(), 500_000.0),
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
            ("\"rope_scaling\":{\"type\":\"dynamic\"}", "rope_scaling.factor"),
            (
                "\"rope_parameters\":{\"rope_type\":\"longrope\"}",
                "rope_parameters.short_factor",
            ),
            (
                "\"rope_parameters\":{\"rope_type\":\"longrope\",\"short_factor\":[1,2],\"long_factor\":[1,2]}",
                "short_factor",
            ),
            ("\"rope_scaling\":{\"rope_type\":\"yarn\"}", "rope_scaling.factor"),
            ("\"rope_scaling\":{\"rope_type\":\"mrope\"}", "mrope"),
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
                "\"rope_scaling\":{\"rope_type\":\"proportional\"}",
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
