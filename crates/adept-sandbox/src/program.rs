//! Programs, their limits, and the possible outcomes.

use std::time::Duration;

/// A program with its tests.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// The untrusted text: prompt and completion.
    pub solution: &'a str,
    /// The tests: Python that ends normally if the solution is correct, for example a `check` function and its call.
    /// Trusted not to forge a verdict, but sandboxed all the same.
    pub tests: &'a str,
    /// The names that the tests may use from the solution: functions under test, classes to instantiate. All other
    /// names are the tests' own or builtins, so that a solution cannot slip in its own `sorted`.
    pub names: &'a [&'a str],
}

/// Resource limits of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall clock time, from the moment both interpreters have started until the verdict.
    pub wall: Duration,
    /// Maximum address space of each process, and of the total memory of all of them, in bytes.
    pub memory: u64,
    /// Maximum size of the scratch folder and of any file, in bytes.
    pub scratch: u64,
    /// Printed text to keep, in bytes. Anything beyond is read and discarded.
    pub output: usize,
    /// Maximum number of processes and threads.
    pub processes: u64,
    /// Maximum number of open files per process.
    pub open_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(1),
            memory: 1 << 30,
            scratch: 16 << 20,
            output: 64 << 10,
            processes: 16,
            open_files: 64,
        }
    }
}

impl Limits {
    /// Maximum processor time of each process, in seconds: slightly more than one thread can use within the wall clock
    /// time, so that sleeping and busy programs end alike.
    #[cfg(target_os = "linux")]
    pub(crate) fn cpu_seconds(&self) -> u64 {
        self.wall.as_secs() + 2
    }

    /// The default limits with a wall clock limit derived from the running time of a reference solution: four times
    /// that, but at least one second.
    pub fn from_reference(reference: Duration) -> Self {
        Self {
            wall: (reference * 4).max(Duration::from_secs(1)),
            ..Self::default()
        }
    }
}

/// The outcome of a program. A failure of the sandbox is not among these: see [`SandboxError`](crate::SandboxError).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The tests completed.
    Pass,
    /// An assertion failed, an exception was raised, or the program ended before its tests.
    Fail {
        /// The failure.
        message: String,
    },
    /// The time limit was exceeded.
    Timeout {
        /// The wall clock limit.
        limit: Duration,
    },
    /// The memory limit was exceeded.
    Memory,
    /// The solution is not valid Python.
    SyntaxError {
        /// The interpreter's message.
        message: String,
    },
}

impl Outcome {
    /// Whether the program passed.
    pub fn is_pass(&self) -> bool {
        matches!(self, Self::Pass)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pass => write!(to, "pass"),
            Self::Fail { message } => write!(to, "fail: {message}"),
            Self::Timeout { limit } => write!(to, "timed out after {:.3} s", limit.as_secs_f64()),
            Self::Memory => write!(to, "out of memory"),
            Self::SyntaxError { message } => write!(to, "syntax error: {message}"),
        }
    }
}

/// An outcome with measurements.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What happened.
    pub outcome: Outcome,
    /// Seconds since both interpreters had started.
    pub seconds: f64,
    /// What the program printed, up to the limit, verbatim including escape sequences.
    pub output: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_four_times_the_reference_and_one_second_at_least() {
        let wall = |milliseconds| Limits::from_reference(Duration::from_millis(milliseconds)).wall;
        assert_eq!(wall(0), Duration::from_secs(1));
        assert_eq!(wall(3), Duration::from_secs(1));
        assert_eq!(wall(250), Duration::from_secs(1));
        assert_eq!(wall(251), Duration::from_millis(1004));
        assert_eq!(wall(4200), Duration::from_millis(16800));
        let other = Limits {
            wall: Duration::ZERO,
            ..Limits::from_reference(Duration::from_secs(9))
        };
        let default = Limits {
            wall: Duration::ZERO,
            ..Limits::default()
        };
        assert_eq!(other, default, "nothing else depends on the reference");
    }
}
