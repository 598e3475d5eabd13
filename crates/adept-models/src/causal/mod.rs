//! What decoder-only families share: rotary positions, attention over a cache.
//!
//! Shape legend: `b` rows, `n` slots read now, `k` slots that may be seen, `h` heads, `g` heads of keys and values, `c`
//! channels of a head, `d` channels of the residual stream.

mod attention;
mod rotary;

pub use attention::CausalCache;
pub(crate) use attention::{Reading, attend};
pub use rotary::Rotary;
