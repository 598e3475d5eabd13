//! A kind of problem: what is asked for in several wordings, its solution, and the same solution in Rust, which tells
//! what the tests expect.
//!
//! In wordings and solutions `{a}`, `{b}` are the arguments' names and `{k}`, `{m}` two constants of which `{m}` is the
//! larger one.

use super::value::{Kind, Value};

/// The two constants of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constants {
    /// From 2 to 8.
    pub k: i64,
    /// From `k + 1` to 9.
    pub m: i64,
}

/// What a problem asks for: noun phrases that complete "return".
#[derive(Debug, Clone, Copy)]
pub struct Wordings {
    /// In the backbone's pretraining only.
    pub base: &'static str,
    /// In both.
    pub shared: &'static str,
    /// In the sample only.
    pub sample: &'static str,
}

/// A family of problems.
#[derive(Debug)]
pub struct Family {
    /// Names that its functions may have.
    pub names: &'static str,
    /// The arguments.
    pub arguments: &'static [Kind],
    /// What is asked for.
    pub wordings: Wordings,
    /// The lines of the function's body, with their indentation below the function's.
    pub body: &'static str,
    /// The solution.
    pub solve: fn(&[Value], Constants) -> Value,
}

/// Declares families: names, arguments, the three wordings, the body and the solution.
macro_rules! families {
    ($($names:literal $arguments:expr; $base:literal, $shared:literal, $sample:literal; $body:literal; $solve:expr;)*) => {
        &[$(Family {
            names: $names,
            arguments: &$arguments,
            wordings: Wordings { base: $base, shared: $shared, sample: $sample },
            body: $body,
            solve: $solve,
        },)*]
    };
}
pub(super) use families;
