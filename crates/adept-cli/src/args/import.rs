//! Arguments of `adept import`.

use std::path::PathBuf;

use adept_gguf::Element;
use clap::{Args, ValueEnum};

/// `adept import`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  adept import SmolLM2-135M-Instruct.Q4_K_M.gguf --out smollm2
  adept train --data reviews.jsonl --backbone smollm2 --method adept --out runs/reviews

The output folder contains config.json, generation_config.json, model.safetensors (sharded above 5 GB), tokenizer.json
and tokenizer_config.json. Every command that takes --backbone can load it, and so can Python's transformers. For a
model in several files (-00001-of-00003.gguf), pass any one of them. Weights are dequantised: the result is the
quantised model, not the original. docs/backbones.md lists the supported types, architectures and tokenizers.")]
pub struct Import {
    /// GGUF file
    #[arg(value_name = "FILE")]
    pub model: PathBuf,

    /// Output folder, new or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Element type of all written weights
    #[arg(long, value_enum, default_value = "bf16")]
    pub dtype: ElementArgument,

    /// Replace an earlier import; a folder with anything else in it is refused
    #[arg(long)]
    pub overwrite: bool,

    /// Pre-tokenizer by llama.cpp's name, instead of the file's (for byte-level tokenizers)
    #[arg(long, value_name = "NAME")]
    pub pre_tokenizer: Option<String>,
}

/// An element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ElementArgument {
    /// float32: exactly the file's values
    F32,
    /// bfloat16
    Bf16,
    /// IEEE half precision
    F16,
}

impl From<ElementArgument> for Element {
    fn from(argument: ElementArgument) -> Self {
        match argument {
            ElementArgument::F32 => Self::F32,
            ElementArgument::Bf16 => Self::BF16,
            ElementArgument::F16 => Self::F16,
        }
    }
}
