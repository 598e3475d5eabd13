//! `llama`: Llama 2 and 3, SmolLM, SmolLM2, TinyLlama, and Mistral, which is converted as a Llama, usually without its
//! sliding window.

use serde_json::json;

use super::llama_like::{self, Blocks, Names, PLAIN};
use super::{Model, Source};
use crate::error::GgufError;

const LLAMA: Names = Names {
    class: "LlamaForCausalLM",
    model_type: "llama",
};

/// A Llama with a sliding window.
const MISTRAL: Names = Names {
    class: "MistralForCausalLM",
    model_type: "mistral",
};

pub(super) fn read(source: &Source<'_>) -> Result<Model, GgufError> {
    let blocks = Blocks {
        are_neighbours: true,
        has_qkv_bias: source.has("blk.0.attn_q.bias"),
        has_output_bias: source.has("blk.0.attn_output.bias"),
        has_mlp_bias: source.has("blk.0.ffn_gate.bias"),
        ..PLAIN
    };
    let window = source
        .find_count("attention.sliding_window")?
        .filter(|window| *window > 0);
    let (mut model, sizes) = llama_like::read(source, if window.is_some() { MISTRAL } else { LLAMA }, &blocks)?;
    if let Some(found) = source.find_count("rope.dimension_count")?
        && found != sizes.head_dim
    {
        let expected = format!("{}, all channels of a head", sizes.head_dim);
        return Err(source.refuse("rope.dimension_count", expected, found));
    }
    match window {
        Some(window) => {
            model.config.insert("sliding_window".to_owned(), json!(window));
        }
        None => {
            // One setting covers all four projections: if only some have a bias, a tensor is reported missing.
            let has_bias = blocks.has_qkv_bias || blocks.has_output_bias;
            model.config.insert("attention_bias".to_owned(), json!(has_bias));
            model.config.insert("mlp_bias".to_owned(), json!(blocks.has_mlp_bias));
            model.config.insert("pretraining_tp".to_owned(), json!(1));
        }
    }
    Ok(model)
}
