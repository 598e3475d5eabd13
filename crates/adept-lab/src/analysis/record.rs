//! The measurement of one run, in a file of its own: the tables are computed from these files alone.
//!
//! A record identifies the run by its whole result and by the checksum of its adapter. A record of another run or
//! another adapter is not reused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adept_core::file::TENSOR_FILE;
use adept_train::TrainError;
use adept_train::folder::{file_sha256, read_json};
use adept_train::record::{RunResult, Scores};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::attention::Attention;
use super::switch::Offsets;
use super::{Shifted, Summary, TableName, TokenCounts};
use crate::reproduce::Cell;

/// The measured run, and what measured it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The run's folder, as given.
    #[serde(with = "adept_data::path_text")]
    pub folder: PathBuf,
    /// The content of its `result.json`.
    pub run: RunResult,
    /// SHA-256 of its adapter's tensors.
    pub adapter: String,
    /// Version of the measuring program.
    pub code_version: String,
    /// The commit it was built from, if known.
    pub code_commit: Option<String>,
    /// Backend and device of the measurement.
    pub device: String,
}

/// Lengths of a split's sources in tokens, including `</s>`, after the run's truncation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// Number of sources.
    pub rows: u64,
    /// Total number of tokens.
    pub tokens: u64,
    /// Mean number of tokens.
    pub mean: f64,
    /// Tokens of the longest source.
    pub longest: usize,
}

impl Lengths {
    /// Lengths of counted sources.
    #[must_use]
    pub fn of(counts: &TokenCounts) -> Self {
        Self {
            rows: counts.rows,
            tokens: counts.tokens(),
            mean: counts.mean_length(),
            longest: counts.longest(),
        }
    }
}

/// Record of one run for Table 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftRecord {
    /// The run.
    pub subject: Subject,
    /// Number of positions with offsets.
    pub positions: usize,
    /// Lengths of the training split's sources.
    pub training: Lengths,
    /// Lengths of the test split's sources.
    pub test: Lengths,
    /// Results by shift; empty for ADePT, whose score is in the run's result.
    pub shifts: BTreeMap<usize, Shifted>,
}

/// Record of one run for Table 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MagnitudeRecord {
    /// The run.
    pub subject: Subject,
    /// Lengths of the training split's sources, which were measured.
    pub training: Lengths,
    /// Number of distinct tokens in them.
    pub distinct_tokens: usize,
    /// Absolute values of the elements of all embeddings.
    pub embeddings: Summary,
    /// Absolute values of the elements of all offsets.
    pub offsets: Summary,
}

/// Record of one run for Table 11.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwitchRecord {
    /// The run.
    pub subject: Subject,
    /// Lengths of the test split's sources.
    pub test: Lengths,
    /// The task's metrics on the test split, times 100, with and without the offsets.
    pub scores: BTreeMap<Offsets, Scores>,
}

/// Record of one run for section 3.4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttentionRecord {
    /// The run.
    pub subject: Subject,
    /// Test rows measured, at most.
    pub limit: usize,
    /// What was measured.
    pub attention: Attention,
    /// Texts of the example's tokens.
    pub example_tokens: Vec<String>,
}

/// A record of any table.
pub trait Measured: DeserializeOwned + Serialize {
    /// The measured run.
    fn subject(&self) -> &Subject;
}

macro_rules! measured {
    ($($record:ty),*) => {
        $(impl Measured for $record {
            fn subject(&self) -> &Subject {
                &self.subject
            }
        })*
    };
}

measured!(ShiftRecord, MagnitudeRecord, SwitchRecord, AttentionRecord);

/// Path of a run's record: `OUT/table1/rte-dept-42.json`.
#[must_use]
pub fn path(out: &Path, table: TableName, cell: &Cell) -> PathBuf {
    let name = format!("{}-{}-{}.json", cell.task, cell.variant, cell.seed);
    out.join(table.name()).join(name)
}

/// Checksum of a run's best adapter.
pub(super) fn adapter_sha256(folder: &Path) -> Result<String, TrainError> {
    let file = folder.join("best").join(TENSOR_FILE);
    file_sha256(&file).map_err(TrainError::read("read", &file))
}

/// The record of a finished run, if there is one that matches it.
///
/// # Errors
/// An invalid record, or an unreadable adapter.
pub fn find<T: Measured>(out: &Path, table: TableName, cell: &Cell) -> Result<Option<T>, TrainError> {
    let path = path(out, table, cell);
    if !path.exists() {
        return Ok(None);
    }
    let record: T = read_json(&path)?;
    let result: RunResult = read_json(&cell.folder.join("result.json"))?;
    let subject = record.subject();
    let same = subject.run == result && subject.adapter == adapter_sha256(&cell.folder)?;
    Ok(same.then_some(record))
}
