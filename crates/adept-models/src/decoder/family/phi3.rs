//! Phi-3, Phi-3.5 and Phi-4 (Abdin et al. 2024, arXiv 2404.14219): a Llama whose projections of queries, keys and
//! values are one map, and whose gate and up are one; rotary positions over a part of a head in Phi-4-mini, LongRoPE in
//! the versions for long texts, and a sliding window.

use super::llama::{self, Absent, Dialect};
use super::windows;
use crate::auto::Family;
use crate::decoder::config::{DecoderConfig, FeedForwardKind, FusedOrder, Pattern, ProjectionKind};
use crate::error::ModelError;
use crate::files::{ConfigFiles, Signs};

/// Reads a Phi-3's files.
pub(crate) fn read(files: &ConfigFiles) -> Result<DecoderConfig, ModelError> {
    let dialect = Dialect {
        family: Family::Phi3,
        signs: Signs::causal("phi3", "phi3for"),
        rotates_parts: true,
        has_old_longrope: true,
        absent: Absent {
            positions: 4096,
            epsilon: 1e-5,
            eos: 32_000,
            pad: Some(32_000),
            original: Some(4096.0),
            ..llama::DIALECT.absent
        },
        ..llama::DIALECT
    };
    let mut config = llama::read_as(files, &dialect)?;
    let file = &files.config;
    // Its maps have no biases, and there is one rate for all.
    file.only("attention_bias", &[false.into()])?;
    file.only("mlp_bias", &[false.into()])?;
    let rate = config.dropout_rate;
    file.only("resid_pdrop", &[rate.into()])?;
    file.only("embd_pdrop", &[rate.into()])?;
    config.drops_layers = true;
    config.projections = ProjectionKind::Fused(FusedOrder::Plain);
    config.feed_forward = FeedForwardKind::GatedFused;
    config.window = windows::window(file, None)?;
    config.windowed = match config.window {
        None => Pattern::Never,
        Some(_) => {
            // It has no layers of another type, whatever a file lists.
            file.only("layer_types", &[vec!["sliding_attention"; config.blocks].into()])?;
            Pattern::Always
        }
    };
    Ok(config)
}
