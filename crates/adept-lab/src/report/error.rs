//! Errors of reports.

use std::io;
use std::path::PathBuf;

use adept_data::Metric;
use adept_train::TrainError;

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Reading a run's file or writing a file of the report failed.
    #[error(transparent)]
    File(#[from] TrainError),
    /// A folder of runs could not be listed.
    #[error("cannot list {}: {source}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A result does not match its folder.
    #[error("{}: the folder's name has {field} `{expected}`, the result has `{found}`", path.display())]
    Misplaced {
        /// The result's file.
        path: PathBuf,
        /// The field that differs.
        field: &'static str,
        /// The value in the folder's name.
        expected: String,
        /// The value in the file.
        found: String,
    },
    /// A result lacks something the table needs.
    #[error("{}: expected {expected}, found nothing", path.display())]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// What is missing.
        expected: String,
    },
    /// The answers to a test split are not those of the result beside them.
    #[error(
        "{}: expected answers that score {expected} in {metric}, as the result says, found {found}",
        path.display()
    )]
    Answers {
        /// The file.
        path: PathBuf,
        /// The metric.
        metric: Metric,
        /// The result's score, times 100.
        expected: f64,
        /// The score of the answers.
        found: f64,
    },
    /// The folder contains no runs.
    #[error("{} contains no runs: expected folders TASK/METHOD/seed-N in it", path.display())]
    NoRuns {
        /// The folder.
        path: PathBuf,
    },
}
