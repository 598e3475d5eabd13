//! Mistral (Jiang et al. 2023, arXiv 2310.06825): a Llama whose attentions see a sliding window.

use super::llama::{self, Absent, Dialect};
use super::windows;
use crate::auto::Family;
use crate::decoder::config::{DecoderConfig, Pattern};
use crate::error::ModelError;
use crate::files::{ConfigFiles, Signs};

/// Reads a Mistral's files.
pub(crate) fn read(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    let dialect = Dialect {
        family: Family::Mistral,
        signs: Signs::causal("mistral", "mistral"),
        absent: Absent {
            positions: 131_072,
            key_heads: Some(8),
            ..llama::DIALECT.absent
        },
        ..llama::DIALECT
    };
    let mut config = llama::read_as(files, &dialect)?;
    // Its attentions have no biases, whatever the file says.
    files.config.only("attention_bias", &[false.into()])?;
    files.config.only("mlp_bias", &[false.into()])?;
    config.window = windows::window(&files.config, Some(4096))?;
    config.windowed = windows::windowed(&files.config, config.blocks, config.window, Pattern::Always)?;
    Ok(config)
}
