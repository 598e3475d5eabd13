//! Linear warm-up, then linear decay to zero (paper, Section 4.1), as `get_linear_schedule_with_warmup` has it.

/// Factor on the learning rate at optimiser step `step` (from 0) of `total`.
///
/// Step 0 of a warm-up has factor 0: parameters stay, but AdamW's moments and step count advance.
pub fn multiplier(step: usize, warmup: usize, total: usize) -> f64 {
    if step < warmup {
        return step as f64 / warmup.max(1) as f64;
    }
    total.saturating_sub(step) as f64 / total.saturating_sub(warmup).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

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
