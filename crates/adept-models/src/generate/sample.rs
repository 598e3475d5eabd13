//! Samples a token from logits as transformers does: temperature, then top-k, then top-p, then a draw.
//!
//! Everything runs on the host in float64. The draw is a function of (seed, row, sample, token) only, so a text depends
//! neither on the batch a row is in nor on whether the run was interrupted and resumed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::GenerateError;

/// Sampling options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits. 0 means greedy.
    pub temperature: f64,
    /// Keeps this many of the largest logits, and ties with the smallest of them; 0 keeps all.
    pub top_k: usize,
    /// Keeps the smallest set of most probable tokens whose total probability reaches this value, always at least one.
    /// 1 keeps all.
    pub top_p: f64,
    /// Seed of all draws.
    pub seed: u64,
}

/// Identifies a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Draw {
    /// The row's number, independent of its batch.
    pub row: u64,
    /// Index of the sample for the row.
    pub sample: u64,
    /// Index of the new token, from 0.
    pub token: u64,
}

/// Tokens whose `logit / temperature` is this far below the largest are never drawn: even a million of them together
/// would be drawn once in 10^20 times.
const OUT_OF_REACH: f64 = 60.0;

impl Sampling {
    /// Checks that the options are valid.
    ///
    /// # Errors
    /// [`GenerateError::Sampling`].
    pub fn validate(&self) -> Result<(), GenerateError> {
        let wrong = |option, expected, found| GenerateError::Sampling {
            option,
            expected,
            found,
        };
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            let expected = "a finite number that is not negative";
            return Err(wrong("temperature", expected, self.temperature));
        }
        if !(0.0..=1.0).contains(&self.top_p) {
            return Err(wrong("top_p", "a number from 0 to 1", self.top_p));
        }
        Ok(())
    }

    /// The tokens that may be drawn, by id, with their probabilities; `None` if a logit is NaN or the largest is not
    /// finite.
    pub fn probabilities(&self, logits: &[f32]) -> Option<Vec<(u32, f64)>> {
        let mut kept = self.kept(logits)?;
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        kept.iter_mut().for_each(|(_, weight)| *weight /= total);
        Some(kept)
    }

    /// Draws a token from logits; `None` if they are not finite.
    pub fn draw(&self, logits: &[f32], draw: Draw) -> Option<u32> {
        let kept = self.kept(logits)?;
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let target = uniform(self.seed, draw) * total;
        // By id rather than by rank: if rounding swaps the ranks of two tokens, no other token's interval moves.
        let mut below = 0.0;
        for &(id, weight) in &kept {
            below += weight;
            if target < below {
                return Some(id);
            }
        }
        kept.last().map(|&(id, _)| id)
    }

    /// The tokens that may be drawn, by id, each with weight `e^(logit - largest logit)` after temperature.
    fn kept(&self, logits: &[f32]) -> Option<Vec<(u32, f64)>> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !largest.is_finite() || logits.iter().any(|logit| logit.is_nan()) {
            return None;
        }
        if self.temperature == 0.0 {
            return Some(vec![(super::top_and_margin(logits).0, 1.0)]);
        }
        let lowest = smallest_of_top(logits, self.top_k);
        let weight = |(id, &logit): (usize, &f32)| {
            let below = (f64::from(largest) - f64::from(logit)) / self.temperature;
            let within = logit >= lowest && below <= OUT_OF_REACH;
            within.then(|| (id as u32, libm::exp(-below)))
        };
        let kept: Vec<(u32, f64)> = logits.iter().enumerate().filter_map(weight).collect();
        Some(if self.top_p < 1.0 {
            nucleus(&kept, self.top_p)
        } else {
            kept
        })
    }
}

/// The `k`-th largest logit; if all are kept, a lower bound of all.
fn smallest_of_top(logits: &[f32], k: usize) -> f32 {
    if k == 0 || k >= logits.len() {
        return f32::NEG_INFINITY;
    }
    let mut sorted = logits.to_vec();
    let (_, smallest, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    *smallest
}

/// The smallest set of tokens, heaviest first and in order among equals, whose weights reach the share `top_p` of the
/// total.
fn nucleus(weights: &[(u32, f64)], top_p: f64) -> Vec<(u32, f64)> {
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    // All tokens up to this weight together weigh less than what may be dropped, so none of them needs sorting; the
    // bound is slightly lower to allow for rounding.
    let bar = (1.0 - top_p) * total / weights.len() as f64 * (1.0 - 1e-9);
    let mut heavy: Vec<(u32, f64)> = weights.iter().copied().filter(|(_, weight)| *weight >= bar).collect();
    heavy.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut before = 0.0;
    let mut count = 0;
    for (_, weight) in &heavy {
        if count > 0 && before >= top_p * total {
            break;
        }
        before += weight;
        count += 1;
    }
    heavy.truncate(count);
    heavy.sort_unstable_by_key(|(id, _)| *id);
    heavy
}

/// A uniform number in [0, 1): 53 bits of a ChaCha stream, keyed by seed, row and sample and positioned by the token.
fn uniform(seed: u64, draw: Draw) -> f64 {
    let mut key = [0; 32];
    for (part, word) in key.chunks_exact_mut(8).zip([seed, draw.row, draw.sample, 0]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_word_pos(u128::from(draw.token) * 2);
    (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
