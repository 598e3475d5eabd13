//! The benchmarks of the paper's Tables 3, 4 and 7.

use std::fmt;

use adept_data::Task;
use serde::{Deserialize, Serialize};

/// A group of tasks that the paper reports together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Benchmark {
    /// GLUE, the left half of Table 3.
    #[default]
    Glue,
    /// SuperGLUE, the right half of Table 3.
    Superglue,
    /// The MRQA 2019 tasks, the left half of Table 4.
    Mrqa,
    /// WinoGrande, Yelp, SciTail and PAWS, the right half of Table 4.
    Others,
    /// MBPP, Table 7.
    Mbpp,
}

impl Benchmark {
    /// All benchmarks, in the paper's order.
    pub const ALL: [Self; 5] = [Self::Glue, Self::Superglue, Self::Mrqa, Self::Others, Self::Mbpp];

    /// Name of the suite on the task cards.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Glue => "glue",
            Self::Superglue => "superglue",
            Self::Mrqa => "mrqa",
            Self::Others => "others",
            Self::Mbpp => "mbpp",
        }
    }

    /// Name used in headings.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Glue => "GLUE",
            Self::Superglue => "SuperGLUE",
            Self::Mrqa => "MRQA",
            Self::Others => "WinoGrande, Yelp, SciTail, PAWS",
            Self::Mbpp => "MBPP",
        }
    }

    /// Tasks of the benchmark, in the paper's order.
    #[must_use]
    pub fn tasks(self) -> Vec<Task> {
        Task::suite(self.name())
    }

    /// The paper's table as TOML.
    pub(super) fn paper(self) -> &'static str {
        match self {
            Self::Glue => include_str!("../../paper/glue.toml"),
            Self::Superglue => include_str!("../../paper/superglue.toml"),
            Self::Mrqa => include_str!("../../paper/mrqa.toml"),
            Self::Others => include_str!("../../paper/others.toml"),
            Self::Mbpp => include_str!("../../paper/mbpp.toml"),
        }
    }
}

impl fmt::Display for Benchmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
