//! `gemma`, `gemma2` and `gemma3` (text model). GGUF stores the effective norm weights, which are 1 larger than those
//! in Hugging Face's checkpoints. The output head is tied.

use serde_json::json;

use super::llama_like::{self, Blocks, Names, PLAIN, Sizes};
use super::tensors::Change;
use super::{Model, Source};
use crate::container::{List, Value};
use crate::error::GgufError;

const BLOCKS: Blocks = Blocks {
    norm: Change::MinusOne,
    ..PLAIN
};

pub(super) fn read_1(source: &Source<'_>) -> Result<Model, GgufError> {
    let names = Names {
        class: "GemmaForCausalLM",
        model_type: "gemma",
    };
    Ok(read(source, names, &BLOCKS)?.0)
}

pub(super) fn read_2(source: &Source<'_>) -> Result<Model, GgufError> {
    let names = Names {
        class: "Gemma2ForCausalLM",
        model_type: "gemma2",
    };
    let blocks = Blocks {
        has_output_norms: true,
        ..BLOCKS
    };
    let (mut model, sizes) = read(source, names, &blocks)?;
    let config = &mut model.config;
    // Defaults: the published models' caps, as in llama.cpp.
    let cap = source.find_number("attn_logit_softcapping")?.unwrap_or(50.0);
    config.insert("attn_logit_softcapping".to_owned(), json!(cap));
    let cap = source.find_number("final_logit_softcapping")?.unwrap_or(30.0);
    config.insert("final_logit_softcapping".to_owned(), json!(cap));
    config.insert(
        "query_pre_attn_scalar".to_owned(),
        json!(query_scalar(source, &sizes, 46)?),
    );
    // transformers' default pattern applies: every other block.
    let window = source.find_count(WINDOW)?.unwrap_or(4096);
    config.insert("sliding_window".to_owned(), json!(window));
    Ok(model)
}

pub(super) fn read_3(source: &Source<'_>) -> Result<Model, GgufError> {
    let names = Names {
        class: "Gemma3ForCausalLM",
        model_type: "gemma3_text",
    };
    let blocks = Blocks {
        has_head_norms: true,
        has_output_norms: true,
        ..BLOCKS
    };
    let (mut model, sizes) = read(source, names, &blocks)?;
    let config = &mut model.config;
    config.insert("attn_logit_softcapping".to_owned(), json!(null));
    let cap = source.find_number("final_logit_softcapping")?;
    config.insert("final_logit_softcapping".to_owned(), json!(cap));
    config.insert(
        "query_pre_attn_scalar".to_owned(),
        json!(query_scalar(source, &sizes, 62)?),
    );
    // Blocks with a window have rotary positions of their own, which are never scaled.
    let theta = source.find_number("rope.freq_base_swa")?.unwrap_or(10_000.0);
    config.insert("rope_local_base_freq".to_owned(), json!(theta));
    let window = source.find_count(WINDOW)?;
    config.insert("sliding_window".to_owned(), json!(window));
    let types = |is_windowed: &dyn Fn(usize) -> bool| -> Vec<&str> {
        let name = |block| {
            if is_windowed(block) {
                "sliding_attention"
            } else {
                "full_attention"
            }
        };
        (0..sizes.blocks).map(name).collect()
    };
    let layers = match (window, source.value(PATTERN)) {
        (None, _) => types(&|_| false),
        (Some(_), None) => types(&|block| !(block + 1).is_multiple_of(USUAL)),
        (Some(_), Some(Value::List(List::Flag(windowed)))) if windowed.len() == sizes.blocks => {
            types(&|block| windowed[block])
        }
        (Some(_), Some(found)) => {
            let nth = source.find_count(PATTERN).ok().flatten().filter(|nth| *nth > 0);
            let expected = format!("1 or more, or a Boolean for each of {} blocks", sizes.blocks);
            let nth = nth.ok_or_else(|| source.refuse(PATTERN, expected, found.describe()))?;
            config.insert("sliding_window_pattern".to_owned(), json!(nth));
            types(&|block| !(block + 1).is_multiple_of(nth))
        }
    };
    config.insert("layer_types".to_owned(), json!(layers));
    Ok(model)
}

const WINDOW: &str = "attention.sliding_window";
const PATTERN: &str = "attention.sliding_window_pattern";
/// In Gemma 3 every sixth block has full attention.
const USUAL: usize = 6;

fn read(source: &Source<'_>, names: Names, blocks: &Blocks) -> Result<(Model, Sizes), GgufError> {
    let (mut model, sizes) = llama_like::read(source, names, blocks)?;
    for key in ["hidden_act", "hidden_activation"] {
        model.config.insert(key.to_owned(), json!("gelu_pytorch_tanh"));
    }
    model.config.insert("attention_bias".to_owned(), json!(false));
    Ok((model, sizes))
}

/// Scores are divided by the square root of this: `head_dim`, except in the 27B models, where it is the width divided
/// by the number of heads. llama.cpp recognises these by their number of blocks as well.
fn query_scalar(source: &Source<'_>, sizes: &Sizes, largest: usize) -> Result<usize, GgufError> {
    const SCALE: &str = "attention.scale";
    let Some(scale) = source.find_number(SCALE)? else {
        return Ok(usual_scalar(sizes, largest));
    };
    // transformers requires an integer; rounding undoes the conversion to f32.
    let scalar = scale.powi(-2);
    match (scalar - scalar.round()).abs() < 1e-5 * scalar && (1.0..1e6).contains(&scalar.round()) {
        true => Ok(scalar.round() as usize),
        false => Err(source.refuse(SCALE, "1 divided by the square root of a whole number", scale)),
    }
}

fn usual_scalar(sizes: &Sizes, largest: usize) -> usize {
    match sizes.blocks == largest {
        true => sizes.width / sizes.heads,
        false => sizes.head_dim,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_models_scale_by_their_width() {
        let mut sizes = Sizes {
            width: 4608,
            inner: 36_864,
            blocks: 46,
            heads: 32,
            key_heads: 16,
            head_dim: 128,
            positions: 8192,
            vocabulary: 256_000,
        };
        assert_eq!(usual_scalar(&sizes, 46), 144);
        sizes.blocks = 42;
        assert_eq!(usual_scalar(&sizes, 46), 128);
    }
}
