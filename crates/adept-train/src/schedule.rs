//! Learning-rate schedules. [`multiplier`] is linear warm-up, then linear decay to zero (paper, Section 4.1), like
//! `get_linear_schedule_with_warmup`; [`Schedule`] has the schedules used in pretraining.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Factor on the learning rate at optimiser step `step` (from 0) of `total`.
///
/// At step 0 of a warm-up the factor is 0: parameters do not change, but AdamW's moments and step count advance.
pub fn multiplier(step: usize, warmup: usize, total: usize) -> f64 {
    if step < warmup {
        return step as f64 / warmup.max(1) as f64;
    }
    total.saturating_sub(step) as f64 / total.saturating_sub(warmup).max(1) as f64
}

/// Schedule after the warm-up of a [`Schedule`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// The full rate.
    Constant,
    /// Linear decay to 0 at the end.
    Linear,
    /// `sqrt(warmup / step)`: T5's schedule, with a linear warm-up where T5's is constant.
    InverseSqrt,
    /// The full rate, then linear decay to 0 over the last steps.
    DecayAtEnd,
}

/// A learning-rate schedule over a run. Unlike [`multiplier`] no step has rate 0: the n-th of `warmup` steps (from 1)
/// has the factor `n / warmup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Schedule after the warm-up.
    pub name: ScheduleName,
    /// Steps of linear warm-up.
    pub warmup: usize,
    /// Number of decaying steps at the end of [`ScheduleName::DecayAtEnd`].
    pub decay: usize,
    /// Steps of the run.
    pub total: usize,
}

impl Schedule {
    /// Factor on the learning rate at optimiser step `step`, from 0.
    pub fn multiplier(&self, step: usize) -> f64 {
        let number = (step + 1) as f64;
        if step < self.warmup {
            return number / self.warmup as f64;
        }
        let left = self.total.saturating_sub(step);
        match self.name {
            ScheduleName::Constant => 1.0,
            ScheduleName::Linear => left as f64 / self.total.saturating_sub(self.warmup).max(1) as f64,
            ScheduleName::InverseSqrt => (self.warmup.max(1) as f64 / number).sqrt(),
            ScheduleName::DecayAtEnd if left > self.decay => 1.0,
            ScheduleName::DecayAtEnd => left as f64 / self.decay.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: ScheduleName, expected: [f64; 9]) {
        let schedule = Schedule {
            name,
            warmup: 2,
            decay: 4,
            total: 8,
        };
        for (step, expected) in expected.into_iter().enumerate() {
            assert_eq!(schedule.multiplier(step), expected, "{name:?}, step {step}");
        }
    }

    #[test]
    fn schedules() {
        let root = |step: f64| (2.0 / step).sqrt();
        check(ScheduleName::Constant, [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        check(
            ScheduleName::Linear,
            [0.5, 1.0, 1.0, 5.0 / 6.0, 4.0 / 6.0, 0.5, 2.0 / 6.0, 1.0 / 6.0, 0.0],
        );
        check(
            ScheduleName::InverseSqrt,
            [
                0.5,
                1.0,
                root(3.0),
                root(4.0),
                root(5.0),
                root(6.0),
                root(7.0),
                0.5,
                root(9.0),
            ],
        );
        check(
            ScheduleName::DecayAtEnd,
            [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0],
        );
    }

    #[test]
    fn multipliers() {
        // The golden files' schedule: warm-up 2 of 10, steps 0 to 10.
        let golden = [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0];
        for (step, expected) in golden.into_iter().enumerate() {
            assert_eq!(multiplier(step, 2, 10), expected, "step {step}");
        }
        assert_eq!(multiplier(0, 0, 4), 1.0, "no warm-up starts at the full rate");
        assert_eq!(multiplier(3, 5, 3), 0.6, "a run shorter than its warm-up never decays");
        assert_eq!(multiplier(9, 5, 3), 0.0, "past the end the rate is zero");
    }
}
