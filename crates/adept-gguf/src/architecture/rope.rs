//! Rotary positions: base frequency and context extension.

use std::f64::consts::TAU;

use serde_json::{Value, json};

use super::Source;
use super::llama_like::Sizes;
use crate::error::GgufError;

/// Llama 3's factors, one per frequency.
pub(super) const LLAMA_3: &str = "rope_freqs.weight";
/// LongRoPE's factors for long texts.
pub(super) const LONG: &str = "rope_factors_long.weight";
/// LongRoPE's factors for short texts.
pub(super) const SHORT: &str = "rope_factors_short.weight";
/// Context length before the extension.
pub(super) const ORIGINAL: &str = "rope.scaling.original_context_length";

/// The fields of `config.json`.
#[derive(Debug)]
pub(super) struct Rope {
    pub theta: f64,
    /// `rope_scaling`.
    pub scaling: Value,
}

pub(super) fn read(source: &Source<'_>, sizes: &Sizes) -> Result<Rope, GgufError> {
    const BASE: &str = "rope.freq_base";
    const KIND: &str = "rope.scaling.type";
    let theta = source.find_number(BASE)?.unwrap_or(10_000.0);
    if theta <= 0.0 {
        return Err(source.refuse(BASE, "more than 0", theta));
    }
    let factor = || {
        let factor = source.number("rope.scaling.factor")?;
        match factor > 0.0 {
            true => Ok(factor),
            false => Err(source.refuse("rope.scaling.factor", "more than 0", factor)),
        }
    };
    let scaling = match source.find_text(KIND)? {
        None | Some("none") => match source.find_number("rope.scale_linear")? {
            // Linear scaling in old files.
            Some(factor) if factor > 1.0 => json!({ "rope_type": "linear", "factor": factor }),
            _ => Value::Null,
        },
        Some("linear") => json!({ "rope_type": "linear", "factor": factor()? }),
        Some("yarn") => yarn(source, factor()?)?,
        // Handled by the architecture, since the factors are tensors.
        Some("longrope") => Value::Null,
        Some(found) => return Err(source.refuse(KIND, "none, linear, yarn or longrope", found)),
    };
    let factors = source.floats(LLAMA_3)?;
    let scaling = match (factors, scaling) {
        (Some(factors), Value::Null) => llama_3(source, sizes, theta, &factors)?,
        (_, scaling) => scaling,
    };
    Ok(Rope { theta, scaling })
}

fn yarn(source: &Source<'_>, factor: f64) -> Result<Value, GgufError> {
    let mut scaling = json!({
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": source.count(ORIGINAL)?,
    });
    for (from, to) in [
        ("rope.scaling.yarn_attn_factor", "attention_factor"),
        ("rope.scaling.yarn_beta_fast", "beta_fast"),
        ("rope.scaling.yarn_beta_slow", "beta_slow"),
    ] {
        if let Some(value) = source.find_number(from)? {
            scaling[to] = json!(value);
        }
    }
    Ok(scaling)
}

/// Phi-3's `rope_scaling`, whose factors are tensors.
pub(super) fn long(
    source: &Source<'_>,
    sizes: &Sizes,
    rotated: usize,
    original: usize,
) -> Result<Option<Value>, GgufError> {
    const ATTENTION: &str = "rope.scaling.attn_factor";
    let (Some(long), Some(short)) = (source.floats(LONG)?, source.floats(SHORT)?) else {
        return Ok(None);
    };
    for (tensor, factors) in [(LONG, &long), (SHORT, &short)] {
        if factors.len() != rotated / 2 {
            return Err(source.refuse_factors(tensor, "expected one factor for each pair of rotated channels"));
        }
    }
    let mut scaling = json!({ "type": "longrope", "long_factor": long, "short_factor": short });
    // transformers derives the attention factor by this formula unless the file states another.
    let stretch = sizes.positions as f64 / original.max(1) as f64;
    let usual = match stretch > 1.0 {
        true => (1.0 + stretch.ln() / (original as f64).ln()).sqrt(),
        false => 1.0,
    };
    if let Some(found) = source.find_number(ATTENTION)?
        && (found - usual).abs() > 1e-4 * usual
    {
        scaling["attention_factor"] = json!(found);
    }
    Ok(Some(scaling))
}

/// `rope_scaling` of Llama 3, whose factors are a tensor.
fn llama_3(source: &Source<'_>, sizes: &Sizes, theta: f64, factors: &[f64]) -> Result<Value, GgufError> {
    if factors.len() != sizes.head_dim / 2 {
        return Err(source.refuse_factors(LLAMA_3, "expected one factor for each pair of channels of a head"));
    }
    if factors.iter().all(|factor| (factor - 1.0).abs() <= TOLERANCE) {
        return Ok(Value::Null);
    }
    let found = Llama3::find(theta, sizes.head_dim, factors).ok_or_else(|| {
        source.refuse_factors(LLAMA_3, "no parameters of Llama 3's rotary scaling give these factors")
    })?;
    Ok(json!({
        "rope_type": "llama3",
        "factor": found.factor,
        "high_freq_factor": found.high,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": found.original,
    }))
}

/// Relative; the factors are stored as f32.
const TOLERANCE: f64 = 1e-4;

/// Parameters of Llama 3's scaling. `low_freq_factor` is fixed at 1, as in every published model: the factors depend
/// only on its ratios to `high_freq_factor` and to the original context length.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Llama3 {
    factor: f64,
    high: f64,
    original: usize,
}

impl Llama3 {
    /// Finds the parameters that produce these factors. High frequencies have factor 1 and low ones the largest factor;
    /// those in between determine the other two parameters.
    fn find(theta: f64, head_dim: usize, factors: &[f64]) -> Option<Self> {
        let factor = factors.iter().copied().fold(1.0, f64::max);
        // `min_by` returns the first of equally good candidates: Llama 3's own parameters come first.
        let lengths = || std::iter::once(8192).chain((3..24).map(|bits| 1usize << bits));
        let candidates = [4.0, 2.0, 8.0, 16.0, 32.0]
            .into_iter()
            .flat_map(|high| lengths().map(move |original| Self { factor, high, original }));
        let misfit = |this: &Self| {
            let off = |(pair, found): (usize, &f64)| (found / this.divisor(theta, head_dim, pair) - 1.0).abs();
            factors.iter().enumerate().map(off).fold(0.0, f64::max)
        };
        let best = candidates.min_by(|one, other| misfit(one).total_cmp(&misfit(other)))?;
        (misfit(&best) <= TOLERANCE).then_some(best)
    }

    /// Divisor of the frequency of a pair of channels.
    fn divisor(self, theta: f64, head_dim: usize, pair: usize) -> f64 {
        let wavelength = TAU * theta.powf(2.0 * pair as f64 / head_dim as f64);
        let turns = self.original as f64 / wavelength;
        if turns > self.high {
            1.0
        } else if turns < 1.0 {
            self.factor
        } else {
            let part = (turns - 1.0) / (self.high - 1.0);
            1.0 / ((1.0 - part) / self.factor + part)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_published_models_are_found_from_their_factors() {
        // Llama 3.1 8B, 3.2 1B, and a golden model.
        for (theta, head_dim, factor, original) in [
            (500_000.0, 128, 8.0, 8192),
            (500_000.0, 64, 32.0, 8192),
            (5000.0, 12, 32.0, 64),
        ] {
            let expected = Llama3 {
                factor,
                high: 4.0,
                original,
            };
            let factors: Vec<f64> = (0..head_dim / 2)
                .map(|pair| f64::from(expected.divisor(theta, head_dim, pair) as f32))
                .collect();
            assert_eq!(Llama3::find(theta, head_dim, &factors), Some(expected));
            let mut other = factors;
            other[head_dim / 4] *= 1.1;
            assert_eq!(Llama3::find(theta, head_dim, &other), None);
        }
    }
}
