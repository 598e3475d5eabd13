//! What a `config.json` says of rotary positions, in every form that transformers has written.

use serde::Deserialize;
use serde_json::{Value, json};

use super::rope::RopeScaling;
use crate::error::ModelError;
use crate::files::Object;
use crate::json::ABSENT;

/// A file's `rope_scaling`, or `rope_parameters`, which newer versions of transformers write.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct RopeFields {
    pub rope_theta: Option<f64>,
    rope_type: Option<String>,
    /// The older key for `rope_type`; many files have both.
    #[serde(rename = "type")]
    older_type: Option<String>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    partial_rotary_factor: Option<f64>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    /// `null`, which is false, is not the same as nothing, which is true.
    #[serde(default, deserialize_with = "given")]
    truncate: Option<Option<bool>>,
    short_factor: Option<Vec<f64>>,
    long_factor: Option<Vec<f64>>,
}

fn given<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<bool>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// Everything a file states about rotary positions.
pub(super) struct Stated {
    pub scaling: Option<RopeFields>,
    pub parameters: Option<RopeFields>,
    pub theta: Option<f64>,
    /// `partial_rotary_factor` outside of the scaling.
    pub part: Option<f64>,
    /// `original_max_position_embeddings` outside of the scaling.
    pub original: Option<f64>,
    /// The family's own, which comes before one in the scaling.
    pub usual_original: Option<f64>,
    /// Whether each type of layer may have its own, which are read elsewhere.
    pub is_by_layer: bool,
    pub positions: usize,
}

/// The resolved settings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resolved {
    pub theta: Option<f64>,
    /// The part of a head's channels that is rotated.
    pub part: Option<f64>,
    /// `None` if the frequencies are not scaled.
    pub scaling: Option<RopeScaling>,
}

/// Keys under which a file may have the settings of some layers.
pub(super) const LAYER_TYPES: [&str; 2] = ["full_attention", "sliding_attention"];
const PART: &str = "partial_rotary_factor";
const ORIGINAL: &str = "original_max_position_embeddings";

/// Accepts every valid form: either key or both, the type under either name or both, `rope_theta` inside or outside.
/// Redundant values must agree, and what transformers would not read where it stands is refused.
pub(super) fn resolve(file: &Object, stated: &Stated) -> Result<Resolved, ModelError> {
    let newer = file.get("rope_parameters").and_then(Value::as_object);
    let by_layer = newer.and_then(|map| LAYER_TYPES.into_iter().find(|kind| map.contains_key(*kind)));
    if let (Some(kind), false) = (by_layer, stated.is_by_layer) {
        let expected = "the settings themselves: this family has the same in every layer";
        return Err(file.refuse("rope_parameters", expected, kind));
    }
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
            // The older key takes the place of the newer one with all that is in it.
            let lost = [
                ("rope_theta", older.theta.or(stated.theta), newer.theta),
                (PART, older.part.or(stated.part), newer.part),
            ];
            if let Some((key, _, Some(found))) = lost
                .into_iter()
                .find(|(_, kept, lost)| kept.is_none() && lost.is_some())
            {
                return Err(file.refuse(
                    &format!("rope_scaling.{key}"),
                    format!("{found}, as in rope_parameters"),
                    ABSENT,
                ));
            }
            Resolved {
                theta: agreed(file, "rope_theta", older.theta, newer.theta)?,
                part: agreed(file, PART, older.part, newer.part)?,
                scaling: newer.scaling,
            }
        }
        (older, newer) => older.or(newer).unwrap_or(Resolved {
            theta: None,
            part: None,
            scaling: None,
        }),
    };
    Ok(Resolved {
        theta: agreed(file, "rope_theta", rope.theta, stated.theta)?,
        part: agreed(file, PART, rope.part, stated.part)?,
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
    /// The settings of one object, `key` in the file; `longrope` has had other names in Phi-3.
    pub fn resolve(&self, file: &Object, key: &str, stated: &Stated) -> Result<Resolved, ModelError> {
        let name = |field: &str| format!("{key}.{field}");
        let kind = match (&self.rope_type, &self.older_type) {
            (Some(newer), Some(older)) if newer != older => {
                return Err(file.refuse(&name("type"), format!("`{newer}` as rope_type"), older));
            }
            (newer, older) => newer.as_deref().or(older.as_deref()),
        };
        let positive = |field: &str, value: Option<f64>| match value {
            Some(value) if value > 0.0 && value.is_finite() => Ok(value),
            Some(value) => Err(file.refuse(&name(field), "more than 0", value)),
            None => Err(file.refuse(&name(field), "a number", ABSENT)),
        };
        let original = || {
            let inside = self.original_max_position_embeddings;
            if let (None, Some(usual), Some(found)) = (stated.original, stated.usual_original, inside)
                && usual != found
            {
                let expected = format!("{usual}, the family's own, or {ORIGINAL} beside {key}");
                return Err(file.refuse(&name(ORIGINAL), expected, found));
            }
            let given = agreed(file, ORIGINAL, inside, stated.original)?;
            positive(
                ORIGINAL,
                given.or(stated.usual_original).or(Some(stated.positions as f64)),
            )
        };
        let factor = || positive("factor", self.factor);
        let scaling = match kind {
            None | Some("default") => None,
            Some("linear") => Some(RopeScaling::Linear { factor: factor()? }),
            Some("dynamic") => Some(RopeScaling::Dynamic { factor: factor()? }),
            Some("yarn") => {
                let factor = factor()?;
                let (fast, slow) = (self.beta_fast.unwrap_or(32.0), self.beta_slow.unwrap_or(1.0));
                Some(RopeScaling::Yarn {
                    factor,
                    attention_factor: positive(
                        "attention_factor",
                        self.attention_factor.or_else(|| Some(self.yarn_amplitude(factor))),
                    )?,
                    beta_fast: positive("beta_fast", Some(fast))?,
                    beta_slow: positive("beta_slow", Some(slow))?,
                    truncate: self.truncate.unwrap_or(Some(true)).unwrap_or(false),
                    original_max_position_embeddings: original()?,
                })
            }
            Some("llama3") => {
                let low = positive("low_freq_factor", self.low_freq_factor)?;
                let high = positive("high_freq_factor", self.high_freq_factor)?;
                if high <= low {
                    let expected = format!("more than low_freq_factor {low}");
                    return Err(file.refuse(&name("high_freq_factor"), expected, high));
                }
                Some(RopeScaling::Llama3 {
                    factor: factor()?,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original_max_position_embeddings: original()?,
                })
            }
            Some("longrope") => {
                let factors = |field: &str, values: &Option<Vec<f64>>| match values {
                    Some(values) if values.iter().all(|value| *value > 0.0 && value.is_finite()) => {
                        Ok(values.as_slice().into())
                    }
                    Some(_) => Err(file.refuse(&name(field), "numbers above 0", "others")),
                    None => Err(file.refuse(&name(field), "a list of numbers for longrope", ABSENT)),
                };
                let (short, long) = (
                    factors("short_factor", &self.short_factor)?,
                    factors("long_factor", &self.long_factor)?,
                );
                let original = original()?;
                let factor = self.factor.unwrap_or(stated.positions as f64 / original);
                let usual = match factor > 1.0 {
                    true => (1.0 + factor.ln() / original.ln()).sqrt(),
                    false => 1.0,
                };
                Some(RopeScaling::LongRope {
                    short_factor: short,
                    long_factor: long,
                    attention_factor: positive("attention_factor", self.attention_factor.or(Some(usual)))?,
                    original_max_position_embeddings: original,
                })
            }
            Some(other) => {
                let expected = "default, linear, dynamic, yarn, llama3 or longrope";
                return Err(file.refuse(&name("rope_type"), expected, other));
            }
        };
        Ok(Resolved {
            theta: self.rope_theta,
            part: self.partial_rotary_factor,
            scaling,
        })
    }

    /// The same with the name that `longrope` had in Phi-3's first files.
    pub fn with_current_name(mut self) -> Self {
        for kind in [&mut self.rope_type, &mut self.older_type] {
            if matches!(kind.as_deref(), Some("su" | "yarn")) {
                *kind = Some("longrope".to_owned());
            }
        }
        self
    }

    /// YaRN's amplitude, equation 22 of its paper, or DeepSeek's quotient of two.
    fn yarn_amplitude(&self, factor: f64) -> f64 {
        let amplitude = |scale: f64| match factor > 1.0 {
            true => 0.1 * scale * factor.ln() + 1.0,
            false => 1.0,
        };
        match (self.mscale, self.mscale_all_dim) {
            (Some(own), Some(all)) if own != 0.0 && all != 0.0 => amplitude(own) / amplitude(all),
            _ => amplitude(1.0),
        }
    }
}

impl RopeScaling {
    /// The object that a file has for it.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            Self::Dynamic { factor } => json!({ "rope_type": "dynamic", "factor": factor }),
            Self::Yarn {
                factor,
                attention_factor,
                beta_fast,
                beta_slow,
                truncate,
                original_max_position_embeddings,
            } => json!({
                "rope_type": "yarn",
                "factor": factor,
                "attention_factor": attention_factor,
                "beta_fast": beta_fast,
                "beta_slow": beta_slow,
                "truncate": truncate,
                "original_max_position_embeddings": original_max_position_embeddings,
            }),
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            }),
            Self::LongRope {
                short_factor,
                long_factor,
                attention_factor,
                original_max_position_embeddings,
            } => json!({
                "rope_type": "longrope",
                "short_factor": &short_factor[..],
                "long_factor": &long_factor[..],
                "attention_factor": attention_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            }),
        }
    }
}
