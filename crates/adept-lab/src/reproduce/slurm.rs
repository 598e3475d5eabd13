//! A grid as a job array of Slurm, the scheduler of most compute clusters, followed by a job that writes the report.
//!
//! A submission has a folder of its own, `OUT/slurm/<n>/`:
//!
//! | entry | what |
//! |---|---|
//! | `runs.txt` | names of the submitted runs, one a line; element `i` of the array runs the `i`-th group of lines |
//! | `array.sh`, `report.sh` | the two batch scripts |
//! | `jobs.json` | ids of the two jobs, written when Slurm has accepted them |
//! | `<i>.log`, `report.log` | their output |
//!
//! An element names its runs by lines of `runs.txt`, so that it means the same runs however many of the grid are done
//! when it starts or starts again. Elements share nothing but the grid's folder, in which each writes its own runs'
//! folders only; the report is the second job's.

mod list;
mod options;
mod queue;
mod quote;
mod script;
mod submit;
mod values;

use std::path::PathBuf;

use adept_train::TrainError;
use adept_train::config::ConfigError;

pub use list::{Lines, listed};
pub use options::{Options, PAGE, SCHEMA};
pub use queue::{QueuedRun, queued};
pub use script::Invocation;
pub use submit::{Jobs, Submission, available, submissions};
pub use values::{Memory, NotAccepted, SbatchOption, TimeLimit, Word};

/// Why a grid could not be submitted, or an element not begin.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// A file of options is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file could not be read or written.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A command of Slurm is not installed here.
    #[error("no `{command}` in PATH: only a machine with Slurm's commands, such as a login node, can submit jobs")]
    NoSlurm {
        /// The command.
        command: &'static str,
    },
    /// A command of Slurm could not be started.
    #[error("`{command}` could not be started")]
    Start {
        /// The command.
        command: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// A command of Slurm ended with an error.
    #[error("{command} refused ({status}): {message}")]
    Refused {
        /// The command.
        command: &'static str,
        /// How it ended.
        status: String,
        /// What it printed on standard error.
        message: String,
        /// Elements of the array that was submitted; 0 for another command or the report's job.
        elements: usize,
    },
    /// `sbatch` printed something other than a job's id.
    #[error("expected a job's id from sbatch, found {found:?}")]
    NoJobId {
        /// Its output.
        found: String,
    },
    /// The array is submitted, but not the job that writes its report.
    #[error("job {array} is submitted, but not the job for its report")]
    ReportOnly {
        /// The array's id.
        array: String,
        /// The cause.
        source: Box<SlurmError>,
    },
    /// Slurm's notice would come at the start of a job.
    #[error("a time limit of {time} leaves nothing before the notice of {notice} s")]
    Notice {
        /// The time limit.
        time: TimeLimit,
        /// Seconds between notice and limit.
        notice: u32,
    },
    /// A GPU's type without a number of GPUs.
    #[error("`gpu_type` is {found}, but `gpus` is not given")]
    TypeAlone {
        /// The type.
        found: Word,
    },
    /// A run's name that cannot be a line of a file.
    #[error("the run {name:?} cannot be listed in a file: its name has a line break")]
    Name {
        /// The name.
        name: String,
    },
    /// A line of a list of runs names none of the grid's.
    #[error("{}:{line}: expected one of this grid's runs, found {found:?}", path.display())]
    NotInGrid {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// A list of runs is shorter than the lines asked for.
    #[error("{}: expected lines {lines}, found {found} lines", path.display())]
    TooShort {
        /// The list.
        path: PathBuf,
        /// Lines asked for.
        lines: Lines,
        /// Lines found.
        found: usize,
    },
    /// Runs that are to be deleted are in the queue.
    #[error(
        "job {job} of an earlier submission is still in the queue with {run}: it must end before its runs can be deleted"
    )]
    StillQueued {
        /// The array's id.
        job: String,
        /// One of the runs.
        run: String,
    },
}
