//! Backbones on burn that take input embeddings, with Hugging Face weights: T5, and decoders from GPT-2 to
//! Gemma 3.
//!
//! | module | what |
//! |---|---|
//! | [`traits`] | the interface between adapters and backbones: embeddings in, logits out, and a key/value cache |
//! | [`auto`] | a backbone of whichever family its folder specifies; the table of families |
//! | [`t5`] | T5 v1.0 and v1.1 (flan): configuration, modules, weights, initialisation |
//! | [`decoder`] | one decoder-only model for all families, and a file for each that reads its configuration |
//! | [`causal`] | causal attention: sliding windows, capped scores, the key/value cache, rotary positions |
//! | [`files`] | `config.json` and `generation_config.json`: keys in both, and keys refused by name |
//! | [`checkpoint`] | `model.safetensors`, alone or sharded: memory-mapped, checked, fingerprinted, written |
//! | [`FirstAttention`] | what the first self-attention of an encoder computes, for analyses |
//! | [`generate`] | text generation, greedy or sampled, and label scoring |
//! | [`loss`] | label shift and token cross-entropy |
//!
//! Nothing here depends on a data set, a method or an optimiser: changes by a method come through an
//! [`adept_core::Intervention`]. Everything is generic over burn's `Backend`.

// A test that unwraps fails, as it should.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod auto;
pub mod causal;
pub mod checkpoint;
pub mod decoder;
mod embedding;
pub mod error;
pub mod files;
mod first_attention;
pub mod generate;
#[cfg(all(feature = "flex", debug_assertions, not(test)))]
#[doc(hidden)]
pub mod instances;
mod json;
mod ladder;
mod linear;
pub mod loss;
mod norm;
mod places;
mod random;
mod source;
mod stored;
pub mod t5;
mod tape;
pub mod traits;
mod weights;

pub use adept_kernels::{KernelError, KernelInfo, Precision, Prepared, force_kernel, kernels};
pub use auto::{Family, Model};
pub use decoder::{CodeGenConfig, Decoder, DecoderConfig, LlamaConfig, RopeScaling};
pub use embedding::Embedding;
pub use error::ModelError;
pub use first_attention::FirstAttention;
pub use json::model_type;
pub use ladder::Rungs;
pub use linear::{Linear, MergeDirection};
pub use loss::{IGNORE_INDEX, cross_entropy, shift_right};
pub use norm::RmsNorm;
pub use places::{Attached, NormPlace, Places};
pub use stored::{Loaded, StoredType};
pub use t5::{T5, T5Config};
pub use tape::Tape;
pub use traits::{Backbone, CausalBackbone, Seq2SeqBackbone, unfreeze};
pub use weights::Weights;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
