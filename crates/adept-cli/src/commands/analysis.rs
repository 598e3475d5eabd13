//! `adept reproduce table1`, `table2`, `table11` and `section3.4`: the paper's analyses of trained adapters.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use adept_data::{Task, check_task, find_task};
use adept_lab::analysis::{
    self, ATTENTION_ROWS, Analysis, AnalysisError, AnalysisObserver, AnalysisPlan, PAPER_TASKS, TASKS, TableName,
};
use adept_lab::report::Benchmark;
use adept_lab::reproduce::{Cell, DataPlace, GridObserver as _};
use adept_train::observer::Observer;
use burn::tensor::backend::AutodiffBackend;

use super::reproduce::{self, describe, grid_failure};
use super::{Setting, hub, run_failure};
use crate::args::{MethodChoice, Profile, Runs, Section34, Seeds, Table1, Table2, Table11, TableRuns};
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
    let asked = Asked {
        shifts: arguments.shifts,
        ..Asked::of(TableName::Table1)
    };
    table(setting, asked, arguments.runs)
}

/// Table 2: magnitudes of offsets.
pub fn table2(setting: &Setting, arguments: Table2) -> Result<(), Failure> {
    table(setting, Asked::of(TableName::Table2), arguments.runs)
}

/// Table 11: scores without offsets.
pub fn table11(setting: &Setting, arguments: Table11) -> Result<(), Failure> {
    table(setting, Asked::of(TableName::Table11), arguments.runs)
}

/// Section 3.4: the first self-attention.
pub fn section34(setting: &Setting, arguments: Section34) -> Result<(), Failure> {
    let asked = Asked {
        rows: arguments.rows as usize,
        ..Asked::of(TableName::Section34)
    };
    table(setting, asked, arguments.runs)
}

/// A table, and what its own options say.
struct Asked {
    table: TableName,
    shifts: Vec<usize>,
    rows: usize,
}

impl Asked {
    /// Without options.
    fn of(table: TableName) -> Self {
        Self {
            table,
            shifts: Vec::new(),
            rows: ATTENTION_ROWS,
        }
    }
}

fn table(setting: &Setting, asked: Asked, runs: TableRuns) -> Result<(), Failure> {
    let (only_plan, out, reuse) = (runs.plan, runs.out, runs.reuse);
    let tasks = match runs.tasks.is_empty() {
        true => default_tasks(asked.table, runs.profile, runs.data.as_deref(), runs.backbone.is_some())?,
        false => runs.tasks,
    };
    // The grid is built as for the GLUE reproduction; folder, methods and tasks are the table's.
    let mut grid = reproduce::grid::of(
        setting,
        &Runs {
            profile: runs.profile,
            data: runs.data,
            backbone: runs.backbone,
            methods: (asked.table.methods().iter())
                .map(|method| MethodChoice::One(method.to_string()))
                .collect(),
            tasks,
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
        asked.table.name(),
    )?;
    grid.data = placed(grid.data, &grid.tasks);
    let reuse = reuse.unwrap_or_else(|| grid.out.clone());
    let own = Path::new("runs").join(format!("tables-{}", grid.profile.name));
    grid.out = out.unwrap_or(own);
    let analysis = Analysis {
        table: asked.table,
        reuse: Some(reuse).filter(|folder| *folder != grid.out),
        grid,
        shifts: asked.shifts,
        rows: asked.rows,
    };
    let work = Work {
        setting,
        only_plan,
        analysis,
    };
    with_backend(setting.device, work)
}

/// The tasks of a table: the paper's where BoolQ's files are at hand, among those given or in the hub's cache.
fn default_tasks(
    table: TableName,
    profile: Option<Profile>,
    data: Option<&Path>,
    has_backbone: bool,
) -> Result<Vec<Task>, Failure> {
    let named = |names: &[&str]| -> Result<Vec<Task>, Failure> {
        let tasks = names.iter().map(|name| Task::named(name));
        tasks.collect::<Result<_, _>>().map_err(Failure::input)
    };
    if table == TableName::Section34 {
        return named(&PAPER_TASKS[..1]);
    }
    let paper = named(&PAPER_TASKS)?;
    let is_sample = match profile {
        Some(profile) => profile == Profile::Sample,
        None => data.is_none() && !has_backbone,
    };
    let at_hand = || match data {
        Some(folder) => paper.iter().all(|task| {
            let root = find_task(folder, task).ok().flatten();
            root.is_some_and(|root| check_task(task, &root).is_ok())
        }),
        None => hub::data(&paper).is_ok(),
    };
    match !is_sample && at_hand() {
        true => Ok(paper),
        false => named(&TASKS),
    }
}

/// The tasks' files: where a folder holds folders of benchmarks (`glue/RTE`, `superglue/BoolQ`), each task's own.
fn placed(data: DataPlace, tasks: &[Task]) -> DataPlace {
    let DataPlace::Folder(folder) = &data else {
        return data;
    };
    let root = |task: &Task| Some((task.name().to_owned(), find_task(folder, task).ok()??));
    match tasks.iter().map(root).collect::<Option<BTreeMap<_, _>>>() {
        Some(roots) if roots.values().any(|root| root != folder) => DataPlace::Each(roots),
        _ => data,
    }
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
        let extensions: &[&str] = match analysis.table {
            TableName::Section34 => &["html", "md", "json"],
            _ => &["md", "json"],
        };
        for extension in extensions {
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
        TableName::Table11 => "Table 11: DePT and ADePT with and without their offsets",
        TableName::Section34 => "Section 3.4: the encoder's first self-attention with PT, DePT and ADePT",
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
    if analysis.table == TableName::Section34 {
        lines.push(("rows", format!("{} of each task's test split, at most", analysis.rows)));
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

    fn measuring(&mut self, cell: &Cell, what: &str, done: usize, total: usize) -> bool {
        let text = format!("{}: {what}, {} % measured", cell.name(), 100 * done / total.max(1));
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

pub(super) fn failure(cause: AnalysisError) -> Failure {
    match cause {
        AnalysisError::Grid(cause) => grid_failure(cause),
        AnalysisError::Train(cause) => run_failure(cause),
        AnalysisError::Run { run, source } => run_failure(*source).context(run),
        AnalysisError::Shift { .. } | AnalysisError::OtherMethod { .. } | AnalysisError::NoEncoder { .. } => {
            Failure::input(cause)
        }
        AnalysisError::Interrupted { .. } => Failure::interrupted(cause),
    }
}
