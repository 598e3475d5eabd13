//! `adept reproduce`: runs or resumes a table of the paper and writes its report.

pub(super) mod describe;
mod element;
pub(super) mod grid;
mod search;
mod submit;

use std::path::Path;

use adept_lab::report::{self, Benchmark, PaperTable};
use adept_lab::reproduce::search::{run_search, with_earlier};
use adept_lab::reproduce::{
    Estimate, Grid, GridError, Plan, Planner, Prepared, Profile, ProfileName, backbone_folder, estimate, run_grid,
};
use adept_lab::run;
use burn::tensor::backend::AutodiffBackend;

use super::{Setting, report_failure, run_failure};
use crate::args::{Runs, Scores};
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, remark, say};
use crate::grid_progress::GridProgress;
use crate::interrupt;
use crate::progress::Loudness;

/// Command line for the tasks' own files; it names a backbone where the profile has none for the benchmark.
fn own_files_command(table: &str, benchmark: Benchmark, name: ProfileName) -> String {
    let profile = format!("cargo xtask reproduce {table} --profile {name} --data DATA");
    match backbone_folder(benchmark, &Profile::of(name)) {
        Some(_) => profile,
        None => format!("{profile} --backbone {}", PaperTable::of(benchmark).checkpoint()),
    }
}

/// Runs or resumes one or several tables of scores.
pub fn scores(setting: &Setting, scores: Scores) -> Result<(), Failure> {
    if let [benchmark] = scores.benchmarks[..] {
        return benchmark_of(setting, benchmark, scores.runs);
    }
    if scores.runs.cluster.on.is_some() {
        let names: Vec<&str> = scores.benchmarks.iter().map(|benchmark| benchmark.name()).collect();
        let message = format!("{} is two tables, each with jobs of its own", scores.name);
        return Err(Failure::input(message).hint(format_args!("submit {} one after the other", names.join(" and "))));
    }
    // Halves of one table: each has a folder of its own. Only the sample may have data for some of them alone.
    let is_sample = grid::profile_name(&scores.runs)? == ProfileName::Sample;
    let (mut halves, mut missing) = (Vec::new(), None);
    for benchmark in scores.benchmarks {
        let mut runs = scores.runs.clone();
        runs.out = runs.out.map(|out| out.join(benchmark.name()));
        match grid::of(setting, &runs, benchmark, benchmark.name()) {
            Ok(_) => halves.push((benchmark, runs)),
            Err(cause) if is_sample => missing = Some(cause),
            Err(cause) => return Err(cause),
        }
    }
    match missing {
        Some(cause) if halves.is_empty() => return Err(cause),
        Some(cause) => remark(format!("{}: a part is left out: {cause}", scores.name)),
        None => {}
    }
    for (benchmark, runs) in halves {
        benchmark_of(setting, benchmark, runs)?;
    }
    Ok(())
}

fn benchmark_of(setting: &Setting, benchmark: Benchmark, arguments: Runs) -> Result<(), Failure> {
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
        let planner = Planner::open(&grid.backbone).map_err(grid_failure)?;
        let search = search::of(&arguments.search, &grid, &planner)?;
        let grid = match &search {
            Some(search) => with_earlier(&grid, search).map_err(grid_failure)?,
            None => grid,
        };
        let plan = planner.plan(&grid).map_err(grid_failure)?;
        let (mut prepared, mut expected) = (None, None);
        if arguments.plan || setting.loudness != Loudness::Quiet {
            let every_run = arguments.plan || setting.loudness == Loudness::Verbose;
            show(describe::plan(&grid, &plan, setting.device, every_run))?;
            let searched = match &search {
                Some(search) => Some(search::describe(search, &grid, &planner, &plan)?),
                None => None,
            };
            if let Some(searched) = &searched {
                show(searched.text.clone())?;
            }
            let measured = measure::<AB>(&grid, &plan, &device);
            match measured {
                Ok(Some((read, times))) => {
                    let runs = searched.as_ref().map_or(1.0, |searched| searched.runs);
                    show(describe::time(&times, runs))?;
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
        let (mut failed, mut tried) = (Vec::new(), 0);
        let (grid, plan) = match search {
            None => (grid, plan),
            Some(search) => {
                let mut watching = search::Watching::new(setting.loudness);
                let found = run_search::<AB>(
                    &grid,
                    &search,
                    &planner,
                    &mut prepared,
                    arguments.keep_going,
                    &device,
                    &mut watching,
                );
                let found = found.map_err(grid_failure)?;
                (failed, tried, expected) = (found.failed, watching.runs, None);
                (found.grid, found.plan)
            }
        };
        let mut watching = GridProgress::new(setting.loudness, &plan, expected.as_ref());
        let last = run_grid::<AB>(&grid, &plan, prepared, arguments.keep_going, &device, &mut watching);
        drop(watching);
        failed.extend(last.map_err(grid_failure)?);
        check_failed(&failed, plan.cells.len() + tried)?;
        finish(&grid, setting.loudness)
    }
}

/// The failure of a grid of which some runs failed.
fn check_failed(failed: &[String], all: usize) -> Result<(), Failure> {
    if failed.is_empty() {
        return Ok(());
    }
    let message = format!("{} of {all} runs failed: {}", failed.len(), failed.join(", "));
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
    let precision = run::precision_of::<AB::InnerBackend>(plan.cells.iter().map(|cell| &cell.resolved.config));
    let mut prepared = Prepared::load(grid, precision, device)?;
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
    let command = |name| own_files_command(grid.benchmark.name(), grid.benchmark, name);
    let small = backbone_folder(grid.benchmark, &Profile::of(ProfileName::RealSmall));
    if grid.profile.name == ProfileName::Sample.name() && small.is_some() {
        say("\nThe tasks' own files on the same backbone, three seeds:")?;
        say(format_args!("  {}", command(ProfileName::RealSmall)))?;
    }
    if grid.profile.name != ProfileName::Paper.name() {
        say("\nThe paper's setting (its backbone, the tasks' own files, its number of steps, three seeds):")?;
        say(format_args!("  {}", command(ProfileName::Paper)))?;
    }
    Ok(())
}

pub(super) fn grid_failure(cause: GridError) -> Failure {
    match cause {
        GridError::Train(cause) => run_failure(cause),
        GridError::Run { run, source } => run_failure(*source).context(run),
        GridError::Report(cause) => report_failure(cause),
        GridError::Coordinate { .. }
        | GridError::SameName { .. }
        | GridError::Reference { .. }
        | GridError::Needs { .. }
        | GridError::OtherGrid { .. }
        | GridError::Search(_) => Failure::input(cause),
    }
}

/// A path as typed here: relative to the current folder if below it.
pub(super) fn shown(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}
