//! The operations that dominate a transformer's training step, fused if the backend allows it.
//!
//! Every function here is generic over the backend and written in burn's own operations. On the flex CPU backend (cargo
//! feature `flex`), plain or with autodiff, the same call runs a multi-threaded, vectorised kernel with a hand-written
//! backward pass that saves fewer tensors than the composed one: attention saves two numbers per query row instead of
//! the whole score matrix, and RMS norm one number per row. The choice is made at run time from the backend's type, so
//! callers need no extra trait bounds.
//!
//! Shape legend: `b` batch, `q` query positions, `k` key positions, `h` heads, `c` channels of one head, `d` model
//! width, `n` rows, `v` vocabulary.

mod activation;
mod attention;
mod dropout;
mod embedding;
mod head;
mod kernel;
mod keys_values;
mod loss;
mod norm;
pub mod optimizer;
mod prepared;
mod product;
mod rotary;
mod segments;
mod slots;
pub mod sublayer;

#[cfg(feature = "flex")]
mod flex;

pub use activation::{gated_gelu, gated_silu, gelu_tanh, relu};
pub use attention::{AttentionBias, attention};
pub use dropout::dropout;
pub use embedding::embedding;
pub use head::{head_log_probabilities, head_logits, head_loss};
pub use kernel::{KernelError, KernelInfo, force_kernel, kernels};
pub use loss::cross_entropy;
pub use norm::{layer_norm, rms_norm};
pub use prepared::{Map, Precision, Prepared};
pub use product::product;
pub use rotary::{RotaryAngles, RotaryPairs, rotary};
pub use segments::Segments;
pub use slots::write_slots;

// The tests compare the fused kernels with the composed operations, so they need both.
#[cfg(all(test, feature = "flex"))]
mod tests;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
