//! The role of the offsets (paper, appendix B.1 and Table 11): a trained adapter is scored with its soft prompt alone.

use std::fmt;

use adept_core::{Adapter, PromptAdapter};
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

/// Whether an adapter's offsets are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offsets {
    /// As trained.
    On,
    /// Only the soft prompt is applied.
    Off,
}

impl Offsets {
    /// Both, in the order of measuring.
    pub const BOTH: [Self; 2] = [Self::On, Self::Off];
}

impl fmt::Display for Offsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "with offsets",
            Self::Off => "without offsets",
        })
    }
}

/// A copy of the adapter with its offsets or without; `None` for an adapter that has none.
#[must_use]
pub fn switched<B: Backend>(adapter: &Adapter<B>, offsets: Offsets) -> Option<PromptAdapter<B>> {
    let adapter = adapter.as_prompt().filter(|adapter| adapter.offset.is_some())?;
    Some(match offsets {
        Offsets::On => adapter.clone(),
        Offsets::Off => PromptAdapter {
            offset: None,
            ..adapter.clone()
        },
    })
}
