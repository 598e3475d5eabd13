//! `adept reproduce`: runs or resumes a table of the paper and writes its report.

pub(super) mod describe;
mod element;
pub(super) mod grid;
mod submit;

use std::path::Path;

use adept_lab::report::{self, Benchmark};
use adept_lab::reproduce::{Estimate, Grid, GridError, Plan, Prepared, ProfileName, estimate, plan, run_grid};
use burn::tensor::backend::AutodiffBackend;

use super::{Setting, report_failure, run_failure};
use crate::args::Runs;
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, remark, say};
use crate::grid_progress::GridProgress;
use crate::interrupt;
use crate::progress::Loudness;

/// Command line for the paper's setting.
fn paper_command(table: &str) -> String {
    format!("cargo xtask reproduce {table} --profile paper --data DATA --backbone t5-base")
}

/// Command line for the project's backbone on real data.
fn real_small_command(table: &str) -> String {
    format!("cargo xtask reproduce {table} --profile real-small --data DATA")
}

/// Runs or resumes a benchmark.
pub fn benchmark(setting: &Setting, benchmark: Benchmark, arguments: Runs) -> Result<(), Failure> {
    let grid = grid::of(setting, &arguments, benchmark, benchmark.name())?;
    if arguments.cluster.on.is_some() {
        return submit::run(setting, &arguments, &grid);
    }
    if let (Some(list), Some(lines)) = (&arguments.cluster.cells, arguments.cluster.lines) {
        return element::run(setting, &grid, list, lines, arguments.keep_going);
    }
    with_backend(
        setting.device,
        Work {
            setting,
            arguments,
            grid,
        },
    )
}

struct Work<'a> {
    setting: &'a Setting,
    arguments: Runs,
    grid: Grid,
}

impl WithBackend for Work<'_> {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let Self {
            setting,
            arguments,
            grid,
        } = self;
        let show: fn(String) -> Result<(), Failure> = if arguments.plan {
            |text| say(text)
        } else {
            |text| {
                remark(text);
                Ok(())
            }
        };
        let plan = plan(&grid).map_err(grid_failure)?;
        let (mut prepared, mut expected) = (None, None);
        if arguments.plan || setting.loudness != Loudness::Quiet {
            let every_run = arguments.plan || setting.loudness == Loudness::Verbose;
            show(describe::plan(&grid, &plan, setting.device, every_run))?;
            let measured = measure::<AB>(&grid, &plan, &device);
            match measured {
                Ok(Some((read, times))) => {
                    show(describe::time(&times))?;
                    (prepared, expected) = (Some(read), Some(times));
                }
                Ok(None) => show("  time       none: every run is done".to_owned())?,
                // The runs themselves will report the same error.
                Err(cause) if arguments.keep_going => show(format!("  time       not known: {cause}"))?,
                Err(cause) => return Err(grid_failure(cause)),
            }
        }
        if arguments.plan {
            return Ok(());
        }
        interrupt::listen()?;
        let mut watching = GridProgress::new(setting.loudness, &plan, expected.as_ref());
        let failed = run_grid::<AB>(&grid, &plan, prepared, arguments.keep_going, &device, &mut watching);
        drop(watching);
        let failed = failed.map_err(grid_failure)?;
        check_failed(&failed, &plan)?;
        finish(&grid, setting.loudness)
    }
}

/// The failure of a grid of which some runs failed.
fn check_failed(failed: &[String], plan: &Plan) -> Result<(), Failure> {
    if failed.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} of {} runs failed: {}",
        failed.len(),
        plan.cells.len(),
        failed.join(", ")
    );
    Err(Failure::run(message).hint("run the same command again to retry them"))
}

/// Requirements and estimated time of the runs; `None` if all are done.
pub(super) type Measured<AB> = Option<(Prepared<<AB as AutodiffBackend>::InnerBackend>, Estimate)>;

pub(super) fn measure<AB: AutodiffBackend>(
    grid: &Grid,
    plan: &Plan,
    device: &AB::Device,
) -> Result<Measured<AB>, GridError> {
    if plan.waiting().next().is_none() {
        return Ok(None);
    }
    let mut prepared = Prepared::load(grid, device)?;
    let times = estimate::<AB>(plan, &mut prepared, device)?;
    Ok(Some((prepared, times)))
}

/// Prints the table, the report's location, and how to run the paper's setting.
fn finish(grid: &Grid, loudness: Loudness) -> Result<(), Failure> {
    let report = report::build(&grid.out).map_err(report_failure)?;
    say(report.results_table().trim_end())?;
    say("\nReport:")?;
    for name in ["report.html", "report.md", "results.json"] {
        say(format_args!("  {}", grid.out.join(name).display()))?;
    }
    if loudness == Loudness::Quiet {
        return Ok(());
    }
    if grid.profile.name == ProfileName::Sample.name() {
        say("\nThe tasks' own files on the same backbone, three seeds:")?;
        say(format_args!("  {}", real_small_command(grid.benchmark.name())))?;
    }
    if grid.profile.name != ProfileName::Paper.name() {
        say("\nThe paper's setting (its backbone, the tasks' own files, its number of steps, three seeds):")?;
        say(format_args!("  {}", paper_command(grid.benchmark.name())))?;
    }
    Ok(())
}

pub(super) fn grid_failure(cause: GridError) -> Failure {
    match cause {
        GridError::Train(cause) => run_failure(cause),
        GridError::Run { run, source } => run_failure(*source).context(run),
        GridError::Report(cause) => report_failure(cause),
        GridError::Coordinate { .. } | GridError::SameName { .. } | GridError::OtherGrid { .. } => {
            Failure::input(cause)
        }
    }
}

/// A path as typed here: relative to the current folder if below it.
pub(super) fn shown(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}
