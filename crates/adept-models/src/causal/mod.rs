//! Causal attention with a key/value cache, and rotary positions.
//!
//! Shape legend: `b` rows, `n` slots read in this pass, `k` visible slots, `h` query heads, `g` key/value heads, `c`
//! channels per head, `d` channels of the residual stream.

mod attention;
mod cache;
mod capped;
mod reading;
mod rotary;
mod wanted;

pub(crate) use attention::{Scoring, attend, behind};
pub use cache::CausalCache;
pub(crate) use cache::Text;
pub(crate) use reading::{Reading, Sight};
pub use rotary::Rotary;
pub(crate) use wanted::{Choice, Wanted};
