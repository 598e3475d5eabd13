//! The paper's tables of scores: its benchmarks (Tables 3, 4 and 7), and its comparisons of a few rows.

use std::fmt;

use adept_data::Task;
use serde::{Deserialize, Serialize};

use super::paper::PaperTable;

/// Declares the tables: the name of each is that of its file in `paper/`.
macro_rules! tables {
    ($($(#[$about:meta])* $variant:ident = $name:literal,)*) => {
        /// A table of scores that can be reproduced.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Benchmark {
            $($(#[$about])* #[serde(rename = $name)] $variant,)*
        }

        impl Benchmark {
            /// All of them, in the paper's order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Name of its command.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The paper's table as TOML.
            pub(super) fn paper(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("../../paper/", $name, ".toml")),)*
                }
            }
        }
    };
}

tables! {
    /// GLUE, the left half of Table 3.
    #[default]
    Glue = "glue",
    /// SuperGLUE, the right half of Table 3.
    Superglue = "superglue",
    /// The MRQA 2019 tasks, the left half of Table 4.
    Mrqa = "mrqa",
    /// WinoGrande, Yelp, SciTail and PAWS, the right half of Table 4.
    Others = "others",
    /// MBPP, Table 7.
    Mbpp = "mbpp",
    /// T5-3B on six large tasks.
    Table5 = "table5",
    /// The same by exact match.
    Table6 = "table6",
    /// Longer soft prompts.
    Table8 = "table8",
    /// Training time.
    Table9 = "table9",
    /// The whole embedding matrix beside the prompt.
    Table10 = "table10",
    /// Sizes of ADePT's bottleneck.
    Table12 = "table12",
    /// Lengths of ADePT's prompt.
    Table13 = "table13",
    /// ADePT's network without a prompt.
    Table14 = "table14",
    /// Few training rows.
    Table15 = "table15",
}

impl Benchmark {
    /// Title used in headings.
    #[must_use]
    pub fn title(self) -> String {
        PaperTable::of(self).title
    }

    /// Tasks of the table, in the paper's order.
    #[must_use]
    pub fn tasks(self) -> Vec<Task> {
        let columns = PaperTable::of(self).tasks;
        columns
            .iter()
            .filter_map(|column| Task::named(&column.name).ok())
            .collect()
    }
}

impl fmt::Display for Benchmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
