//! What decoder-only families share: linear maps that may have a bias, rotary positions, attention over a cache.
//!
//! Shape legend: `b` rows, `n` slots read now, `k` slots that may be seen, `h` heads, `g` heads of keys and values, `c`
//! channels of a head, `d` channels of the residual stream.

mod attention;
mod layer;
mod rotary;
mod source;

pub use attention::CausalCache;
pub(crate) use attention::{Reading, attend};
pub use layer::{LayerNorm, RmsNorm};
pub use rotary::Rotary;
pub(crate) use source::{Builder, CheckpointSource, Named, RandomSource, Source, linear_tensors, vector_tensor};
