//! A grid of runs over task × method × seed, resumed or skipped as its folders say, with a report after every run.
//!
//! Run folders are `OUT/<task>/<method>/seed-<n>/`; the report of [`crate::report`] lies in `OUT`. [`plan`] says what
//! there is to do without doing it, [`run_grid`] does it.

pub mod sample;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use adept_core::Fingerprint;
use adept_data::GlueTask;
use adept_models::t5;
use burn::tensor::backend::AutodiffBackend;

use crate::TrainError;
use crate::config::{self, Resolved, TrainMethod};
use crate::folder::{read_json, write_json};
use crate::observer::Observer;
use crate::record::RunResult;
use crate::report::{self, GRID_FILE, GridRecord, ReportError};
use crate::run::{self, LoadedBackbone, PreparedTask};

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Folder of the runs and of the report.
    pub out: PathBuf,
    /// What the folder is.
    pub record: GridRecord,
    /// Folder of GLUE's own files.
    pub data: PathBuf,
    /// Folder of the T5 checkpoint.
    pub backbone: PathBuf,
    /// Tasks, in the order of running.
    pub tasks: Vec<GlueTask>,
    /// Methods, in the order of running.
    pub methods: Vec<TrainMethod>,
    /// Seeds, in the order of running.
    pub seeds: Vec<u64>,
    /// `key=value` overrides of every run.
    pub settings: Vec<String>,
}

/// One run of a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The task.
    pub task: GlueTask,
    /// The method.
    pub method: TrainMethod,
    /// The seed.
    pub seed: u64,
    /// The run's folder.
    pub folder: PathBuf,
    /// Its settings.
    pub resolved: Resolved,
    /// What the folder holds.
    pub state: State,
}

impl Cell {
    /// `sst2/adept/seed-42`, the folder's name below the grid's.
    pub fn name(&self) -> String {
        format!("{}/{}/seed-{}", self.task, self.method, self.seed)
    }
}

/// What a run's folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    New,
    /// A run that can be resumed.
    Begun,
    /// A run with its result.
    Done,
}

/// What a grid would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Every run, in order.
    pub cells: Vec<Cell>,
    /// Values that each method trains, by method; tasks may differ in them.
    pub parameters: Vec<(TrainMethod, Vec<usize>)>,
    /// Values of the backbone.
    pub backbone_parameters: usize,
    /// Identity of the backbone's weights.
    pub fingerprint: Fingerprint,
}

impl Plan {
    /// How many runs are in that state.
    pub fn count(&self, state: State) -> usize {
        self.cells.iter().filter(|cell| cell.state == state).count()
    }
}

/// A grid that could not be planned or run.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// Something that concerns all runs: settings, the backbone, a folder.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// One run.
    #[error("{run}")]
    Run {
        /// Which run.
        run: String,
        /// Why; boxed, because a step that failed names all of its rows.
        source: Box<TrainError>,
    },
    /// A setting that the grid itself decides.
    #[error("`{key}` cannot be set here: {instead} decides it for every run")]
    Coordinate {
        /// The setting.
        key: &'static str,
        /// What decides it.
        instead: &'static str,
    },
    /// The folder holds something else.
    #[error("{} holds a grid of profile `{found}`, this one is `{expected}`: choose another folder", path.display())]
    OtherGrid {
        /// The folder.
        path: PathBuf,
        /// This grid's profile.
        expected: String,
        /// The folder's.
        found: String,
    },
}

/// Settings that a grid decides itself, and what decides them.
const COORDINATES: [(&str, &str); 6] = [
    ("task", "--tasks"),
    ("adapter.method", "--methods"),
    ("seed", "--seeds"),
    ("data", "--data"),
    ("backbone", "--backbone"),
    ("preset", "--preset"),
];

/// Resolves every run and looks at what is there already.
///
/// # Errors
/// Settings that make no sense, a backbone that cannot be read, a folder that holds runs of other settings or of
/// another backbone.
pub fn plan(grid: &Grid) -> Result<Plan, GridError> {
    for (key, instead) in COORDINATES.into_iter().filter(|(key, _)| *key != "preset") {
        let sets = |setting: &String| setting.split_once('=').is_some_and(|(name, _)| name.trim() == key);
        if grid.settings.iter().any(sets) {
            return Err(GridError::Coordinate { key, instead });
        }
    }
    check_record(grid)?;
    let (t5_config, checkpoint) = t5::open(&grid.backbone).map_err(TrainError::from)?;
    let fingerprint = checkpoint.fingerprint();
    let backbone_parameters = checkpoint.parameters();
    let mut parameters: BTreeMap<TrainMethod, Vec<usize>> = BTreeMap::new();
    let mut cells = Vec::new();
    for task in &grid.tasks {
        for method in &grid.methods {
            for seed in &grid.seeds {
                let cell = cell(grid, *task, *method, *seed, &fingerprint)?;
                let count = match method.adapter() {
                    None => backbone_parameters,
                    Some(adapter) => {
                        run::adapter_config(&cell.resolved.config, adapter, t5_config.d_model)?.trainable_parameters()
                    }
                };
                let counts = parameters.entry(*method).or_default();
                if !counts.contains(&count) {
                    counts.push(count);
                }
                cells.push(cell);
            }
        }
    }
    let parameters = grid
        .methods
        .iter()
        .map(|method| (*method, parameters.remove(method).unwrap_or_default()));
    Ok(Plan {
        parameters: parameters.collect(),
        cells,
        backbone_parameters,
        fingerprint,
    })
}

/// Refuses a folder that was begun with another profile: its runs would be mixed with these.
fn check_record(grid: &Grid) -> Result<(), GridError> {
    let path = grid.out.join(GRID_FILE);
    if !path.exists() {
        return Ok(());
    }
    let found: GridRecord = read_json(&path)?;
    if found.sample == grid.record.sample {
        return Ok(());
    }
    let (expected, found) = (grid.record.profile.clone(), found.profile);
    Err(GridError::OtherGrid {
        path: grid.out.clone(),
        expected,
        found,
    })
}

fn cell(
    grid: &Grid,
    task: GlueTask,
    method: TrainMethod,
    seed: u64,
    fingerprint: &Fingerprint,
) -> Result<Cell, GridError> {
    let mut overrides = grid.settings.clone();
    overrides.extend([
        format!("task={task}"),
        format!("adapter.method={method}"),
        format!("seed={seed}"),
        format!("data={}", grid.data.display()),
        format!("backbone={}", grid.backbone.display()),
    ]);
    let resolved = config::resolve(None, &overrides).map_err(TrainError::from)?;
    let folder = grid
        .out
        .join(task.to_string())
        .join(method.to_string())
        .join(format!("seed-{seed}"));
    let state = state(&folder, &resolved, fingerprint)?;
    Ok(Cell {
        task,
        method,
        seed,
        folder,
        resolved,
        state,
    })
}

/// Looks at a run's folder. A finished run is compared with what would be run; a begun one is compared by
/// [`run::run_prepared`] when it is resumed. The data files of finished runs are not read again.
fn state(folder: &Path, resolved: &Resolved, fingerprint: &Fingerprint) -> Result<State, GridError> {
    let result = folder.join("result.json");
    if !result.exists() {
        return Ok(if folder.join("record.jsonl").exists() {
            State::Begun
        } else {
            State::New
        });
    }
    let result: RunResult = read_json(&result)?;
    let mut differences = resolved.config.differences(&result.config);
    if result.fingerprint != fingerprint.as_str() {
        differences.push((
            "backbone fingerprint".to_owned(),
            fingerprint.to_string(),
            result.fingerprint.clone(),
        ));
    }
    match differences.into_iter().next() {
        None => Ok(State::Done),
        Some((field, here, there)) => Err(TrainError::OtherRun {
            path: folder.to_owned(),
            field,
            there,
            here,
        }
        .into()),
    }
}

/// Watches a grid.
pub trait GridObserver {
    /// A run begins or is resumed: the observer that watches it. `position` counts from 0 over the runs that are not
    /// done yet, `total` is their number.
    fn begin(&mut self, cell: &Cell, position: usize, total: usize) -> Box<dyn Observer>;

    /// A run failed and the grid goes on.
    fn failed(&mut self, cell: &Cell, cause: &TrainError);
}

/// Runs what is not done and writes the report after every run.
///
/// With `keep_going` a failed run does not end the grid; the names of the failed ones are handed back. A request to
/// stop always ends it.
///
/// # Errors
/// What keeps all runs from running, and without `keep_going` the first failure of one.
pub fn run_grid<AB: AutodiffBackend>(
    grid: &Grid,
    plan: &Plan,
    keep_going: bool,
    device: &AB::Device,
    observer: &mut dyn GridObserver,
) -> Result<Vec<String>, GridError> {
    fs::create_dir_all(&grid.out).map_err(TrainError::io("create", &grid.out))?;
    write_json(&grid.out.join(GRID_FILE), &grid.record)?;
    let waiting: Vec<&Cell> = plan.cells.iter().filter(|cell| cell.state != State::Done).collect();
    let mut failed = Vec::new();
    if waiting.is_empty() {
        report::build(&grid.out)?;
        return Ok(failed);
    }
    let backbone = run::load_backbone::<AB::InnerBackend>(&grid.backbone, device)?;
    let mut prepared = None;
    for (position, cell) in waiting.iter().enumerate() {
        let mut watching = observer.begin(cell, position, waiting.len());
        let outcome = run_cell::<AB>(cell, &backbone, &mut prepared, device, &mut *watching);
        drop(watching);
        if cell.folder.join("record.jsonl").exists() {
            report::build(&grid.out)?;
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

/// One run. The task's examples are kept from the run before where it is the same task.
fn run_cell<AB: AutodiffBackend>(
    cell: &Cell,
    backbone: &LoadedBackbone<AB::InnerBackend>,
    prepared: &mut Option<PreparedTask>,
    device: &AB::Device,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    if prepared.as_ref().is_none_or(|task| task.task != cell.task) {
        *prepared = Some(run::prepare_task(&cell.resolved.config, &backbone.tokenizer)?);
    }
    let task = prepared.as_ref().expect("the task was prepared above");
    run::run_prepared::<AB>(&cell.resolved, &cell.folder, backbone, task, device, observer).map(drop)
}

/// Overrides for a run of `steps` steps: warm-up and the time between evaluations are shortened to a tenth of the run
/// where the preset's would be longer.
pub fn shortened(steps: usize) -> Vec<String> {
    let tenth = (steps / 10).max(1);
    let warmup = tenth.min(500);
    let mut overrides = vec![
        format!("train.steps={steps}"),
        format!("evaluation.every={}", tenth.min(1_000)),
    ];
    overrides.extend(["prompt", "offset", "full"].map(|group| format!("optimizer.{group}.warmup_steps={warmup}")));
    overrides
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(out: &Path, settings: &[&str]) -> Grid {
        let sample = sample::prepare::<burn_flex::Flex>(&out.join("sample"), &Default::default());
        let sample = sample.expect("the folder is writable");
        Grid {
            out: out.to_owned(),
            record: GridRecord {
                benchmark: "glue".to_owned(),
                profile: "tiny".to_owned(),
                sample: true,
            },
            data: sample.data,
            backbone: sample.backbone,
            tasks: vec![GlueTask::Sst2, GlueTask::Rte],
            methods: vec![TrainMethod::Pt, TrainMethod::Full],
            seeds: vec![42, 43],
            settings: settings.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_plan_names_every_run_once_and_counts_parameters() {
        let out = tempfile::tempdir().expect("a temporary folder");
        let plan = plan(&grid(out.path(), &["train.steps=5"])).expect("the sample is well formed");
        let names: Vec<String> = plan.cells.iter().map(Cell::name).collect();
        assert_eq!(names.len(), 8);
        assert_eq!(names[..3], ["sst2/pt/seed-42", "sst2/pt/seed-43", "sst2/full/seed-42"]);
        assert_eq!(plan.count(State::New), 8);
        assert_eq!(plan.parameters[0], (TrainMethod::Pt, vec![100 * 64]));
        assert_eq!(plan.parameters[1], (TrainMethod::Full, vec![plan.backbone_parameters]));
        assert!(plan.cells.iter().all(|cell| cell.resolved.config.train.steps == 5));
    }

    #[test]
    fn what_the_grid_decides_cannot_be_set() {
        let out = tempfile::tempdir().expect("a temporary folder");
        for setting in ["seed=1", "adapter.method = pt", "task=rte"] {
            let error = plan(&grid(out.path(), &[setting])).expect_err("the grid decides it");
            assert!(matches!(error, GridError::Coordinate { .. }), "{error}");
        }
    }

    #[test]
    fn short_runs_warm_up_and_are_evaluated_in_time() {
        assert_eq!(
            shortened(300)[..3],
            [
                "train.steps=300",
                "evaluation.every=30",
                "optimizer.prompt.warmup_steps=30"
            ]
        );
        assert_eq!(
            shortened(30_000)[1..3],
            ["evaluation.every=1000", "optimizer.prompt.warmup_steps=500"]
        );
        assert_eq!(
            shortened(1)[1..3],
            ["evaluation.every=1", "optimizer.prompt.warmup_steps=1"]
        );
    }
}
