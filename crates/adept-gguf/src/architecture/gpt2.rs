//! `gpt2`: learned positions; Hugging Face's checkpoints store the linear maps as `[in, out]`.

use serde_json::json;

use super::llama_like::{Sizes, object};
use super::source::{EMBEDDING, HEAD};
use super::tensors::{Change, Tensors};
use super::{Model, Source};
use crate::error::GgufError;

pub(super) fn read(source: &Source<'_>) -> Result<Model, GgufError> {
    let sizes = Sizes::read(source)?;
    let Sizes {
        width,
        inner,
        heads,
        vocabulary,
        positions,
        ..
    } = sizes;
    if sizes.queries() != width || sizes.key_heads != heads {
        let expected = format!("a divisor of embedding_length {width}, for keys as well");
        return Err(source.refuse("attention.head_count", expected, heads));
    }
    let is_tied = source.is_tied()?;
    let mut tensors = Tensors::default();
    tensors.add(EMBEDDING, "transformer.wte.weight", &[vocabulary, width], Change::None);
    tensors.add(
        "position_embd.weight",
        "transformer.wpe.weight",
        &[positions, width],
        Change::None,
    );
    for number in 0..sizes.blocks {
        tensors.block(number, "transformer.h");
        tensors.layer_norm("attn_norm", "ln_1", width);
        tensors.map(
            "attn_qkv",
            "attn.c_attn",
            [width.saturating_mul(3), width],
            true,
            Change::Transpose,
        );
        tensors.map("attn_output", "attn.c_proj", [width, width], true, Change::Transpose);
        tensors.layer_norm("ffn_norm", "ln_2", width);
        tensors.map("ffn_up", "mlp.c_fc", [inner, width], true, Change::Transpose);
        tensors.map("ffn_down", "mlp.c_proj", [width, inner], true, Change::Transpose);
    }
    tensors.model();
    tensors.layer_norm("output_norm", "transformer.ln_f", width);
    if !is_tied {
        tensors.add(HEAD, "lm_head.weight", &[vocabulary, width], Change::None);
    }
    let config = json!({
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "attn_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "initializer_range": 0.02,
        "layer_norm_epsilon": source.number("attention.layer_norm_epsilon")?,
        "n_ctx": positions,
        "n_embd": width,
        "n_head": heads,
        "n_inner": inner,
        "n_layer": sizes.blocks,
        "n_positions": positions,
        "resid_pdrop": 0.1,
        "scale_attn_by_inverse_layer_idx": false,
        "scale_attn_weights": true,
        "tie_word_embeddings": is_tied,
        "use_cache": true,
        "vocab_size": vocabulary,
    });
    Ok(Model {
        architecture: source.architecture,
        config: object(config),
        tensors: tensors.finish(),
        vocabulary,
        positions,
    })
}
