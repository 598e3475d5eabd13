//! Why a program could not be judged. None of it says anything about the program.

use std::path::PathBuf;

use crate::Trial;
use crate::remedy::FOLLOWS;

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
    #[error("the sandbox lacks{}", listed(.0))]
    Missing(
        /// The layers and why they are missing.
        Vec<Trial>,
    ),
    /// No interpreter, or one that does not answer.
    #[error("{}: {message}; programs are run with it: install Python 3, or name another interpreter", python.display())]
    Python {
        /// The interpreter asked for.
        python: PathBuf,
        /// What happened.
        message: String,
    },
    /// The control group that was named cannot be used.
    #[error(
        "{}: {message}; a folder is needed in which this process may make groups with the controller `memory` \
        (`systemd-run --user --pty -p Delegate=yes -p DelegateSubgroup=main` hands one over, which is found unnamed)",
        folder.display()
    )]
    Group {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
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
    /// No verdict: the tests ask something of the program that cannot be asked from one interpreter to the other. It
    /// says nothing about the program, and nothing about the next one.
    #[error("no verdict: {message}")]
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

/// A layer a line, where there is more than one, so that each is read with its remedy. Those that are missing because
/// another one is share a line.
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
