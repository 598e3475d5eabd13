//! The analyses of the paper on trained adapters, and of its data sets.
//!
//! - Table 1 ([`shift`]): DePT's offsets are cyclically shifted and the test split is scored again.
//! - Table 2 ([`magnitude`]): magnitudes of offsets compared with the embeddings they are added to.
//! - Table 11 ([`switch`]): DePT and ADePT are scored without their offsets.
//! - Section 3.4 ([`attention`]): the first self-attention with PT, DePT and ADePT.
//! - Table 16 ([`datasets`]): rows and lengths of the data sets; it needs no runs.
//!
//! The others need runs of the methods on a few tasks with a few seeds. [`plan`] determines which of them already
//! exist, in the tables' own folder or in that of a GLUE reproduction; [`run`] trains the missing ones, measures each
//! run and writes its record; the tables are computed from those records alone.
//!
//! | entry of `OUT` | what |
//! |---|---|
//! | `<task>/<method>/seed-<n>/` | the runs, as in any grid |
//! | `table1/`, `table2/`, `table11/`, `section3.4/` | one record per run ([`record`]) |
//! | `table1.json`, `table1.md`, … | the tables |

pub mod attention;
pub mod datasets;
pub mod magnitude;
mod measure;
mod moments;
mod paper;
mod picture;
mod plan;
pub mod record;
mod render;
pub mod scoring;
mod section34;
pub mod shift;
pub mod switch;
mod table1;
mod table11;
mod table16;
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
pub use paper::{
    PaperDataset, PaperDatasets, PaperMagnitude, PaperMagnitudes, PaperMoments, PaperShiftRow, PaperShifts,
    PaperSwitch, PaperSwitchRow,
};
pub use plan::{AnalysisPlan, Origin, Source, plan};
pub use record::{AttentionRecord, MagnitudeRecord, ShiftRecord, SwitchRecord};
pub use section34::Section34;
pub use shift::{Shifted, default_shifts};
pub use table1::Table1;
pub use table2::Table2;
pub use table11::Table11;
pub use table16::Table16;
pub use work::{AnalysisObserver, Table, run};

/// The methods with offsets, which the tables compare.
pub const METHODS: [TrainMethod; 2] = [TrainMethod::Adapter(Method::Dept), TrainMethod::Adapter(Method::Adept)];

/// The methods of section 3.4.
pub const PROMPT_METHODS: [TrainMethod; 3] = [TrainMethod::Adapter(Method::Pt), METHODS[0], METHODS[1]];

/// Tasks of the paper's tables.
pub const PAPER_TASKS: [&str; 2] = ["rte", "boolq"];

/// Stands in for BoolQ where its files are not at hand: of GLUE's tasks QNLI is most similar, a question and a passage,
/// and likewise longer than RTE's sentences.
pub const SUBSTITUTE: &str = "qnli";

/// Tasks of the tables without BoolQ's files.
pub const TASKS: [&str; 2] = [PAPER_TASKS[0], SUBSTITUTE];

/// Test rows for section 3.4, at most, unless asked for more.
pub const ATTENTION_ROWS: usize = 200;

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableName {
    /// Scores with shifted offsets.
    Table1,
    /// Magnitudes of offsets.
    Table2,
    /// Scores without offsets.
    Table11,
    /// The first self-attention.
    Section34,
}

impl TableName {
    /// Name in commands and file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Table1 => "table1",
            Self::Table2 => "table2",
            Self::Table11 => "table11",
            Self::Section34 => "section3.4",
        }
    }

    /// The methods whose runs it needs.
    #[must_use]
    pub fn methods(self) -> &'static [TrainMethod] {
        match self {
            Self::Table1 | Self::Table2 | Self::Table11 => &METHODS,
            Self::Section34 => &PROMPT_METHODS,
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
    /// The runs it needs; its methods are [`TableName::methods`].
    pub grid: Grid,
    /// Shifts for Table 1; if empty, [`default_shifts`] of each task's source length. 0 is always included.
    pub shifts: Vec<usize>,
    /// Test rows for section 3.4, at most; at least 1.
    pub rows: usize,
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
    #[error("{}: the adapter is not one of {expected}", path.display())]
    OtherMethod {
        /// The folder.
        path: PathBuf,
        /// The run's method.
        expected: TrainMethod,
    },
    /// A decoder-only backbone, for an analysis of the encoder.
    #[error("{}: expected an encoder-decoder such as T5, found {family}, which has no encoder", backbone.display())]
    NoEncoder {
        /// The backbone.
        backbone: PathBuf,
        /// Its family.
        family: &'static str,
    },
    /// Interrupted while measuring a run.
    #[error("interrupted in {run} after {done} of {total} measurements; run the same command again to continue")]
    Interrupted {
        /// The run.
        run: String,
        /// Measurements made and saved.
        done: usize,
        /// Measurements of this run.
        total: usize,
    },
}
