//! `gptneox`: GPT-NeoX and Pythia. In the fused projection, GGUF stores the queries of all heads, then the keys, then
//! the values; Hugging Face's checkpoints store it head by head.

use serde_json::json;

use super::llama_like::{Sizes, object};
use super::source::{EMBEDDING, HEAD};
use super::tensors::{Change, RowOrder, Tensors};
use super::{Model, Source};
use crate::error::GgufError;

pub(super) fn read(source: &Source<'_>) -> Result<Model, GgufError> {
    let sizes = Sizes::read(source)?;
    let Sizes {
        width,
        inner,
        heads,
        head_dim,
        vocabulary,
        ..
    } = sizes;
    if sizes.queries() != width || sizes.key_heads != heads {
        let expected = format!("a divisor of embedding_length {width}, for keys as well");
        return Err(source.refuse("attention.head_count", expected, heads));
    }
    let rotated = source.find_count("rope.dimension_count")?.unwrap_or(head_dim);
    if rotated == 0 || rotated > head_dim {
        return Err(source.refuse(
            "rope.dimension_count",
            format!("1 to {head_dim}, channels of a head"),
            rotated,
        ));
    }
    let is_tied = source.is_tied()?;
    let has_bias = source.has("blk.0.attn_qkv.bias");
    let mut tensors = Tensors::default();
    tensors.add(
        EMBEDDING,
        "gpt_neox.embed_in.weight",
        &[vocabulary, width],
        Change::None,
    );
    for number in 0..sizes.blocks {
        tensors.block(number, "gpt_neox.layers");
        tensors.layer_norm("attn_norm", "input_layernorm", width);
        let by_part = Change::Rows(RowOrder::ByPart { heads, head_dim });
        tensors.map(
            "attn_qkv",
            "attention.query_key_value",
            [width.saturating_mul(3), width],
            has_bias,
            by_part,
        );
        tensors.map("attn_output", "attention.dense", [width, width], has_bias, Change::None);
        tensors.layer_norm("ffn_norm", "post_attention_layernorm", width);
        tensors.map("ffn_up", "mlp.dense_h_to_4h", [inner, width], true, Change::None);
        tensors.map("ffn_down", "mlp.dense_4h_to_h", [width, inner], true, Change::None);
    }
    tensors.model();
    tensors.layer_norm("output_norm", "gpt_neox.final_layer_norm", width);
    if !is_tied {
        tensors.add(HEAD, "embed_out.weight", &[vocabulary, width], Change::None);
    }
    let config = json!({
        "architectures": ["GPTNeoXForCausalLM"],
        "model_type": "gpt_neox",
        "attention_bias": has_bias,
        "attention_dropout": 0.0,
        "hidden_act": "gelu",
        "hidden_dropout": 0.0,
        "hidden_size": width,
        "initializer_range": 0.02,
        "intermediate_size": inner,
        "layer_norm_eps": source.number("attention.layer_norm_epsilon")?,
        "max_position_embeddings": sizes.positions,
        "num_attention_heads": heads,
        "num_hidden_layers": sizes.blocks,
        "rotary_emb_base": source.find_number("rope.freq_base")?.unwrap_or(10_000.0),
        "rotary_pct": rotated as f64 / head_dim as f64,
        "tie_word_embeddings": is_tied,
        "use_cache": true,
        "use_parallel_residual": source.find_flag("use_parallel_residual")?.unwrap_or(true),
        "vocab_size": vocabulary,
    });
    Ok(Model {
        architecture: source.architecture,
        config: object(config),
        tensors: tensors.finish(),
        vocabulary,
        positions: sizes.positions,
    })
}
