//! Text generation and label scoring.
//!
//! | module | what |
//! |---|---|
//! | [`seq2seq`] | encoder-decoders: greedy decoding, label scores |
//! | [`causal`] | decoder-only models: greedy or sampled completion after a soft prompt that is read once |
//! | [`score_causal_labels`] | decoder-only models: label scores after a prompt that is read once |
//! | [`sample`] | sampling a token from logits: temperature, top-k, top-p |
//!
//! Use the plain backend, not autodiff: nothing here is differentiated, and the graph would be retained.

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

/// Why generation failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A request without tokens.
    #[error("row {row}: the prompt is empty, expected at least one token")]
    EmptyRow {
        /// Index among the requests.
        row: usize,
    },
    /// An invalid sampling option.
    #[error("sampling: expected {expected} for {option}, found {found}")]
    Sampling {
        /// The option.
        option: &'static str,
        /// What would be accepted.
        expected: &'static str,
        /// The value given.
        found: f64,
    },
    /// A token had to be chosen from logits with NaN or an infinity.
    #[error("row {row}: NaN or infinity in {stage}, before new token {token}; cannot predict")]
    NotFinite {
        /// Index among the requests.
        row: usize,
        /// Index of the new token, from 0.
        token: usize,
        /// The first tensor in the computation that is not finite.
        stage: Stage,
    },
    /// A label had to be chosen from scores with NaN or an infinity.
    #[error("row {row}: NaN or infinity in {stage}: label {label} scores {found}; cannot predict")]
    Score {
        /// Index in the batch.
        row: usize,
        /// The first such label.
        label: usize,
        /// Its score.
        found: f32,
        /// The first tensor in the computation that is not finite.
        stage: Stage,
    },
}

impl GenerateError {
    /// Renumbers the row; `number` maps the current number to the caller's.
    #[must_use]
    pub fn of_row(mut self, number: impl FnOnce(usize) -> usize) -> Self {
        if let Self::EmptyRow { row } | Self::NotFinite { row, .. } | Self::Score { row, .. } = &mut self {
            *row = number(*row);
        }
        self
    }

    /// The row that failed.
    #[must_use]
    pub fn row(&self) -> Option<usize> {
        match self {
            Self::EmptyRow { row } | Self::NotFinite { row, .. } | Self::Score { row, .. } => Some(*row),
            Self::Sampling { .. } => None,
        }
    }

    /// Blames `stage` instead if its tensor `input` `[batch, ..]`, which is computed earlier, is already not finite in
    /// that row.
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

/// A tensor in the computation of a token, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The model's input: embeddings after the adapter.
    Embeddings,
    /// The encoder's output.
    Encoder,
    /// The logits a token is chosen from.
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

/// The first of the `asked` rows of logits `[rows, vocab]` with NaN or an infinity.
///
/// A sum is not finite if one of its terms is not, so a single reduction on the device is enough to detect it. The sum
/// may also overflow; only then are the values themselves inspected.
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

/// Index of the first largest value, and its margin over the second largest.
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
