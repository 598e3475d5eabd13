//! Methods that adapt a frozen model (prompts, offsets, weight changes) and their files, for any burn model.
//!
//! The crate deals with embeddings, attention masks and named places in a model, not with tokenizers, data sets or
//! architectures. Any model that can be run on input embeddings can be adapted: look up its tokens, pass the result
//! through [`Intervention::forward`], and run the model on the output; each of its linear maps, norms and sublayers asks
//! an [`Intervention`] for its change.
//!
//! | method | what the model computes with | trainable |
//! |---|---|---|
//! | PT | `[P; E]` | P |
//! | residual prompt tuning | `[P + LN(W2·relu(W1·P + b1) + b2); E]` | P, W1, b1, W2, b2, LN |
//! | P-tuning | `[encoder(X); E]` | X, the encoder |
//! | DePT | `[P; E + s·A·B]` | P, A, B |
//! | ADePT | `[P; E + relu(E·W_down + b1)·W_up + b2]` | P (or what makes it, as above), W_down, b1, W_up, b2 |
//! | LoRA | `W + (alpha/r)·A·B` | A, B of each chosen weight |
//! | (IA)³ | `l ⊙ (x·W)`, or `(l ⊙ x)·W` | l of each chosen weight |
//! | BitFit | `x·W + b + b'` | b' of linear maps, norms and head |
//! | Adapter, AdapterDrop | `y + gelu(y·W_down + b1)·W_up + b2` behind sublayers | W_down, b1, W_up, b2, norms |
//! | prefix tuning | `[K'; K]`, `[V'; V]` in attentions | K', V' of each block |
//! | prompt and embedding | `[P; E + ΔE]` | P, ΔE |
//! | HyperDecoder | `x + FF(n) + relu(n·W_down + b1)·W_up + b2` beside feed-forward layers, the decoder's made of the encoder's output ([`SourceNetworks`]) | W_down, b1, W_up, b2 of the encoder, what makes the decoder's |
//! | LST | the head of `up(norm(s))`, s of a side network ([`SideNetwork`]) | the side network |
//!
//! Shape legend for all comments: `batch` rows of `seq` tokens of width `d` (the model's width), a prompt of `m`
//! virtual tokens, a bottleneck or rank of `r`, a DePT position table of `max_len` rows.
//!
//! Everything is generic over [`burn::tensor::backend::Backend`]. On an autodiff backend the adapter's parameters
//! require gradients; `AutodiffModule::valid` returns the adapter without them, for evaluation.

pub mod budget;
mod change;
mod error;
pub mod file;
mod fingerprint;
mod fold;
mod init;
#[cfg(all(feature = "flex", debug_assertions, not(test)))]
#[doc(hidden)]
pub mod instances;
mod intervention;
mod method;
mod network;
mod offset;
mod prefix;
mod prompt;
mod side;
mod site;
mod source;
mod sublayer;
mod target;

pub use change::{LinearChange, LowRank};
pub use error::{CoreError, PickleProblem};
pub use file::AdapterMetadata;
pub use fingerprint::{Fingerprint, FingerprintBuilder, MalformedFingerprint};
pub use fold::{FoldError, FoldedPrompt, fold};
pub use init::{FanIn, PromptInit, sample_vocabulary};
pub use intervention::{AdaptedInput, Intervention, Prompted, Unchanged};
pub use method::*;
pub use network::{Dense, LstmDirection, NetworkNorm, PromptEncoder, PromptNetwork, ResidualNetwork};
pub use offset::{AdaptiveOffset, Offset, PositionalOffset};
pub use prefix::{AttentionPrefix, PrefixTransform};
pub use prompt::SoftPrompt;
pub use side::{PositionTable, ReadWeights, SideNetwork, SidePart, SideSites, WeightValues};
pub use site::{
    Fused, KeyHeads, LinearMap, LinearPart, LinearSite, ModelSites, Norm, NormSite, Stack, Sublayer, SublayerPart,
    SublayerSite, TokenMatrix,
};
pub use source::SourceNetworks;
pub use sublayer::{Beside, Bottleneck, InnerNorm, NormChange, Prefix};
pub use target::TargetModules;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
