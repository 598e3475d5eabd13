//! What a benchmark measures: sizes, shapes, method, repetitions.

use std::fmt;
use std::str::FromStr;

use adept_core::Method;
use adept_train::config::TrainMethod;
use serde::{Deserialize, Serialize};

use super::BenchError;

/// A backbone's configuration that is built in; the weights are random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BenchSize {
    /// d_model 512, 6 + 6 layers, 8 heads, d_ff 2048: 60 million parameters.
    #[serde(rename = "t5-small")]
    T5Small,
    /// d_model 768, 12 + 12 layers, 12 heads, d_ff 3072: 220 million parameters.
    #[serde(rename = "t5-base")]
    T5Base,
    /// CodeGen: d_model 1024, 20 layers, 16 heads, vocabulary 51,200: 357 million parameters.
    #[serde(rename = "codegen-350m")]
    CodeGen350M,
    /// Llama 3.2: d_model 2048, 16 layers, 32 heads on 8 of keys, vocabulary 128,256, tied: 1.24 billion parameters.
    #[serde(rename = "llama-3.2-1b")]
    Llama32Of1B,
    /// Llama 3: d_model 4096, 32 layers, 32 heads on 8 of keys, vocabulary 128,256: 8.03 billion parameters.
    #[serde(rename = "llama-3-8b")]
    Llama3Of8B,
    /// T5, d_model 32, 2 + 2 layers: for tests of the benchmark itself, its times mean nothing.
    #[serde(rename = "tiny")]
    Tiny,
    /// CodeGen of that size.
    #[serde(rename = "tiny-codegen")]
    TinyCodeGen,
    /// Llama of that size.
    #[serde(rename = "tiny-llama")]
    TinyLlama,
}

impl BenchSize {
    /// Every size.
    pub const ALL: [Self; 8] = [
        Self::T5Small,
        Self::T5Base,
        Self::CodeGen350M,
        Self::Llama32Of1B,
        Self::Llama3Of8B,
        Self::Tiny,
        Self::TinyCodeGen,
        Self::TinyLlama,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::T5Small => "t5-small",
            Self::T5Base => "t5-base",
            Self::CodeGen350M => "codegen-350m",
            Self::Llama32Of1B => "llama-3.2-1b",
            Self::Llama3Of8B => "llama-3-8b",
            Self::Tiny => "tiny",
            Self::TinyCodeGen => "tiny-codegen",
            Self::TinyLlama => "tiny-llama",
        }
    }
}

impl fmt::Display for BenchSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BenchSize {
    type Err = BenchError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|size| size.name() == name)
            .ok_or_else(|| BenchError::Unknown {
                option: "size",
                found: name.to_owned(),
                known: "t5-small, t5-base, codegen-350m, llama-3.2-1b, llama-3-8b, tiny, tiny-codegen, tiny-llama",
            })
    }
}

/// One case of a benchmark. The defaults are the paper's: ADePT with 60 prompt tokens and bottleneck 19, batch 32.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BenchOptions {
    /// Backbone (default `t5-small`).
    pub size: BenchSize,
    /// What is trained (`step`) or attached (`infer`) (default `adept`).
    pub method: TrainMethod,
    /// Rows of a batch (default 32, the paper's for its small sets).
    pub batch: usize,
    /// Width of the source in tokens, of a decoder-only model: of source and target together; the rows fill it by half to
    /// whole, as in a padded batch (default 64).
    pub tokens: usize,
    /// Width of the target in tokens; 0 takes 2 for a T5 (a label of one token and `</s>`), a third of the width for a
    /// decoder-only model (default 0).
    pub target_tokens: usize,
    /// Virtual tokens m of the prompt (default 60); methods without a prompt have none.
    pub virtual_tokens: usize,
    /// Bottleneck of ADePT or rank of DePT; 0 takes the largest that fits the paper's budget of 100 prompt rows
    /// (default 0).
    pub rank: usize,
    /// Labels that `infer` scores with a T5 (default 2).
    pub labels: usize,
    /// Tokens that `infer` decodes greedily per row, the end token ignored so that the work is fixed; 0 takes 4 for a T5
    /// and 32 for a decoder-only model (default 0).
    pub new_tokens: usize,
    /// Steps or batches before the clock starts (default 2).
    pub warmup: usize,
    /// Steps or batches that are timed, each for itself (default 10).
    pub steps: usize,
    /// Seed of weights and token ids (default 0).
    pub seed: u64,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            size: BenchSize::T5Small,
            method: TrainMethod::Adapter(Method::Adept),
            batch: 32,
            tokens: 64,
            target_tokens: 0,
            virtual_tokens: 60,
            rank: 0,
            labels: 2,
            new_tokens: 0,
            warmup: 2,
            steps: 10,
            seed: 0,
        }
    }
}
