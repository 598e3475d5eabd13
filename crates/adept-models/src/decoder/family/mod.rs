//! The families: how each one's `config.json` states a [`DecoderConfig`](super::DecoderConfig), and its names in
//! checkpoints. What the files of Llama and its relatives have in common is read by `llama`.

pub(crate) mod codegen;
pub(crate) mod gemma;
pub(crate) mod gpt2;
pub(crate) mod gpt_neox;
pub(crate) mod llama;
pub(crate) mod mistral;
pub(crate) mod phi3;
pub(crate) mod qwen;
pub(crate) mod smollm3;
mod windows;

pub use codegen::CodeGenConfig;
pub use llama::LlamaConfig;
