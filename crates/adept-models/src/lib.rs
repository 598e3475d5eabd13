//! T5 backbones on burn that take input embeddings, with Hugging Face weights.
//!
//! | module | what |
//! |---|---|
//! | [`traits`] | what an adapter needs from a backbone: embeddings in, logits out, and a key/value cache |
//! | [`t5`] | T5 v1.0 and v1.1 (flan): configuration, modules, weights, initialisation |
//! | [`checkpoint`] | `model.safetensors`, alone or in shards: memory-mapped, checked, fingerprinted, written |
//! | [`generate`] | greedy decoding and the scoring of fixed answers |
//! | [`loss`] | label shift and token cross-entropy |
//!
//! Nothing here knows a data set, an adapter or an optimiser. All is generic over burn's `Backend`.

// A test that unwraps fails, as it should.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod causal;
pub mod checkpoint;
pub mod error;
pub mod generate;
pub mod loss;
mod random;
mod stored;
pub mod t5;
pub mod traits;

pub use error::ModelError;
pub use loss::{IGNORE_INDEX, cross_entropy, shift_right};
pub use stored::StoredType;
pub use t5::{Loaded, T5, T5Config};
pub use traits::{Backbone, CausalBackbone, Seq2SeqBackbone, unfreeze};
