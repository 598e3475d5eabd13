//! The optimiser: AdamW with PyTorch's semantics over groups of parameters chosen by module path.

mod adamw;
mod group;

pub use adamw::{AdamW, AdamWConfig, Moments};
pub use group::{GroupConfig, groups};
