//! SmolLM3 (Hugging Face 2025): a Llama in which every fourth block has no positions (Yang et al. 2025,
//! arXiv 2501.18795) and may have a sliding window.

use serde_json::Value;

use super::llama::{self, Absent, Dialect};
use super::windows;
use crate::auto::Family;
use crate::decoder::config::{DecoderConfig, Pattern};
use crate::error::ModelError;
use crate::files::{ConfigFiles, Signs};

/// Reads a SmolLM3's files.
pub(crate) fn read(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    let dialect = Dialect {
        family: Family::SmolLm3,
        signs: Signs::causal("smollm3", "smollm3"),
        absent: Absent {
            positions: 32_768,
            theta: 2e6,
            key_heads: Some(4),
            is_tied: true,
            eos: 128_001,
            pad: Some(128_004),
            ..llama::DIALECT.absent
        },
        ..llama::DIALECT
    };
    let mut config = llama::read_as(files, &dialect)?;
    let without = without_positions(files, config.blocks)?;
    config.rotated = match &without {
        Pattern::Every(nth) => Pattern::ExceptEvery(*nth),
        Pattern::Listed(listed) => Pattern::Listed(listed.iter().map(|is_without| !is_without).collect()),
        _ => Pattern::Always,
    };
    config.window = windows::used_window(&files.config, None)?;
    config.windowed = windows::windowed(&files.config, config.blocks, config.window, without)?;
    Ok(config)
}

/// The blocks without positions: those with a 0 in `no_rope_layers`, or else every `no_rope_layer_interval`th.
fn without_positions(files: &ConfigFiles, blocks: usize) -> Result<Pattern, ModelError> {
    let file = &files.config;
    if let Some(found) = file.get("no_rope_layers") {
        let expected = format!("0 or 1 for each of {blocks} layers");
        let Some(layers) = found.as_array().filter(|layers| layers.len() >= blocks) else {
            return Err(file.refuse("no_rope_layers", expected, found));
        };
        let is_without = |layer: &Value| match layer.as_u64() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(file.refuse("no_rope_layers", &expected, layer)),
        };
        let listed: Vec<bool> = layers.iter().map(is_without).collect::<Result<_, _>>()?;
        return Ok(Pattern::Listed(listed.into()));
    }
    match file.get("no_rope_layer_interval") {
        None => Ok(Pattern::Every(4)),
        Some(found) => {
            let nth = found.as_u64().and_then(|nth| usize::try_from(nth).ok());
            let nth = nth.filter(|nth| *nth > 0);
            nth.map(Pattern::Every)
                .ok_or_else(|| file.refuse("no_rope_layer_interval", "1 or more", found))
        }
    }
}
