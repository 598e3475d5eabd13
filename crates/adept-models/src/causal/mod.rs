//! Causal attention with a key/value cache, and rotary positions.
//!
//! Shape legend: `b` rows, `n` slots read in this pass, `k` visible slots, `h` query heads, `g` key/value heads, `c`
//! channels per head, `d` channels of the residual stream.

mod attention;
mod capped;
mod rotary;

pub use attention::CausalCache;
pub(crate) use attention::{Reading, Scoring, Sight, Text, attend, behind};
pub use rotary::Rotary;
