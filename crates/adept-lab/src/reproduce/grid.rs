//! Runs what a plan left to do, task by task, with a report after every run or without one.

use adept_train::TrainError;
use adept_train::folder::{FolderKind, GRID_FILE, claim_grid, clear, write_json};
use adept_train::observer::Observer;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::{Cell, Grid, GridError, Plan, Prepared};
use crate::report;
use crate::run;

/// Observer of a grid.
pub trait GridObserver {
    /// A run is about to start or resume; returns its observer. `position` counts from 0 over the `total` unfinished
    /// runs.
    fn begin(&mut self, cell: &Cell, position: usize, total: usize) -> Box<dyn Observer>;

    /// A run failed, and the grid continues.
    fn failed(&mut self, cell: &Cell, cause: &TrainError);
}

/// Runs everything unfinished and writes the report after every run. `prepared` holds data that have already been read,
/// if any.
///
/// With `keep_going` a failed run does not end the grid; the names of failed runs are returned. A stop request always
/// ends it.
///
/// # Errors
/// Errors that affect all runs, and without `keep_going` the first error of a run.
pub fn run_grid<AB: AutodiffBackend>(
    grid: &Grid,
    plan: &Plan,
    mut prepared: Option<Prepared<AB::InnerBackend>>,
    keep_going: bool,
    device: &AB::Device,
    observer: &mut dyn GridObserver,
) -> Result<Vec<String>, GridError> {
    claim(grid)?;
    if plan.waiting().next().is_none() {
        report::build(&grid.out)?;
    }
    let waiting: Vec<&Cell> = plan.waiting().collect();
    let done = |position: usize, prepared: &mut Prepared<AB::InnerBackend>| -> Result<(), GridError> {
        let cell = waiting[position];
        if cell.folder.join("record.jsonl").exists() {
            report::build(&grid.out)?;
        }
        forget_done(&waiting, position, prepared);
        Ok(())
    };
    run_cells::<AB>(grid, &waiting, &mut prepared, keep_going, device, observer, &done)
}

/// Runs everything unfinished of a part of a grid, and writes nothing outside of the runs' folders. The other parts may
/// run at the same time. Otherwise as [`run_grid`].
///
/// # Errors
/// See [`run_grid`].
pub fn run_part<AB: AutodiffBackend>(
    grid: &Grid,
    part: &Plan,
    keep_going: bool,
    device: &AB::Device,
    observer: &mut dyn GridObserver,
) -> Result<Vec<String>, GridError> {
    let waiting: Vec<&Cell> = part.waiting().collect();
    let done = |position: usize, prepared: &mut Prepared<AB::InnerBackend>| {
        forget_done(&waiting, position, prepared);
        Ok(())
    };
    run_cells::<AB>(grid, &waiting, &mut None, keep_going, device, observer, &done)
}

/// Drops a task's data after its last run.
fn forget_done<B: Backend>(cells: &[&Cell], position: usize, prepared: &mut Prepared<B>) {
    let task = &cells[position].task;
    if cells[position + 1..].iter().all(|later| later.task != *task) {
        prepared.forget(task);
    }
}

/// Claims the grid's folder and describes it.
pub(super) fn claim(grid: &Grid) -> Result<(), GridError> {
    claim_grid(&grid.out)?;
    Ok(write_json(&grid.out.join(GRID_FILE), &grid.record())?)
}

/// Called after each run with its position.
pub(super) type AfterRun<'a, B> = &'a dyn Fn(usize, &mut Prepared<B>) -> Result<(), GridError>;

/// Runs these cells one after another; returns the names of those that failed.
pub(super) fn run_cells<AB: AutodiffBackend>(
    grid: &Grid,
    cells: &[&Cell],
    prepared: &mut Option<Prepared<AB::InnerBackend>>,
    keep_going: bool,
    device: &AB::Device,
    observer: &mut dyn GridObserver,
    after: AfterRun<'_, AB::InnerBackend>,
) -> Result<Vec<String>, GridError> {
    let mut failed = Vec::new();
    for (position, cell) in cells.iter().enumerate() {
        let prepared = match &mut *prepared {
            Some(prepared) => prepared,
            none => {
                let configs = cells.iter().map(|cell| &cell.resolved.config);
                none.insert(Prepared::load(
                    grid,
                    run::precision_of::<AB::InnerBackend>(configs),
                    device,
                )?)
            }
        };
        let mut watching = observer.begin(cell, position, cells.len());
        let outcome = run_cell::<AB>(cell, grid.overwrite, prepared, device, &mut *watching);
        drop(watching);
        after(position, prepared)?;
        match outcome {
            Ok(()) => {}
            Err(cause) if keep_going && !matches!(cause, TrainError::Interrupted { .. }) => {
                observer.failed(cell, &cause);
                failed.push(cell.name());
            }
            Err(source) => {
                return Err(GridError::Run {
                    run: cell.name(),
                    source: Box::new(source),
                });
            }
        }
    }
    Ok(failed)
}

fn run_cell<AB: AutodiffBackend>(
    cell: &Cell,
    overwrite: bool,
    prepared: &mut Prepared<AB::InnerBackend>,
    device: &AB::Device,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let config = &cell.resolved.config;
    prepared.read(config)?;
    let task = prepared.task(config).expect("it was read in the line above");
    if overwrite {
        clear(&cell.folder, FolderKind::Run)?;
    }
    run::run_prepared::<AB>(&cell.resolved, &cell.folder, &prepared.backbone, task, device, observer).map(drop)
}
