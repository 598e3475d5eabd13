//! Shared by the decoder-only families: rotary positions and attention with a cache.
//!
//! Shape legend: `b` rows, `n` slots read in this pass, `k` visible slots, `h` query heads, `g` key/value heads, `c`
//! channels per head, `d` channels of the residual stream.

mod attention;
mod rotary;

pub use attention::CausalCache;
pub(crate) use attention::{Reading, attend, behind};
pub use rotary::Rotary;
