//! How a command ends without success: an exit code and one message on standard error.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | a check failed (`verify`), or a run failed on the way: a loss that is no number, a full disk, a bug |
//! | 2 | usage, or input that cannot be used: a missing file, a malformed row, an adapter for another backbone |
//! | 130 | interrupted; a run can be resumed |

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// A cause of any kind.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a command ended.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: Option<String>,
    cause: Option<Cause>,
    hint: Option<String>,
}

impl Failure {
    /// Usage, or input that cannot be used.
    pub fn input(cause: impl Into<Cause>) -> Self {
        Self {
            code: 2,
            message: None,
            cause: Some(cause.into()),
            hint: None,
        }
    }

    /// Something that went wrong on the way.
    pub fn run(cause: impl Into<Cause>) -> Self {
        Self {
            code: 1,
            message: None,
            cause: Some(cause.into()),
            hint: None,
        }
    }

    /// A check that did not pass; what failed has been printed already.
    pub fn check() -> Self {
        Self {
            code: 1,
            message: None,
            cause: None,
            hint: None,
        }
    }

    /// Ctrl-C; the message says how to go on.
    pub fn interrupted(message: impl Display) -> Self {
        Self {
            code: 130,
            message: Some(message.to_string()),
            cause: None,
            hint: None,
        }
    }

    /// The reader of standard output went away (`adept … | head`): nothing is wrong.
    fn nobody_reads() -> Self {
        Self {
            code: 0,
            message: None,
            cause: None,
            hint: None,
        }
    }

    /// Says what was being done.
    #[must_use]
    pub fn context(mut self, message: impl Display) -> Self {
        self.message = Some(match self.message {
            Some(inner) => format!("{message}: {inner}"),
            None => message.to_string(),
        });
        self
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Prints the message and gives the process's exit code.
    pub fn report(&self) -> ExitCode {
        let text = self.to_string();
        if !text.is_empty() {
            // Standard error may be closed; there is nowhere left to say so.
            let _ = writeln!(io::stderr(), "{text}");
        }
        ExitCode::from(self.code)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = Vec::new();
        let mut next = self.cause.as_deref().map(|cause| cause as &dyn Error);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Many messages already hold their source's text: saying it twice helps nobody.
            if !lines.last().is_some_and(|line| line.contains(&text)) {
                lines.push(text);
            }
            next = cause.source();
        }
        match (&self.message, lines.first_mut()) {
            (None, None) => return Ok(()),
            (Some(message), None) => lines.push(message.clone()),
            (Some(message), Some(first)) => *first = format!("{message}: {first}"),
            (None, Some(_)) => {}
        }
        let word = if self.code == 130 { "interrupted" } else { "error" };
        write!(f, "{word}: {}", lines.join("\n  because: "))?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Prints what clap has to say, help included, and gives its exit code: 2 for a usage error.
pub fn usage(told: &clap::Error) -> ExitCode {
    match told.print() {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Failure::run(cause).context("standard output").report()
        }
        _ => ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(2)),
    }
}

/// Prints a line on standard output. A reader who has gone away ends the command quietly.
pub fn say(text: impl Display) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Err(Failure::nobody_reads()),
        Err(cause) => Err(Failure::run(cause).context("standard output")),
    }
}

/// Prints a line on standard error, where progress and remarks go.
pub fn remark(text: impl Display) {
    // Remarks are not results: a closed standard error does not stop the work.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// What the last panic in a library of others had to say, until it is known whether anybody catches it.
static IN_A_LIBRARY: Mutex<Option<String>> = Mutex::new(None);

/// Runs a command and turns a panic, which is always a bug, into a short message and exit code 1.
///
/// Readers of damaged files catch panics of the libraries that decode them and say what is wrong with the file. Those
/// are no bugs of ours, so a panic in a library is reported only where it comes through to here.
pub fn guarded(work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let held = || IN_A_LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(|place| format!(" ({place})")).unwrap_or_default();
        let backtrace = Backtrace::capture();
        let more = match backtrace.status() {
            BacktraceStatus::Captured => backtrace.to_string(),
            _ => "  hint: RUST_BACKTRACE=1 shows where; saved checkpoints are whole, the same command resumes".into(),
        };
        let report = format!("error: internal failure, a bug in adept: {message}{place}\n{more}");
        if info
            .location()
            .is_some_and(|place| place.file().contains("/registry/src/"))
        {
            *held() = Some(report);
        } else {
            remark(report);
        }
    }));
    panic::catch_unwind(panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        if let Some(report) = held().take() {
            remark(report);
        }
        Err(Failure::check())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Link(&'static str, Option<Box<Link>>);

    impl Display for Link {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Link {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|link| link as &(dyn Error + 'static))
        }
    }

    #[test]
    fn the_chain_is_printed_once() {
        let disk = Link("no space left", None);
        let write = Link("x.json cannot be written: no space left", Some(Box::new(disk)));
        let failure = Failure::run(Link("the run failed", Some(Box::new(write))))
            .hint("free some")
            .context("rte");
        assert_eq!(
            failure.to_string(),
            "error: rte: the run failed\n  because: x.json cannot be written: no space left\n  hint: free some"
        );
        assert_eq!(failure.code, 1);
    }

    #[test]
    fn a_panic_becomes_a_failure() {
        let failure = guarded(|| panic!("made on purpose")).expect_err("it panicked");
        assert_eq!((failure.code, failure.to_string().as_str()), (1, ""));
        // The hook is the process's own: give the default back to the other tests.
        drop(panic::take_hook());
    }
}
