//! GPT-2 (Radford et al. 2019): layer norms, learned positions, one biased map for queries, keys and values, GELU in
//! its tanh form, a tied head. Checkpoints hold linear maps as `[in, out]`.

use adept_kernels::RotaryPairs;
use serde::Deserialize;

use crate::auto::Family;
use crate::decoder::config::{
    Activation, Biases, DecoderConfig, FeedForwardKind, FusedOrder, Pattern, ProjectionKind, Residual,
};
use crate::decoder::names::{self, Fields, Names};
use crate::decoder::norm::NormKind;
use crate::error::ModelError;
use crate::files::{ConfigFiles, Signs};

const NAMES: Names = Names {
    prefix: "transformer.",
    embedding: "transformer.wte",
    positions: "transformer.wpe",
    blocks: "transformer.h",
    final_norm: "transformer.ln_f",
    attention: "attn",
    query_key_value: "attn.c_attn",
    output: "attn.c_proj",
    up: "mlp.c_fc",
    down: "mlp.c_proj",
    before_attention: "ln_1",
    before_feed_forward: "ln_2",
    leftovers: &[".attn.bias", ".attn.masked_bias"],
    is_transposed: true,
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
    dropout: "resid_pdrop",
    ..names::LLAMA_FIELDS
};

#[derive(Debug, Deserialize)]
struct File {
    vocab_size: usize,
    n_positions: Option<usize>,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_inner: Option<usize>,
    layer_norm_epsilon: Option<f64>,
    resid_pdrop: Option<f64>,
    embd_pdrop: Option<f64>,
    attn_pdrop: Option<f64>,
    tie_word_embeddings: Option<bool>,
    initializer_range: Option<f64>,
}

/// Reads a GPT-2's files.
pub(crate) fn read(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    files.check(Signs::causal("gpt2", "gpt2"))?;
    let (file, settings): (File, _) = (files.fields()?, &files.config);
    settings.only("activation_function", &["gelu_new".into(), "gelu_pytorch_tanh".into()])?;
    settings.only("scale_attn_weights", &[true.into()])?;
    settings.only("scale_attn_by_inverse_layer_idx", &[false.into()])?;
    // transformers takes either name, and the second one first.
    let others = [
        ("num_attention_heads", file.n_head),
        ("hidden_size", file.n_embd),
        ("num_hidden_layers", file.n_layer),
        ("max_position_embeddings", file.n_positions.unwrap_or(1024)),
    ];
    for (key, value) in others {
        settings.only(key, &[value.into()])?;
    }
    // Only a single rate for all three is supported.
    let dropout_rate = file.resid_pdrop.unwrap_or(0.1);
    for (key, rate) in [("embd_pdrop", file.embd_pdrop), ("attn_pdrop", file.attn_pdrop)] {
        let found = rate.unwrap_or(0.1);
        if found != dropout_rate {
            return Err(settings.refuse(key, format!("{dropout_rate} as resid_pdrop"), found));
        }
    }
    let (heads, width) = (file.n_head, file.n_embd);
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(settings.refuse("n_head", format!("a divisor of n_embd {width}"), heads));
    }
    let tokens = files.tokens()?;
    let eos_token_ids = tokens.eos.unwrap_or(vec![50256]);
    let config = DecoderConfig {
        family: Family::Gpt2,
        vocab_size: file.vocab_size,
        hidden_size: width,
        intermediate_size: file.n_inner.unwrap_or(width.saturating_mul(4)),
        blocks: file.n_layer,
        heads,
        key_heads: heads,
        head_dim: width / heads,
        positions: file.n_positions.unwrap_or(1024),
        projections: ProjectionKind::Fused(FusedOrder::Plain),
        feed_forward: FeedForwardKind::Plain,
        activation: Activation::GeluTanh,
        biases: Biases {
            projections: true,
            output: true,
            feed_forward: true,
            head: false,
        },
        norm: NormKind::Layer,
        norm_epsilon: file.layer_norm_epsilon.unwrap_or(1e-5),
        residual: Residual::Sequential,
        has_output_norms: false,
        has_head_norms: false,
        rope: None,
        window_rope: None,
        pairs: RotaryPairs::Halves,
        rotated: Pattern::Never,
        has_position_table: true,
        window: None,
        windowed: Pattern::Never,
        query_scalar: None,
        score_cap: None,
        logit_cap: None,
        embedding_scale: 1.0,
        is_tied: file.tie_word_embeddings.unwrap_or(true),
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
