//! Plans a grid: every run with its settings, its folder and the folder's state.

use std::fs;
use std::path::{Path, PathBuf};

use adept_core::{Fingerprint, ModelSites};
use adept_data::{Task, check_task};
use adept_models::auto::{self, Opened};
use adept_train::TrainError;
use adept_train::config::{Origin, Resolved, TrainMethod};
use adept_train::folder::{self, FolderKind, GRID_FILE, read_json};
use adept_train::initial::adapter_config;
use adept_train::record::RunResult;

use super::needs::Need;
use super::resolve::{resolve, resolve_together};
use super::rows::row;
use super::{Grid, GridError, TOGETHER, Variant};
use crate::report::{Benchmark, GridRecord, PaperTable};

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
    /// Whether it is trained on several tasks together; `task` is then the first of them.
    pub together: bool,
    /// All tasks that it is trained on.
    pub tasks: Vec<Task>,
    /// Folders of the runs that it starts from.
    pub needs: Vec<PathBuf>,
}

impl Cell {
    /// `sst2/adept/seed-42`, the folder's path below the grid's.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/seed-{}", self.place(), self.variant, self.seed)
    }

    /// Name of its task, or of the folder of rows on several tasks.
    #[must_use]
    pub fn place(&self) -> String {
        match self.together {
            true => TOGETHER.to_owned(),
            false => self.task.to_string(),
        }
    }

    /// Whether what it starts from is there.
    #[must_use]
    pub fn can_start(&self) -> bool {
        self.needs.iter().all(|folder| folder.join("result.json").exists())
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

    /// Checks that no unfinished run has to wait for another, so that all of them can run at the same time.
    ///
    /// # Errors
    /// [`GridError::Needs`] for the first that has to.
    pub fn check_independent(&self) -> Result<(), GridError> {
        match self.waiting().find(|cell| !cell.can_start()) {
            None => Ok(()),
            Some(cell) => {
                let missing = cell.needs.iter().find(|folder| !folder.join("result.json").exists());
                Err(GridError::Needs {
                    run: cell.name(),
                    need: missing.map_or_else(String::new, |folder| folder.display().to_string()),
                    remedy: "runs of one submission cannot wait for each other, so submit the other rows first"
                        .to_owned(),
                })
            }
        }
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
        let mut cells = Vec::new();
        for task in &grid.tasks {
            for variant in grid.variants.iter().filter(|variant| variant.together.is_none()) {
                for seed in &grid.seeds {
                    cells.push(self.cell(grid, std::slice::from_ref(task), variant, *seed)?);
                }
            }
        }
        for variant in &grid.variants {
            let Some(tasks) = variant.tasks_of(&grid.tasks) else {
                continue;
            };
            for seed in &grid.seeds {
                cells.push(self.cell(grid, &tasks, variant, *seed)?);
            }
        }
        let cells = self.in_order(grid, cells)?;

        let mut parameters: Vec<(String, Vec<usize>)> = Vec::new();
        for cell in &cells {
            let count = self.trainable(cell.method, &cell.resolved)?;
            let known = parameters.iter_mut().find(|(row, _)| *row == cell.variant);
            match known {
                None => parameters.push((cell.variant.clone(), vec![count])),
                Some((_, counts)) if !counts.contains(&count) => counts.push(count),
                Some(_) => {}
            }
        }
        // Find missing files now rather than hours later, when it is the task's turn.
        let mut checked: Vec<&Task> = Vec::new();
        for cell in cells.iter().filter(|cell| cell.state != State::Done) {
            for task in &cell.tasks {
                if !checked.contains(&task) {
                    check_task(task, grid.data.of(task)).map_err(TrainError::from)?;
                    checked.push(task);
                }
            }
        }
        Ok(Plan {
            parameters,
            cells,
            backbone_parameters: self.backbone_parameters,
            fingerprint: self.fingerprint.clone(),
        })
    }

    /// The runs with those that they start from in front of them, added where the grid lacks them.
    fn in_order(&self, grid: &Grid, asked: Vec<(Cell, Vec<Need>)>) -> Result<Vec<Cell>, GridError> {
        let mut left = asked;
        let mut known: Vec<Cell> = Vec::new();
        let mut place = 0;
        while place < left.len() {
            let (cell, needs) = left[place].clone();
            for need in &needs {
                let folder = need.folder(grid, cell.seed);
                let is_planned = left.iter().any(|(other, _)| other.folder == folder);
                if is_planned || folder.join("result.json").exists() {
                    continue;
                }
                let refuse = |remedy: String| GridError::Needs {
                    run: cell.name(),
                    need: need.name(),
                    remedy,
                };
                if let Some(table) = need.table {
                    let rows = unfinished_rows(grid, &left, table).join(",");
                    return Err(refuse(format!("run `adept reproduce {table} --methods {rows}` first")));
                }
                let row = row(grid.benchmark, &grid.profile, &need.row).map_err(TrainError::from)?;
                let Some(row) = row.filter(|_| grid.completes) else {
                    return Err(refuse(format!("run the row {} first", need.row)));
                };
                let named = || grid.tasks.iter().find(|task| task.name() == need.task).cloned();
                let tasks = match row.tasks_of(&grid.tasks).filter(|_| need.task == TOGETHER) {
                    Some(tasks) => tasks,
                    None => named().or_else(|| Task::named(&need.task).ok()).into_iter().collect(),
                };
                if tasks.is_empty() {
                    return Err(refuse(format!("there is no task {}", need.task)));
                }
                let added = self.cell(grid, &tasks, &row, cell.seed)?;
                left.push(added);
            }
            place += 1;
        }
        // A run comes behind the last of those that it starts from; otherwise in the grid's order.
        while !left.is_empty() {
            let is_free = |(cell, _): &(Cell, Vec<Need>)| {
                !cell
                    .needs
                    .iter()
                    .any(|folder| left.iter().any(|(other, _)| other.folder == *folder))
            };
            let free: Vec<bool> = left.iter().map(is_free).collect();
            if !free.contains(&true) {
                let (cell, needs) = &left[0];
                return Err(GridError::Needs {
                    run: cell.name(),
                    need: needs.first().map_or_else(String::new, Need::name),
                    remedy: "they wait for each other".to_owned(),
                });
            }
            let (now, later): (Vec<_>, Vec<_>) = left.into_iter().zip(free).partition(|(_, free)| *free);
            known.extend(now.into_iter().map(|((cell, _), _)| cell));
            left = later.into_iter().map(|(cell, _)| cell).collect();
        }
        Ok(known)
    }

    fn cell(&self, grid: &Grid, tasks: &[Task], variant: &Variant, seed: u64) -> Result<(Cell, Vec<Need>), GridError> {
        let together = variant.together.is_some();
        let (resolved, needs) = match together {
            true => resolve_together(grid, tasks, variant, seed)?,
            false => resolve(grid, &tasks[0], variant, seed)?,
        };
        let place = match together {
            true => TOGETHER.to_owned(),
            false => tasks[0].to_string(),
        };
        let folder = grid.out.join(place).join(&variant.name).join(format!("seed-{seed}"));
        folder::check(&folder, FolderKind::Run)?;
        let state = match grid.overwrite {
            true => State::New,
            false => state(&folder, &tasks[0], &resolved, &self.fingerprint)?,
        };
        let cell = Cell {
            task: tasks[0].clone(),
            variant: variant.name.clone(),
            method: variant.method,
            seed,
            folder,
            resolved,
            state,
            together,
            tasks: tasks.to_vec(),
            needs: needs.iter().map(|need| need.folder(grid, seed)).collect(),
        };
        Ok((cell, needs))
    }

    /// Checks the settings of one run, without looking for its folder or its data.
    ///
    /// # Errors
    /// Settings that do not fit together or that the backbone cannot have.
    pub fn check_settings(&self, grid: &Grid, task: &Task, variant: &Variant, seed: u64) -> Result<(), GridError> {
        let (resolved, _) = resolve(grid, task, variant, seed)?;
        Ok(self.trainable(variant.method, &resolved).map(drop)?)
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

/// Settings of a run that differ from its preset because of the profile or the user, as (key, value, preset's value).
#[must_use]
pub fn changes(cell: &Cell) -> Vec<(&str, String, String)> {
    let decided = |key: &str| key == "tasks" || COORDINATES.iter().any(|(known, _)| *known == key);
    let changes = cell.resolved.overrides.iter();
    changes
        .filter(|change| change.origin != Origin::Preset && !decided(&change.key))
        .map(|change| (change.key.as_str(), change.value.to_string(), change.preset.to_string()))
        .collect()
}

/// Every row of another table that one of these runs starts from and that has no result yet.
fn unfinished_rows(grid: &Grid, runs: &[(Cell, Vec<Need>)], table: Benchmark) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for (cell, needs) in runs {
        for need in needs.iter().filter(|need| need.table == Some(table)) {
            let is_finished = need.folder(grid, cell.seed).join("result.json").exists();
            if !is_finished && !rows.contains(&need.row) {
                rows.push(need.row.clone());
            }
        }
    }
    rows
}
