//! `adept reproduce table1` and `table2`: the analyses of section 3.2 of the paper on trained DePT and ADePT adapters.

use std::path::Path;
use std::time::{Duration, Instant};

use adept_data::Task;
use adept_lab::analysis::{self, Analysis, AnalysisError, AnalysisObserver, AnalysisPlan, METHODS, TASKS, TableName};
use adept_lab::report::Benchmark;
use adept_lab::reproduce::{Cell, GridObserver as _};
use adept_train::observer::Observer;
use burn::tensor::backend::AutodiffBackend;

use super::reproduce::{self, describe, grid_failure};
use super::{Setting, run_failure};
use crate::args::{MethodChoice, Runs, Seeds, Table1, Table2, TableRuns};
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, remark, say};
use crate::grid_progress::GridProgress;
use crate::interrupt;
use crate::progress::{Loudness, Progress};

/// Default seeds of a table: as many as in the paper's results.
const SEEDS: [u64; 3] = [42, 43, 44];

/// Interval between plain lines during a measurement.
const PLAIN_EVERY: Duration = Duration::from_secs(30);

/// Table 1: scores of DePT with shifted offsets.
pub fn table1(setting: &Setting, arguments: Table1) -> Result<(), Failure> {
    table(setting, TableName::Table1, arguments.shifts, arguments.runs)
}

/// Table 2: magnitudes of offsets.
pub fn table2(setting: &Setting, arguments: Table2) -> Result<(), Failure> {
    table(setting, TableName::Table2, Vec::new(), arguments.runs)
}

fn table(setting: &Setting, table: TableName, shifts: Vec<usize>, runs: TableRuns) -> Result<(), Failure> {
    let (only_plan, out, reuse) = (runs.plan, runs.out, runs.reuse);
    // The grid is built as for the GLUE reproduction; folder, methods and tasks are the table's.
    let mut grid = reproduce::grid::of(
        setting,
        &Runs {
            profile: runs.profile,
            data: runs.data,
            backbone: runs.backbone,
            methods: METHODS.map(MethodChoice::One).to_vec(),
            tasks: if runs.tasks.is_empty() {
                TASKS
                    .iter()
                    .map(|name| Task::named(name))
                    .collect::<Result<_, _>>()
                    .map_err(Failure::input)?
            } else {
                runs.tasks
            },
            steps: runs.steps,
            seeds: Some(runs.seeds.unwrap_or_else(|| Seeds(SEEDS.to_vec()))),
            out: None,
            search: Vec::new(),
            settings: runs.settings,
            keep_going: false,
            overwrite: runs.overwrite,
            plan: runs.plan,
            cluster: Box::default(),
        },
        Benchmark::Glue,
        table.name(),
    )?;
    let reuse = reuse.unwrap_or_else(|| grid.out.clone());
    let own = Path::new("runs").join(format!("tables-{}", grid.profile.name));
    grid.out = out.unwrap_or(own);
    let analysis = Analysis {
        table,
        reuse: Some(reuse).filter(|folder| *folder != grid.out),
        grid,
        shifts,
    };
    let work = Work {
        setting,
        only_plan,
        analysis,
    };
    with_backend(setting.device, work)
}

struct Work<'a> {
    setting: &'a Setting,
    only_plan: bool,
    analysis: Analysis,
}

impl WithBackend for Work<'_> {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let Self {
            setting,
            only_plan,
            analysis,
        } = self;
        let grid = &analysis.grid;
        let plan = analysis::plan(&analysis).map_err(failure)?;
        let (mut prepared, mut expected) = (None, None);
        if only_plan || setting.loudness != Loudness::Quiet {
            let show = |text: String| {
                if only_plan {
                    say(text)
                } else {
                    remark(text);
                    Ok(())
                }
            };
            show(title(analysis.table).to_owned())?;
            let every_run = setting.loudness == Loudness::Verbose;
            show(describe::plan(grid, &plan.runs, setting.device, every_run))?;
            for (name, text) in own_lines(&analysis, &plan) {
                show(describe::entry(name, &text))?;
            }
            match reproduce::measure::<AB>(grid, &plan.runs, &device).map_err(grid_failure)? {
                Some((read, times)) => {
                    show(describe::time(&times, 1.0))?;
                    (prepared, expected) = (Some(read), Some(times));
                }
                None => show(describe::entry("time", "no run is left to train"))?,
            }
        }
        if only_plan {
            return Ok(());
        }
        interrupt::listen()?;
        let mut watching = Watching {
            loudness: setting.loudness,
            grid: GridProgress::new(setting.loudness, &plan.runs, expected.as_ref()),
            last_line: Instant::now(),
        };
        let made = analysis::run::<AB>(&analysis, &plan, prepared, &device, &mut watching);
        drop(watching);
        let made = made.map_err(failure)?;
        say(made.console().trim_end())?;
        say("\nTable:")?;
        for extension in ["md", "json"] {
            let file = grid.out.join(format!("{}.{extension}", analysis.table));
            say(format_args!("  {}", file.display()))?;
        }
        Ok(())
    }
}

fn title(table: TableName) -> &'static str {
    match table {
        TableName::Table1 => "Table 1: DePT's offsets cyclically shifted, against ADePT",
        TableName::Table2 => "Table 2: magnitudes of the offsets of DePT and ADePT relative to the embeddings",
    }
}

/// Lines of a table's plan that a plan of runs does not have.
fn own_lines(analysis: &Analysis, plan: &AnalysisPlan) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let (Some(folder), count @ 1..) = (&analysis.reuse, plan.reused()) {
        let folder = reproduce::shown(folder).display();
        lines.push((
            "reused",
            format!("{count} finished runs of {folder}, if their data are the same"),
        ));
    }
    if analysis.table == TableName::Table1 {
        let text = match analysis.shifts.as_slice() {
            [] => "1, 2, 4, 8 and the paper's as fractions of the source length".to_owned(),
            given => given.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        lines.push(("shifts", text));
    }
    let (measured, all) = (plan.measured(), plan.sources.len());
    lines.push((
        "measure",
        format!("{} of {all} runs; {measured} are measured already", all - measured),
    ));
    lines
}

/// Shows training like a grid, and the measurement after each run.
struct Watching {
    loudness: Loudness,
    grid: GridProgress,
    last_line: Instant,
}

impl AnalysisObserver for Watching {
    fn begin(&mut self, cell: &Cell, position: usize, total: usize) -> Box<dyn Observer> {
        self.grid.begin(cell, position, total)
    }

    fn not_reused(&mut self, cell: &Cell, found: &Path) -> Box<dyn Observer> {
        self.grid.line(&format!(
            "{} was made from other data and is not used: the run is trained again",
            found.display()
        ));
        Box::new(Progress::new(self.loudness, cell.name()))
    }

    fn measuring(&mut self, cell: &Cell, shift: usize, done: usize, total: usize) -> bool {
        let text = format!(
            "{}: shift {shift}, {} % of its shifts",
            cell.name(),
            100 * done / total.max(1)
        );
        let shown = self.grid.message(&text);
        if done == 0 {
            self.last_line = Instant::now();
        }
        if !shown && self.loudness == Loudness::Usual && self.last_line.elapsed() >= PLAIN_EVERY {
            self.last_line = Instant::now();
            self.grid.line(&text);
        }
        !interrupt::requested()
    }

    fn measured(&mut self, cell: &Cell) {
        if self.loudness == Loudness::Verbose {
            self.grid.line(&format!("{}: measured", cell.name()));
        }
    }
}

fn failure(cause: AnalysisError) -> Failure {
    match cause {
        AnalysisError::Grid(cause) => grid_failure(cause),
        AnalysisError::Train(cause) => run_failure(cause),
        AnalysisError::Run { run, source } => run_failure(*source).context(run),
        AnalysisError::Shift { .. } | AnalysisError::Offset { .. } => Failure::input(cause),
        AnalysisError::Interrupted { .. } => Failure::interrupted(cause),
    }
}
