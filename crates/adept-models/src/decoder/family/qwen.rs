//! Qwen2 and Qwen2.5 (arXiv 2407.10671 and 2412.15115): a Llama with biases in the projections of queries, keys and
//! values. Qwen3 (arXiv 2505.09388) norms the heads of queries and keys instead. Later blocks may have a sliding
//! window.

use super::llama::{self, Absent, Dialect};
use super::windows;
use crate::auto::Family;
use crate::decoder::config::{Biases, DecoderConfig, Pattern};
use crate::error::ModelError;
use crate::files::{ConfigFiles, Signs};

const ABSENT: Absent = Absent {
    positions: 32_768,
    key_heads: Some(32),
    ..llama::DIALECT.absent
};

/// Reads a Qwen2's files.
pub(crate) fn read_2(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    let dialect = Dialect {
        family: Family::Qwen2,
        signs: Signs::causal("qwen2", "qwen2for"),
        absent: ABSENT,
        ..llama::DIALECT
    };
    let mut config = llama::read_as(files, &dialect)?;
    // Fixed in this family, which has no keys for them.
    files.config.only("attention_bias", &[true.into()])?;
    files.config.only("mlp_bias", &[false.into()])?;
    config.biases = Biases {
        projections: true,
        ..Biases::default()
    };
    with_windows(config, files)
}

/// Reads a Qwen3's files.
pub(crate) fn read_3(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    let dialect = Dialect {
        family: Family::Qwen3,
        signs: Signs::causal("qwen3", "qwen3for"),
        absent: Absent {
            head_dim: Some(128),
            ..ABSENT
        },
        ..llama::DIALECT
    };
    let mut config = llama::read_as(files, &dialect)?;
    files.config.only("mlp_bias", &[false.into()])?;
    config.has_head_norms = true;
    with_windows(config, files)
}

fn with_windows(mut config: DecoderConfig, files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    let file = &files.config;
    let first = match file.get("max_window_layers") {
        None => 28,
        Some(found) => {
            let first = found.as_u64().and_then(|first| usize::try_from(first).ok());
            first.ok_or_else(|| file.refuse("max_window_layers", "a number of layers", found))?
        }
    };
    config.window = windows::used_window(file, Some(4096))?;
    config.windowed = windows::windowed(file, config.blocks, config.window, Pattern::From(first))?;
    Ok(config)
}
