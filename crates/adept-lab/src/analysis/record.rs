//! What was measured on one run, as a file of its own: the tables are made from these alone.
//!
//! A record names the run by its whole result and by the checksum of its adapter. One that belongs to another run, or
//! to another adapter, is not used again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adept_core::file::TENSOR_FILE;
use adept_train::TrainError;
use adept_train::folder::{file_sha256, read_json};
use adept_train::record::RunResult;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Shifted, Summary, TableName, TokenCounts};
use crate::reproduce::Cell;

/// Which run was measured, and by what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The run's folder, as it was given.
    #[serde(with = "adept_data::path_text")]
    pub folder: PathBuf,
    /// The content of its `result.json`.
    pub run: RunResult,
    /// SHA-256 of its adapter's tensors.
    pub adapter: String,
    /// Version of the program that measured.
    pub code_version: String,
    /// The commit it was built from, where known.
    pub code_commit: Option<String>,
    /// Backend and device that measured.
    pub device: String,
}

/// How long the sources of a split are, `</s>` counted, cut as the run cuts them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// Sources.
    pub rows: u64,
    /// Tokens of all of them.
    pub tokens: u64,
    /// Tokens of one on average.
    pub mean: f64,
    /// Tokens of the longest.
    pub longest: usize,
}

impl Lengths {
    /// Of counted sources.
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

/// Table 1's record of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShiftRecord {
    /// The run.
    pub subject: Subject,
    /// Positions that there are offsets for.
    pub positions: usize,
    /// The training split's sources.
    pub training: Lengths,
    /// The test split's sources.
    pub test: Lengths,
    /// What came out, by shift; empty for ADePT, whose score is in the run's result.
    pub shifts: BTreeMap<usize, Shifted>,
}

/// Table 2's record of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MagnitudeRecord {
    /// The run.
    pub subject: Subject,
    /// The training split's sources, which were looked at.
    pub training: Lengths,
    /// How many different tokens they hold.
    pub distinct_tokens: usize,
    /// Absolute values of the elements of all embeddings.
    pub embeddings: Summary,
    /// Absolute values of the elements of all offsets.
    pub offsets: Summary,
}

/// A record of either table.
pub trait Measured: DeserializeOwned + Serialize {
    /// The run it is about.
    fn subject(&self) -> &Subject;
}

impl Measured for ShiftRecord {
    fn subject(&self) -> &Subject {
        &self.subject
    }
}

impl Measured for MagnitudeRecord {
    fn subject(&self) -> &Subject {
        &self.subject
    }
}

/// Where the record of a run lies: `OUT/table1/rte-dept-42.json`.
#[must_use]
pub fn path(out: &Path, table: TableName, cell: &Cell) -> PathBuf {
    let name = format!("{}-{}-{}.json", cell.task, cell.method, cell.seed);
    out.join(table.name()).join(name)
}

/// The checksum of the adapter that a run kept as its best.
pub(super) fn adapter_sha256(folder: &Path) -> Result<String, TrainError> {
    let file = folder.join("best").join(TENSOR_FILE);
    file_sha256(&file).map_err(TrainError::read("read", &file))
}

/// The record of a finished run, where there is one and it is of this run.
///
/// # Errors
/// A record that is not one, an adapter that cannot be read.
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
