//! Text from a backbone, and the scoring of fixed answers.
//!
//! | module | what |
//! |---|---|
//! | [`seq2seq`] | encoder-decoders: greedy answers, scores of labels |
//! | [`causal`] | decoder-only models: texts that go on, greedy or sampled, behind a soft prompt that is read once |
//! | [`score_causal_labels`] | the same models: scores of labels behind what was read once |
//! | [`sample`] | a token drawn from logits: temperature, top-k, top-p |
//!
//! Run these on the plain backend, not under autodiff: nothing here is differentiated, and a graph would be kept.

pub mod causal;
mod labels;
pub mod sample;
pub mod seq2seq;

pub use causal::{
    Choice, Embed, Finish, GenerationOptions, Part, Positions, Prefix, PromptLayout, Request, Written, complete,
    complete_with_margins,
};
pub use labels::{best_causal_labels, score_causal_labels};
pub use sample::{Draw, Sampling};
pub use seq2seq::{Generation, best_labels, greedy, greedy_with_margins, score_labels};

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

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
    /// NaN or an infinity where a token was to be chosen.
    #[error("row {row}: NaN or infinity in {stage}, before new token {token}; no answer can be given")]
    NotFinite {
        /// Place among the requests.
        row: usize,
        /// Which of its new tokens, from 0.
        token: usize,
        /// The first tensor on the way that is not finite.
        stage: Stage,
    },
    /// NaN or an infinity where a label was to be chosen.
    #[error("row {row}: NaN or infinity in {stage}: label {label} scores {found}; no answer can be given")]
    Score {
        /// Place in the batch.
        row: usize,
        /// The first such label.
        label: usize,
        /// Its score.
        found: f32,
        /// The first tensor on the way that is not finite.
        stage: Stage,
    },
}

impl GenerateError {
    /// The same for a row that goes by another number elsewhere; the number it has here is the argument.
    #[must_use]
    pub fn of_row(mut self, number: impl FnOnce(usize) -> usize) -> Self {
        if let Self::EmptyRow { row } | Self::NotFinite { row, .. } | Self::Score { row, .. } = &mut self {
            *row = number(*row);
        }
        self
    }

    /// The row that could not be answered.
    #[must_use]
    pub fn row(&self) -> Option<usize> {
        match self {
            Self::EmptyRow { row } | Self::NotFinite { row, .. } | Self::Score { row, .. } => Some(*row),
            Self::Sampling { .. } => None,
        }
    }

    /// The same error, with `stage` where `input` `[batch, ..]`, which comes before what was blamed, is not finite in
    /// the row already.
    #[must_use]
    pub fn unless_finite<B: Backend, const D: usize>(mut self, stage: Stage, input: &Tensor<B, D>) -> Self {
        if let Self::NotFinite { row, stage: blamed, .. } | Self::Score { row, stage: blamed, .. } = &mut self
            && *row < input.dims()[0]
            && !input
                .clone()
                .narrow(0, *row, 1)
                .into_data()
                .iter::<f32>()
                .all(f32::is_finite)
        {
            *blamed = stage;
        }
        self
    }
}

/// A tensor on the way to a token, in the order of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// What enters the model: embeddings, changed by an adapter.
    Embeddings,
    /// What the encoder hands to the decoder.
    Encoder,
    /// What a token is chosen by.
    Logits,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embeddings => "the input embeddings (with the adapter's change)",
            Self::Encoder => "the encoder's output",
            Self::Logits => "the logits",
        })
    }
}

/// The first row of logits `[rows, vocab]` that holds NaN or an infinity, of those that are `asked` for.
///
/// A sum has NaN or an infinity in it where one of its terms is one, so that one reduction on the device tells. It may
/// overflow as well; only then are the values themselves looked at.
fn first_not_finite<B: Backend>(logits: &Tensor<B, 2>, asked: impl Fn(usize) -> bool) -> Option<usize> {
    let sums = logits.clone().sum_dim(1).into_data();
    let doubtful = sums
        .iter::<f32>()
        .enumerate()
        .filter(|(row, sum)| !sum.is_finite() && asked(*row));
    doubtful.map(|(row, _)| row).find(|&row| {
        let values = logits.clone().narrow(0, row, 1).into_data();
        !values.iter::<f32>().all(f32::is_finite)
    })
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
