//! What can stop a benchmark.

/// Why a benchmark has no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A name that is none of the known ones.
    #[error("unknown {option} `{found}`; known: {known}")]
    Unknown {
        /// The option.
        option: &'static str,
        /// What was given.
        found: String,
        /// What there is.
        known: &'static str,
    },
    /// An option that makes no sense.
    #[error("{option} is {found}, but must be at least {least}")]
    TooSmall {
        /// The option.
        option: &'static str,
        /// What was given.
        found: usize,
        /// The smallest value that works.
        least: usize,
    },
    /// The same, the other way round.
    #[error("{option} is {found}, but must be at most {most}{}", if *of_tokens { ": half of tokens" } else { "" })]
    TooLarge {
        /// The option.
        option: &'static str,
        /// What was given.
        found: usize,
        /// The largest value that works.
        most: usize,
        /// Whether the limit follows from the width of the rows.
        of_tokens: bool,
    },
    /// The prompt leaves no room for an offset of rank 1 in the budget.
    #[error(
        "{method} with {virtual_tokens} virtual tokens leaves no room for an offset in the budget of {budget_rows} \
         prompt rows; name a rank, or take fewer virtual tokens"
    )]
    NoRank {
        /// The method.
        method: adept_train::config::TrainMethod,
        /// Virtual tokens m.
        virtual_tokens: usize,
        /// The budget, in rows of the prompt.
        budget_rows: usize,
    },
    /// The loss of a timed step is not a number: what was timed is not training.
    #[error("the loss after {steps} steps is {loss}")]
    Loss {
        /// Steps run, warm-up included.
        steps: usize,
        /// The loss.
        loss: f32,
    },
    /// The device failed.
    #[error("the device failed: {cause}")]
    Device {
        /// What burn said.
        cause: String,
    },
    /// The backbone could not be built.
    #[error(transparent)]
    Model(#[from] adept_models::ModelError),
    /// Nothing could be written.
    #[error(transparent)]
    Generate(#[from] adept_models::generate::GenerateError),
    /// The adapter could not be built.
    #[error(transparent)]
    Core(#[from] adept_core::CoreError),
}
