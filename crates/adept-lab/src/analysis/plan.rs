//! Determines which runs a table needs, where they are, and what is left to do.

use std::path::Path;

use adept_core::Method;
use adept_models::Family;
use adept_train::TrainError;
use adept_train::config::TrainMethod;
use adept_train::folder::read_json;
use adept_train::record::RunResult;

use super::switch::Offsets;
use super::{
    Analysis, AnalysisError, AttentionRecord, MagnitudeRecord, ShiftRecord, SwitchRecord, TableName, default_shifts,
    record,
};
use crate::reproduce::{self, Cell, Plan, State};

/// Where a run comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The table's own folder.
    Own,
    /// The folder whose runs are reused.
    Reused,
}

/// Where one run of a table comes from, and whether it has been measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The folder it comes from.
    pub origin: Origin,
    /// Whether a complete record of the measurement exists.
    pub measured: bool,
}

/// The runs a table needs and their states.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisPlan {
    /// The runs; the folder of a reused run is its original one.
    pub runs: Plan,
    /// One entry per run, in the same order.
    pub sources: Vec<Source>,
}

impl AnalysisPlan {
    /// Number of finished runs reused from another folder.
    #[must_use]
    pub fn reused(&self) -> usize {
        self.sources
            .iter()
            .filter(|source| source.origin == Origin::Reused)
            .count()
    }

    /// Number of runs already measured.
    #[must_use]
    pub fn measured(&self) -> usize {
        self.sources.iter().filter(|source| source.measured).count()
    }
}

/// Plans the runs of a table from what already exists.
///
/// # Errors
/// Invalid settings, an unreadable backbone or record, a folder with other runs, a shift beyond the offsets, or a
/// backbone without an encoder for section 3.4.
pub fn plan(analysis: &Analysis) -> Result<AnalysisPlan, AnalysisError> {
    if analysis.table == TableName::Section34 {
        check_encoder(&analysis.grid.backbone)?;
    }
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

/// Refuses a decoder-only backbone.
fn check_encoder(backbone: &Path) -> Result<(), AnalysisError> {
    let family = Family::of(backbone).map_err(TrainError::from)?;
    match family.is_causal() {
        false => Ok(()),
        true => Err(AnalysisError::NoEncoder {
            backbone: backbone.to_owned(),
            family: family.title(),
        }),
    }
}

/// The same run in another folder, if it is finished there with the same settings and backbone. (Whether its data match
/// is checked when they are read.)
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

/// Whether a finished run has a complete record.
pub(super) fn is_measured(analysis: &Analysis, cell: &Cell) -> Result<bool, AnalysisError> {
    let out = &analysis.grid.out;
    Ok(match analysis.table {
        TableName::Table1 => {
            let wanted = shifts_of(analysis, cell)?;
            let found: Option<ShiftRecord> = record::find(out, analysis.table, cell)?;
            found.is_some_and(|found| wanted.iter().all(|shift| found.shifts.contains_key(shift)))
        }
        TableName::Table2 => record::find::<MagnitudeRecord>(out, analysis.table, cell)?.is_some(),
        TableName::Table11 => {
            let found: Option<SwitchRecord> = record::find(out, analysis.table, cell)?;
            found.is_some_and(|found| Offsets::BOTH.iter().all(|offsets| found.scores.contains_key(offsets)))
        }
        TableName::Section34 => {
            let found: Option<AttentionRecord> = record::find(out, analysis.table, cell)?;
            found.is_some_and(|found| found.limit == analysis.rows)
        }
    })
}

/// The shifts a run is measured with, ascending; empty for ADePT.
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
