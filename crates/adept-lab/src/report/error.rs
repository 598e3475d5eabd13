//! What can go wrong while a report is made.

use std::io;
use std::path::PathBuf;

use adept_train::TrainError;

/// A report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file of a run could not be read, or one of the report not written.
    #[error(transparent)]
    File(#[from] TrainError),
    /// A folder of runs could not be read.
    #[error("cannot list {}: {source}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A result does not belong to the folder that it lies in.
    #[error("{}: the folder says {field} `{expected}`, the result says `{found}`", path.display())]
    Misplaced {
        /// The result's file.
        path: PathBuf,
        /// Which field differs.
        field: &'static str,
        /// What the folder's name says.
        expected: String,
        /// What the file says.
        found: String,
    },
    /// A result without something that the table needs.
    #[error("{}: expected {expected}, found nothing", path.display())]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What is missing.
        expected: String,
    },
    /// The folder holds no run.
    #[error("{} holds no run: expected folders TASK/METHOD/seed-N in it", path.display())]
    NoRuns {
        /// The folder.
        path: PathBuf,
    },
}
