//! Soft prompts, token-embedding offsets and adapter files: the ADePT family for any burn model.
//!
//! The crate knows embeddings and attention masks, nothing of tokenizers, data sets or architectures. A model that can
//! be run on input embeddings can be adapted: look its tokens up, pass the result through [`PromptAdapter::forward`],
//! and run the model on what comes back.
//!
//! | method | what the model sees | trainable |
//! |---|---|---|
//! | PT | `[P; E]` | P |
//! | DePT | `[P; E + s·A·B]` | P, A, B |
//! | ADePT | `[P; E + relu(E·W_down + b1)·W_up + b2]` | P, W_down, b1, W_up, b2 |
//!
//! Shape legend, used in every comment: `batch` rows of `seq` tokens of width `d` (the model's width), a prompt of `m`
//! virtual tokens, a bottleneck or rank of `r`, a DePT table of `max_len` rows.
//!
//! Everything is generic over [`burn::tensor::backend::Backend`]. On an autodiff backend the adapter's parameters
//! require gradients; `AutodiffModule::valid` gives the adapter without them, for evaluation.

mod adapter;
pub mod budget;
mod config;
mod error;
pub mod file;
mod fingerprint;
mod fold;
mod init;
mod offset;
mod prompt;

pub use adapter::{AdaptedInput, PromptAdapter};
pub use config::{AdapterConfig, Method, UnknownMethod};
pub use error::{CoreError, PickleProblem};
pub use file::AdapterMetadata;
pub use fingerprint::{Fingerprint, FingerprintBuilder, MalformedFingerprint};
pub use fold::{FoldError, fold};
pub use init::{FanIn, PromptInit, sample_vocabulary};
pub use offset::{AdaptiveOffset, Offset, PositionalOffset};
pub use prompt::SoftPrompt;
