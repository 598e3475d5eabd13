//! A token drawn from logits as transformers does it: temperature, then top-k, then top-p, then a draw.
//!
//! All of it runs on the host in float64. The draw is a function of (seed, row, sample, token) alone, so neither the batch
//! that a row is in nor a run that was stopped and went on changes a text.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::GenerateError;

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it. 0 means greedy.
    pub temperature: f64,
    /// Only so many of the largest logits are kept, and any that equal the last of them; 0 keeps all.
    pub top_k: usize,
    /// Only the fewest tokens are kept, the most probable first, whose probabilities together reach it; always one at least.
    /// 1 keeps all.
    pub top_p: f64,
    /// What all draws begin from.
    pub seed: u64,
}

/// Whose token is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Draw {
    /// The row's own number, whatever batch it is in.
    pub row: u64,
    /// Which of the row's samples it is.
    pub sample: u64,
    /// Which of its new tokens, from 0.
    pub token: u64,
}

/// Units of `logit / temperature` below the largest beyond which a token is never drawn: all such tokens together, be they a
/// million, would be drawn once in 10^20 times.
const OUT_OF_REACH: f64 = 60.0;

impl Sampling {
    /// Checks that the options make sense.
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

    /// The tokens that may be drawn, by id, each with its probability among them; none where a logit is no number or the
    /// largest is not finite.
    pub fn probabilities(&self, logits: &[f32]) -> Option<Vec<(u32, f64)>> {
        let mut kept = self.kept(logits)?;
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        kept.iter_mut().for_each(|(_, weight)| *weight /= total);
        Some(kept)
    }

    /// The token that a draw takes from logits; none where they are not finite.
    pub fn draw(&self, logits: &[f32], draw: Draw) -> Option<u32> {
        let kept = self.kept(logits)?;
        let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let target = uniform(self.seed, draw) * total;
        // By id and not by rank: where roundings make two tokens change ranks, no other token's share moves.
        let mut below = 0.0;
        for &(id, weight) in &kept {
            below += weight;
            if target < below {
                return Some(id);
            }
        }
        kept.last().map(|&(id, _)| id)
    }

    /// The tokens that may be drawn, by id, each with `e^(its logit - the largest)` after temperature.
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

/// The `k`-th largest logit; where all are kept, what none is below.
fn smallest_of_top(logits: &[f32], k: usize) -> f32 {
    if k == 0 || k >= logits.len() {
        return f32::NEG_INFINITY;
    }
    let mut sorted = logits.to_vec();
    let (_, smallest, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    *smallest
}

/// The fewest tokens, the heaviest first and of equal ones the first, whose weights reach the share `top_p` of all.
fn nucleus(weights: &[(u32, f64)], top_p: f64) -> Vec<(u32, f64)> {
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    // All tokens up to this weight weigh less together than what may be left out, so none of them needs to be sorted; the
    // bar is a little lower than that, for roundings.
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

/// A number from 0 up to 1, 1 not included: 53 bits of ChaCha's stream, whose key is the seed, the row and the sample, and
/// whose place is the token.
fn uniform(seed: u64, draw: Draw) -> f64 {
    let mut key = [0; 32];
    for (part, word) in key.chunks_exact_mut(8).zip([seed, draw.row, draw.sample, 0]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_word_pos(u128::from(draw.token) * 2);
    (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}
