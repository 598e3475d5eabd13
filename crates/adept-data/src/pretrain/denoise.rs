//! T5's span corruption (Raffel et al. 2020, section 3.1.4, and the recipe published with it): a share of the tokens is
//! noise, in spans of a mean length. The input keeps the rest and one sentinel in place of each span; the target is the
//! spans, each behind its sentinel.
//!
//! ```text
//! tokens   a b c d e f g h
//! mask     . . x x . . . x
//! input    a b <extra_id_0> e f g <extra_id_1> </s>
//! target   <extra_id_0> c d <extra_id_1> h </s>
//! ```
//!
//! With `L` tokens of text there are `n = round(L · density)` noise tokens in `s = round(n / mean length)` spans (both at
//! least 1, ties to even as TensorFlow and numpy round). Noise and the rest are each cut into `s` spans, all ways to cut
//! being equally likely, and laid down in turns, the rest first. So an input has `L - n + s + 1` tokens and a target
//! `n + s + 1`, whatever was drawn, and a window always ends in noise: no sentinel closes the target.

use super::{Draws, PretrainError};
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

impl DenoiseOptions {
    fn check(&self) -> Result<(), PretrainError> {
        let refused = |option, expected, found| {
            Err(PretrainError::Option {
                option,
                expected,
                found,
            })
        };
        // Written so that NaN is refused as well.
        if !(self.noise_density > 0.0 && self.noise_density < 1.0) {
            return refused("noise_density", "a share between 0 and 1", self.noise_density);
        }
        if !(self.mean_span_length >= 1.0 && self.mean_span_length.is_finite()) {
            return refused("mean_span_length", "at least 1", self.mean_span_length);
        }
        Ok(())
    }

    /// Noise tokens of a window of at least two tokens and their spans: at least one of each, at least one token that is
    /// not noise, and no more spans than tokens to separate them.
    fn counts(&self, length: usize) -> (usize, usize) {
        let noise = (length as f64 * self.noise_density).round_ties_even() as usize;
        let noise = noise.clamp(1, length - 1);
        let spans = (noise as f64 / self.mean_span_length).round_ties_even() as usize;
        (noise, spans.clamp(1, noise.min(length - noise)))
    }

    /// Noise spans of a window of `length` tokens: the sentinels it needs.
    pub fn spans(&self, length: usize) -> usize {
        self.counts(length.max(2)).1
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

    fn get(&self, span: usize, spans: usize) -> Result<u32, PretrainError> {
        self.0.get(span).copied().ok_or(PretrainError::TooFewSentinels {
            expected: spans,
            found: self.0.len(),
        })
    }
}

/// Tokens of text and of target for inputs of `input_length` tokens: the longest window whose corrupted form, `</s>`
/// included, is no longer than that. T5's 512 give 568 tokens of text and 114 of target.
///
/// # Errors
/// [`PretrainError::Option`] where the noise is out of range, [`PretrainError::InputTooShort`] where not even a window of
/// two tokens fits.
pub fn window_length(input_length: usize, options: &DenoiseOptions) -> Result<(usize, usize), DataError> {
    options.check()?;
    let lengths = |window: usize| {
        let (noise, spans) = options.counts(window);
        (window - noise + spans + 1, noise + spans + 1)
    };
    // One token more of text makes the input one token longer or leaves it as it is, so the first window that is too long
    // ends the search, as published. (Left out: the recipe's special case for a density of exactly one half.)
    let mut window = 2;
    if lengths(window).0 > input_length {
        return Err(PretrainError::InputTooShort {
            expected: lengths(window).0,
            found: input_length,
        }
        .into());
    }
    while lengths(window + 1).0 <= input_length {
        window += 1;
    }
    Ok((window, lengths(window).1))
}

/// Which of `length` tokens are noise: true for noise. Fewer than two tokens have none.
pub fn noise_mask(length: usize, options: &DenoiseOptions, draws: &mut Draws) -> Vec<bool> {
    if length < 2 {
        return vec![false; length];
    }
    let (noise, spans) = options.counts(length);
    let noise_spans = random_spans(noise, spans, draws);
    let other_spans = random_spans(length - noise, spans, draws);
    let mut mask = Vec::with_capacity(length);
    for (other, noise) in other_spans.into_iter().zip(noise_spans) {
        mask.resize(mask.len() + other, false);
        mask.resize(mask.len() + noise, true);
    }
    mask
}

/// Lengths of `spans` spans of at least one item each that add up to `items`, all ways to cut being equally likely: a
/// random `spans - 1` of the `items - 1` places between two items are cut.
fn random_spans(items: usize, spans: usize, draws: &mut Draws) -> Vec<usize> {
    let mut cut: Vec<bool> = (0..items - 1).map(|place| place + 1 < spans).collect();
    draws.shuffle(&mut cut);
    let mut lengths = Vec::with_capacity(spans);
    let mut length = 1;
    for cut in cut {
        if cut {
            lengths.push(length);
            length = 0;
        }
        length += 1;
    }
    lengths.push(length);
    lengths
}

/// Input and target of tokens of which the masked ones are hidden; `eos` ends both.
///
/// # Errors
/// [`PretrainError::MaskLength`] and, where there are more noise spans than sentinels, [`PretrainError::TooFewSentinels`].
pub fn corrupt(tokens: &[u32], mask: &[bool], sentinels: &Sentinels, eos: u32) -> Result<Encoded, DataError> {
    if tokens.len() != mask.len() {
        return Err(PretrainError::MaskLength {
            expected: tokens.len(),
            found: mask.len(),
        }
        .into());
    }
    let starts = |at: usize| mask[at] && (at == 0 || !mask[at - 1]);
    let spans = (0..mask.len()).filter(|&at| starts(at)).count();
    let mut source = Vec::with_capacity(tokens.len() + 1);
    let mut target = Vec::with_capacity(tokens.len() + 1);
    let mut span = 0;
    for (at, &token) in tokens.iter().enumerate() {
        if starts(at) {
            let sentinel = sentinels.get(span, spans)?;
            source.push(sentinel);
            target.push(sentinel);
            span += 1;
        }
        if mask[at] { &mut target } else { &mut source }.push(token);
    }
    source.push(eos);
    target.push(eos);
    Ok(Encoded { source, target })
}
