//! Mean and sample standard deviation over seeds.

use serde::Serialize;

/// Mean and spread over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Number of values.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Sample standard deviation (divisor n − 1); `None` for a single value.
    pub standard_deviation: Option<f64>,
}

impl Spread {
    /// Computes the spread; `None` without values.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let standard_deviation = (n > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (n - 1) as f64).sqrt()
        });
        Some(Self {
            n,
            mean,
            standard_deviation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], expected: Option<(f64, Option<f64>)>) {
        let found = Spread::of(values).map(|spread| (spread.mean, spread.standard_deviation));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_divisor_is_one_less_than_the_number_of_values() {
        check(&[], None);
        check(&[7.0], Some((7.0, None)));
        check(&[1.0, 3.0], Some((2.0, Some(2.0_f64.sqrt()))));
        check(&[2.0, 4.0, 6.0], Some((4.0, Some(2.0))));
    }
}
