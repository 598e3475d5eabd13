//! `qwen2` (Qwen2, Qwen2.5) and `qwen3`. GGUF does not store their sliding window, which no published model uses.

use serde_json::json;

use super::llama_like::{self, Blocks, Names, PLAIN};
use super::{Model, Source};
use crate::error::GgufError;

/// Qwen2 always has biases in the projections of queries, keys and values.
pub(super) fn read_2(source: &Source<'_>) -> Result<Model, GgufError> {
    let names = Names {
        class: "Qwen2ForCausalLM",
        model_type: "qwen2",
    };
    let blocks = Blocks {
        has_qkv_bias: true,
        ..PLAIN
    };
    let (mut model, _) = llama_like::read(source, names, &blocks)?;
    model.config.insert("use_sliding_window".to_owned(), json!(false));
    Ok(model)
}

/// Qwen3 has norms of each head's queries and keys.
pub(super) fn read_3(source: &Source<'_>) -> Result<Model, GgufError> {
    let names = Names {
        class: "Qwen3ForCausalLM",
        model_type: "qwen3",
    };
    let has_bias = source.has("blk.0.attn_q.bias");
    let blocks = Blocks {
        has_head_norms: true,
        has_qkv_bias: has_bias,
        has_output_bias: has_bias,
        ..PLAIN
    };
    let (mut model, _) = llama_like::read(source, names, &blocks)?;
    model.config.insert("attention_bias".to_owned(), json!(has_bias));
    model.config.insert("use_sliding_window".to_owned(), json!(false));
    Ok(model)
}
