//! Plans a grid: every run with its settings, its folder and the folder's state.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use adept_core::{Fingerprint, ModelSites};
use adept_data::{Task, check_task, path_text};
use adept_models::auto::{self, Opened};
use adept_train::TrainError;
use adept_train::config::{self, Origin, Resolved, TrainMethod, chosen, fields};
use adept_train::folder::{self, FolderKind, GRID_FILE, read_json};
use adept_train::initial::adapter_config;
use adept_train::record::RunResult;

use super::{Grid, GridError, Variant};
use crate::report::{GridRecord, PaperTable};

/// One run of a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The task.
    pub task: Task,
    /// Name of the grid's row that it belongs to.
    pub variant: String,
    /// The method.
    pub method: TrainMethod,
    /// The seed.
    pub seed: u64,
    /// The run's folder.
    pub folder: PathBuf,
    /// Its settings.
    pub resolved: Resolved,
    /// State of its folder.
    pub state: State,
}

impl Cell {
    /// `sst2/adept/seed-42`, the folder's path below the grid's.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/seed-{}", self.task, self.variant, self.seed)
    }

    /// Optimiser steps already completed.
    #[must_use]
    pub fn steps_done(&self) -> usize {
        match self.state {
            State::New => 0,
            State::Begun { step } => step,
            State::Done => self.resolved.config.train.steps,
        }
    }
}

/// State of a run's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Empty or missing.
    New,
    /// An unfinished run that can be resumed.
    Begun {
        /// Step of its newest checkpoint, according to the checkpoint's name.
        step: usize,
    },
    /// A finished run.
    Done,
}

/// The runs of a grid and their states.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Every run, in order.
    pub cells: Vec<Cell>,
    /// Numbers of trainable parameters by row; they may differ between tasks.
    pub parameters: Vec<(String, Vec<usize>)>,
    /// Number of backbone parameters.
    pub backbone_parameters: usize,
    /// Fingerprint of the backbone's weights.
    pub fingerprint: Fingerprint,
}

impl Plan {
    /// Numbers of new, unfinished and finished runs.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&State) -> bool| self.cells.iter().filter(|cell| wanted(&cell.state)).count();
        (
            count(|state| *state == State::New),
            count(|state| matches!(state, State::Begun { .. })),
            count(|state| *state == State::Done),
        )
    }

    /// The unfinished runs, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.state != State::Done)
    }
}

/// Settings decided by the grid, and the option that decides each.
const COORDINATES: [(&str, &str); 5] = [
    ("task", "--tasks"),
    ("adapter.method", "--methods"),
    ("seed", "--seeds"),
    ("data", "--data"),
    ("backbone", "--backbone"),
];

/// Resolves every run and checks what already exists, including the data files of all unfinished runs.
///
/// # Errors
/// Invalid settings, an unreadable backbone, missing files of a task, or a folder with runs of other settings or
/// another backbone.
pub fn plan(grid: &Grid) -> Result<Plan, GridError> {
    Planner::open(&grid.backbone)?.plan(grid)
}

/// What plans are made with: what is known of a backbone without loading it.
#[derive(Debug)]
pub struct Planner {
    sites: ModelSites,
    fingerprint: Fingerprint,
    backbone_parameters: usize,
}

impl Planner {
    /// Reads a backbone's folder.
    ///
    /// # Errors
    /// An unreadable backbone.
    pub fn open(backbone: &Path) -> Result<Self, GridError> {
        let Opened { config, checkpoint, .. } = auto::open(backbone).map_err(TrainError::from)?;
        Ok(Self {
            sites: config.sites(),
            fingerprint: checkpoint.fingerprint(),
            backbone_parameters: checkpoint.parameters(),
        })
    }

    /// See [`plan`].
    ///
    /// # Errors
    /// See [`plan`].
    pub fn plan(&self, grid: &Grid) -> Result<Plan, GridError> {
        check(grid)?;
        let mut parameters: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut cells = Vec::new();
        for task in &grid.tasks {
            let first = cells.len();
            for variant in &grid.variants {
                for seed in &grid.seeds {
                    let cell = cell(grid, task, variant, *seed, &self.fingerprint)?;
                    let count = self.trainable(variant.method, &cell.resolved)?;
                    let counts = parameters.entry(&variant.name).or_default();
                    if !counts.contains(&count) {
                        counts.push(count);
                    }
                    cells.push(cell);
                }
            }
            // Find missing files now rather than hours later, when it is the task's turn.
            if cells[first..].iter().any(|cell| cell.state != State::Done) {
                check_task(task, grid.data.of(task)).map_err(TrainError::from)?;
            }
        }
        let parameters = grid.variants.iter().map(|variant| {
            let counts = parameters.remove(variant.name.as_str());
            (variant.name.clone(), counts.unwrap_or_default())
        });
        Ok(Plan {
            parameters: parameters.collect(),
            cells,
            backbone_parameters: self.backbone_parameters,
            fingerprint: self.fingerprint.clone(),
        })
    }

    /// Checks the settings of one run, without looking for its folder or its data.
    ///
    /// # Errors
    /// Settings that do not fit together or that the backbone cannot have.
    pub fn check_settings(&self, grid: &Grid, task: &Task, variant: &Variant, seed: u64) -> Result<(), TrainError> {
        let resolved = resolve(grid, task, variant, seed)?;
        self.trainable(variant.method, &resolved).map(drop)
    }

    /// Number of values that a run trains.
    fn trainable(&self, method: TrainMethod, resolved: &Resolved) -> Result<usize, TrainError> {
        let Some(adapter) = method.adapter() else {
            return Ok(self.backbone_parameters);
        };
        let config = adapter_config(&resolved.config, adapter, &self.sites)?;
        Ok(config.trainable_parameters(&self.sites)?)
    }
}

/// Checks what concerns the whole grid: its settings, its tasks' names and its folder.
fn check(grid: &Grid) -> Result<(), GridError> {
    for (key, instead) in COORDINATES {
        let sets = |setting: &String| setting.split_once('=').is_some_and(|(name, _)| name.trim() == key);
        if grid.settings.iter().any(sets) {
            return Err(GridError::Coordinate { key, instead });
        }
    }
    check_names(&grid.tasks)?;
    folder::check(&grid.out, FolderKind::Grid)?;
    check_record(grid)
}

/// Refuses tasks whose runs would share a folder: two cards of the same name, and a card named like a built-in task,
/// whose results would be taken for that task's.
fn check_names(tasks: &[Task]) -> Result<(), GridError> {
    for (index, task) in tasks.iter().enumerate() {
        let refuse = |other: &Task| {
            Err(GridError::SameName {
                name: task.name().to_owned(),
                card: task.reference(),
                other: match other.own_card() {
                    Some(_) => other.reference(),
                    None => format!("the built-in task {other}"),
                },
            })
        };
        if let Some(other) = tasks[..index].iter().find(|other| other.name() == task.name()) {
            return refuse(other);
        }
        if let Ok(built_in) = Task::named(task.name())
            && !built_in.has_card_of(task)
        {
            return refuse(&built_in);
        }
    }
    Ok(())
}

/// Refuses a folder of another profile, whose runs would be mixed with these.
fn check_record(grid: &Grid) -> Result<(), GridError> {
    let path = grid.out.join(GRID_FILE);
    if !path.exists() {
        return Ok(());
    }
    let (ours, found): (GridRecord, GridRecord) = (grid.record(), read_json(&path)?);
    // Tables that share their runs share their folder.
    let runs = |record: &GridRecord| PaperTable::of(record.benchmark).runs_of(record.benchmark);
    if runs(&found) == runs(&ours) && (&found.profile, found.sample) == (&ours.profile, ours.sample) {
        return Ok(());
    }
    let name = |record: GridRecord| match (record.sample, record.profile.as_str()) {
        // The same profile on the user's data.
        (false, "sample") => "sample on other data".to_owned(),
        _ => record.profile,
    };
    Err(GridError::OtherGrid {
        path: grid.out.clone(),
        expected: name(ours),
        found: name(found),
    })
}

fn cell(grid: &Grid, task: &Task, variant: &Variant, seed: u64, fingerprint: &Fingerprint) -> Result<Cell, GridError> {
    let resolved = resolve(grid, task, variant, seed).map_err(TrainError::from)?;
    let folder = grid
        .out
        .join(task.to_string())
        .join(&variant.name)
        .join(format!("seed-{seed}"));
    folder::check(&folder, FolderKind::Run)?;
    let state = match grid.overwrite {
        true => State::New,
        false => state(&folder, task, &resolved, fingerprint)?,
    };
    Ok(Cell {
        task: task.clone(),
        variant: variant.name.clone(),
        method: variant.method,
        seed,
        folder,
        resolved,
        state,
    })
}

/// The settings of one run. Precedence from low to high: preset, profile, variant, `--steps`, user.
pub(super) fn resolve(grid: &Grid, task: &Task, variant: &Variant, seed: u64) -> Result<Resolved, config::ConfigError> {
    let method = variant.method;
    let coordinates = [
        format!("task={}", task.reference()),
        format!("adapter.method={method}"),
        format!("seed={seed}"),
        format!("data={}", path_text::to_text(grid.data.of(task))),
        format!("backbone={}", path_text::to_text(&grid.backbone)),
    ];
    let with = |overrides: &[String]| {
        let mut values = grid.profile.values(task, method);
        values.extend(variant.values(task).map(|(key, value)| (key.clone(), value.clone())));
        values.extend(chosen(&fields::RUN, None, overrides)?);
        // Skip settings of other methods.
        values.retain(|key, _| {
            let own = fields::RUN.find(key).and_then(|field| field.method);
            own.is_none_or(|own| Some(own) == method.adapter())
        });
        config::resolve_values(values)
    };
    let mut overrides: Vec<String> = Vec::new();
    if let Some(steps) = grid.steps {
        let preset = grid.settings.iter().filter(|setting| setting.starts_with("preset="));
        let whole = with(&preset.cloned().chain(coordinates.clone()).collect::<Vec<_>>())?;
        overrides.extend(shortened(&whole, steps));
    }
    overrides.extend(grid.settings.iter().cloned());
    overrides.extend(coordinates);
    with(&overrides)
}

/// State of a run's folder. A finished run is compared with the planned one here; an unfinished one is compared by
/// [`run_prepared`](crate::run::run_prepared) when it is resumed. Data files of finished runs are not read again.
fn state(folder: &Path, task: &Task, resolved: &Resolved, fingerprint: &Fingerprint) -> Result<State, GridError> {
    let result = folder.join("result.json");
    if !result.exists() {
        return Ok(if folder.join("record.jsonl").exists() {
            State::Begun {
                step: newest_step(&folder.join("checkpoint")),
            }
        } else {
            State::New
        });
    }
    let result: RunResult = read_json(&result)?;
    let mut differences = resolved.config.differences(&result.config);
    if result.own_task().is_some_and(|found| !found.has_card_of(task)) && task.own_card().is_some() {
        differences.push((
            "task's card".to_owned(),
            task.reference(),
            "one of the same name with other content".to_owned(),
        ));
    }
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

/// The step of the newest checkpoint according to the names in its folder. Resuming verifies the checkpoint; planning
/// does not need to.
fn newest_step(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let step = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok();
    entries.flatten().filter_map(step).max().unwrap_or(0)
}

/// Maximum number of evaluations of a run shortened by `--steps`.
const EVALUATIONS: usize = 10;

/// Overrides that change a run to `steps` steps: as many evaluations as before, at most ten, and a warm-up of at most a
/// tenth of the steps; lower values are kept.
#[must_use]
pub fn shortened(whole: &Resolved, steps: usize) -> Vec<String> {
    let config = &whole.config;
    let evaluations = (config.train.steps / config.evaluation.every).clamp(1, EVALUATIONS);
    let every = (steps / evaluations).max(1).min(config.evaluation.every);
    let tenth = (steps / 10).max(1);
    let groups = &config.optimizer;
    let mut overrides = vec![format!("train.steps={steps}"), format!("evaluation.every={every}")];
    overrides.extend(
        [
            ("prompt", &groups.prompt),
            ("offset", &groups.offset),
            ("full", &groups.full),
        ]
        .map(|(name, group)| format!("optimizer.{name}.warmup_steps={}", group.warmup_steps.min(tenth))),
    );
    overrides
}

/// Settings of a run that differ from its preset because of the profile or the user, as (key, value, preset's value).
#[must_use]
pub fn changes(cell: &Cell) -> Vec<(&str, String, String)> {
    let decided = |key: &str| COORDINATES.iter().any(|(known, _)| *known == key);
    let changes = cell.resolved.overrides.iter();
    changes
        .filter(|change| change.origin != Origin::Preset && !decided(&change.key))
        .map(|change| (change.key.as_str(), change.value.to_string(), change.preset.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use adept_train::config::resolve;

    #[test]
    fn shortened_runs_warm_up_and_are_evaluated_in_time() {
        let check = |whole: &[&str], steps, every: &str, warmup: &str| {
            let whole: Vec<String> = whole.iter().map(ToString::to_string).collect();
            let found = shortened(&resolve(None, &whole).expect("the settings are well formed"), steps);
            let expected = [
                format!("train.steps={steps}"),
                format!("evaluation.every={every}"),
                format!("optimizer.prompt.warmup_steps={warmup}"),
            ];
            assert_eq!(found[..3], expected);
        };
        // The paper's 30,000 steps with 30 evaluations and 500 warm-up steps.
        check(&[], 300, "30", "30");
        check(&[], 1, "1", "1");
        check(&[], 60_000, "1000", "500");
        let five = [
            "train.steps=250",
            "evaluation.every=50",
            "optimizer.prompt.warmup_steps=25",
        ];
        check(&five, 250, "50", "25");
        check(&five, 100, "20", "10");
        check(&five, 3, "1", "1");
    }
}
