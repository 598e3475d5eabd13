//! A grid of runs over task × method × seed, resumed or skipped according to their folders, with a report after every
//! run.
//!
//! Run folders are `OUT/<task>/<method>/seed-<n>/`; the report of [`crate::report`] is in `OUT`. A [`Profile`] defines
//! what is run with which settings, [`plan`] determines what is left to do, [`estimate`] how long it will take on this
//! machine, and [`run_grid`] runs it. [`slurm`] has a cluster run it instead, one part of it in each job, by
//! [`run_part`]. [`datasets`] finds the data shipped with the project.

pub mod datasets;
mod estimate;
mod grid;
mod needs;
mod plan;
mod prepared;
mod profile;
mod resolve;
mod rows;
pub mod search;
pub mod slurm;
mod variant;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adept_data::Task;
use adept_train::TrainError;

use crate::report::{Benchmark, GridRecord, ReportError};
use crate::run::Means;

pub use datasets::DatasetsError;
pub use estimate::{CellTime, Estimate, estimate};
pub use grid::{GridObserver, run_grid, run_part};
pub use needs::TOGETHER;
pub use plan::{Cell, Plan, Planner, State, changes, plan};
pub use prepared::Prepared;
pub use profile::{Profile, ProfileName};
pub use resolve::shortened;
pub use rows::{backbone_folder, data_folder, methods, names, row, rows, tasks};
pub use variant::Variant;

use search::SearchError;

/// Runs to perform.
#[derive(Debug, Clone)]
pub struct Grid {
    /// The group of tasks in the paper; determines the columns and the quoted figures.
    pub benchmark: Benchmark,
    /// Folder for the runs and the report.
    pub out: PathBuf,
    /// Default settings, overridden by the user's.
    pub profile: Profile,
    /// Whether the data are synthetic.
    pub synthetic: bool,
    /// Location of the tasks' files.
    pub data: DataPlace,
    /// Needed to prepare tasks: the cache of tokenised tasks, and options for running programs.
    pub means: Means,
    /// Folder of the backbone's checkpoint.
    pub backbone: PathBuf,
    /// Tasks, in the order of running.
    pub tasks: Vec<Task>,
    /// Methods and variants of them, in the order of running.
    pub variants: Vec<Variant>,
    /// Seeds, in the order of running.
    pub seeds: Vec<u64>,
    /// Optimiser steps of every run; `None` takes the profile's.
    pub steps: Option<usize>,
    /// `key=value` overrides for every run, with the highest precedence.
    pub settings: Vec<String>,
    /// Start every run over, deleting its earlier files.
    pub overwrite: bool,
    /// Add the runs that others start from; if not, they must be among the grid's or finished.
    pub completes: bool,
}

/// Location of the files of a grid's tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataPlace {
    /// One folder that contains a folder for each task.
    Folder(PathBuf),
    /// A folder for each task, by the task's [name](Task::name): the hub's cache.
    Each(BTreeMap<String, PathBuf>),
}

impl DataPlace {
    /// The folder with a task's files; an empty path if unknown.
    #[must_use]
    pub fn of(&self, task: &Task) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::Each(folders) => folders.get(task.name()).map_or(Path::new(""), PathBuf::as_path),
        }
    }
}

impl Grid {
    /// The record describing the grid's folder.
    #[must_use]
    pub fn record(&self) -> GridRecord {
        GridRecord {
            benchmark: self.benchmark,
            profile: self.profile.name.clone(),
            sample: self.synthetic,
            small: self.profile.has_small_backbone(),
        }
    }
}

/// Why a grid could not be planned or run.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// An error that affects all runs: settings, the backbone, a folder.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The report failed.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A run failed.
    #[error("{run}")]
    Run {
        /// The run.
        run: String,
        /// The cause; boxed because a failed step lists all of its rows.
        source: Box<TrainError>,
    },
    /// A setting that the grid decides.
    #[error("`{key}` cannot be set here: {instead} decides it for every run")]
    Coordinate {
        /// The setting.
        key: &'static str,
        /// The option that decides it.
        instead: &'static str,
    },
    /// A setting that does not name a run as it should.
    #[error("`{found}` names no run: expected {{task/row}} or {{table:task/row}}, for instance {{mnli/pt}}")]
    Reference {
        /// What was found.
        found: String,
    },
    /// A run that another one starts from and that is neither finished nor of this grid.
    #[error("{run} starts from {need}, which is not finished: {remedy}")]
    Needs {
        /// The run.
        run: String,
        /// The run that it starts from.
        need: String,
        /// What to do.
        remedy: String,
    },
    /// Two tasks whose runs would share a folder.
    #[error("the card {card} and {other} have the same name, `{name}`: change the `name` in the card")]
    SameName {
        /// The name.
        name: String,
        /// The card.
        card: String,
        /// The other task.
        other: String,
    },
    /// A search that cannot be made or has no outcome.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The folder holds a grid of another profile.
    #[error("{} holds a grid of profile `{found}`, this one is `{expected}`: choose another folder", path.display())]
    OtherGrid {
        /// The folder.
        path: PathBuf,
        /// This grid's profile.
        expected: String,
        /// The folder's profile.
        found: String,
    },
}
