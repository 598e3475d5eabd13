//! `phi3`: Phi-3, Phi-3.5 and Phi-4, with fused projections, partial rotary positions and LongRoPE.

use serde_json::json;

use super::llama_like::{self, Blocks, Names, PLAIN};
use super::rope;
use super::{Model, Source};
use crate::error::GgufError;

pub(super) fn read(source: &Source<'_>) -> Result<Model, GgufError> {
    let names = Names {
        class: "Phi3ForCausalLM",
        model_type: "phi3",
    };
    let blocks = Blocks {
        is_fused: true,
        ..PLAIN
    };
    let (mut model, sizes) = llama_like::read(source, names, &blocks)?;
    if sizes.queries() != sizes.width {
        let expected = format!("{}, the width divided by the heads", sizes.width / sizes.heads);
        return Err(source.refuse("attention.key_length", expected, sizes.head_dim));
    }
    let rotated = source.find_count("rope.dimension_count")?.unwrap_or(sizes.head_dim);
    if rotated == 0 || rotated > sizes.head_dim {
        let expected = format!("1 to {}, channels of a head", sizes.head_dim);
        return Err(source.refuse("rope.dimension_count", expected, rotated));
    }
    // Converters write 0 for models without a window.
    let window = source
        .find_count("attention.sliding_window")?
        .filter(|window| *window > 0);
    let original = source.find_count(rope::ORIGINAL)?.unwrap_or(sizes.positions);
    if let Some(scaling) = rope::long(source, &sizes, rotated, original)? {
        model.config.insert("rope_scaling".to_owned(), scaling);
    }
    let config = &mut model.config;
    // transformers derives it from the other sizes.
    config.remove("head_dim");
    config.insert("embd_pdrop".to_owned(), json!(0.0));
    config.insert("original_max_position_embeddings".to_owned(), json!(original));
    config.insert(
        "partial_rotary_factor".to_owned(),
        json!(rotated as f64 / sizes.head_dim as f64),
    );
    config.insert("resid_pdrop".to_owned(), json!(0.0));
    config.insert("sliding_window".to_owned(), json!(window));
    Ok(model)
}
