//! Which method an adapter uses and how large it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::CoreError;

/// The three methods of the family (paper, Table 3 and section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Prompt tuning: a soft prompt alone (equation 1).
    Pt,
    /// Decomposed prompt tuning: a shorter prompt and an offset that depends on the position (equation 2).
    Dept,
    /// Adaptive decomposed prompt tuning: a shorter prompt and an offset that depends on the token (equation 3).
    Adept,
}

impl Method {
    /// Every method, in the order of the paper's tables.
    pub const ALL: [Method; 3] = [Method::Pt, Method::Dept, Method::Adept];

    /// The name used in configurations and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Pt => "pt",
            Method::Dept => "dept",
            Method::Adept => "adept",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A method name that is none of `pt`, `dept`, `adept`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown method `{found}`: expected one of pt, dept, adept")]
pub struct UnknownMethod {
    /// The name as it was given.
    pub found: String,
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Method::ALL
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| UnknownMethod {
                found: name.to_string(),
            })
    }
}

/// The size of an adapter and the constants of its forward pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterConfig {
    /// Which method.
    pub method: Method,
    /// Width `d` of the token embeddings of the model the adapter is for.
    pub d_model: usize,
    /// Virtual tokens `m` of the soft prompt. May be 0 where there is an offset (paper, Table 14).
    pub virtual_tokens: usize,
    /// Rank of DePT's product, or ADePT's bottleneck; 0 for PT.
    pub rank: usize,
    /// DePT only: rows of A, the longest input in tokens (pads counted, prompt not counted). The other methods have no
    /// limit of their own and keep the value for the record.
    pub max_source_length: usize,
    /// DePT only: the factor s of `s·A·B`. The published code uses `alpha / sqrt(r)` with alpha 8; the paper's equation
    /// is 1.
    pub scale: f64,
    /// ADePT only: dropout on the bottleneck before its ReLU, active on autodiff backends alone. The paper has none; one
    /// version of the published script has 0.1.
    pub dropout: f64,
}

impl AdapterConfig {
    /// Prompt tuning with `virtual_tokens` virtual tokens.
    pub fn pt(d_model: usize, virtual_tokens: usize) -> Self {
        Self {
            method: Method::Pt,
            d_model,
            virtual_tokens,
            rank: 0,
            max_source_length: 256,
            scale: 1.0,
            dropout: 0.0,
        }
    }

    /// DePT with the paper's plain product (scale 1).
    pub fn dept(d_model: usize, virtual_tokens: usize, rank: usize, max_source_length: usize) -> Self {
        Self {
            method: Method::Dept,
            rank,
            max_source_length,
            ..Self::pt(d_model, virtual_tokens)
        }
    }

    /// ADePT as in the paper, without dropout.
    pub fn adept(d_model: usize, virtual_tokens: usize, rank: usize) -> Self {
        Self {
            method: Method::Adept,
            rank,
            ..Self::pt(d_model, virtual_tokens)
        }
    }

    /// How many values the adapter trains.
    ///
    /// ```
    /// # use adept_core::AdapterConfig;
    /// // The paper's ADePT for T5-base, and a prompt of 100 tokens beside it.
    /// assert_eq!(AdapterConfig::adept(768, 60, 19).trainable_parameters(), 76_051);
    /// assert_eq!(AdapterConfig::pt(768, 100).trainable_parameters(), 76_800);
    /// ```
    pub fn trainable_parameters(&self) -> usize {
        let prompt = self.virtual_tokens * self.d_model;
        let offset = match self.method {
            Method::Pt => 0,
            Method::Dept => self.rank * (self.max_source_length + self.d_model),
            Method::Adept => 2 * self.rank * self.d_model + self.rank + self.d_model,
        };
        prompt + offset
    }

    /// Names and shapes of the tensors in the file, prompt first. The names are the published code's: for ADePT
    /// `lora_embedding_A` is W_down, `lora_embedding_a` b1, `lora_embedding_B` W_up and `lora_embedding_b` b2.
    pub fn tensor_shapes(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (d, r) = (self.d_model, self.rank);
        let mut shapes = Vec::new();
        if self.virtual_tokens > 0 {
            shapes.push(("prompt_embeddings", vec![self.virtual_tokens, d]));
        }
        match self.method {
            Method::Pt => {}
            Method::Dept => shapes.extend([
                ("lora_embedding_A", vec![self.max_source_length, r]),
                ("lora_embedding_B", vec![r, d]),
            ]),
            Method::Adept => shapes.extend([
                ("lora_embedding_A", vec![d, r]),
                ("lora_embedding_a", vec![r]),
                ("lora_embedding_B", vec![r, d]),
                ("lora_embedding_b", vec![d]),
            ]),
        }
        shapes
    }

    /// Checks that every field makes sense for the method.
    ///
    /// # Errors
    /// [`CoreError::InvalidConfig`] names the first field that does not.
    pub fn validate(&self) -> Result<(), CoreError> {
        let refuse = |field: &'static str, expected: &'static str, found: String| {
            Err(CoreError::InvalidConfig {
                method: self.method,
                field,
                expected,
                found,
            })
        };
        if self.d_model == 0 {
            return refuse("d_model", "at least 1", "0".to_string());
        }
        match self.method {
            Method::Pt => {
                if self.virtual_tokens == 0 {
                    return refuse(
                        "virtual_tokens",
                        "at least 1 (the prompt is all there is)",
                        "0".to_string(),
                    );
                }
                if self.rank != 0 {
                    return refuse("rank", "0 (there is no offset)", self.rank.to_string());
                }
            }
            Method::Dept | Method::Adept => {
                if self.rank == 0 {
                    return refuse("rank", "at least 1", "0".to_string());
                }
            }
        }
        if self.method == Method::Dept && self.max_source_length == 0 {
            return refuse("max_source_length", "at least 1", "0".to_string());
        }
        if !self.scale.is_finite() {
            return refuse("scale", "a finite number", self.scale.to_string());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return refuse("dropout", "at least 0 and below 1", self.dropout.to_string());
        }
        if self.checked_size().is_none() {
            return refuse("d_model", "a size that fits in memory", self.d_model.to_string());
        }
        Ok(())
    }

    /// The number of trained values where it can be counted without overflow; files from elsewhere may say anything.
    fn checked_size(&self) -> Option<usize> {
        let prompt = self.virtual_tokens.checked_mul(self.d_model)?;
        let rows = self.d_model.checked_add(self.max_source_length)?.checked_mul(2)?;
        let bytes = self
            .rank
            .checked_add(1)?
            .checked_mul(rows)?
            .checked_add(prompt)?
            .checked_mul(8)?;
        (bytes <= isize::MAX as usize).then_some(bytes)
    }
}
