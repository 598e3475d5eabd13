//! The analyses behind the paper's Tables 1 and 2, on trained DePT and ADePT adapters.
//!
//! - Table 1 ([`shift`]): DePT's offsets are cyclically shifted and the test split is scored again.
//! - Table 2 ([`magnitude`]): magnitudes of offsets compared with the embeddings they are added to.
//!
//! Both need the same runs: DePT and ADePT on a few tasks with a few seeds. [`plan`] determines which of them already
//! exist, in the tables' own folder or in that of a GLUE reproduction; [`run`] trains the missing ones, measures each
//! run and writes its record; [`Table1`] and [`Table2`] are computed from those records alone.
//!
//! | entry of `OUT` | what |
//! |---|---|
//! | `<task>/<method>/seed-<n>/` | the runs, as in any grid |
//! | `table1/`, `table2/` | one [`ShiftRecord`] or [`MagnitudeRecord`] per run |
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

/// Default tasks of the tables. The paper has RTE and BoolQ; of GLUE's tasks QNLI is most similar to BoolQ: a question
/// and a passage, and likewise longer than RTE's sentences.
pub const TASKS: [&str; 2] = ["rte", "qnli"];

/// The paper's table to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableName {
    /// Scores with shifted offsets.
    Table1,
    /// Magnitudes of offsets.
    Table2,
}

impl TableName {
    /// Name in commands and file names.
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

/// A table to compute.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// The table.
    pub table: TableName,
    /// The runs it needs; its methods are [`METHODS`].
    pub grid: Grid,
    /// Shifts for Table 1; if empty, [`default_shifts`] of each task's source length. 0 is always included.
    pub shifts: Vec<usize>,
    /// A folder of runs, such as a GLUE reproduction's, whose finished runs are reused if they match.
    pub reuse: Option<PathBuf>,
}

/// Why a table could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisError {
    /// The runs could not be planned.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// An error that affects all runs.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The training or measurement of a run failed.
    #[error("{run}")]
    Run {
        /// The run.
        run: String,
        /// The cause; boxed because a failed step lists all of its rows.
        source: Box<TrainError>,
    },
    /// A shift exceeds the number of positions with offsets.
    #[error("a shift of {found} exceeds the {limit} positions with offsets in {run} (`input.max_source_length`)")]
    Shift {
        /// The run.
        run: String,
        /// The shift.
        found: usize,
        /// Number of positions.
        limit: usize,
    },
    /// An adapter folder whose adapter is of another method than its run's.
    #[error("{}: the adapter has no offset of {expected}", path.display())]
    Offset {
        /// The folder.
        path: PathBuf,
        /// The run's method.
        expected: TrainMethod,
    },
    /// Interrupted while measuring a run.
    #[error("interrupted in {run} after {done} of {total} shifts; run the same command again to continue")]
    Interrupted {
        /// The run.
        run: String,
        /// Shifts measured and saved.
        done: usize,
        /// Shifts of this run.
        total: usize,
    },
}
