//! Mean and variance in a single pass (Welford 1962; merging: Chan, Golub and LeVeque 1979).
//!
//! Sums of squares would lose the variance of values that are close together; this keeps the squared deviations from
//! the running mean instead, in f64.

use serde::{Deserialize, Serialize};

/// Count, mean and sum of squared deviations from the mean.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Moments of some values.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut moments = Self::default();
        for value in values {
            moments.push(value);
        }
        moments
    }

    /// Adds a value.
    pub fn push(&mut self, value: f64) {
        self.count += 1;
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (value - self.mean);
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: Self) {
        let count = self.count + other.count;
        if other.count == 0 {
            return;
        }
        let (here, there) = (self.count as f64, other.count as f64);
        let (whole, distance) = (here + there, other.mean - self.mean);
        self.mean += distance * there / whole;
        self.squares += other.squares + distance * distance * here * there / whole;
        self.count = count;
    }

    /// The moments of the same values, each repeated `times` times.
    #[must_use]
    pub fn repeated(self, times: u64) -> Self {
        if times == 0 {
            return Self::default();
        }
        Self {
            count: self.count * times,
            mean: self.mean,
            squares: self.squares * times as f64,
        }
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Mean; 0 without values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Population variance (divided by the number of values, since they are not a sample).
    #[must_use]
    pub fn variance(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.squares / self.count as f64
        }
    }

    /// In the form used in records.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            values: self.count,
            mean: self.mean(),
            variance: self.variance(),
        }
    }
}

/// Moments in the form used in records.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of values.
    pub values: u64,
    /// Their mean.
    pub mean: f64,
    /// Population variance (divided by the number of values).
    pub variance: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(moments: Moments, count: u64, mean: f64, variance: f64) {
        let found = moments.summary();
        assert_eq!(found.values, count);
        assert!((found.mean - mean).abs() < 1e-12, "mean {} against {mean}", found.mean);
        assert!(
            (found.variance - variance).abs() < 1e-12,
            "variance {} against {variance}",
            found.variance
        );
    }

    #[test]
    fn values_worked_out_by_hand() {
        check(Moments::default(), 0, 0.0, 0.0);
        check(Moments::of([3.0]), 1, 3.0, 0.0);
        // Squared deviations from 5: 9, 1, 1, 1, 0, 0, 4, 16; their mean is 4.
        check(Moments::of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 8, 5.0, 4.0);
    }

    #[test]
    fn parts_merge_to_the_whole_and_repeats_count() {
        let mut merged = Moments::of([2.0, 4.0, 4.0]);
        merged.merge(Moments::default());
        merged.merge(Moments::of([4.0, 5.0, 5.0, 7.0, 9.0]));
        check(merged, 8, 5.0, 4.0);
        let mut from_nothing = Moments::default();
        from_nothing.merge(merged);
        check(from_nothing, 8, 5.0, 4.0);

        check(Moments::of([1.0, 5.0]).repeated(3), 6, 3.0, 4.0);
        check(Moments::of([1.0, 5.0]).repeated(0), 0, 0.0, 0.0);
        let mut weighted = Moments::of([2.0]);
        weighted.merge(Moments::of([5.0]).repeated(2));
        // 2, 5, 5: mean 4, squared deviations 4, 1, 1.
        check(weighted, 3, 4.0, 2.0);
    }

    #[test]
    fn a_small_variance_far_from_zero_is_kept() {
        // In f64 a distance of 1 is lost in the squares of 1e9.
        check(Moments::of([1e9 - 1.0, 1e9, 1e9 + 1.0]), 3, 1e9, 2.0 / 3.0);
    }
}
