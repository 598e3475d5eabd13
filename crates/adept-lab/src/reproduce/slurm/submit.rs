//! A submission: its files, and the calls of Slurm's commands.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, Stdio};

use adept_train::TrainError;
use adept_train::folder::{GRID_FILE, claim_grid, write_atomic, write_json};
use serde::{Deserialize, Serialize};

use super::options::Options;
use super::script::{self, Invocation, Job};
use super::{SlurmError, list};
use crate::reproduce::Grid;

/// Folder of a grid's submissions.
const FOLDER: &str = "slurm";
pub(super) const LIST: &str = "runs.txt";
pub(super) const JOBS: &str = "jobs.json";
const ARRAY: &str = "array.sh";
const REPORT: &str = "report.sh";

/// The jobs of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jobs {
    /// Name of the array in the queue.
    pub name: String,
    /// Id of the array of runs.
    pub array: String,
    /// Id of the job that writes the report; `None` if it was not accepted.
    pub report: Option<String>,
    /// Runs of an element.
    pub runs_per_job: usize,
}

/// Runs to be submitted, with their scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The submission's folder.
    pub folder: PathBuf,
    /// Number of elements of the array.
    pub elements: usize,
    /// Contents of the files, by name: the list of runs and the two scripts.
    pub files: [(&'static str, String); 3],
    name: String,
    runs_per_job: usize,
}

impl Submission {
    /// Plans the submission of these runs. Writes nothing.
    ///
    /// # Errors
    /// Options that do not fit together, a run's name with a line break, a folder that cannot be read.
    pub fn new(grid: &Grid, runs: &[String], options: &Options, invocation: &Invocation) -> Result<Self, SlurmError> {
        options.check()?;
        let out = absolute(&grid.out).map_err(TrainError::read("find", &grid.out))?;
        let number = submissions(&out)?.last().map_or(1, |(number, _)| number + 1);
        let folder = out.join(FOLDER).join(number.to_string());
        let name = format!("adept-{}", grid.benchmark.name());
        let elements = runs.len().div_ceil(options.group());
        let job = Job {
            name: &name,
            invocation,
            options,
            out: &out,
            folder: &folder,
            runs: runs.len(),
            elements,
        };
        let files = [
            (LIST, list::text(runs)?),
            (ARRAY, script::array(&job)),
            (REPORT, script::report(&job)),
        ];
        Ok(Self {
            folder,
            elements,
            files,
            name,
            runs_per_job: options.group(),
        })
    }

    /// Has Slurm check the array's script without submitting it.
    ///
    /// # Errors
    /// `sbatch` is missing or refuses.
    pub fn test(&self) -> Result<(), SlurmError> {
        let [_, (_, script), _] = &self.files;
        call("sbatch", &["--test-only"], Some(script), self.elements).map(drop)
    }

    /// Writes the files and submits both jobs.
    ///
    /// # Errors
    /// A folder that is not the grid's or cannot be written; `sbatch` is missing or refuses. If it refuses the array,
    /// the submission's folder is removed again.
    pub fn submit(&self, grid: &Grid) -> Result<Jobs, SlurmError> {
        claim_grid(&grid.out)?;
        write_json(&grid.out.join(GRID_FILE), &grid.record())?;
        let parent = self.folder.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(TrainError::io("create", parent))?;
        // Fails if another submission has just taken the number.
        fs::create_dir(&self.folder).map_err(TrainError::io("create", &self.folder))?;
        let array = match self.submit_array() {
            Ok(array) => array,
            Err(cause) => {
                // Everything in the folder was just written here.
                let _ = fs::remove_dir_all(&self.folder);
                return Err(cause);
            }
        };
        let mut jobs = Jobs {
            name: self.name.clone(),
            array,
            report: None,
            runs_per_job: self.runs_per_job,
        };
        let record = self.folder.join(JOBS);
        write_json(&record, &jobs)?;
        let dependency = format!("--dependency=afterany:{}", jobs.array);
        let report = self.sbatch(&[dependency.as_ref(), self.folder.join(REPORT).as_os_str()], 0);
        jobs.report = Some(report.map_err(|source| SlurmError::ReportOnly {
            array: jobs.array.clone(),
            source: Box::new(source),
        })?);
        write_json(&record, &jobs)?;
        Ok(jobs)
    }

    fn submit_array(&self) -> Result<String, SlurmError> {
        for (name, text) in &self.files {
            write_atomic(&self.folder.join(name), text.as_bytes())?;
        }
        self.sbatch(&[self.folder.join(ARRAY).as_os_str()], self.elements)
    }

    /// Submits a script whose log is in the submission's folder; returns the job's id.
    fn sbatch(&self, arguments: &[&OsStr], elements: usize) -> Result<String, SlurmError> {
        let mut chdir = OsStr::new("--chdir=").to_owned();
        chdir.push(&self.folder);
        let mut all = vec![OsStr::new("--parsable"), &chdir];
        all.extend(arguments);
        let printed = call("sbatch", &all, None, elements)?;
        // With several clusters it is followed by `;` and the cluster's name.
        let id = printed.trim().split(';').next().unwrap_or_default();
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SlurmError::NoJobId { found: printed });
        }
        Ok(id.to_owned())
    }
}

/// A grid's submissions in order: their numbers and folders.
///
/// # Errors
/// A folder that cannot be read.
pub fn submissions(out: &Path) -> Result<Vec<(usize, PathBuf)>, SlurmError> {
    let parent = out.join(FOLDER);
    let entries = match fs::read_dir(&parent) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(TrainError::read("list", &parent)(cause).into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(TrainError::read("list", &parent))?.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.parse().ok()) {
            found.push((number, parent.join(name)));
        }
    }
    found.sort();
    Ok(found)
}

/// Checks that jobs can be submitted from this machine.
///
/// # Errors
/// `sbatch` is missing or does not start.
pub fn available() -> Result<(), SlurmError> {
    call("sbatch", &["--version"], None, 0).map(drop)
}

/// Runs one of Slurm's commands and returns its standard output. `elements` of the array, for the error.
pub(super) fn call(
    command: &'static str,
    arguments: &[impl AsRef<OsStr>],
    input: Option<&str>,
    elements: usize,
) -> Result<String, SlurmError> {
    let start = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SlurmError::NoSlurm { command },
        _ => SlurmError::Start { command, source },
    };
    let mut child = Command::new(command)
        .args(arguments)
        .stdin(input.map_or_else(Stdio::null, |_| Stdio::piped()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
        // A command that ends before it has read everything says why by its status.
        let _ = pipe.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().map_err(start)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(SlurmError::Refused {
        command,
        status: output.status.to_string(),
        message: said.trim().lines().map(str::trim).collect::<Vec<_>>().join("; "),
        elements,
    })
}
