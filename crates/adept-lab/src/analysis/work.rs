//! Trains missing runs, measures every run, and updates the table after each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use adept_core::{Adapter, file};
use adept_models::Backbone as _;
use adept_train::TrainError;
use adept_train::folder::{FolderKind, GRID_FILE, claim_grid, clear, read_json, write_atomic, write_json};
use adept_train::observer::Observer;
use adept_train::record::{RunResult, code_commit, code_version};
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::record::{self, Lengths, Subject};
use super::{
    Analysis, AnalysisError, AnalysisPlan, MagnitudeRecord, Origin, ShiftRecord, Shifted, Table1, Table2, TableName,
    TokenCounts, magnitude, plan, shift,
};
use crate::reproduce::{Cell, Prepared, State};
use crate::run::{self, LoadedBackbone, PreparedTask};

/// Observer of an analysis.
pub trait AnalysisObserver {
    /// A run is about to be trained or resumed; returns its observer. `position` counts from 0 over the `total`
    /// unfinished runs.
    fn begin(&mut self, cell: &Cell, position: usize, total: usize) -> Box<dyn Observer>;

    /// A finished run in another folder uses other data, so it is trained here, in addition to the planned runs;
    /// returns its observer.
    fn not_reused(&mut self, cell: &Cell, found: &Path) -> Box<dyn Observer>;

    /// Called before every batch of a measurement; returns whether to continue. `done` of `total` batches over all
    /// shifts are complete.
    fn measuring(&mut self, cell: &Cell, shift: usize, done: usize, total: usize) -> bool {
        let _ = (cell, shift, done, total);
        true
    }

    /// A run has been measured, or its earlier measurement is reused.
    fn measured(&mut self, cell: &Cell) {
        let _ = cell;
    }
}

/// No-op observer.
impl AnalysisObserver for () {
    fn begin(&mut self, _cell: &Cell, _position: usize, _total: usize) -> Box<dyn Observer> {
        Box::new(())
    }

    fn not_reused(&mut self, _cell: &Cell, _found: &Path) -> Box<dyn Observer> {
        Box::new(())
    }
}

/// A computed table.
#[derive(Debug, Clone, PartialEq)]
pub enum Table {
    /// Scores with shifted offsets.
    Table1(Table1),
    /// Magnitudes of offsets.
    Table2(Table2),
}

impl Table {
    /// Text for a terminal.
    #[must_use]
    pub fn console(&self) -> String {
        match self {
            Self::Table1(table) => table.console(),
            Self::Table2(table) => table.console(),
        }
    }
}

/// Trains and measures what is missing, and writes `table<n>.json` and `table<n>.md` after each run. `prepared` holds
/// data that have already been read, if any.
///
/// # Errors
/// The first error; completed work is kept, and the same call resumes from there.
pub fn run<AB: AutodiffBackend>(
    analysis: &Analysis,
    plan: &AnalysisPlan,
    mut prepared: Option<Prepared<AB::InnerBackend>>,
    device: &AB::Device,
    observer: &mut dyn AnalysisObserver,
) -> Result<Table, AnalysisError> {
    let grid = &analysis.grid;
    let records = grid.out.join(analysis.table.name());
    claim_grid(&grid.out)?;
    fs::create_dir_all(&records).map_err(TrainError::io("create", &records))?;
    write_json(&grid.out.join(GRID_FILE), &grid.record())?;
    let total = plan.runs.waiting().count();
    let mut position = 0;
    let mut cells: Vec<Cell> = Vec::new();
    for (cell, source) in plan.runs.cells.iter().zip(&plan.sources) {
        let mut cell = cell.clone();
        if !source.measured {
            let prepared = match &mut prepared {
                Some(prepared) => prepared,
                none => none.insert(Prepared::load(grid, device)?),
            };
            prepared.read(&cell.resolved.config)?;
            let task = prepared
                .task(&cell.resolved.config)
                .expect("it was read in the line above");
            let mut watching: Box<dyn Observer> = if source.origin == Origin::Reused && !same_data(&cell, task.rows()?)?
            {
                let own = grid.out.join(cell.name());
                let found = std::mem::replace(&mut cell.folder, own);
                observer.not_reused(&cell, &found)
            } else if cell.state == State::Done {
                // Not run again; this only checks that data and backbone have not changed.
                Box::new(())
            } else {
                if grid.overwrite {
                    clear(&cell.folder, FolderKind::Run)?;
                }
                position += 1;
                observer.begin(&cell, position - 1, total)
            };
            let backbone = &prepared.backbone;
            let result = run::run_prepared::<AB>(&cell.resolved, &cell.folder, backbone, task, device, &mut *watching);
            drop(watching);
            let result = result.map_err(|source| AnalysisError::Run {
                run: cell.name(),
                source: Box::new(source),
            })?;
            cell.state = State::Done;
            measure(analysis, &cell, result, backbone, task.rows()?, device, observer)?;
        }
        observer.measured(&cell);
        cells.push(cell);
        write_table(analysis, &cells)?;
    }
    write_table(analysis, &cells)
}

/// Whether a finished run of another folder used the data that have just been read.
fn same_data(cell: &Cell, task: &PreparedTask) -> Result<bool, TrainError> {
    let result: RunResult = read_json(&cell.folder.join("result.json"))?;
    Ok(result.data == task.files)
}

/// Measures a finished run and writes its record.
fn measure<B: Backend>(
    analysis: &Analysis,
    cell: &Cell,
    result: RunResult,
    backbone: &LoadedBackbone<B>,
    task: &PreparedTask,
    device: &B::Device,
    observer: &mut dyn AnalysisObserver,
) -> Result<(), AnalysisError> {
    if plan::is_measured(analysis, cell)? {
        return Ok(());
    }
    let adapter = load_adapter(cell, backbone, device)?;
    let subject = Subject {
        folder: cell.folder.clone(),
        run: result,
        adapter: record::adapter_sha256(&cell.folder)?,
        code_version: code_version(),
        code_commit: code_commit(),
        device: format!("{} {device:?}", B::name(device)),
    };
    match analysis.table {
        TableName::Table1 => measure_shifts(analysis, cell, subject, &adapter, backbone, task, device, observer),
        TableName::Table2 => {
            let counts = TokenCounts::of_stored(&task.train).map_err(TrainError::from)?;
            let found = magnitude::magnitude(&backbone.model, &adapter, &counts, device)?;
            let offsets = found.offsets.ok_or_else(|| no_offset(cell))?;
            let record = MagnitudeRecord {
                subject,
                training: Lengths::of(&counts),
                distinct_tokens: counts.ids.len(),
                embeddings: found.embeddings.summary(),
                offsets: offsets.summary(),
            };
            Ok(write_json(
                &record::path(&analysis.grid.out, analysis.table, cell),
                &record,
            )?)
        }
    }
}

/// Scores the test split for every shift missing from the record. The record is written after each, so that an
/// interruption loses at most one.
#[allow(clippy::too_many_arguments)] // One private call site; a struct would only rename the list.
fn measure_shifts<B: Backend>(
    analysis: &Analysis,
    cell: &Cell,
    subject: Subject,
    adapter: &Adapter<B>,
    backbone: &LoadedBackbone<B>,
    task: &PreparedTask,
    device: &B::Device,
    observer: &mut dyn AnalysisObserver,
) -> Result<(), AnalysisError> {
    let config = &cell.resolved.config;
    let path = record::path(&analysis.grid.out, analysis.table, cell);
    let begun: Option<ShiftRecord> = record::find(&analysis.grid.out, analysis.table, cell)?;
    let training = TokenCounts::of_stored(&task.train).map_err(TrainError::from)?;
    let test = TokenCounts::of(&task.test.0);
    let positions = config.input.max_source_length;
    let mut record = ShiftRecord {
        subject,
        positions,
        training: Lengths::of(&training),
        test: Lengths::of(&test),
        shifts: begun.map_or_else(BTreeMap::new, |begun| begun.shifts),
    };
    let wanted = plan::shifts_of(analysis, cell)?;
    let left: Vec<usize> = wanted
        .iter()
        .copied()
        .filter(|shift| !record.shifts.contains_key(shift))
        .collect();
    let set = shift::test_set(config, backbone, task)?;
    let batches = set.batches.len();
    for (index, shift) in left.iter().copied().enumerate() {
        let shifted = shift::shifted(adapter, shift).ok_or_else(|| no_offset(cell))?;
        let mut proceed =
            |done: usize, _: usize| observer.measuring(cell, shift, index * batches + done, left.len() * batches);
        let scores = shift::score(config, backbone, task, &shifted, &set, device, &mut proceed)?;
        let Some(scores) = scores else {
            return Err(AnalysisError::Interrupted {
                run: cell.name(),
                done: wanted.len() - left.len() + index,
                total: wanted.len(),
            });
        };
        let reach = shift::reach(&test, &training, positions, shift);
        record.shifts.insert(shift, Shifted { scores, reach });
        write_json(&path, &record)?;
    }
    Ok(write_json(&path, &record)?)
}

/// Loads a run's best adapter.
fn load_adapter<B: Backend>(
    cell: &Cell,
    backbone: &LoadedBackbone<B>,
    device: &B::Device,
) -> Result<Adapter<B>, AnalysisError> {
    let load = || -> Result<Adapter<B>, TrainError> {
        let (adapter, about) = file::load::<B>(&cell.folder.join("best"), &backbone.model.sites(), device)?;
        about.check_backbone(&backbone.fingerprint)?;
        Ok(adapter)
    };
    load().map_err(|source| AnalysisError::Run {
        run: cell.name(),
        source: Box::new(source),
    })
}

fn no_offset(cell: &Cell) -> AnalysisError {
    AnalysisError::Offset {
        path: cell.folder.join("best"),
        expected: cell.method,
    }
}

/// Writes the table for the runs so far, from their records.
fn write_table(analysis: &Analysis, cells: &[Cell]) -> Result<Table, AnalysisError> {
    let grid = &analysis.grid;
    let name = analysis.table.name();
    let (json, markdown) = (
        grid.out.join(format!("{name}.json")),
        grid.out.join(format!("{name}.md")),
    );
    let table = match analysis.table {
        TableName::Table1 => {
            let mut records = records::<ShiftRecord>(analysis, cells)?;
            // A record may contain shifts requested earlier.
            for (record, cell) in records.iter_mut().zip(cells) {
                let wanted = plan::shifts_of(analysis, cell)?;
                record.shifts.retain(|shift, _| wanted.contains(shift));
            }
            let table = Table1::of(&grid.record(), records);
            write_json(&json, &table)?;
            write_atomic(&markdown, table.markdown().as_bytes())?;
            Table::Table1(table)
        }
        TableName::Table2 => {
            let table = Table2::of(&grid.record(), records::<MagnitudeRecord>(analysis, cells)?);
            write_json(&json, &table)?;
            write_atomic(&markdown, table.markdown().as_bytes())?;
            Table::Table2(table)
        }
    };
    Ok(table)
}

/// Records of the runs measured so far.
fn records<T: record::Measured>(analysis: &Analysis, cells: &[Cell]) -> Result<Vec<T>, TrainError> {
    let paths = cells
        .iter()
        .map(|cell| record::path(&analysis.grid.out, analysis.table, cell));
    paths.map(|path| read_json(&path)).collect()
}
