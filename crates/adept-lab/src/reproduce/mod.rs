//! A grid of runs over task × method × seed, resumed or skipped as its folders say, with a report after every run.
//!
//! Run folders are `OUT/<task>/<method>/seed-<n>/`; the report of [`crate::report`] lies in `OUT`. A [`Profile`] says
//! what is run and with which settings, [`plan`] what there is to do without doing it, [`estimate`] how long it will
//! take on this machine, [`run_grid`] does it. [`datasets`] finds what the project itself ships.

pub mod datasets;
mod estimate;
mod grid;
mod plan;
mod prepared;
mod profile;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adept_data::Task;
use adept_train::TrainError;
use adept_train::config::TrainMethod;

use crate::report::{Benchmark, GridRecord, ReportError};
use crate::run::Means;

pub use datasets::DatasetsError;
pub use estimate::{CellTime, Estimate, estimate};
pub use grid::{GridObserver, run_grid};
pub use plan::{Cell, Plan, State, changes, plan, shortened};
pub use prepared::Prepared;
pub use profile::{Profile, ProfileName};

/// What to run.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Which tasks the paper reports together; names the columns and the quoted figures.
    pub benchmark: Benchmark,
    /// Folder of the runs and of the report.
    pub out: PathBuf,
    /// Settings below the user's.
    pub profile: Profile,
    /// Whether the data were written by a program.
    pub synthetic: bool,
    /// Where the tasks' own files are.
    pub data: DataPlace,
    /// What preparing a task needs: where tokenised tasks are kept, what programs are run with.
    pub means: Means,
    /// Folder of the T5 checkpoint.
    pub backbone: PathBuf,
    /// Tasks, in the order of running.
    pub tasks: Vec<Task>,
    /// Methods, in the order of running.
    pub methods: Vec<TrainMethod>,
    /// Seeds, in the order of running.
    pub seeds: Vec<u64>,
    /// Optimiser steps of every run; none: the profile's.
    pub steps: Option<usize>,
    /// `key=value` overrides of every run, over all else.
    pub settings: Vec<String>,
    /// Begin every run anew: what earlier ones wrote in its folder is removed.
    pub overwrite: bool,
}

/// Where the files of a grid's tasks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataPlace {
    /// In one folder, which holds a folder for each task.
    Folder(PathBuf),
    /// In a folder for each, by the task's [name](Task::name): the hub's cache.
    Each(BTreeMap<String, PathBuf>),
}

impl DataPlace {
    /// The folder to look for a task's files in; an empty path where none is known.
    #[must_use]
    pub fn of(&self, task: &Task) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::Each(folders) => folders.get(task.name()).map_or(Path::new(""), PathBuf::as_path),
        }
    }
}

impl Grid {
    /// What the folder says it is.
    #[must_use]
    pub fn record(&self) -> GridRecord {
        GridRecord {
            benchmark: self.benchmark,
            profile: self.profile.name.clone(),
            sample: self.synthetic,
        }
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
    /// Two tasks whose runs would lie in one folder.
    #[error("the card {card} and {other} have the same name, `{name}`: change the `name` in the card")]
    SameName {
        /// The name.
        name: String,
        /// The card.
        card: String,
        /// The other task.
        other: String,
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
