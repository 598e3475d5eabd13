//! Llama's rotary frequencies, and how later versions scale them for longer texts.

use std::f64::consts::TAU;

use serde::Deserialize;

use crate::causal::Rotary;
use crate::error::ModelError;
use crate::files::Object;
use crate::json;

/// Scaling of rotary frequencies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// All frequencies divided by one factor.
    Linear {
        /// The factor.
        factor: f64,
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

/// A file's `rope_scaling`, or `rope_parameters`, which newer versions of transformers write.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct RopeFields {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    /// The older key for `rope_type`; many files have both.
    #[serde(rename = "type")]
    older_type: Option<String>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    partial_rotary_factor: Option<f64>,
}

/// Everything a file states about rotary positions.
pub(super) struct Stated {
    pub scaling: Option<RopeFields>,
    pub parameters: Option<RopeFields>,
    pub theta: Option<f64>,
    /// `original_max_position_embeddings` outside of the scaling.
    pub original: Option<f64>,
    pub positions: usize,
}

/// The resolved settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Resolved {
    pub theta: Option<f64>,
    /// `None` if the frequencies are not scaled.
    pub scaling: Option<RopeScaling>,
}

/// Accepts every valid form: either key or both, the type under either name or both, `rope_theta` inside or outside.
/// Redundant values must agree.
pub(super) fn resolve(file: &Object, stated: &Stated) -> Result<Resolved, ModelError> {
    let read = |key: &'static str, fields: &Option<RopeFields>| -> Result<Option<Resolved>, ModelError> {
        fields
            .as_ref()
            .map(|fields| fields.resolve(file, key, stated))
            .transpose()
    };
    let older = read("rope_scaling", &stated.scaling)?;
    let newer = read("rope_parameters", &stated.parameters)?;
    let rope = match (older, newer) {
        (Some(older), Some(newer)) => {
            if older.scaling != newer.scaling {
                let expected = format!("what rope_scaling says, {:?}", older.scaling);
                return Err(file.refuse("rope_parameters", expected, format!("{:?}", newer.scaling)));
            }
            Resolved {
                theta: agreed(file, "rope_theta", older.theta, newer.theta)?,
                scaling: newer.scaling,
            }
        }
        (older, newer) => older.or(newer).unwrap_or(Resolved {
            theta: None,
            scaling: None,
        }),
    };
    Ok(Resolved {
        theta: agreed(file, "rope_theta", rope.theta, stated.theta)?,
        scaling: rope.scaling,
    })
}

/// A number that may be given in two places.
fn agreed(file: &Object, key: &str, one: Option<f64>, other: Option<f64>) -> Result<Option<f64>, ModelError> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => {
            Err(file.refuse(key, format!("{one}, as another place in the file says"), other))
        }
        (one, other) => Ok(one.or(other)),
    }
}

impl RopeFields {
    fn resolve(&self, file: &Object, key: &'static str, stated: &Stated) -> Result<Resolved, ModelError> {
        let name = |field: &str| format!("{key}.{field}");
        if let Some(found) = self.partial_rotary_factor.filter(|&part| part != 1.0) {
            return Err(file.refuse(&name("partial_rotary_factor"), 1, found));
        }
        let kind = match (&self.rope_type, &self.older_type) {
            (Some(newer), Some(older)) if newer != older => {
                return Err(file.refuse(&name("type"), format!("`{newer}` as rope_type"), older));
            }
            (newer, older) => newer.as_deref().or(older.as_deref()),
        };
        let positive = |field: &str, value: Option<f64>| match value {
            Some(value) if value > 0.0 && value.is_finite() => Ok(value),
            Some(value) => Err(file.refuse(&name(field), "more than 0", value)),
            None => Err(file.refuse(&name(field), "a number", json::ABSENT)),
        };
        let scaling = match kind {
            None | Some("default") => None,
            Some("linear") => Some(RopeScaling::Linear {
                factor: positive("factor", self.factor)?,
            }),
            Some("llama3") => {
                let low = positive("low_freq_factor", self.low_freq_factor)?;
                let high = positive("high_freq_factor", self.high_freq_factor)?;
                if high <= low {
                    let expected = format!("more than low_freq_factor {low}");
                    return Err(file.refuse(&name("high_freq_factor"), expected, high));
                }
                let original = "original_max_position_embeddings";
                let original_positions =
                    agreed(file, original, self.original_max_position_embeddings, stated.original)?;
                Some(RopeScaling::Llama3 {
                    factor: positive("factor", self.factor)?,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original_max_position_embeddings: positive(
                        original,
                        original_positions.or(Some(stated.positions as f64)),
                    )?,
                })
            }
            Some(other) => return Err(file.refuse(&name("rope_type"), "default, linear or llama3", other)),
        };
        Ok(Resolved {
            theta: self.rope_theta,
            scaling,
        })
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
