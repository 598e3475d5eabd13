//! Options of a benchmark: size, shapes, method, repetitions.

use std::fmt;
use std::str::FromStr;

use adept_core::Method;
use adept_models::StoredType;
use adept_train::config::{PrecisionSetting, TrainMethod};
use serde::{Deserialize, Serialize};

use super::{BenchError, Depth, work};

/// A built-in backbone configuration; the weights are random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BenchSize {
    /// d_model 512, 6 + 6 layers, 8 heads, d_ff 2048: 60 million parameters.
    #[serde(rename = "t5-small")]
    T5Small,
    /// d_model 768, 12 + 12 layers, 12 heads, d_ff 3072: 220 million parameters.
    #[serde(rename = "t5-base")]
    T5Base,
    /// d_model 1024, 24 + 24 layers, 32 heads of 128 channels, d_ff 16384: 2.85 billion parameters.
    #[serde(rename = "t5-3b")]
    T5Of3B,
    /// CodeGen: d_model 1024, 20 layers, 16 heads, vocabulary 51,200: 357 million parameters.
    #[serde(rename = "codegen-350m")]
    CodeGen350M,
    /// SmolLM2, a Llama: d_model 576, 30 layers, 9 query and 3 key/value heads, vocabulary 49,152, tied: 135 million
    /// parameters.
    #[serde(rename = "smollm2-135m")]
    SmolLm2Of135M,
    /// Llama 3.2: d_model 2048, 16 layers, 32 query and 8 key/value heads, vocabulary 128,256, tied: 1.24 billion
    /// parameters.
    #[serde(rename = "llama-3.2-1b")]
    Llama32Of1B,
    /// Llama 3: d_model 4096, 32 layers, 32 query and 8 key/value heads, vocabulary 128,256: 8.03 billion parameters.
    #[serde(rename = "llama-3-8b")]
    Llama3Of8B,
    /// T5, d_model 32, 2 + 2 layers: for testing the benchmark itself; its times are meaningless.
    #[serde(rename = "tiny")]
    Tiny,
    /// CodeGen of the same size as `Tiny`.
    #[serde(rename = "tiny-codegen")]
    TinyCodeGen,
    /// Llama of the same size as `Tiny`.
    #[serde(rename = "tiny-llama")]
    TinyLlama,
}

impl BenchSize {
    /// Every size.
    pub const ALL: [Self; 10] = [
        Self::T5Small,
        Self::T5Base,
        Self::T5Of3B,
        Self::CodeGen350M,
        Self::SmolLm2Of135M,
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
            Self::T5Of3B => "t5-3b",
            Self::CodeGen350M => "codegen-350m",
            Self::SmolLm2Of135M => "smollm2-135m",
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
                known: "t5-small, t5-base, t5-3b, codegen-350m, smollm2-135m, llama-3.2-1b, llama-3-8b, tiny, tiny-codegen, tiny-llama",
            })
    }
}

/// A benchmark case. The defaults are the paper's: ADePT with 60 virtual tokens and bottleneck 19, batch 32.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BenchOptions {
    /// Backbone (default `t5-small`).
    pub size: BenchSize,
    /// Method trained (`step`) or attached (`infer`) (default `adept`).
    pub method: TrainMethod,
    /// In what the products of the frozen backbone are computed (default `f32`).
    pub precision: PrecisionSetting,
    /// Element type of the checkpoint that the frozen backbone could have been read from (default `f32`): its random
    /// numbers are rounded to it.
    pub checkpoint: StoredType,
    /// Whether `step` computes blocks again on the way back instead of keeping them (default false).
    pub recompute: bool,
    /// Blocks of the backbone's stacks, if not the size's.
    pub depth: Option<Depth>,
    /// Rows per batch (default 32, the paper's for its small data sets).
    pub batch: usize,
    /// Source length in tokens, or of source and target together for a decoder-only model; rows fill between half and
    /// all of it, as in a padded batch (default 64).
    pub tokens: usize,
    /// Target length in tokens; 0 means 2 for a T5 (a label of one token and `</s>`), and a third of the width for a
    /// decoder-only model (default 0).
    pub target_tokens: usize,
    /// Virtual tokens m of the soft prompt (default 60); ignored by methods without a prompt.
    pub virtual_tokens: usize,
    /// Bottleneck of ADePT or rank of DePT; 0 means the largest that fits the paper's budget of 100 prompt rows
    /// (default 0).
    pub rank: usize,
    /// Number of labels that `infer` scores with a T5 (default 2).
    pub labels: usize,
    /// Tokens that `infer` decodes greedily per row, ignoring the end token so that the amount of work is fixed; 0
    /// means 4 for a T5 and 32 for a decoder-only model (default 0).
    pub new_tokens: usize,
    /// Untimed warm-up steps or batches (default 2).
    pub warmup: usize,
    /// Individually timed steps or batches (default 10).
    pub steps: usize,
    /// Seed of weights and token ids (default 0).
    pub seed: u64,
}

impl BenchOptions {
    /// The options with everything that follows from them filled in, and the backbone's blocks.
    ///
    /// # Errors
    /// Invalid options.
    pub fn resolved(&self) -> Result<(Self, Depth), BenchError> {
        let (options, shape) = work::resolve(self)?;
        Ok((options, shape.depth()))
    }
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self {
            size: BenchSize::T5Small,
            method: TrainMethod::Adapter(Method::Adept),
            precision: PrecisionSetting::F32,
            checkpoint: StoredType::F32,
            recompute: false,
            depth: None,
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
