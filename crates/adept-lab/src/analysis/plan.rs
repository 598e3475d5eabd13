//! Which runs a table needs, where they are, and what is left to do.

use std::path::Path;

use adept_core::Method;
use adept_train::TrainError;
use adept_train::config::TrainMethod;
use adept_train::folder::read_json;
use adept_train::record::RunResult;

use super::{Analysis, AnalysisError, MagnitudeRecord, ShiftRecord, TableName, default_shifts, record};
use crate::reproduce::{self, Cell, Plan, State};

/// Where a run comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From the folder of the table.
    Own,
    /// From the folder whose runs are used again.
    Reused,
}

/// One run of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Where it comes from.
    pub origin: Origin,
    /// Whether its record is there, with everything that is asked for.
    pub measured: bool,
}

/// What a table needs, run by run.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisPlan {
    /// The runs; the folder of a reused one is where it lies.
    pub runs: Plan,
    /// The same runs in the same order.
    pub sources: Vec<Source>,
}

impl AnalysisPlan {
    /// How many finished runs of another folder are used.
    #[must_use]
    pub fn reused(&self) -> usize {
        self.sources
            .iter()
            .filter(|source| source.origin == Origin::Reused)
            .count()
    }

    /// How many runs are measured already.
    #[must_use]
    pub fn measured(&self) -> usize {
        self.sources.iter().filter(|source| source.measured).count()
    }
}

/// Looks at what is there.
///
/// # Errors
/// Settings that make no sense, a backbone or a record that cannot be read, a folder that holds other runs, a shift
/// beyond the offsets.
pub fn plan(analysis: &Analysis) -> Result<AnalysisPlan, AnalysisError> {
    let mut runs = reproduce::plan(&analysis.grid)?;
    let mut sources = Vec::new();
    for cell in &mut runs.cells {
        if analysis.table == TableName::Table1 {
            shifts_of(analysis, cell)?;
        }
        let mut origin = Origin::Own;
        if cell.state == State::New
            && let Some(folder) = &analysis.reuse
            && let Some(found) = finished_elsewhere(folder, cell, runs.fingerprint.as_str())?
        {
            *cell = found;
            origin = Origin::Reused;
        }
        let measured = cell.state == State::Done && is_measured(analysis, cell)?;
        sources.push(Source { origin, measured });
    }
    Ok(AnalysisPlan { runs, sources })
}

/// The same run in another folder, where it is finished there with the same settings and backbone. (Whether its data
/// are the same is seen when they are read.)
fn finished_elsewhere(folder: &Path, cell: &Cell, fingerprint: &str) -> Result<Option<Cell>, TrainError> {
    let folder = folder.join(cell.name());
    let result = folder.join("result.json");
    if !result.exists() {
        return Ok(None);
    }
    let result: RunResult = read_json(&result)?;
    let same = cell.resolved.config.differences(&result.config).is_empty() && result.fingerprint == fingerprint;
    Ok(same.then(|| Cell {
        folder,
        state: State::Done,
        ..cell.clone()
    }))
}

/// Whether the record of a finished run is there with everything that is asked for.
pub(super) fn is_measured(analysis: &Analysis, cell: &Cell) -> Result<bool, AnalysisError> {
    let out = &analysis.grid.out;
    Ok(match analysis.table {
        TableName::Table1 => {
            let wanted = shifts_of(analysis, cell)?;
            let found: Option<ShiftRecord> = record::find(out, analysis.table, cell)?;
            found.is_some_and(|found| wanted.iter().all(|shift| found.shifts.contains_key(shift)))
        }
        TableName::Table2 => record::find::<MagnitudeRecord>(out, analysis.table, cell)?.is_some(),
    })
}

/// The shifts that a run is measured with, ascending; none for ADePT.
pub(super) fn shifts_of(analysis: &Analysis, cell: &Cell) -> Result<Vec<usize>, AnalysisError> {
    let limit = cell.resolved.config.input.max_source_length;
    if cell.method != TrainMethod::Adapter(Method::Dept) {
        return Ok(Vec::new());
    }
    if analysis.shifts.is_empty() {
        return Ok(default_shifts(limit));
    }
    if let Some(found) = analysis.shifts.iter().find(|shift| **shift > limit) {
        return Err(AnalysisError::Shift {
            run: cell.name(),
            found: *found,
            limit,
        });
    }
    let mut shifts = analysis.shifts.clone();
    shifts.push(0);
    shifts.sort_unstable();
    shifts.dedup();
    Ok(shifts)
}
