//! Converts GGUF models, the format of llama.cpp, to folders in Hugging Face's layout: `config.json`,
//! `model.safetensors`, `tokenizer.json`, `tokenizer_config.json` and `generation_config.json`.
//!
//! [`import`] is the entry point. The container is read strictly ([`Header`]): counts and lengths are checked against
//! the file's size before anything is allocated, and every error names the file, the key or tensor, and what was
//! expected. The changes that llama.cpp's converter makes (reordered rows, norms plus 1, transposed matrices, rotary
//! parameters turned into tensors) are undone for each architecture.

// Tests may unwrap: a panic is the failure.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod architecture;
mod container;
mod dequantize;
mod error;
mod import;
mod kind;
mod nearest;
mod tokenizer;
mod write;

pub use container::{Header, List, TensorInfo, Value};
pub use error::GgufError;
pub use import::{Imported, Progress, Settings, import};
pub use kind::TensorType;
pub use write::Element;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
