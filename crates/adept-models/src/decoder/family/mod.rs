//! The families: how each one's `config.json` states a [`DecoderConfig`](super::DecoderConfig), and its names in
//! checkpoints. What the files of Llama and its relatives have in common is read by `llama`.

pub(crate) mod codegen;
pub(crate) mod llama;

pub use codegen::CodeGenConfig;
pub use llama::LlamaConfig;
