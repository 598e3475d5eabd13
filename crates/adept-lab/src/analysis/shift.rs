//! The role of token positions in DePT (paper, section 3.2 and Table 1): its trained offsets are shifted cyclically to
//! the left and the test split is scored again.
//!
//! ADePT does not depend on positions: there is nothing to shift, and its score is shown for comparison.

use adept_core::{Adapter, Offset, PromptAdapter};
use adept_train::record::Scores;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::TokenCounts;

/// The paper's shifts.
pub const PAPER_SHIFTS: [usize; 4] = [50, 100, 150, 200];
/// Number of positions with offsets in the paper.
pub const PAPER_POSITIONS: usize = 256;

/// Shifts that keep most tokens of a short sentence on positions reached in training.
pub const SMALL_SHIFTS: [usize; 4] = [1, 2, 4, 8];

/// Default shifts: none, a few small ones, and the paper's as the same fractions of `positions`, rounded down.
///
/// The small ones are included because sentences in the smaller GLUE tasks have about 10 to 60 tokens. Larger shifts,
/// like all of the paper's, assign to their tokens rows of A that few or no training sources have reached, still at
/// initialisation; a shift by a few positions assigns the trained rows of their neighbours, which is the case the paper
/// argues about (a few meaningless words in front). [`reach`] distinguishes the two.
#[must_use]
pub fn default_shifts(positions: usize) -> Vec<usize> {
    let fractions = PAPER_SHIFTS.map(|shift| shift * positions / PAPER_POSITIONS);
    let mut shifts: Vec<usize> = [0]
        .into_iter()
        .chain(SMALL_SHIFTS)
        .chain(fractions)
        .filter(|shift| *shift < positions.max(1))
        .collect();
    shifts.sort_unstable();
    shifts.dedup();
    shifts
}

/// A copy of the adapter with DePT's offsets shifted; `None` for other offsets.
#[must_use]
pub fn shifted<B: Backend>(adapter: &Adapter<B>, shift: usize) -> Option<PromptAdapter<B>> {
    let adapter = adapter.as_prompt()?;
    match &adapter.offset {
        Some(Offset::Positional(offset)) => Some(PromptAdapter {
            prompt: adapter.prompt.clone(),
            network: adapter.network.clone(),
            offset: Some(Offset::Positional(offset.rolled(shift))),
        }),
        Some(Offset::Adaptive(_)) | None => None,
    }
}

/// The test split scored at one shift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shifted {
    /// The task's metrics, times 100.
    pub scores: Scores,
    /// How much the offsets assigned to the test split's tokens were trained, 0 to 1 ([`reach`]).
    pub reach: f64,
}

/// How much the offsets assigned to the tokens of `test` by a shift were trained: the fraction of training sources that
/// reach the offset's position, averaged over the tokens.
#[must_use]
pub fn reach(test: &TokenCounts, training: &TokenCounts, positions: usize, shift: usize) -> f64 {
    let at = |slot: usize| training.slots.get(slot).copied().unwrap_or(0) as f64 / training.rows.max(1) as f64;
    let slots = test.slots.iter().enumerate();
    let sum: f64 = slots
        .map(|(slot, count)| *count as f64 * at((slot + shift) % positions.max(1)))
        .sum();
    sum / test.tokens().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_shifts_are_the_papers_at_its_length_and_fractions_elsewhere() {
        assert_eq!(default_shifts(256), [0, 1, 2, 4, 8, 50, 100, 150, 200]);
        assert_eq!(default_shifts(128), [0, 1, 2, 4, 8, 25, 50, 75, 100]);
        assert_eq!(default_shifts(32), [0, 1, 2, 4, 6, 8, 12, 18, 25]);
        assert_eq!(default_shifts(4), [0, 1, 2, 3]);
        assert_eq!(default_shifts(1), [0]);
    }

    #[test]
    fn the_reach_of_training_is_counted_by_hand() {
        // Two test sources: two tokens each in slots 0 and 1, one in slot 2. Of two training sources both reach slots 0
        // and 1, one reaches slot 2, none reaches slots 3 to 7.
        let counts = |slots: &[u64]| TokenCounts {
            slots: slots.to_vec(),
            rows: 2,
            ..TokenCounts::default()
        };
        let (test, training) = (counts(&[2, 2, 1]), counts(&[2, 2, 1]));
        for (shift, expected) in [
            (0, 4.5),
            (1, 3.0),
            (2, 1.0),
            (3, 0.0),
            (5, 0.0),
            (6, 1.0),
            (7, 3.0),
            (8, 4.5),
        ] {
            assert_eq!(reach(&test, &training, 8, shift), expected / 5.0, "shift {shift}");
        }
    }
}
