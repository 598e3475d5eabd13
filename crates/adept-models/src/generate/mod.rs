//! Text from a backbone, and the scoring of fixed answers.
//!
//! | module | what |
//! |---|---|
//! | [`seq2seq`] | encoder-decoders: greedy answers, scores of labels |
//! | [`causal`] | decoders alone: texts that go on, greedy or sampled, behind a soft prompt that is read once |
//! | [`sample`] | a token drawn from logits: temperature, top-k, top-p |
//!
//! Run these on the plain backend, not under autodiff: nothing here is differentiated, and a graph would be kept.

pub mod causal;
pub mod sample;
pub mod seq2seq;

pub use causal::{
    Choice, Finish, GenerationOptions, Part, Positions, Prefix, Request, Written, complete, complete_with_margins,
};
pub use sample::{Draw, Sampling};
pub use seq2seq::{Generation, best_labels, greedy, greedy_with_margins, score_labels};

#[cfg(test)]
mod tests;

/// Why nothing could be generated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A text to go on from that has no token.
    #[error("row {row}: expected at least one token to go on from, found none")]
    EmptyRow {
        /// Place among the requests.
        row: usize,
    },
    /// A way of sampling that makes no sense.
    #[error("sampling: expected {expected} for {option}, found {found}")]
    Sampling {
        /// The option.
        option: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
    /// Logits that nothing can be drawn from: one of them is no number, or the largest is not finite.
    #[error("row {row}: the logits of new token {token} are not finite")]
    NotFinite {
        /// Place among the requests.
        row: usize,
        /// Which of its new tokens, from 0.
        token: usize,
    },
}

/// The first largest value's place and its lead over the second.
fn top_and_margin(logits: &[f32]) -> (u32, f32) {
    let (mut best, mut first, mut second) = (0, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (place, &value) in logits.iter().enumerate() {
        if value > first {
            (best, second, first) = (place, first, value);
        } else if value > second {
            second = value;
        }
    }
    (best as u32, first - second)
}
