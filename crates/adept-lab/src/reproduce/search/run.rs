//! Runs a search: rounds of candidates, task by task and row by row, and the choice.

use std::fs;
use std::path::{Path, PathBuf};

use adept_data::Task;
use adept_train::TrainError;
use adept_train::folder::{FolderKind, clear, read_json, write_json};
use adept_train::record::RunResult;
use burn::tensor::backend::AutodiffBackend;

use super::{Candidate, Candidates, Search, SearchError, with};
use crate::report::{self, Round, SearchRecord, Tried};
use crate::reproduce::grid::{claim, run_cells};
use crate::reproduce::resolve::resolve;
use crate::reproduce::{Cell, Grid, GridError, GridObserver, Plan, Planner, Prepared, State, Variant};

/// Name of a search's record and of the folder of its runs, in the folder of the row.
const SEARCH: &str = "search";

/// Observer of a search.
pub trait SearchObserver {
    /// A round is about to start; returns the observer of its runs. `round` counts from 1.
    fn round(&mut self, task: &Task, row: &str, round: usize, rounds: usize, plan: &Plan) -> Box<dyn GridObserver>;

    /// Settings have been chosen.
    fn chosen(&mut self, record: &SearchRecord);
}

/// What a search has found.
#[derive(Debug)]
pub struct Found {
    /// The grid of the chosen settings, for every seed.
    pub grid: Grid,
    /// Its plan.
    pub plan: Plan,
    /// Names of the runs that failed.
    pub failed: Vec<String>,
}

/// Searches the settings of every row on every task. Finished runs are not run again; the run of the chosen candidate
/// becomes that of the grid's first seed.
///
/// # Errors
/// Those of [`run_grid`](crate::reproduce::run_grid), and a task without a validation score.
pub fn run_search<AB: AutodiffBackend>(
    grid: &Grid,
    search: &Search,
    planner: &Planner,
    prepared: &mut Option<Prepared<AB::InnerBackend>>,
    keep_going: bool,
    device: &AB::Device,
    observer: &mut dyn SearchObserver,
) -> Result<Found, GridError> {
    let rows = search.check(grid, planner)?;
    planner.plan(grid)?;
    claim(grid)?;
    let mut found = grid.clone();
    let mut failed = Vec::new();
    for task in &grid.tasks {
        for (variant, (_, candidates)) in grid.variants.iter().zip(&rows) {
            if candidates.all.len() < 2 {
                continue;
            }
            let one = OneSearch {
                grid,
                search,
                planner,
                task,
                variant,
                candidates,
            };
            let (winner, record) = one.run::<AB>(prepared, keep_going, device, observer, &mut failed)?;
            write_json(&one.folder().join(format!("{SEARCH}.json")), &record)?;
            observer.chosen(&record);
            let settings = winner.settings.clone();
            let row = found.variants.iter_mut().find(|row| row.name == variant.name);
            if let Some(row) = row {
                row.tasks.insert(task.name().to_owned(), settings);
            }
            report::build(&grid.out)?;
        }
        if let Some(prepared) = prepared {
            prepared.forget(task);
        }
    }
    let mut plan = planner.plan(&found)?;
    for cell in &mut plan.cells {
        adopt(cell, &rows, grid.overwrite)?;
    }
    Ok(Found {
        grid: found,
        plan,
        failed,
    })
}

/// The grid with what earlier calls of the same search have chosen, so that their runs are known again.
///
/// # Errors
/// A record that cannot be read, or candidates that cannot be made.
pub fn with_earlier(grid: &Grid, search: &Search) -> Result<Grid, GridError> {
    let mut with = grid.clone();
    for variant in &mut with.variants {
        let candidates = search.space.candidates(variant.method)?;
        for task in &grid.tasks {
            let path = row_folder(grid, task, variant).join(format!("{SEARCH}.json"));
            if !path.exists() {
                continue;
            }
            let record: SearchRecord = read_json(&path)?;
            let chosen = candidates.all.iter().find(|candidate| candidate.name == record.chosen);
            if let Some(chosen) = chosen.filter(|_| record.keys == candidates.keys) {
                variant.tasks.insert(task.name().to_owned(), chosen.settings.clone());
            }
        }
    }
    Ok(with)
}

fn row_folder(grid: &Grid, task: &Task, variant: &Variant) -> PathBuf {
    grid.out.join(task.to_string()).join(&variant.name)
}

/// The search of one row on one task.
struct OneSearch<'a> {
    grid: &'a Grid,
    search: &'a Search,
    planner: &'a Planner,
    task: &'a Task,
    variant: &'a Variant,
    candidates: &'a Candidates,
}

impl<'a> OneSearch<'a> {
    /// The row's folder.
    fn folder(&self) -> PathBuf {
        row_folder(self.grid, self.task, self.variant)
    }

    fn run<AB: AutodiffBackend>(
        &self,
        prepared: &mut Option<Prepared<AB::InnerBackend>>,
        keep_going: bool,
        device: &AB::Device,
        observer: &mut dyn SearchObserver,
        failed: &mut Vec<String>,
    ) -> Result<(&'a Candidate, SearchRecord), GridError> {
        let mut left: Vec<&Candidate> = self.candidates.all.iter().collect();
        let planned = self.search.strategy.rounds(left.len());
        let mut rounds = Vec::new();
        let mut metric = String::new();
        for (place, round) in planned.iter().enumerate() {
            let grid = self.round_grid(&left, round.divisor)?;
            let mut plan = self.planner.plan(&grid)?;
            if round.divisor == 1 && !grid.overwrite {
                for cell in &mut plan.cells {
                    find_adopted(cell, &self.folder())?;
                }
            }
            let mut watching = observer.round(self.task, &self.variant.name, place + 1, planned.len(), &plan);
            let waiting: Vec<&Cell> = plan.waiting().collect();
            failed.extend(run_cells::<AB>(
                &grid,
                &waiting,
                prepared,
                keep_going,
                device,
                &mut *watching,
                &|_, _| Ok(()),
            )?);
            drop(watching);
            let mut tried = Vec::new();
            for (candidate, cell) in left.iter().zip(&plan.cells) {
                let score = score(cell)?;
                if let Some((_, name)) = &score {
                    metric.clone_from(name);
                }
                tried.push(Tried {
                    name: candidate.name.clone(),
                    values: candidate.values.clone(),
                    validation: score.map(|(score, _)| score),
                });
            }
            left = best(&left, &tried, planned.get(place + 1).map_or(1, |next| next.candidates));
            rounds.push(Round {
                steps: plan.cells.first().map_or(0, |cell| cell.resolved.config.train.steps),
                tried,
            });
        }
        let winner = left.first().copied().ok_or_else(|| SearchError::AllFailed {
            row: self.variant.name.clone(),
            task: self.task.to_string(),
        })?;
        let record = SearchRecord {
            task: self.task.name().to_owned(),
            row: self.variant.name.clone(),
            method: self.variant.method.to_string(),
            metric,
            seed: self.grid.seeds[0],
            keys: self.candidates.keys.clone(),
            rounds,
            chosen: winner.name.clone(),
        };
        Ok((winner, record))
    }

    /// The grid of one round: a row for each candidate.
    fn round_grid(&self, candidates: &[&Candidate], divisor: usize) -> Result<Grid, GridError> {
        let seed = self.grid.seeds[0];
        let (whole, _) = resolve(self.grid, self.task, &with(self.variant, candidates[0]), seed)?;
        let whole = whole.config.train.steps;
        let (steps, below) = match divisor {
            1 => (self.grid.steps, SEARCH.to_owned()),
            _ => {
                let steps = (whole / divisor).max(1);
                (Some(steps), format!("{SEARCH}/steps-{steps}"))
            }
        };
        let row = |candidate: &&Candidate| Variant {
            name: format!("{}/{below}/{}", self.variant.name, candidate.name),
            ..with(self.variant, candidate)
        };
        Ok(Grid {
            tasks: vec![self.task.clone()],
            variants: candidates.iter().map(row).collect(),
            seeds: vec![seed],
            steps,
            completes: false,
            ..self.grid.clone()
        })
    }
}

/// The best candidates by their score, the earlier one at a tie, in the order of the candidates.
fn best<'a>(candidates: &[&'a Candidate], tried: &[Tried], keep: usize) -> Vec<&'a Candidate> {
    let mut scored: Vec<(usize, f64)> = tried
        .iter()
        .enumerate()
        .filter_map(|(place, tried)| tried.validation.map(|score| (place, score)))
        .collect();
    // A stable sort: at a tie the earlier candidate stays in front. A score that is no number comes last.
    scored.sort_by(|left, right| rank(right.1).total_cmp(&rank(left.1)));
    scored.truncate(keep);
    if keep > 1 {
        scored.sort_by_key(|(place, _)| *place);
    }
    scored.into_iter().map(|(place, _)| candidates[place]).collect()
}

fn rank(score: f64) -> f64 {
    if score.is_nan() { f64::NEG_INFINITY } else { score }
}

/// The validation score of a run, times 100, and the metric's name; `None` if it has no result because it failed.
fn score(cell: &Cell) -> Result<Option<(f64, String)>, GridError> {
    let path = cell.folder.join("result.json");
    if !path.exists() {
        return Ok(None);
    }
    let result: RunResult = read_json(&path)?;
    let score = result.validation.get(&result.selection_metric).copied();
    let score = score.ok_or_else(|| SearchError::NoValidation { run: cell.name() })?;
    Ok(Some((score, result.selection_metric)))
}

/// Whether a finished run has these settings.
fn is_run_of(cell: &Cell, folder: &Path) -> Result<bool, TrainError> {
    let path = folder.join("result.json");
    if !path.exists() {
        return Ok(false);
    }
    let result: RunResult = read_json(&path)?;
    Ok(cell.resolved.config.differences(&result.config).is_empty())
}

/// A candidate whose run an earlier search has moved to the row's own place is done there.
fn find_adopted(cell: &mut Cell, row: &Path) -> Result<(), TrainError> {
    let own = row.join(format!("seed-{}", cell.seed));
    if cell.state == State::New && !cell.folder.exists() && is_run_of(cell, &own)? {
        cell.folder = own;
        cell.state = State::Done;
    }
    Ok(())
}

/// Moves the chosen candidate's run to the row's own place, where the grid expects it.
fn adopt(cell: &mut Cell, rows: &[(String, Candidates)], overwrite: bool) -> Result<(), GridError> {
    if cell.state == State::Done {
        return Ok(());
    }
    let Some((_, candidates)) = rows.iter().find(|(name, _)| *name == cell.variant) else {
        return Ok(());
    };
    let Some(row) = cell.folder.parent() else {
        return Ok(());
    };
    let seed = format!("seed-{}", cell.seed);
    for candidate in &candidates.all {
        let folder = row.join(SEARCH).join(&candidate.name).join(&seed);
        if !is_run_of(cell, &folder)? {
            continue;
        }
        if overwrite {
            clear(&cell.folder, FolderKind::Run)?;
        }
        // Renaming replaces an empty folder only, so nothing of others can be lost.
        let taken = fs::read_dir(&cell.folder).is_ok_and(|mut entries| entries.next().is_some());
        if !taken {
            fs::rename(&folder, &cell.folder).map_err(TrainError::io("rename", &folder))?;
            cell.state = State::Done;
        }
        break;
    }
    Ok(())
}
