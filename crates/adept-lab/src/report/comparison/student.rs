//! Student's t distribution for whole degrees of freedom, and intervals of a mean over seeds.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

use serde::Serialize;

/// The mean of differences between paired seeds, with Student's interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SeedInterval {
    /// Number of seeds.
    pub n: usize,
    /// The ends of the 95 % interval: mean ± t(0.975, n − 1) · s / √n.
    pub interval: [f64; 2],
    /// Two-sided p of the paired t-test.
    pub p: f64,
}

impl SeedInterval {
    /// From one difference a seed; `None` with fewer than two.
    #[must_use]
    pub fn of(differences: &[f64]) -> Option<Self> {
        let n = differences.len();
        if n < 2 {
            return None;
        }
        let mean = differences.iter().sum::<f64>() / n as f64;
        let squares: f64 = differences.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (n - 1) as f64 / n as f64).sqrt();
        let width = quantile(0.95, n - 1) * error;
        let p = match (error > 0.0, mean == 0.0) {
            (true, _) => 1.0 - within(mean / error, n - 1),
            (false, true) => 1.0,
            (false, false) => 0.0,
        };
        Some(Self {
            n,
            interval: [mean - width, mean + width],
            p,
        })
    }
}

/// P(|T| < |t|) with `freedom` degrees of freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
fn within(t: f64, freedom: usize) -> f64 {
    let angle = if t.is_infinite() {
        FRAC_PI_2
    } else {
        (t.abs() / (freedom as f64).sqrt()).atan()
    };
    let (sine, cosine) = angle.sin_cos();
    // Odd: cos θ + 2/3 cos³ θ + (2·4)/(3·5) cos⁵ θ + ..; even: 1 + 1/2 cos² θ + (1·3)/(2·4) cos⁴ θ + ..
    let is_odd = freedom % 2 == 1;
    let (mut term, mut power) = if is_odd { (cosine, 1) } else { (1.0, 0) };
    let mut sum = 0.0;
    while power + 2 <= freedom {
        sum += term;
        term *= cosine * cosine * (power + 1) as f64 / (power + 2) as f64;
        power += 2;
    }
    if is_odd {
        FRAC_2_PI * (angle + sine * sum)
    } else {
        sine * sum
    }
}

/// The t with P(|T| < t) = `level`.
fn quantile(level: f64, freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while within(high, freedom) < level {
        (low, high) = (high, 2.0 * high);
    }
    // Halved to the last bit.
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return middle;
        }
        if within(middle, freedom) < level {
            low = middle;
        } else {
            high = middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two-sided 95 % points as printed in tables (Fisher and Yates), to their three decimals.
    #[test]
    fn quantiles_are_those_of_printed_tables() {
        for (freedom, expected) in [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042)] {
            let found = quantile(0.95, freedom);
            assert!((found - expected).abs() < 5e-4, "{freedom}: {found}");
        }
        assert_eq!((within(0.0, 3), within(f64::INFINITY, 3)), (0.0, 1.0));
    }

    #[test]
    fn one_seed_has_no_interval_and_equal_differences_a_point() {
        assert_eq!(SeedInterval::of(&[1.0]), None);
        let found = SeedInterval::of(&[2.0, 2.0, 2.0]).expect("three seeds");
        assert_eq!((found.interval, found.p), ([2.0, 2.0], 0.0));
        let found = SeedInterval::of(&[0.0, 0.0]).expect("two seeds");
        assert_eq!((found.interval, found.p), ([0.0, 0.0], 1.0));
    }
}
