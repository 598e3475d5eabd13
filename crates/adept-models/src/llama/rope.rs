//! Rotary frequencies of Llama, and how later versions stretch them over longer texts.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use crate::causal::Rotary;
use crate::error::ModelError;
use crate::json;

/// How frequencies are changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// All divided by one factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3.1's: slow ones divided, fast ones kept, those between blended.
    Llama3 {
        /// What slow ones are divided by.
        factor: f64,
        /// Waves longer than the original positions over this are slow.
        low_freq_factor: f64,
        /// Waves shorter than the original positions over this are fast.
        high_freq_factor: f64,
        /// Positions the model was first trained for.
        original_max_position_embeddings: f64,
    },
}

impl RopeScaling {
    /// Changes the frequencies.
    pub fn apply(self, rotary: &Rotary) -> Rotary {
        match self {
            Self::Linear { factor } => rotary.map(|frequency| frequency / factor),
            Self::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_max_position_embeddings: original,
            } => rotary.map(|frequency| {
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
        }
    }
}

/// `rope_scaling` of a file, or `rope_parameters`, which newer versions of transformers write.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(super) struct RopeFields {
    pub rope_theta: Option<f64>,
    /// `type` in older files.
    #[serde(alias = "type")]
    pub rope_type: Option<String>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    partial_rotary_factor: Option<f64>,
}

impl RopeFields {
    /// What the fields say; none where frequencies stay as they are.
    pub fn scaling(&self) -> Result<Option<RopeScaling>, ModelError> {
        if let Some(found) = self.partial_rotary_factor.filter(|&part| part != 1.0) {
            return Err(ModelError::config("rope_parameters.partial_rotary_factor", 1.0, found));
        }
        match self.rope_type.as_deref() {
            None | Some("default") => Ok(None),
            Some("linear") => Ok(Some(RopeScaling::Linear {
                factor: positive("rope_scaling.factor", self.factor)?,
            })),
            Some("llama3") => {
                let low = positive("rope_scaling.low_freq_factor", self.low_freq_factor)?;
                let high = positive("rope_scaling.high_freq_factor", self.high_freq_factor)?;
                if high <= low {
                    let expected = format!("more than low_freq_factor {low}");
                    return Err(ModelError::config("rope_scaling.high_freq_factor", expected, high));
                }
                Ok(Some(RopeScaling::Llama3 {
                    factor: positive("rope_scaling.factor", self.factor)?,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original_max_position_embeddings: positive(
                        "rope_scaling.original_max_position_embeddings",
                        self.original_max_position_embeddings,
                    )?,
                }))
            }
            Some(other) => Err(ModelError::config(
                "rope_scaling.rope_type",
                "default, linear or llama3",
                other,
            )),
        }
    }
}

fn positive(field: &'static str, value: Option<f64>) -> Result<f64, ModelError> {
    match value {
        Some(value) if value > 0.0 && value.is_finite() => Ok(value),
        Some(value) => Err(ModelError::config(field, "more than 0", value)),
        None => Err(ModelError::config(field, "a number", json::ABSENT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_waves_are_stretched_fast_ones_kept() {
        // Llama 3.1's numbers: frequencies 1 (fast), 2π/8192/1.5 (slow: its wave is longer than the original positions)
        // and one in the middle of the blend.
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192.0,
        };
        let apply = |frequency: f64| f64::from(scaling.apply(&Rotary::new(1.0, 2).map(|_| frequency)).frequencies()[0]);
        let close = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
        close(apply(1.0), 1.0);
        let slow = TAU / (8192.0 * 1.5);
        close(apply(slow), slow / 8.0);
        // Wavelength 8192/2.5: smooth = (2.5 - 1) / 3 = 0.5.
        let middle = TAU * 2.5 / 8192.0;
        close(apply(middle), 0.5 * middle / 8.0 + 0.5 * middle);
    }
}
