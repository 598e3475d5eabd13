//! T5's span corruption (Raffel et al. 2020, section 3.1.4, and the published recipe): a share of the tokens is noise,
//! in spans of a given mean length. The input keeps the other tokens, with a sentinel in place of each span; the target
//! lists the spans, each preceded by its sentinel.
//!
//! ```text
//! tokens   a b c d e f g h
//! mask     . . x x . . . x
//! input    a b <extra_id_0> e f g <extra_id_1> </s>
//! target   <extra_id_0> c d <extra_id_1> h </s>
//! ```
//!
//! A window of `L` tokens has `n = round(L · density)` noise tokens in `s = round(n / mean length)` spans (both at
//! least 1, ties to even as in TensorFlow and numpy). Noise and non-noise tokens are each partitioned into `s` spans,
//! uniformly over all partitions, and interleaved starting with non-noise. So an input always has `L - n + s + 1`
//! tokens and a target `n + s + 1`, and a window always ends in noise: no sentinel closes the target.

use super::{Draws, PretrainError};
use crate::{DataError, Encoded, TextTokenizer};

/// Amount and span length of the noise.
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
        // Negated so that NaN is rejected as well.
        if !(self.noise_density > 0.0 && self.noise_density < 1.0) {
            return refused("noise_density", "a share between 0 and 1", self.noise_density);
        }
        if !(self.mean_span_length >= 1.0 && self.mean_span_length.is_finite()) {
            return refused("mean_span_length", "at least 1", self.mean_span_length);
        }
        Ok(())
    }

    /// Noise tokens and spans of a window of at least two tokens: at least one of each, at least one non-noise token,
    /// and no more spans than non-noise tokens to separate them.
    fn counts(&self, length: usize) -> (usize, usize) {
        let noise = (length as f64 * self.noise_density).round_ties_even() as usize;
        let noise = noise.clamp(1, length - 1);
        let spans = (noise as f64 / self.mean_span_length).round_ties_even() as usize;
        (noise, spans.clamp(1, noise.min(length - noise)))
    }

    /// Number of noise spans, and so of sentinels, in a window of `length` tokens.
    pub fn spans(&self, length: usize) -> usize {
        self.counts(length.max(2)).1
    }
}

/// Ids of the sentinels, `<extra_id_0>` first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentinels(Vec<u32>);

impl Sentinels {
    /// From ids, `<extra_id_0>` first.
    pub fn new(ids: Vec<u32>) -> Self {
        Self(ids)
    }

    /// The sentinels in a tokenizer's vocabulary: `<extra_id_0>`, `<extra_id_1>` and so on up to the first missing one.
    pub fn of(tokenizer: &TextTokenizer) -> Self {
        let known = |number| tokenizer.token_id(&format!("<extra_id_{number}>"));
        Self((0..).map_while(known).collect())
    }

    /// The ids, `<extra_id_0>` first.
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

/// Window and target length for inputs of `input_length` tokens: the longest window whose corrupted form, `</s>`
/// included, still fits. For T5's 512, a window is 568 tokens of text and its target 114.
///
/// # Errors
/// [`PretrainError::Option`] if the noise is out of range, [`PretrainError::InputTooShort`] if not even a window of two
/// tokens fits.
pub fn window_length(input_length: usize, options: &DenoiseOptions) -> Result<(usize, usize), DataError> {
    options.check()?;
    let lengths = |window: usize| {
        let (noise, spans) = options.counts(window);
        (window - noise + spans + 1, noise + spans + 1)
    };
    // One more token of text makes the input one token longer or leaves its length unchanged, so the search ends at the
    // first window that is too long, as published. (Omitted: the recipe's special case for a density of exactly one
    // half.)
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

/// True at noise tokens. Windows of fewer than two tokens have none.
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

/// Partitions `items` into `spans` spans of at least one item each, uniformly over all partitions: a random `spans - 1`
/// of the `items - 1` gaps between items become boundaries.
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

/// Builds input and target from tokens and a noise mask; both end in `eos`.
///
/// # Errors
/// [`PretrainError::MaskLength`], and [`PretrainError::TooFewSentinels`] if there are more noise spans than sentinels.
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
    Ok(Encoded::new(source, target))
}
