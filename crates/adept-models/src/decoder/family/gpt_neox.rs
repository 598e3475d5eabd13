//! GPT-NeoX (Black et al. 2022, arXiv 2204.06745) and Pythia (arXiv 2304.01373): layer norms, sublayers in parallel
//! with a norm each or in turn, one biased map for queries, keys and values head by head, rotary positions over the
//! first channels of each head.

use adept_kernels::RotaryPairs;
use serde::Deserialize;
use serde_json::Value;

use crate::auto::Family;
use crate::decoder::config::{
    Activation, Biases, DecoderConfig, FeedForwardKind, FusedOrder, Pattern, ProjectionKind, Residual,
};
use crate::decoder::names::{self, Fields, Names};
use crate::decoder::norm::NormKind;
use crate::decoder::rope::Rope;
use crate::decoder::rope_fields::{self, RopeFields, Stated};
use crate::error::ModelError;
use crate::files::{ConfigFiles, Signs};

const NAMES: Names = Names {
    prefix: "gpt_neox.",
    embedding: "gpt_neox.embed_in",
    blocks: "gpt_neox.layers",
    final_norm: "gpt_neox.final_layer_norm",
    head: "embed_out",
    other_head: Some("lm_head"),
    attention: "attention",
    query_key_value: "attention.query_key_value",
    output: "attention.dense",
    up: "mlp.dense_h_to_4h",
    down: "mlp.dense_4h_to_h",
    leftovers: &["attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"],
    fields: &FIELDS,
    ..names::LLAMA
};

const FIELDS: Fields = Fields {
    key_heads: "num_attention_heads",
    head_dim: "hidden_size",
    norm_epsilon: "layer_norm_eps",
    theta: "rotary_emb_base",
    rotated: "rotary_pct",
    ..names::LLAMA_FIELDS
};

#[derive(Debug, Deserialize)]
struct File {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: Option<usize>,
    layer_norm_eps: Option<f64>,
    use_parallel_residual: Option<bool>,
    rotary_pct: Option<f64>,
    rotary_emb_base: Option<f64>,
    /// Number of positions before they were scaled; also in `rope_scaling`.
    original_max_position_embeddings: Option<f64>,
    rope_scaling: Option<RopeFields>,
    rope_parameters: Option<RopeFields>,
    attention_bias: Option<bool>,
    attention_dropout: Option<f64>,
    hidden_dropout: Option<f64>,
    tie_word_embeddings: Option<bool>,
    initializer_range: Option<f64>,
}

/// Reads a GPT-NeoX's files.
pub(crate) fn read(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    files.check(Signs::causal("gpt_neox", "gptneox"))?;
    let (file, settings): (File, _) = (files.fields()?, &files.config);
    let activation = match settings.get("hidden_act").and_then(Value::as_str) {
        None | Some("gelu") => Activation::Gelu,
        Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Activation::GeluTanh,
        Some(other) => {
            return Err(settings.refuse("hidden_act", "gelu, gelu_new, gelu_pytorch_tanh or gelu_fast", other));
        }
    };
    let dropout_rate = file.attention_dropout.unwrap_or(0.0);
    let hidden = file.hidden_dropout.unwrap_or(0.0);
    if hidden != dropout_rate {
        let expected = format!("{dropout_rate} as attention_dropout");
        return Err(settings.refuse("hidden_dropout", expected, hidden));
    }
    let (heads, hidden_size) = (file.num_attention_heads, file.hidden_size);
    if heads == 0 || !hidden_size.is_multiple_of(heads) {
        let expected = format!("a divisor of hidden_size {hidden_size}");
        return Err(settings.refuse("num_attention_heads", expected, heads));
    }
    let head_dim = hidden_size / heads;
    settings.only("head_dim", &[head_dim.into()])?;
    let positions = file.max_position_embeddings.unwrap_or(2048);
    let rope = rope_fields::resolve(
        settings,
        &Stated {
            scaling: file.rope_scaling,
            parameters: file.rope_parameters,
            theta: file.rotary_emb_base,
            part: file.rotary_pct,
            original: file.original_max_position_embeddings,
            usual_original: None,
            is_by_layer: false,
            positions,
        },
    )?;
    let part = rope.part.unwrap_or(0.25);
    let has_bias = file.attention_bias.unwrap_or(true);
    let tokens = files.tokens()?;
    let eos_token_ids = tokens.eos.unwrap_or(vec![2]);
    let config = DecoderConfig {
        family: Family::GptNeoX,
        vocab_size: file.vocab_size,
        hidden_size,
        intermediate_size: file.intermediate_size,
        blocks: file.num_hidden_layers,
        heads,
        key_heads: heads,
        head_dim,
        positions,
        projections: ProjectionKind::Fused(FusedOrder::ByHead),
        feed_forward: FeedForwardKind::Plain,
        activation,
        biases: Biases {
            projections: has_bias,
            output: has_bias,
            feed_forward: true,
            head: false,
        },
        norm: NormKind::Layer,
        norm_epsilon: file.layer_norm_eps.unwrap_or(1e-5),
        residual: match file.use_parallel_residual.unwrap_or(true) {
            true => Residual::Parallel,
            false => Residual::Sequential,
        },
        has_output_norms: false,
        has_head_norms: false,
        rope: Some(Rope::new(
            rope.theta.unwrap_or(10000.0),
            (head_dim as f64 * part) as usize,
            rope.scaling,
        )),
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
        is_tied: file.tie_word_embeddings.unwrap_or(false),
        dropout_rate,
        drops_layers: true,
        initializer_range: file.initializer_range.unwrap_or(0.02),
        bos_token_id: tokens.bos,
        pad_token_id: tokens.pad.unwrap_or(eos_token_ids[0]),
        eos_token_ids,
        names: &NAMES,
        file: settings.fields().clone(),
    };
    config.validate()?;
    Ok(config)
}
