//! Runs what a plan left to do, task after task, with a report after every run.

use adept_train::TrainError;
use adept_train::folder::{FolderKind, GRID_FILE, claim_grid, clear, write_json};
use adept_train::observer::Observer;
use burn::tensor::backend::AutodiffBackend;

use super::{Cell, Grid, GridError, Plan, Prepared};
use crate::report;
use crate::run;

/// Watches a grid.
pub trait GridObserver {
    /// A run begins or is resumed: the observer that watches it. `position` counts from 0 over the runs that are not
    /// done yet, `total` is their number.
    fn begin(&mut self, cell: &Cell, position: usize, total: usize) -> Box<dyn Observer>;

    /// A run failed and the grid goes on.
    fn failed(&mut self, cell: &Cell, cause: &TrainError);
}

/// Runs what is not done and writes the report after every run. `prepared` is what was read already, if anything was.
///
/// With `keep_going` a failed run does not end the grid; the names of the failed ones are handed back. A request to
/// stop always ends it.
///
/// # Errors
/// What keeps all runs from running, and without `keep_going` the first failure of one.
pub fn run_grid<AB: AutodiffBackend>(
    grid: &Grid,
    plan: &Plan,
    prepared: Option<Prepared<AB::InnerBackend>>,
    keep_going: bool,
    device: &AB::Device,
    observer: &mut dyn GridObserver,
) -> Result<Vec<String>, GridError> {
    claim_grid(&grid.out)?;
    write_json(&grid.out.join(GRID_FILE), &grid.record())?;
    let waiting: Vec<&Cell> = plan.waiting().collect();
    let mut failed = Vec::new();
    if waiting.is_empty() {
        report::build(&grid.out)?;
        return Ok(failed);
    }
    let mut prepared = match prepared {
        Some(prepared) => prepared,
        None => Prepared::load(grid, device)?,
    };
    for (position, cell) in waiting.iter().enumerate() {
        let mut watching = observer.begin(cell, position, waiting.len());
        let outcome = run_cell::<AB>(cell, grid.overwrite, &mut prepared, device, &mut *watching);
        drop(watching);
        if cell.folder.join("record.jsonl").exists() {
            report::build(&grid.out)?;
        }
        if waiting[position + 1..].iter().all(|later| later.task != cell.task) {
            prepared.forget(&cell.task);
        }
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
