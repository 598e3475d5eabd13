//! Why a program could not be judged. None of these errors says anything about the program.

use std::path::PathBuf;

use crate::Trial;
use crate::remedy::FOLLOWS;

/// A failure of the sandbox. It never means that the program failed: for that see [`Outcome`](crate::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The operating system is not Linux.
    #[error("untrusted programs can run only on Linux; this is {system}")]
    System {
        /// The system's name.
        system: &'static str,
    },
    /// The host program does not call [`child_main`](crate::child_main), so it cannot serve as its own helper.
    #[error(
        "the sandbox starts this program as its own helper: call `adept_sandbox::child_main` first in `main`, or set `Settings::helper`"
    )]
    NoHook,
    /// Required layers do not hold.
    #[error("the sandbox lacks{}", listed(.0))]
    Missing(
        /// The missing layers and why they are missing.
        Vec<Trial>,
    ),
    /// There is no interpreter, or it does not work.
    #[error("{}: {message}; programs run with it: install Python 3 or choose another interpreter", python.display())]
    Python {
        /// The interpreter requested.
        python: PathBuf,
        /// The error.
        message: String,
    },
    /// The configured control group cannot be used.
    #[error(
        "{}: {message}; expected a folder in which this process may create groups with the `memory` controller \
        (`systemd-run --user --pty -p Delegate=yes -p DelegateSubgroup=main` delegates one, which is detected \
        automatically)",
        folder.display()
    )]
    Group {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        message: String,
    },
    /// The sandbox failed to start.
    #[error("the sandbox did not start: {message}")]
    Start {
        /// Output of its stages.
        message: String,
    },
    /// The interpreter that runs the tests ended without a verdict.
    #[error("the tests' own interpreter ended without a verdict: {message}")]
    Judge {
        /// How it ended, as far as known.
        message: String,
    },
    /// The tests are not valid Python.
    #[error("the tests are not valid Python: {message}")]
    Tests {
        /// The interpreter's message.
        message: String,
    },
    /// No verdict: the tests require something of the program that cannot be transferred between the interpreters. This
    /// says nothing about the program, nor about the next one.
    #[error("no verdict: {message}")]
    Unsupported {
        /// What they require.
        message: String,
    },
    /// The reference solution fails its own tests, so its running time is meaningless.
    #[error("the reference solution does not pass its tests: {outcome}")]
    Reference {
        /// Its outcome.
        outcome: crate::Outcome,
    },
    /// The caller requested a stop.
    #[error("stopped on request")]
    Stopped,
    /// A system call failed.
    #[error("{doing}: {source}")]
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
}

impl SandboxError {
    /// For `map_err`: adds the operation that failed.
    #[cfg(target_os = "linux")]
    pub(crate) fn io<E: Into<std::io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Io {
            doing,
            source: source.into(),
        }
    }
}

/// One layer per line, if there are several, so that each is followed by its remedy. Layers that are missing as a
/// consequence of another one share a line.
fn listed(missing: &[Trial]) -> String {
    let (followers, own): (Vec<&Trial>, Vec<&Trial>) = missing.iter().partition(|trial| trial.remedy == FOLLOWS);
    let line_start = if missing.len() > 1 { "\n  " } else { " " };
    let mut lines: String = own.iter().map(|trial| format!("{line_start}{trial}")).collect();
    if !followers.is_empty() {
        let names: Vec<&str> = followers.iter().map(|trial| trial.layer.name()).collect();
        lines += &format!("{line_start}{} ({FOLLOWS})", names.join(", "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layer;

    #[test]
    fn layers_that_are_missing_are_listed_with_their_remedies() {
        let trial = |layer, remedy: &str| Trial {
            remedy: remedy.to_owned(),
            ..Trial::new(layer, false, "EPERM")
        };
        let said = |missing: Vec<Trial>| SandboxError::Missing(missing).to_string();
        assert_eq!(said(vec![trial(Layer::Net, "do")]), "the sandbox lacks net (EPERM): do");
        let many = vec![
            trial(Layer::User, "do"),
            trial(Layer::Pid, FOLLOWS),
            trial(Layer::Net, FOLLOWS),
        ];
        let lines = "the sandbox lacks\n  user (EPERM): do\n  pid, net (follows from `user`)";
        assert_eq!(said(many), lines);
    }
}
