//! Interval and p of a paired bootstrap (Efron and Tibshirani 1993, chapters 13 and 16; Koehn 2004).

use serde::Serialize;

/// A difference over resamples of the test examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bootstrap {
    /// Number of resamples.
    pub draws: usize,
    /// The 2.5th and the 97.5th percentile of the resampled differences, interpolated linearly.
    pub interval: [f64; 2],
    /// Two-sided p: twice the smaller share of resampled differences on one side of 0 (0 counts on both), with the
    /// observed one counted among them, so that it is never 0.
    pub p: f64,
}

impl Bootstrap {
    /// From the resampled differences; `None` without any.
    #[must_use]
    pub fn of(mut differences: Vec<f64>) -> Option<Self> {
        let draws = differences.len();
        if draws == 0 {
            return None;
        }
        differences.sort_unstable_by(f64::total_cmp);
        let not_above = differences.iter().filter(|difference| **difference <= 0.0).count();
        let not_below = differences.iter().filter(|difference| **difference >= 0.0).count();
        let side = (not_above.min(not_below) + 1) as f64 / (draws + 1) as f64;
        Some(Self {
            draws,
            interval: [0.025, 0.975].map(|part| percentile(&differences, part)),
            p: (2.0 * side).min(1.0),
        })
    }
}

/// A percentile of sorted values, as a part of 1.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let low = sorted[place.floor() as usize];
    let high = sorted[place.ceil() as usize];
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_has_percentiles_and_p_counts_the_smaller_side() {
        let found = Bootstrap::of((0..=40).rev().map(f64::from).collect()).expect("there are values");
        assert_eq!((found.draws, found.interval), (41, [1.0, 39.0]));
        // One value, 0, is not above 0.
        assert!((found.p - 2.0 * 2.0 / 42.0).abs() < 1e-12, "{}", found.p);
        let found = Bootstrap::of(vec![0.0; 9]).expect("there are values");
        assert_eq!((found.interval, found.p), ([0.0, 0.0], 1.0));
        assert_eq!(
            Bootstrap::of(vec![1.0, 2.0]).expect("there are values").interval,
            [1.025, 1.975]
        );
        assert_eq!(Bootstrap::of(Vec::new()), None);
    }
}
