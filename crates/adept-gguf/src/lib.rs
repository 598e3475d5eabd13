//! Turns a GGUF model, the form in which llama.cpp and its relatives read one, into a folder in Hugging Face's layout:
//! `config.json`, `model.safetensors`, `tokenizer.json` and what belongs to them.
//!
//! [`import`] does it. The container is read strictly ([`Header`]): whatever a file says is checked against its size
//! before anything is allocated, and every error names the file, the key or tensor, and what was expected. What
//! converters did to a model (rows in llama.cpp's order, norms plus 1, transposed maps, rotary parameters that became
//! tensors) is undone architecture by architecture.

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
