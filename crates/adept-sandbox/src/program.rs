//! What is run, within which limits, and what can come of it.

use std::time::Duration;

/// A program and what tests it.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// The untrusted text: prompt and completion.
    pub solution: &'a str,
    /// The tests: Python that ends normally where the solution is right, for example a `check` function and its call.
    /// Trusted not to forge a verdict, and run in a sandbox of their own all the same.
    pub tests: &'a str,
    /// The names that the tests may take from the solution: functions under test, classes that they make objects of.
    /// Every other name is the tests' own or a builtin, so that a solution cannot put its own `sorted` under them.
    pub names: &'a [&'a str],
}

/// What a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall clock, from the moment that both interpreters are up until the verdict.
    pub wall: Duration,
    /// Address space of each process, and memory that all of them hold together, in bytes.
    pub memory: u64,
    /// Size of the scratch folder and of any file, in bytes.
    pub scratch: u64,
    /// Printed text that is kept, in bytes. What is beyond is read and thrown away.
    pub output: usize,
    /// Processes and threads.
    pub processes: u64,
    /// Open files of each process.
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
    /// Processor time of each process, in seconds: more than one thread can use up in the time by the clock, so that
    /// what sleeps and what works end alike.
    #[cfg(target_os = "linux")]
    pub(crate) fn cpu_seconds(&self) -> u64 {
        self.wall.as_secs() + 2
    }

    /// The default limits with a wall clock made from the time of a reference solution: four times that, and one second
    /// at least.
    pub fn from_reference(reference: Duration) -> Self {
        Self {
            wall: (reference * 4).max(Duration::from_secs(1)),
            ..Self::default()
        }
    }
}

/// What became of a program. A sandbox that did not work is not among these: that is a
/// [`SandboxError`](crate::SandboxError).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The tests ran to their end.
    Pass,
    /// An assertion did not hold, an exception was raised, or the program ended before its tests did.
    Fail {
        /// What happened.
        message: String,
    },
    /// The time was up.
    Timeout {
        /// The wall clock it had.
        limit: Duration,
    },
    /// The memory was used up.
    Memory,
    /// The solution is no Python.
    SyntaxError {
        /// The interpreter's words.
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
            Self::Timeout { limit } => write!(to, "not done after {:.3} s", limit.as_secs_f64()),
            Self::Memory => write!(to, "out of memory"),
            Self::SyntaxError { message } => write!(to, "syntax error: {message}"),
        }
    }
}

/// An outcome with what was measured on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What became of the program.
    pub outcome: Outcome,
    /// Seconds from the moment that both interpreters were up.
    pub seconds: f64,
    /// What the program printed, as far as it was kept: as it is, escape sequences and all.
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
