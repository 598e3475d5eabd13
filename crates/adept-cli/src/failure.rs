//! Failures of a command: an exit code and a message on standard error.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | a check failed (`verify`), or an error occurred during a run: NaN loss, full disk, a bug |
//! | 2 | usage error, or unusable input: a missing file, a malformed row, an adapter for another backbone |
//! | 130 | interrupted; a run can be resumed |

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// Any error.
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
    /// Usage error or unusable input.
    pub fn input(cause: impl Into<Cause>) -> Self {
        Self {
            code: 2,
            message: None,
            cause: Some(cause.into()),
            hint: None,
        }
    }

    /// An error during execution.
    pub fn run(cause: impl Into<Cause>) -> Self {
        Self {
            code: 1,
            message: None,
            cause: Some(cause.into()),
            hint: None,
        }
    }

    /// A failed check whose details have already been printed.
    pub fn check() -> Self {
        Self {
            code: 1,
            message: None,
            cause: None,
            hint: None,
        }
    }

    /// Ctrl-C; the message says how to resume.
    pub fn interrupted(message: impl Display) -> Self {
        Self {
            code: 130,
            message: Some(message.to_string()),
            cause: None,
            hint: None,
        }
    }

    /// The reader closed standard output (`adept … | head`), which is not an error.
    fn nobody_reads() -> Self {
        Self {
            code: 0,
            message: None,
            cause: None,
            hint: None,
        }
    }

    /// Adds what was being done.
    #[must_use]
    pub fn context(mut self, message: impl Display) -> Self {
        self.message = Some(match self.message {
            Some(inner) => format!("{message}: {inner}"),
            None => message.to_string(),
        });
        self
    }

    /// Adds a suggestion for the user.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Prints the message and returns the exit code.
    pub fn report(&self) -> ExitCode {
        let text = self.to_string();
        if !text.is_empty() {
            // Standard error may be closed; there is nowhere left to report that.
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
            // Many messages already include their source's text, which need not be repeated.
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

/// Prints clap's message, which may be a help text, and returns its exit code: 2 for a usage error.
pub fn usage(told: &clap::Error) -> ExitCode {
    match told.print() {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Failure::run(cause).context("standard output").report()
        }
        _ => ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(2)),
    }
}

/// Prints a line on standard output. Ends the command quietly if the reader has closed it.
pub fn say(text: impl Display) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Err(Failure::nobody_reads()),
        Err(cause) => Err(Failure::run(cause).context("standard output")),
    }
}

/// Prints a line on standard error, for progress and remarks.
pub fn remark(text: impl Display) {
    // Remarks are not results: a closed standard error does not stop the work.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Most panics that are reported together.
const MOST: usize = 4;

/// The last panics in third-party libraries, until it is known whether they are caught. Several, since what panics on a
/// library's own thread makes the one that waits for it panic as well, which says nothing of the cause.
static IN_A_LIBRARY: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn hold(held: &mut Vec<String>, report: String) {
    if held.len() == MOST {
        held.remove(0);
    }
    held.push(report);
}

/// Runs a command and turns a panic, which is always a bug, into a short message and exit code 1.
///
/// Readers of damaged files catch panics of the decoding libraries and report what is wrong with the file. Those are
/// not bugs of this program, so a panic in a library is reported only if it is not caught.
pub fn guarded(work: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let held = || IN_A_LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(|place| format!(" ({place})")).unwrap_or_default();
        let backtrace = Backtrace::capture();
        let more = match backtrace.status() {
            BacktraceStatus::Captured => backtrace.to_string(),
            _ => "  hint: RUST_BACKTRACE=1 shows where; saved checkpoints are intact; run the same command again to resume".into(),
        };
        let report = format!("error: internal failure, a bug in adept: {message}{place}\n{more}");
        if info
            .location()
            .is_some_and(|place| place.file().contains("/registry/src/"))
        {
            hold(&mut held(), report);
        } else {
            remark(report);
        }
    }));
    panic::catch_unwind(panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        for report in held().drain(..) {
            remark(report);
        }
        Err(Failure::check())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_panics_of_libraries_are_kept_in_their_order() {
        let mut held = Vec::new();
        for number in 0..MOST + 2 {
            hold(&mut held, number.to_string());
        }
        assert_eq!(held, ["2", "3", "4", "5"]);
    }

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
        // The panic hook is global: restore the default for the other tests.
        drop(panic::take_hook());
    }
}
