//! Shared helpers: a sandbox with every layer, expected outcomes, and a piece of the outside world that a program must
//! not touch.
//!
//! If the machine cannot provide such a sandbox (another system, a kernel without user namespaces, no Python), a test
//! prints that it is skipped. With `ADEPT_SANDBOX_REQUIRED` in the environment it fails instead: for machines known to
//! have every layer, on which a skipped test would hide a broken one.

pub mod outside;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use adept_sandbox::{Layer, Limits, Outcome, Program, Sandbox, SandboxError, Settings, Verdict};

/// The expected outcome of a program. A text must occur in the message.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    Pass,
    Fail(&'static str),
    Timeout,
    Memory,
    Syntax(&'static str),
    /// No verdict.
    Unsupported(&'static str),
}

impl Expected {
    pub fn is_met(self, result: &Result<Verdict, SandboxError>) -> bool {
        match (self, result) {
            (Self::Unsupported(part), Err(SandboxError::Unsupported { message })) => message.contains(part),
            (_, Ok(verdict)) => self.is_met_by(&verdict.outcome),
            _ => false,
        }
    }

    pub fn is_met_by(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Pass, Outcome::Pass) | (Self::Memory, Outcome::Memory) => true,
            (Self::Timeout, Outcome::Timeout { .. }) => true,
            (Self::Fail(part), Outcome::Fail { message }) => message.contains(part),
            (Self::Syntax(part), Outcome::SyntaxError { message }) => message.contains(part),
            _ => false,
        }
    }
}

/// The helper is the crate's own binary, since a test program's `main` cannot be hooked.
pub fn settings() -> Settings {
    Settings {
        helper: Some(PathBuf::from(env!("CARGO_BIN_EXE_adept-sandbox"))),
        ..Settings::default()
    }
}

/// The sandbox with every layer; prints that the test is skipped if there is none.
pub fn sandbox() -> Option<&'static Sandbox> {
    static SANDBOX: OnceLock<Result<Sandbox, SandboxError>> = OnceLock::new();
    match SANDBOX.get_or_init(|| Sandbox::new(settings())) {
        Ok(sandbox) => Some(sandbox),
        Err(error) => skipped(error),
    }
}

/// The sandbox with all layers but one.
pub fn without(layer: Layer) -> Option<Sandbox> {
    // The excluded layer must be the only one missing.
    sandbox()?;
    let settings = Settings {
        allow_missing: true,
        leave_out: vec![layer],
        ..settings()
    };
    Some(Sandbox::new(settings).unwrap())
}

#[track_caller]
fn skipped<T>(error: &SandboxError) -> Option<T> {
    let may_skip = std::env::var_os("ADEPT_SANDBOX_REQUIRED").is_none();
    match error {
        SandboxError::Missing(_) | SandboxError::Python { .. } | SandboxError::System { .. } if may_skip => {
            eprintln!("skipped: {error}");
            None
        }
        _ => panic!("{error}"),
    }
}

/// Limits for a program expected to end by itself: a busy machine must not turn it into a time-out.
pub fn unhurried() -> Limits {
    Limits {
        wall: Duration::from_secs(60),
        ..Limits::default()
    }
}

/// Limits for a program expected not to end.
pub fn hurried() -> Limits {
    Limits {
        wall: Duration::from_secs(1),
        ..Limits::default()
    }
}

pub fn limits(expected: Expected) -> Limits {
    match expected {
        Expected::Timeout => hurried(),
        _ => unhurried(),
    }
}

/// Runs a program whose function under test is `f`.
pub fn run(sandbox: &Sandbox, solution: &str, tests: &str, limits: &Limits) -> Result<Verdict, SandboxError> {
    run_named(sandbox, &["f"], solution, tests, limits)
}

/// Runs a program from which the tests use these names.
pub fn run_named(
    sandbox: &Sandbox,
    names: &[&str],
    solution: &str,
    tests: &str,
    limits: &Limits,
) -> Result<Verdict, SandboxError> {
    let program = Program { solution, tests, names };
    sandbox.run(&program, limits)
}

/// Runs a program from which the tests use these names, and checks the outcome.
#[track_caller]
pub fn check_named(names: &[&str], solution: &str, tests: &str, expected: Expected) {
    let Some(sandbox) = sandbox() else { return };
    let result = run_named(sandbox, names, solution, tests, &limits(expected));
    assert!(
        expected.is_met(&result),
        "{expected:?} expected, but: {result:?}\n{solution}\n---\n{tests}"
    );
}

/// Runs a program whose function under test is `f`, and checks the outcome.
#[track_caller]
pub fn check(solution: &str, tests: &str, expected: Expected) {
    check_any(solution, tests, &[expected]);
}

/// The same, if the outcome depends on the version of Python.
#[track_caller]
pub fn check_any(solution: &str, tests: &str, expected: &[Expected]) {
    let Some(sandbox) = sandbox() else { return };
    let result = run(sandbox, solution, tests, &limits(expected[0]));
    assert!(
        expected.iter().any(|expected| expected.is_met(&result)),
        "{expected:?} expected, but: {result:.2000?}\n{solution:.2000}\n---\n{tests:.2000}"
    );
}
