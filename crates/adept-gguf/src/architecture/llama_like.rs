//! Shared by Llama and its relatives: RMS norms, rotary positions, a gated feed-forward layer.

use serde_json::{Map, Value, json};

use super::rope::{self, Rope};
use super::source::{EMBEDDING, HEAD};
use super::tensors::{Change, RowOrder, Tensors};
use super::{Model, Source};
use crate::error::GgufError;

/// Sizes of a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub width: usize,
    pub inner: usize,
    pub blocks: usize,
    pub heads: usize,
    pub key_heads: usize,
    pub head_dim: usize,
    pub positions: usize,
    pub vocabulary: usize,
}

impl Sizes {
    pub fn read(source: &Source<'_>) -> Result<Self, GgufError> {
        let at_least = |name: &str, least: usize, found: usize| match found >= least {
            true => Ok(found),
            false => Err(source.refuse(name, format!("{least} or more"), found)),
        };
        let positive = |name: &str| at_least(name, 1, source.count(name)?);
        let (width, heads) = (positive("embedding_length")?, positive("attention.head_count")?);
        let blocks = positive("block_count")?;
        if blocks > source.tensors() {
            let expected = format!("a number of blocks that {} tensors can be of", source.tensors());
            return Err(source.refuse("block_count", expected, blocks));
        }
        const KEY_HEADS: &str = "attention.head_count_kv";
        let key_heads = source.find_count(KEY_HEADS)?.unwrap_or(heads);
        if key_heads == 0 || !heads.is_multiple_of(key_heads) {
            return Err(source.refuse(KEY_HEADS, format!("a divisor of the {heads} heads"), key_heads));
        }
        let head_dim = match source.find_count("attention.key_length")? {
            Some(found) => at_least("attention.key_length", 1, found)?,
            None if width.is_multiple_of(heads) => width / heads,
            None => {
                let expected = format!("a divisor of embedding_length {width}");
                return Err(source.refuse("attention.head_count", expected, heads));
            }
        };
        if let Some(found) = source.find_count("attention.value_length")?
            && found != head_dim
        {
            let expected = format!("{head_dim}, the length of keys");
            return Err(source.refuse("attention.value_length", expected, found));
        }
        Ok(Self {
            width,
            heads,
            blocks,
            key_heads,
            head_dim,
            inner: positive("feed_forward_length")?,
            positions: positive("context_length")?,
            vocabulary: source.vocabulary()?,
        })
    }

    /// Query channels of all heads.
    pub fn queries(&self) -> usize {
        self.heads.saturating_mul(self.head_dim)
    }

    /// Key channels of all heads.
    pub fn keys(&self) -> usize {
        self.key_heads.saturating_mul(self.head_dim)
    }
}

/// Variations of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    /// Rows of queries and keys are in llama.cpp's order.
    pub are_neighbours: bool,
    /// Biases of queries, keys and values.
    pub has_qkv_bias: bool,
    /// A bias of the attention's output.
    pub has_output_bias: bool,
    /// Biases of the feed-forward layer.
    pub has_mlp_bias: bool,
    /// Queries, keys and values are fused into one map, gate and up into another.
    pub is_fused: bool,
    /// Norms of each head's queries and keys.
    pub has_head_norms: bool,
    /// Norms after the sublayers (Gemma 2 and 3).
    pub has_output_norms: bool,
    /// Change of the norm weights.
    pub norm: Change,
}

/// No biases, no extra norms, rows as in Hugging Face's checkpoints.
pub(super) const PLAIN: Blocks = Blocks {
    are_neighbours: false,
    has_qkv_bias: false,
    has_output_bias: false,
    has_mlp_bias: false,
    is_fused: false,
    has_head_norms: false,
    has_output_norms: false,
    norm: Change::None,
};

/// A family's class and `model_type` in transformers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub class: &'static str,
    pub model_type: &'static str,
}

/// Reads the shared part of the configuration and lists the tensors.
pub(super) fn read(source: &Source<'_>, names: Names, blocks: &Blocks) -> Result<(Model, Sizes), GgufError> {
    let sizes = Sizes::read(source)?;
    let rope = rope::read(source, &sizes)?;
    if blocks.are_neighbours && !sizes.head_dim.is_multiple_of(2) {
        return Err(source.refuse("attention.key_length", "an even number, of pairs", sizes.head_dim));
    }
    let is_tied = source.is_tied()?;
    let model = Model {
        architecture: source.architecture,
        config: config(source, names, &sizes, rope, is_tied)?,
        tensors: tensors(&sizes, blocks, is_tied),
        vocabulary: sizes.vocabulary,
        positions: sizes.positions,
    };
    Ok((model, sizes))
}

fn config(
    source: &Source<'_>,
    names: Names,
    sizes: &Sizes,
    rope: Rope,
    is_tied: bool,
) -> Result<Map<String, Value>, GgufError> {
    Ok(object(json!({
        "architectures": [names.class],
        "model_type": names.model_type,
        "attention_dropout": 0.0,
        "head_dim": sizes.head_dim,
        "hidden_act": "silu",
        "hidden_size": sizes.width,
        "initializer_range": 0.02,
        "intermediate_size": sizes.inner,
        "max_position_embeddings": sizes.positions,
        "num_attention_heads": sizes.heads,
        "num_hidden_layers": sizes.blocks,
        "num_key_value_heads": sizes.key_heads,
        "rms_norm_eps": source.number("attention.layer_norm_rms_epsilon")?,
        "rope_scaling": rope.scaling,
        "rope_theta": rope.theta,
        "tie_word_embeddings": is_tied,
        "use_cache": true,
        "vocab_size": sizes.vocabulary,
    })))
}

/// The fields of an object literal.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn tensors(sizes: &Sizes, blocks: &Blocks, is_tied: bool) -> Vec<super::Wanted> {
    let Sizes {
        width,
        inner,
        head_dim,
        vocabulary,
        ..
    } = *sizes;
    let (queries, keys) = (sizes.queries(), sizes.keys());
    let rotated = match blocks.are_neighbours {
        true => Change::Rows(RowOrder::Neighbours { head_dim }),
        false => Change::None,
    };
    let mut tensors = Tensors::default();
    tensors.add(
        EMBEDDING,
        "model.embed_tokens.weight",
        &[vocabulary, width],
        Change::None,
    );
    for number in 0..sizes.blocks {
        tensors.block(number, "model.layers");
        tensors.add("attn_norm.weight", "input_layernorm.weight", &[width], blocks.norm);
        let bias = blocks.has_qkv_bias;
        if blocks.is_fused {
            let outputs = queries.saturating_add(keys.saturating_mul(2));
            tensors.map("attn_qkv", "self_attn.qkv_proj", [outputs, width], bias, Change::None);
        } else {
            tensors.map("attn_q", "self_attn.q_proj", [queries, width], bias, rotated);
            tensors.map("attn_k", "self_attn.k_proj", [keys, width], bias, rotated);
            tensors.map("attn_v", "self_attn.v_proj", [keys, width], bias, Change::None);
        }
        if blocks.has_head_norms {
            tensors.add(
                "attn_q_norm.weight",
                "self_attn.q_norm.weight",
                &[head_dim],
                blocks.norm,
            );
            tensors.add(
                "attn_k_norm.weight",
                "self_attn.k_norm.weight",
                &[head_dim],
                blocks.norm,
            );
        }
        tensors.map(
            "attn_output",
            "self_attn.o_proj",
            [width, queries],
            blocks.has_output_bias,
            Change::None,
        );
        if blocks.has_output_norms {
            let norms = [
                ("post_attention_norm", "post_attention_layernorm"),
                ("ffn_norm", "pre_feedforward_layernorm"),
                ("post_ffw_norm", "post_feedforward_layernorm"),
            ];
            for (from, to) in norms {
                tensors.add(
                    &format!("{from}.weight"),
                    &format!("{to}.weight"),
                    &[width],
                    blocks.norm,
                );
            }
        } else {
            tensors.add(
                "ffn_norm.weight",
                "post_attention_layernorm.weight",
                &[width],
                blocks.norm,
            );
        }
        let bias = blocks.has_mlp_bias;
        if blocks.is_fused {
            tensors.map(
                "ffn_up",
                "mlp.gate_up_proj",
                [inner.saturating_mul(2), width],
                bias,
                Change::None,
            );
        } else {
            tensors.map("ffn_gate", "mlp.gate_proj", [inner, width], bias, Change::None);
            tensors.map("ffn_up", "mlp.up_proj", [inner, width], bias, Change::None);
        }
        tensors.map("ffn_down", "mlp.down_proj", [width, inner], bias, Change::None);
    }
    tensors.model();
    tensors.add("output_norm.weight", "model.norm.weight", &[width], blocks.norm);
    if !is_tied {
        tensors.add(HEAD, "lm_head.weight", &[vocabulary, width], Change::None);
    }
    tensors.finish()
}
