//! Why a program could not be judged. None of it says anything about the program.

use std::path::PathBuf;

use crate::Trial;

/// What went wrong with the sandbox. It is never a program's failure: those are [`Outcome`](crate::Outcome)s.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The kernel is not Linux.
    #[error("untrusted programs run on Linux only, this is {system}")]
    System {
        /// The system's name.
        system: &'static str,
    },
    /// The host program has not called [`child_main`](crate::child_main), so that it cannot be its own helper.
    #[error(
        "the sandbox starts this program as its own helper: call `adept_sandbox::child_main` first thing in `main`, or set `Settings::helper`"
    )]
    NoHook,
    /// Layers that were promised do not hold.
    #[error("the sandbox lacks {}", listed(.0))]
    Missing(
        /// The layers and why they are missing.
        Vec<Trial>,
    ),
    /// No interpreter, or one that does not answer.
    #[error("{}: {message}", python.display())]
    Python {
        /// The interpreter asked for.
        python: PathBuf,
        /// What happened.
        message: String,
    },
    /// The sandbox did not come up.
    #[error("the sandbox did not start: {message}")]
    Start {
        /// What its stages said.
        message: String,
    },
    /// The interpreter that runs the tests ended without a verdict.
    #[error("the tests' own interpreter ended without a verdict: {message}")]
    Judge {
        /// What is known of its end.
        message: String,
    },
    /// The tests are no Python.
    #[error("the tests cannot be read: {message}")]
    Tests {
        /// The interpreter's words.
        message: String,
    },
    /// The tests hand the program something that cannot cross from one interpreter to the other.
    #[error("the tests cannot be run apart from the program: {message}")]
    Unsupported {
        /// What it was.
        message: String,
    },
    /// The reference solution does not pass its own tests, so that its time means nothing.
    #[error("the reference solution does not pass its tests: {outcome}")]
    Reference {
        /// What became of it.
        outcome: crate::Outcome,
    },
    /// The caller asked to stop.
    #[error("stopped as asked")]
    Stopped,
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's own words.
        source: std::io::Error,
    },
}

impl SandboxError {
    /// For `map_err`: what was being done when the system refused.
    #[cfg(target_os = "linux")]
    pub(crate) fn io<E: Into<std::io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Io {
            doing,
            source: source.into(),
        }
    }
}

fn listed(missing: &[Trial]) -> String {
    let each = missing
        .iter()
        .map(|trial| format!("{} ({})", trial.layer, trial.detail));
    each.collect::<Vec<_>>().join(", ")
}
