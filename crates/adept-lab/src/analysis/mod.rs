//! What the paper's Tables 1 and 2 look at: trained DePT and ADePT adapters, examined from outside.
//!
//! - Table 1 ([`shift`]): DePT's offsets are cyclically shifted and the test split is scored again.
//! - Table 2 ([`magnitude`]): how large the offsets are beside the embeddings they are added to.
//!
//! Both need the same runs: DePT and ADePT on a few tasks with a few seeds. [`plan`] says which of them are there
//! already, in the folder of the tables or in that of a GLUE reproduction; [`run`] trains what is missing, measures each
//! run and writes its record; [`Table1`] and [`Table2`] are made from those records alone.
//!
//! | entry of `OUT` | what |
//! |---|---|
//! | `<task>/<method>/seed-<n>/` | the runs, as in any grid |
//! | `table1/`, `table2/` | one [`ShiftRecord`] or [`MagnitudeRecord`] a run |
//! | `table1.json`, `table1.md`, … | the tables |

pub mod magnitude;
mod moments;
mod paper;
mod plan;
pub mod record;
mod render;
pub mod shift;
mod table1;
mod table2;
mod work;

use std::fmt;
use std::path::PathBuf;

use adept_core::Method;
use adept_train::TrainError;
use adept_train::config::TrainMethod;

use crate::reproduce::{Grid, GridError};

pub use magnitude::{Magnitude, TokenCounts};
pub use moments::{Moments, Summary};
pub use paper::{PaperMagnitude, PaperMagnitudes, PaperMoments, PaperShiftRow, PaperShifts};
pub use plan::{AnalysisPlan, Origin, Source, plan};
pub use record::{MagnitudeRecord, ShiftRecord};
pub use shift::{Shifted, default_shifts};
pub use table1::Table1;
pub use table2::Table2;
pub use work::{AnalysisObserver, Table, run};

/// The methods that the tables compare.
pub const METHODS: [TrainMethod; 2] = [TrainMethod::Adapter(Method::Dept), TrainMethod::Adapter(Method::Adept)];

/// The tasks of the tables unless others are asked for. The paper has RTE and BoolQ; among GLUE's tasks QNLI is the
/// one most like BoolQ: a question and a passage, longer than RTE's sentences are alike.
pub const TASKS: [&str; 2] = ["rte", "qnli"];

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableName {
    /// Scores under shifted offsets.
    Table1,
    /// Sizes of offsets.
    Table2,
}

impl TableName {
    /// As in commands and file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Table1 => "table1",
            Self::Table2 => "table2",
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A table to be made.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// Which one.
    pub table: TableName,
    /// The runs it needs; its methods are [`METHODS`].
    pub grid: Grid,
    /// Table 1: the shifts; empty: [`default_shifts`] of each task's source length. 0 is always among them.
    pub shifts: Vec<usize>,
    /// A folder of runs, such as a GLUE reproduction's, whose finished ones are used where they are the same.
    pub reuse: Option<PathBuf>,
}

/// A table that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// The runs could not be planned.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// Something that concerns all runs.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// One run, its training or its measurement.
    #[error("{run}")]
    Run {
        /// Which run.
        run: String,
        /// Why; boxed, because a step that failed names all of its rows.
        source: Box<TrainError>,
    },
    /// A shift beyond the offsets.
    #[error(
        "a shift of {found} positions is more than the {limit} that {run} has offsets for (`input.max_source_length`)"
    )]
    Shift {
        /// Which run.
        run: String,
        /// The shift.
        found: usize,
        /// Positions there are.
        limit: usize,
    },
    /// An adapter folder that holds another method's adapter than its run says.
    #[error("{}: the adapter has no offset of {expected}", path.display())]
    Offset {
        /// The folder.
        path: PathBuf,
        /// The method.
        expected: TrainMethod,
    },
    /// The work was asked to stop while a run was measured.
    #[error("interrupted in {run} after {done} of {total} shifts; run the same command again to continue")]
    Interrupted {
        /// Which run.
        run: String,
        /// Shifts measured and saved.
        done: usize,
        /// Shifts of this run.
        total: usize,
    },
}
