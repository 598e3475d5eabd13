//! `smollm3`: a Llama in which every fourth block has no positions. The metadata does not state that.

use serde_json::json;

use super::llama_like::{self, Blocks, Names, PLAIN};
use super::{Model, Source};
use crate::error::GgufError;

/// Interval of the blocks without positions, which llama.cpp hard-codes as well.
const WITHOUT_POSITIONS: usize = 4;

pub(super) fn read(source: &Source<'_>) -> Result<Model, GgufError> {
    let names = Names {
        class: "SmolLM3ForCausalLM",
        model_type: "smollm3",
    };
    let blocks = Blocks {
        are_neighbours: true,
        ..PLAIN
    };
    let (mut model, sizes) = llama_like::read(source, names, &blocks)?;
    let has_positions = |block: usize| u8::from(!(block + 1).is_multiple_of(WITHOUT_POSITIONS));
    let layers: Vec<u8> = (0..sizes.blocks).map(has_positions).collect();
    let config = &mut model.config;
    // transformers derives it from the other sizes.
    config.remove("head_dim");
    if sizes.queries() != sizes.width {
        let expected = format!("{}, the width divided by the heads", sizes.width / sizes.heads);
        return Err(source.refuse("attention.key_length", expected, sizes.head_dim));
    }
    config.insert("attention_bias".to_owned(), json!(false));
    config.insert("mlp_bias".to_owned(), json!(false));
    config.insert("no_rope_layer_interval".to_owned(), json!(WITHOUT_POSITIONS));
    config.insert("no_rope_layers".to_owned(), json!(layers));
    config.insert("use_sliding_window".to_owned(), json!(false));
    Ok(model)
}
