//! T5's span corruption (Raffel et al. 2020, section 3.1.4, and the recipe published with it).

use super::Draws;
use crate::{DataError, Encoded, TextTokenizer};

/// How much is hidden, and in what pieces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenoiseOptions {
    /// Share of tokens that are noise, between 0 and 1 (T5: 0.15).
    pub noise_density: f64,
    /// Mean length of a noise span in tokens, at least 1 (T5: 3).
    pub mean_span_length: f64,
}

impl Default for DenoiseOptions {
    fn default() -> Self {
        Self {
            noise_density: 0.15,
            mean_span_length: 3.0,
        }
    }
}

/// Ids of the sentinels, `<extra_id_0>` first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinels(Vec<u32>);

impl Sentinels {
    /// Sentinels of these ids, `<extra_id_0>` first.
    pub fn new(ids: Vec<u32>) -> Self {
        Self(ids)
    }

    /// The sentinels of a tokenizer: `<extra_id_0>`, `<extra_id_1>` and so on, as far as it knows them.
    pub fn of(tokenizer: &TextTokenizer) -> Self {
        let known = |number| tokenizer.token_id(&format!("<extra_id_{number}>"));
        Self((0..).map_while(known).collect())
    }

    /// Their ids, `<extra_id_0>` first.
    pub fn ids(&self) -> &[u32] {
        &self.0
    }
}

/// Tokens of text and of target for inputs of `input_length` tokens: the longest window whose corrupted form, `</s>`
/// included, is no longer than that.
///
/// # Errors
/// [`PretrainError::Option`](super::PretrainError::Option), [`PretrainError::InputTooShort`](super::PretrainError::InputTooShort).
pub fn window_length(input_length: usize, options: &DenoiseOptions) -> Result<(usize, usize), DataError> {
    let _ = (input_length, options);
    todo!()
}

/// Which of `length` tokens are noise.
pub fn noise_mask(length: usize, options: &DenoiseOptions, draws: &mut Draws) -> Vec<bool> {
    let _ = (length, options, draws);
    todo!()
}

/// Input and target of tokens of which the masked ones are hidden.
///
/// # Errors
/// [`PretrainError::MaskLength`](super::PretrainError::MaskLength), [`PretrainError::TooFewSentinels`](super::PretrainError::TooFewSentinels).
pub fn corrupt(tokens: &[u32], mask: &[bool], sentinels: &Sentinels, eos: u32) -> Result<Encoded, DataError> {
    let _ = (tokens, mask, sentinels, eos);
    todo!()
}
