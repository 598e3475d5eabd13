//! Tasks from their files: the official archives' and the hub's.
//!
//! One task is loaded by [`load_task`]: find the files ([`find`]), read each with the reader of its format ([`tsv`],
//! [`csv`], [`json`], [`parquet`]), make examples of the rows ([`rows`]) and divide them as the paper does
//! ([`crate::split`]). What sets the tasks apart is on their cards ([`crate::task`]).

mod cell;
mod csv;
mod find;
mod footer;
mod json;
mod lines;
mod pages;
mod parquet;
mod path;
mod rows;
mod source;
mod transform;
mod tsv;

use std::path::Path;

use find::SplitFiles;
pub(crate) use find::listing;
use rows::{Plan, Rows};

use crate::split::{self, Division, Official};
use crate::{DataError, DataFile, Example, Task, TaskData};

/// How scores become targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreRounding {
    /// One decimal, as the published reference does ("3.8").
    #[default]
    Tenth,
    /// The nearest multiple of 0.2, as T5 does (Raffel et al. 2020, section 2.4).
    Fifth,
}

/// Few rows of the training split (Table 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FewShot {
    /// Rows in all; of tasks with classes as many of each class.
    pub rows: usize,
    /// Decides which.
    pub seed: u64,
}

/// What a loader can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Targets that are scores.
    pub rounding: ScoreRounding,
    /// Whether the published reference's known slips are made as well (WinoGrande's options).
    pub reference: bool,
    /// Few training rows; none: all of them.
    pub few_shot: Option<FewShot>,
}

/// The target text of a score, to the bit what Python's `round(label, 1)` prints for the 32-bit score that the hub's
/// loader keeps: the exact binary value is rounded, ties to the even digit.
pub fn score_target(score: f32, rounding: ScoreRounding) -> String {
    match rounding {
        // Rust's `{:.1}` rounds the exact binary value, ties to even, as Python does.
        ScoreRounding::Tenth => format!("{:.1}", f64::from(score)),
        ScoreRounding::Fifth => format!("{:.1}", (score * 5.0).round_ties_even() / 5.0),
    }
}

/// Loads a task and divides it into the paper's splits.
///
/// `root` holds one folder a task (`SST-2`, `sst2`, in any case) or is the task's own folder. Official test files whose
/// labels are hidden are not read.
///
/// # Errors
/// A [`DataError`] that names file, line, field, expected and found, for whatever is wrong with the files.
pub fn load_task(task: &Task, root: &Path, options: &LoadOptions) -> Result<TaskData, DataError> {
    let folder = find::task_folder(root, task)?;
    let mut reader = Reader {
        task,
        root,
        folder: &folder,
        options,
        files: task.card_file().into_iter().collect(),
    };
    let mut official = Official::new(reader.split("train")?);
    for split in task.card().split.held_out() {
        official.add(split, reader.split(split)?);
    }
    let Division {
        mut train,
        validation,
        test,
    } = split::divide(task, official)?;
    if let Some(FewShot { rows, seed }) = options.few_shot {
        train = split::few_shot(task, train, rows, seed)?;
    }
    Ok(TaskData {
        train,
        validation,
        test,
        files: reader.files,
    })
}

/// Looks whether a task's files are there, without reading them: what a plan of many runs asks before the first one.
///
/// # Errors
/// What [`load_task`] would say about a file that is missing.
pub fn check_task(task: &Task, root: &Path) -> Result<(), DataError> {
    let folder = find::task_folder(root, task)?;
    for split in std::iter::once("train").chain(task.card().split.held_out()) {
        find::split_files(&folder, task, split)?;
    }
    Ok(())
}

/// Reads the splits of one task and remembers the files.
struct Reader<'a> {
    task: &'a Task,
    root: &'a Path,
    folder: &'a Path,
    options: &'a LoadOptions,
    files: Vec<DataFile>,
}

impl Reader<'_> {
    /// All rows of an official split, in the order of its files. Where several forms call these files theirs, the first
    /// that their first row fits is the one.
    fn split(&mut self, split: &str) -> Result<Vec<Example>, DataError> {
        let found = find::split_files(self.folder, self.task, split)?;
        let mut misfits: Vec<(String, DataError)> = Vec::new();
        for candidate in &found {
            let mut rows_read = 0;
            match self.form(candidate, &mut rows_read) {
                Err(fault) if rows_read == 0 && found.len() > 1 && fault.is_about_shape() => {
                    misfits.push((candidate.form.name.clone(), fault));
                }
                other => return other,
            }
        }
        Err(DataError::NoForm {
            task: self.task.name().to_owned(),
            misfits,
        })
    }

    /// All rows of a split's files read as one form's; `rows_read` is how many there were, before a fault as well.
    fn form(&mut self, found: &SplitFiles<'_>, rows_read: &mut usize) -> Result<Vec<Example>, DataError> {
        let plan = Plan::new(self.task, found.form, self.options.reference);
        let (mut examples, mut files) = (Vec::new(), Vec::new());
        for (file, reader) in &found.files {
            let mut rows = Rows::new(self.task, found.form, &plan, self.options, file, *rows_read);
            let read = source::read(*reader, &mut rows);
            *rows_read += rows.kept;
            let (sha256, bytes) = read?;
            if rows.kept == 0 {
                let file = file.clone();
                return Err(DataError::EmptyFile { file, bytes });
            }
            files.push(DataFile {
                name: relative_name(self.root, file),
                sha256,
                rows: rows.kept,
                skipped: rows.skipped,
                empty_fields: rows.empty_fields,
            });
            examples.append(&mut rows.examples);
        }
        self.files.append(&mut files);
        Ok(examples)
    }
}

/// The path below the root, with `/` between its parts on every system.
pub(crate) fn relative_name(root: &Path, file: &Path) -> String {
    let below = file.strip_prefix(root).unwrap_or(file);
    let parts: Vec<_> = below
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}
