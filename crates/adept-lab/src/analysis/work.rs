//! Trains missing runs, measures every run, and updates the table after each.

use std::fs;
use std::path::{Path, PathBuf};

use adept_train::TrainError;
use adept_train::folder::{FolderKind, GRID_FILE, claim_grid, clear, read_json, write_atomic, write_json};
use adept_train::observer::Observer;
use adept_train::record::RunResult;
use burn::tensor::backend::AutodiffBackend;
use serde::Serialize;

use super::measure::Measuring;
use super::{
    Analysis, AnalysisError, AnalysisPlan, Origin, Section34, ShiftRecord, Table1, Table2, Table11, TableName, plan,
    record,
};
use crate::reproduce::{Cell, Prepared, State};
use crate::run::{self, PreparedTask};

/// Observer of an analysis.
pub trait AnalysisObserver {
    /// A run is about to be trained or resumed; returns its observer. `position` counts from 0 over the `total`
    /// unfinished runs.
    fn begin(&mut self, cell: &Cell, position: usize, total: usize) -> Box<dyn Observer>;

    /// A finished run in another folder uses other data, so it is trained here, in addition to the planned runs;
    /// returns its observer.
    fn not_reused(&mut self, cell: &Cell, found: &Path) -> Box<dyn Observer>;

    /// Called before every batch of a measurement; returns whether to continue. `what` is being measured; `done` of
    /// `total` batches of this run are complete.
    fn measuring(&mut self, cell: &Cell, what: &str, done: usize, total: usize) -> bool {
        let _ = (cell, what, done, total);
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
    /// Scores without offsets.
    Table11(Table11),
    /// The first self-attention.
    Section34(Section34),
}

impl Table {
    /// Text for a terminal.
    #[must_use]
    pub fn console(&self) -> String {
        match self {
            Self::Table1(table) => table.console(),
            Self::Table2(table) => table.console(),
            Self::Table11(table) => table.console(),
            Self::Section34(section) => section.console(),
        }
    }
}

/// Trains and measures what is missing, and writes the table's JSON and Markdown (and for section 3.4 HTML) after each
/// run. `prepared` holds
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
                none => {
                    let configs = plan.runs.cells.iter().map(|cell| &cell.resolved.config);
                    none.insert(Prepared::load(
                        grid,
                        run::precision_of::<AB::InnerBackend>(configs),
                        device,
                    )?)
                }
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
            let measuring = Measuring {
                analysis,
                cell: &cell,
                backbone,
                task: task.rows()?,
                device,
            };
            measuring.measure(result, observer)?;
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

/// Writes the table for the runs so far, from their records.
fn write_table(analysis: &Analysis, cells: &[Cell]) -> Result<Table, AnalysisError> {
    let grid = &analysis.grid;
    Ok(match analysis.table {
        TableName::Table1 => {
            let mut records = records::<ShiftRecord>(analysis, cells)?;
            // A record may contain shifts requested earlier.
            for (record, cell) in records.iter_mut().zip(cells) {
                let wanted = plan::shifts_of(analysis, cell)?;
                record.shifts.retain(|shift, _| wanted.contains(shift));
            }
            let table = Table1::of(&grid.record(), records);
            write(analysis, &table, &table.markdown())?;
            Table::Table1(table)
        }
        TableName::Table2 => {
            let table = Table2::of(&grid.record(), records(analysis, cells)?);
            write(analysis, &table, &table.markdown())?;
            Table::Table2(table)
        }
        TableName::Table11 => {
            let table = Table11::of(&grid.record(), records(analysis, cells)?);
            write(analysis, &table, &table.markdown())?;
            Table::Table11(table)
        }
        TableName::Section34 => {
            let section = Section34::of(&grid.record(), records(analysis, cells)?);
            write(analysis, &section, &section.markdown())?;
            write_atomic(&output(analysis, "html"), section.html().as_bytes())?;
            Table::Section34(section)
        }
    })
}

/// Path of a table: `OUT/table1.json`.
fn output(analysis: &Analysis, extension: &str) -> PathBuf {
    analysis.grid.out.join(format!("{}.{extension}", analysis.table))
}

fn write(analysis: &Analysis, table: &impl Serialize, markdown: &str) -> Result<(), TrainError> {
    write_json(&output(analysis, "json"), table)?;
    write_atomic(&output(analysis, "md"), markdown.as_bytes())
}

/// Records of the runs measured so far.
fn records<T: record::Measured>(analysis: &Analysis, cells: &[Cell]) -> Result<Vec<T>, TrainError> {
    let paths = cells
        .iter()
        .map(|cell| record::path(&analysis.grid.out, analysis.table, cell));
    paths.map(|path| read_json(&path)).collect()
}
