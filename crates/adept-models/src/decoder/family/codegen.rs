//! CodeGen (Nijkamp et al. 2022, arXiv 2203.13474): a decoder-only model for code. Attention and feed-forward layer run
//! in parallel after a single layer norm, `x + attention(n) + mlp(n)` with `n = norm(x)`; rotary positions rotate
//! adjacent channels, and only the first ones of each head; the output head is untied and has a bias.

use std::path::Path;

use adept_core::ModelSites;
use adept_kernels::RotaryPairs;
use serde::Deserialize;
use serde_json::Value;

use crate::auto::{Family, ModelConfig};
use crate::decoder::config::{
    Activation, Biases, DecoderConfig, FeedForwardKind, FusedOrder, Pattern, ProjectionKind, Residual,
};
use crate::decoder::names::{self, Fields, Names};
use crate::decoder::norm::NormKind;
use crate::decoder::rope::Rope;
use crate::error::ModelError;
use crate::files::{ConfigFiles, Signs, one_or_many};
use crate::json;

const NAMES: Names = Names {
    prefix: "transformer.",
    embedding: "transformer.wte",
    blocks: "transformer.h",
    final_norm: "transformer.ln_f",
    attention: "attn",
    query_key_value: "attn.qkv_proj",
    output: "attn.out_proj",
    up: "mlp.fc_in",
    down: "mlp.fc_out",
    before_attention: "ln_1",
    before_feed_forward: "",
    leftovers: &[".attn.causal_mask", ".attn.masked_bias", ".attn.bias"],
    fields: &FIELDS,
    ..names::LLAMA
};

const FIELDS: Fields = Fields {
    hidden_size: "n_embd",
    intermediate_size: "n_inner",
    blocks: "n_layer",
    heads: "n_head",
    key_heads: "n_head",
    head_dim: "n_embd",
    positions: "n_positions",
    norm_epsilon: "layer_norm_epsilon",
    rotated: "rotary_dim",
    dropout: "resid_pdrop",
    ..names::LLAMA_FIELDS
};

/// `qkv_proj` consists of this many parts, each with its own queries, values and keys: the number of devices the model
/// was trained on.
const PARTS: usize = 4;

/// A CodeGen's architecture, with Hugging Face's field names.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeGenConfig {
    /// Rows of the embedding matrix; larger than the tokenizer's vocabulary (51200 against 50295).
    pub vocab_size: usize,
    /// Number of positions it was trained for.
    pub n_positions: usize,
    /// Channels of the residual stream.
    pub n_embd: usize,
    /// Number of blocks.
    pub n_layer: usize,
    /// Number of attention heads.
    pub n_head: usize,
    /// Rotated channels per head.
    pub rotary_dim: usize,
    /// Inner channels of the feed-forward layers.
    pub n_inner: usize,
    /// Epsilon added to the variance in every norm.
    pub layer_norm_epsilon: f64,
    /// Dropout of embeddings, attention weights and layers; only used by the `reference` preset. The published models
    /// have 0.
    pub dropout_rate: f64,
    /// Standard deviation of random initialisation.
    pub initializer_range: f64,
    /// The end tokens; training appends the first.
    pub eos_token_ids: Vec<u32>,
    /// The padding token: the file's, or else the end token.
    pub pad_token_id: u32,
}

/// The fields of `config.json`; those that some models omit are optional.
#[derive(Debug, Deserialize)]
struct File {
    vocab_size: usize,
    n_positions: Option<usize>,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    rotary_dim: Option<usize>,
    n_inner: Option<usize>,
    layer_norm_epsilon: Option<f64>,
    resid_pdrop: Option<f64>,
    embd_pdrop: Option<f64>,
    attn_pdrop: Option<f64>,
    initializer_range: Option<f64>,
}

/// Reads a CodeGen's files.
pub(crate) fn read(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    let config = CodeGenConfig::parse(files)?;
    Ok(DecoderConfig {
        file: files.config.fields().clone(),
        ..DecoderConfig::from(&config)
    })
}

impl CodeGenConfig {
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
        files.check(Signs::causal("codegen", "codegen"))?;
        let file: File = files.fields()?;
        let settings = &files.config;
        settings.only("activation_function", &["gelu_new".into(), "gelu_pytorch_tanh".into()])?;
        settings.only("scale_attn_weights", &[true.into()])?;
        settings.only("tie_word_embeddings", &[false.into()])?;
        // transformers takes either name, and the second one first.
        let others = [
            ("num_attention_heads", file.n_head),
            ("hidden_size", file.n_embd),
            ("num_hidden_layers", file.n_layer),
        ];
        for (key, value) in others {
            settings.only(key, &[value.into()])?;
        }
        // With null, transformers rotates all channels of the embedding, across its heads.
        if settings.is_null("rotary_dim") {
            return Err(settings.refuse("rotary_dim", "a number", "null"));
        }
        // Only a single rate for all three is supported.
        let dropout = file.resid_pdrop.unwrap_or(0.0);
        for (key, rate) in [("embd_pdrop", file.embd_pdrop), ("attn_pdrop", file.attn_pdrop)] {
            if let Some(found) = rate.filter(|rate| *rate != dropout) {
                return Err(settings.refuse(key, format!("{dropout} as resid_pdrop"), found));
            }
        }
        let tokens = files.tokens()?;
        let eos_token_ids = tokens.eos.unwrap_or(vec![50256]);
        let pad_token_id = tokens.pad.unwrap_or(eos_token_ids[0]);
        let config = Self {
            vocab_size: file.vocab_size,
            n_positions: file.n_positions.unwrap_or(2048),
            n_embd: file.n_embd,
            n_layer: file.n_layer,
            n_head: file.n_head,
            rotary_dim: file.rotary_dim.unwrap_or(64),
            n_inner: file.n_inner.unwrap_or(file.n_embd.saturating_mul(4)),
            layer_norm_epsilon: file.layer_norm_epsilon.unwrap_or(1e-5),
            dropout_rate: dropout,
            initializer_range: file.initializer_range.unwrap_or(0.02),
            eos_token_ids,
            pad_token_id,
        };
        config.validate()?;
        if let Some(bos) = tokens.bos {
            json::token("bos_token_id", bos, config.vocab_size)?;
        }
        Ok(config)
    }

    /// Refuses impossible sizes and token ids outside of the vocabulary.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn validate(&self) -> Result<(), ModelError> {
        json::sizes(&[("n_embd", self.n_embd), ("n_head", self.n_head)])?;
        if !self.n_head.is_multiple_of(PARTS) {
            let expected = format!("a multiple of {PARTS}, the parts of qkv_proj");
            return Err(ModelError::config("n_head", expected, self.n_head));
        }
        if !self.n_embd.is_multiple_of(self.n_head) {
            let expected = format!("a multiple of n_head {}", self.n_head);
            return Err(ModelError::config("n_embd", expected, self.n_embd));
        }
        DecoderConfig::from(self).validate()
    }

    /// Every place of the model.
    pub fn sites(&self) -> ModelSites {
        DecoderConfig::from(self).sites()
    }

    /// Channels per head.
    pub fn head_channels(&self) -> usize {
        self.n_embd / self.n_head
    }

    /// The configuration as transformers reads it, for weights of an element type given by its PyTorch name.
    pub fn to_json_as(&self, torch_dtype: &str) -> String {
        format!("{:#}\n", self.to_value(torch_dtype))
    }

    fn to_value(&self, torch_dtype: &str) -> Value {
        serde_json::json!({
            "activation_function": "gelu_new",
            "architectures": ["CodeGenForCausalLM"],
            "attn_pdrop": self.dropout_rate,
            "bos_token_id": 1,
            "embd_pdrop": self.dropout_rate,
            "eos_token_id": one_or_many(&self.eos_token_ids),
            "initializer_range": self.initializer_range,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "model_type": "codegen",
            "n_ctx": self.n_positions,
            "n_embd": self.n_embd,
            "n_head": self.n_head,
            "n_inner": self.n_inner,
            "n_layer": self.n_layer,
            "n_positions": self.n_positions,
            "pad_token_id": self.pad_token_id,
            "resid_pdrop": self.dropout_rate,
            "rotary_dim": self.rotary_dim,
            "tie_word_embeddings": false,
            "torch_dtype": torch_dtype,
            "use_cache": true,
            "vocab_size": self.vocab_size,
        })
    }

    /// The published CodeGen-350M: 356.7 M parameters.
    pub fn codegen_350m() -> Self {
        Self {
            vocab_size: 51200,
            n_positions: 2048,
            n_embd: 1024,
            n_layer: 20,
            n_head: 16,
            rotary_dim: 32,
            n_inner: 4096,
            layer_norm_epsilon: 1e-5,
            dropout_rate: 0.0,
            initializer_range: 0.02,
            eos_token_ids: vec![50256],
            pad_token_id: 50256,
        }
    }
}

impl From<&CodeGenConfig> for DecoderConfig {
    fn from(codegen: &CodeGenConfig) -> Self {
        Self {
            family: Family::CodeGen,
            vocab_size: codegen.vocab_size,
            hidden_size: codegen.n_embd,
            intermediate_size: codegen.n_inner,
            blocks: codegen.n_layer,
            heads: codegen.n_head,
            key_heads: codegen.n_head,
            head_dim: codegen.head_channels(),
            positions: codegen.n_positions,
            projections: ProjectionKind::Fused(FusedOrder::Parts(PARTS)),
            feed_forward: FeedForwardKind::Plain,
            activation: Activation::GeluTanh,
            biases: Biases {
                feed_forward: true,
                head: true,
                ..Biases::default()
            },
            norm: NormKind::Layer,
            norm_epsilon: codegen.layer_norm_epsilon,
            residual: Residual::ParallelShared,
            has_output_norms: false,
            has_head_norms: false,
            rope: Some(Rope::new(10000.0, codegen.rotary_dim, None)),
            window_rope: None,
            pairs: RotaryPairs::Neighbours,
            rotated: Pattern::Always,
            has_position_table: false,
            window: None,
            windowed: Pattern::Never,
            query_scalar: None,
            score_cap: None,
            logit_cap: None,
            embedding_scale: 1.0,
            is_tied: false,
            dropout_rate: codegen.dropout_rate,
            drops_layers: true,
            initializer_range: codegen.initializer_range,
            bos_token_id: None,
            eos_token_ids: codegen.eos_token_ids.clone(),
            pad_token_id: codegen.pad_token_id,
            names: &NAMES,
            file: match codegen.to_value("float32") {
                Value::Object(file) => file,
                _ => unreachable!("it is made as an object"),
            },
        }
    }
}

impl ModelConfig for CodeGenConfig {
    fn sites(&self) -> ModelSites {
        CodeGenConfig::sites(self)
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

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHED: &str = r#"{"activation_function":"gelu_new","architectures":["CodeGenForCausalLM"],"attn_pdrop":0.0,
        "bos_token_id":1,"embd_pdrop":0.0,"eos_token_id":50256,"gradient_checkpointing":false,"initializer_range":0.02,
        "layer_norm_epsilon":1e-05,"model_type":"codegen","n_ctx":2048,"n_embd":1024,"n_head":16,"n_inner":null,
        "n_layer":20,"n_positions":2048,"resid_pdrop":0.0,"rotary_dim":32,"scale_attn_weights":true,
        "tie_word_embeddings":false,"use_cache":true,"vocab_size":51200}"#;

    #[test]
    fn the_published_config_reads_and_what_is_written_reads_back() {
        let config = CodeGenConfig::from_json(PUBLISHED).unwrap();
        assert_eq!(config, CodeGenConfig::codegen_350m());
        assert_eq!(CodeGenConfig::from_json(&config.to_json_as("float32")).unwrap(), config);
    }

    #[test]
    fn each_bad_field_is_named() {
        for (from, to, field) in [
            ("\"codegen\"", "\"gptj\"", "model_type"),
            ("gelu_new", "relu", "activation_function"),
            ("\"n_head\":16", "\"n_head\":6", "n_head"),
            ("\"n_embd\":1024", "\"n_embd\":1020", "n_embd"),
            ("\"rotary_dim\":32", "\"rotary_dim\":66", "rotary_dim"),
            ("\"rotary_dim\":32", "\"rotary_dim\":31", "rotary_dim"),
            ("\"eos_token_id\":50256", "\"eos_token_id\":51200", "eos_token_id"),
            (
                "\"tie_word_embeddings\":false",
                "\"tie_word_embeddings\":true",
                "tie_word_embeddings",
            ),
            ("1e-05", "0.0", "layer_norm_epsilon"),
            ("\"rotary_dim\":32", "\"rotary_dim\":null", "rotary_dim"),
            ("\"attn_pdrop\":0.0", "\"attn_pdrop\":0.1", "attn_pdrop"),
            (
                "scale_attn_weights\":true",
                "scale_attn_weights\":false",
                "scale_attn_weights",
            ),
            ("CodeGenForCausalLM", "GPTJForCausalLM", "architectures"),
            ("\"n_embd\":1024", "\"n_embd\":4611686018427387904", "n_embd"),
            ("\"bos_token_id\":1", "\"bos_token_id\":51200", "bos_token_id"),
        ] {
            let text = PUBLISHED.replace(from, to);
            assert_ne!(text, PUBLISHED, "{from}");
            let error = CodeGenConfig::from_json(&text).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        }
    }
}
