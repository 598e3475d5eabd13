//! Errors of benchmarks.

/// Why a benchmark failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// An unknown name.
    #[error("unknown {option} `{found}`; known: {known}")]
    Unknown {
        /// The option.
        option: &'static str,
        /// The name given.
        found: String,
        /// The known names.
        known: &'static str,
    },
    /// An option's value is too small.
    #[error("{option} is {found}, but must be at least {least}")]
    TooSmall {
        /// The option.
        option: &'static str,
        /// The value given.
        found: usize,
        /// The smallest valid value.
        least: usize,
    },
    /// An option's value is too large.
    #[error("{option} is {found}, but must be at most {most}{}", if *of_tokens { ": half of tokens" } else { "" })]
    TooLarge {
        /// The option.
        option: &'static str,
        /// The value given.
        found: usize,
        /// The largest valid value.
        most: usize,
        /// Whether the limit follows from the width of the rows.
        of_tokens: bool,
    },
    /// The prompt leaves no room in the budget for an offset of rank 1.
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
    /// A text that is no depth.
    #[error(
        "`{found}` is no depth; expected a number of blocks such as 20, or two such as 12+12 for an encoder-decoder"
    )]
    Depth {
        /// The text.
        found: String,
    },
    /// A depth for another kind of model.
    #[error("depth {found} is for a model with {} stacks of blocks, and this backbone has {expected}", found.stacks())]
    Stacks {
        /// The depth given.
        found: super::Depth,
        /// Stacks of the backbone.
        expected: usize,
    },
    /// Blocks cannot be computed again one by one with this method.
    #[error("recompute is not for method {method}, whose blocks cannot be computed again one by one")]
    Recompute {
        /// The method.
        method: adept_train::config::TrainMethod,
    },
    /// The loss of a timed step is NaN, so what was timed is not training.
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
        /// burn's message.
        cause: String,
    },
    /// The backbone could not be built.
    #[error(transparent)]
    Model(#[from] adept_models::ModelError),
    /// Generation failed.
    #[error(transparent)]
    Generate(#[from] adept_models::generate::GenerateError),
    /// The adapter could not be built.
    #[error(transparent)]
    Core(#[from] adept_core::CoreError),
}
