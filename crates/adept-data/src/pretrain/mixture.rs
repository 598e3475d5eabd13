//! T5's supervised mixture: examples-proportional mixing with a limit on large tasks, flattened by a temperature
//! (Raffel et al. 2020, section 3.5.2). Task m is drawn with rate r_m = min(e_m, K)^(1/T) / Σ_n min(e_n, K)^(1/T),
//! where e_m is its number of rows, K the limit and T the temperature: T = 1 is proportional to size, T → ∞ gives equal
//! shares.

use crate::Encoded;

/// A task of the mixture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MixtureTask {
    /// Its name in error messages and records.
    pub name: String,
    /// Its tokenised training rows.
    pub rows: Vec<Encoded>,
}

/// Sampling rates for tasks of these sizes, summing to 1. Tasks without rows have rate 0.
pub fn mixing_rates(sizes: &[usize], limit: usize, temperature: f64) -> Vec<f64> {
    let weight = |&size: &usize| match size.min(limit) {
        0 => 0.0,
        rows => (rows as f64).powf(1.0 / temperature),
    };
    let weights: Vec<f64> = sizes.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    weights
        .into_iter()
        .map(|weight| if total > 0.0 { weight / total } else { 0.0 })
        .collect()
}
