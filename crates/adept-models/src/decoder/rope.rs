//! Rotary frequencies, and how they are scaled for longer texts.
//!
//! | `rope_type` | origin |
//! |---|---|
//! | `linear` | position interpolation (Chen et al. 2023, arXiv 2306.15595) |
//! | `dynamic` | NTK-aware scaling: nothing changes within the positions that the model was trained for |
//! | `yarn` | Peng et al. 2023, arXiv 2309.00071 |
//! | `llama3` | Llama 3.1 |
//! | `longrope` | Ding et al. 2024, arXiv 2402.13753: Phi-3 |

use std::f64::consts::TAU;
use std::sync::Arc;

use crate::causal::Rotary;
use crate::error::ModelError;

/// Scaling of rotary frequencies.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// All frequencies divided by one factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// A base that grows with texts longer than the model's positions, which rows never are: no change.
    Dynamic {
        /// The factor.
        factor: f64,
    },
    /// Slow pairs are divided, fast ones kept, those between mixed by their place.
    Yarn {
        /// Divisor of the slow pairs' frequencies.
        factor: f64,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
        /// Pairs that turn at least this often within the original positions are kept.
        beta_fast: f64,
        /// Pairs that turn at most this often within the original positions are divided.
        beta_slow: f64,
        /// Whether the limits are rounded to whole pairs.
        truncate: bool,
        /// Number of positions before scaling.
        original_max_position_embeddings: f64,
    },
    /// Llama 3.1: low frequencies are divided, high ones kept, those between interpolated.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f64,
        /// A frequency is low if its wavelength exceeds the original positions divided by this.
        low_freq_factor: f64,
        /// A frequency is high if its wavelength is below the original positions divided by this.
        high_freq_factor: f64,
        /// Number of positions before scaling.
        original_max_position_embeddings: f64,
    },
    /// Each pair has a divisor of its own, and another one in batches that are longer than the original positions.
    LongRope {
        /// Divisors within the original positions, one per pair.
        short_factor: Arc<[f64]>,
        /// Divisors beyond them, one per pair.
        long_factor: Arc<[f64]>,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
        /// Number of positions before scaling.
        original_max_position_embeddings: f64,
    },
}

/// Rotary positions of a stack's attentions.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// Rotated channels per head.
    pub channels: usize,
    /// Scaling of the frequencies.
    pub scaling: Option<RopeScaling>,
    /// A side network that is this many times narrower keeps every `step`th pair.
    pub(super) step: usize,
}

impl Rope {
    /// Rotation of the first `channels` channels of a head.
    pub fn new(theta: f64, channels: usize, scaling: Option<RopeScaling>) -> Self {
        Self {
            theta,
            channels,
            scaling,
            step: 1,
        }
    }

    /// Refuses divisors whose number is not that of the pairs, and a base that YaRN cannot take the logarithm of.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        match &self.scaling {
            Some(RopeScaling::LongRope {
                short_factor,
                long_factor,
                ..
            }) => {
                let pairs = self.channels / 2;
                for (field, factors) in [("short_factor", short_factor), ("long_factor", long_factor)] {
                    if factors.len() != pairs {
                        let expected = format!("{pairs} numbers, one for each rotated pair of a head");
                        return Err(ModelError::config(field, expected, factors.len()));
                    }
                }
                Ok(())
            }
            Some(RopeScaling::Yarn { .. }) if self.theta <= 1.0 => {
                Err(ModelError::config("rope_theta", "more than 1 with yarn", self.theta))
            }
            _ => Ok(()),
        }
    }

    /// The length of a batch beyond which frequencies are others, if there is one.
    pub fn limit(&self) -> Option<usize> {
        match &self.scaling {
            Some(RopeScaling::LongRope {
                original_max_position_embeddings: original,
                ..
            }) => Some(*original as usize),
            _ => None,
        }
    }

    /// Frequencies in a batch whose largest position is `length - 1`.
    pub fn rotary(&self, length: usize) -> Rotary {
        let plain = Rotary::new(self.theta, self.channels);
        let scaled = match &self.scaling {
            Some(scaling) => scaling.apply(&plain, self, length),
            None => plain,
        };
        scaled.every(self.step)
    }
}

impl RopeScaling {
    /// The scaled frequencies of the pairs of `rope`.
    fn apply(&self, rotary: &Rotary, rope: &Rope, length: usize) -> Rotary {
        match self {
            Self::Linear { factor } => rotary.map(|_, frequency| frequency / factor),
            Self::Dynamic { .. } => rotary.clone(),
            &Self::Yarn {
                factor,
                attention_factor,
                beta_fast,
                beta_slow,
                truncate,
                original_max_position_embeddings: original,
            } => {
                let channels = rope.channels as f64;
                // The pair, counted in fractions, that turns so often within the original positions.
                let pair = |turns: f64| channels * (original / (turns * TAU)).ln() / (2.0 * rope.theta.ln());
                let (mut first, mut last) = (pair(beta_fast), pair(beta_slow));
                if truncate {
                    (first, last) = (first.floor(), last.ceil());
                }
                let (first, mut last) = (first.max(0.0), last.min(channels - 1.0));
                if first == last {
                    last += 0.001;
                }
                let scaled = rotary.map(|pair, frequency| {
                    let divided = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
                    frequency / factor * divided + frequency * (1.0 - divided)
                });
                scaled.with_amplitude(attention_factor)
            }
            &Self::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_max_position_embeddings: original,
            } => rotary.map(|_, frequency| {
                let wavelength = TAU / frequency;
                if wavelength < original / high {
                    return frequency;
                }
                if wavelength > original / low {
                    return frequency / factor;
                }
                let smooth = (original / wavelength - low) / (high - low);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }),
            Self::LongRope {
                short_factor,
                long_factor,
                attention_factor,
                original_max_position_embeddings: original,
            } => {
                let factors = if length as f64 > *original {
                    long_factor
                } else {
                    short_factor
                };
                let scaled = rotary.map(|pair, frequency| frequency / factors[pair]);
                scaled.with_amplitude(*attention_factor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_waves_are_stretched_fast_ones_kept() {
        // Llama 3.1's numbers: frequencies 1 (high), 2π/8192/1.5 (low: its wavelength exceeds the original positions)
        // and one in the middle of the interpolation.
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192.0,
        };
        let rope = Rope::new(1.0, 2, None);
        let apply = |frequency: f64| {
            let one = Rotary::new(1.0, 2).map(|_, _| frequency);
            f64::from(scaling.apply(&one, &rope, 1).frequencies()[0])
        };
        let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
        close(apply(1.0), 1.0);
        let slow = TAU / (8192.0 * 1.5);
        close(apply(slow), slow / 8.0);
        // Wavelength 8192/2.5: smooth = (2.5 - 1) / 3 = 0.5.
        let middle = TAU * 2.5 / 8192.0;
        close(apply(middle), 0.5 * middle / 8.0 + 0.5 * middle);
    }

    #[test]
    fn long_batches_have_divisors_of_their_own_and_narrow_heads_every_nth_pair() {
        let scaling = RopeScaling::LongRope {
            short_factor: [1.0, 2.0, 3.0, 4.0].into(),
            long_factor: [2.0, 4.0, 6.0, 8.0].into(),
            attention_factor: 1.25,
            original_max_position_embeddings: 16.0,
        };
        let rope = Rope::new(10000.0, 8, Some(scaling));
        assert!(rope.limit() == Some(16) && rope.check().is_ok());
        let [short, long] = [16, 17].map(|length| rope.rotary(length));
        assert_eq!(short.amplitude(), 1.25);
        let plain = Rotary::new(10000.0, 8);
        for (pair, frequency) in plain.frequencies().iter().enumerate() {
            let divisor = (pair + 1) as f32;
            assert!(
                (short.frequencies()[pair] * divisor / frequency - 1.0).abs() < 1e-6,
                "{pair}"
            );
            assert!(
                (long.frequencies()[pair] * 2.0 * divisor / frequency - 1.0).abs() < 1e-6,
                "{pair}"
            );
        }
        let narrow = Rope {
            step: 2,
            ..rope.clone()
        }
        .rotary(16);
        assert_eq!(narrow.frequencies(), [short.frequencies()[0], short.frequencies()[2]]);
        assert!(Rope { channels: 6, ..rope }.check().is_err());
    }
}
