//! What a benchmark measures: sizes, shapes, method, repetitions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::BenchError;

/// A T5 configuration that is built in; the weights are random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BenchSize {
    /// d_model 512, 6 + 6 layers, 8 heads, d_ff 2048: 60 million parameters.
    #[serde(rename = "t5-small")]
    T5Small,
    /// d_model 768, 12 + 12 layers, 12 heads, d_ff 3072: 220 million parameters.
    #[serde(rename = "t5-base")]
    T5Base,
    /// d_model 32, 2 + 2 layers: for tests of the benchmark itself, its times mean nothing.
    #[serde(rename = "tiny")]
    Tiny,
}

impl BenchSize {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::T5Small, Self::T5Base, Self::Tiny];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::T5Small => "t5-small",
            Self::T5Base => "t5-base",
            Self::Tiny => "tiny",
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
                known: "t5-small, t5-base, tiny",
            })
    }
}

/// What is trained in the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BenchMethod {
    /// The soft prompt.
    Pt,
    /// Prompt and position offsets.
    Dept,
    /// Prompt and the offset network.
    Adept,
    /// All parameters of the backbone, no adapter.
    Full,
}

impl BenchMethod {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Pt, Self::Dept, Self::Adept, Self::Full];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pt => "pt",
            Self::Dept => "dept",
            Self::Adept => "adept",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for BenchMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BenchMethod {
    type Err = BenchError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| BenchError::Unknown {
                option: "method",
                found: name.to_owned(),
                known: "pt, dept, adept, full",
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
    pub method: BenchMethod,
    /// Rows of a batch (default 32, the paper's for its small sets).
    pub batch: usize,
    /// Width of the source in tokens; the rows fill it by half to whole, as in a padded batch (default 64).
    pub tokens: usize,
    /// Width of the target in tokens (default 2: a label of one token and `</s>`).
    pub target_tokens: usize,
    /// Virtual tokens m of the prompt (default 60); `full` has none.
    pub virtual_tokens: usize,
    /// Bottleneck of ADePT or rank of DePT; 0 takes the largest that fits the paper's budget of 100 prompt rows
    /// (default 0).
    pub rank: usize,
    /// Labels that `infer` scores (default 2).
    pub labels: usize,
    /// Tokens that `infer` decodes greedily per row, `</s>` ignored so that the work is fixed (default 4).
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
            method: BenchMethod::Adept,
            batch: 32,
            tokens: 64,
            target_tokens: 2,
            virtual_tokens: 60,
            rank: 0,
            labels: 2,
            new_tokens: 4,
            warmup: 2,
            steps: 10,
            seed: 0,
        }
    }
}
