//! Reads tasks from files: those of the official archives and of the hub.
//!
//! [`load_task`] loads one task: it finds the files ([`find`]), reads each with the reader of its format ([`tsv`],
//! [`csv`], [`json`], [`parquet`]), turns rows into examples ([`rows`]) and splits them as in the paper
//! ([`crate::split`]). Everything specific to a task is on its card ([`crate::task`]).

mod cell;
mod csv;
mod find;
mod footer;
mod json;
mod label;
mod lines;
mod once;
mod pages;
mod parquet;
mod path;
mod rows;
mod source;
mod transform;
mod tsv;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use find::find_task;
pub(crate) use find::{SplitFiles, listing};
pub use lines::TextLines;
pub(crate) use once::Once;
pub(crate) use rows::Sink;
use rows::{Plan, Rows, SplitRows};
pub(crate) use source::hash;

use crate::split::{self, Division, Official, Picks, RowsOf, TRAIN};
use crate::{DataError, DataFile, Example, Task, TaskData};

/// How numeric scores become target text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreRounding {
    /// One decimal, as in the published reference ("3.8").
    #[default]
    Tenth,
    /// The nearest multiple of 0.2, as in T5 (Raffel et al. 2020, section 2.4).
    Fifth,
}

impl ScoreRounding {
    /// Every rule.
    pub const ALL: [Self; 2] = [Self::Tenth, Self::Fifth];
}

/// A few-shot subset of the training split (Table 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FewShot {
    /// Total number of rows; for tasks with classes, the same number of each class.
    pub rows: usize,
    /// Seed of the selection.
    pub seed: u64,
}

/// Options for loading a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// Rounding of score targets.
    pub rounding: ScoreRounding,
    /// Whether to reproduce known mistakes of the published reference (WinoGrande's options).
    pub reference: bool,
    /// Few-shot subset of the training rows; `None` uses all of them.
    pub few_shot: Option<FewShot>,
    /// Whether nothing is divided: every row of the training file is a test row, and none is for validation.
    pub whole: bool,
}

/// The target text of a score. Bit for bit what Python's `round(label, 1)` prints for the 32-bit score that the hub's
/// loader keeps: the exact binary value is rounded, ties to even.
pub fn score_target(score: f32, rounding: ScoreRounding) -> String {
    match rounding {
        // Rust's `{:.1}` rounds the exact binary value, ties to even, as Python does.
        ScoreRounding::Tenth => format!("{:.1}", f64::from(score)),
        ScoreRounding::Fifth => format!("{:.1}", (score * 5.0).round_ties_even() / 5.0),
    }
}

/// Loads a task and divides it into the paper's splits.
///
/// `root` is a folder with one folder per task (`SST-2`, `sst2`, ignoring case), the task's own folder or, if the
/// task's card allows it, a single file of training rows. Official test files with hidden labels are not read.
///
/// # Errors
/// A [`DataError`] with file, line, field, expected and found values for anything wrong with the files.
pub fn load_task(task: &Task, root: &Path, options: &LoadOptions) -> Result<TaskData, DataError> {
    map_task(task, root, options, Ok)
}

/// Like [`load_task`], keeping of each example only what `map` makes of it, so that memory need not hold the texts.
/// `map` sees every example of the files once, in their order.
///
/// # Errors
/// Those of [`load_task`] and of `map`.
pub fn map_task<T>(
    task: &Task,
    root: &Path,
    options: &LoadOptions,
    mut map: impl FnMut(Example) -> Result<T, DataError>,
) -> Result<TaskData<T>, DataError> {
    let sources = Sources::open(task, root, options)?;
    let mut files: Vec<DataFile> = task.card_file().into_iter().collect();
    let (mut official, mut mapped, mut targets) = (Official::new(), BTreeMap::new(), BTreeMap::new());
    for (split, found) in sources.splits()? {
        let (mut ids, mut rows, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        files.append(&mut sources.read(&found, &mut |example| {
            ids.push(example.id);
            if options.few_shot.is_some() {
                texts.push(example.target.clone());
            }
            rows.push(Some(map(example)?));
            Ok(())
        })?);
        official.insert(split.clone(), RowsOf::of_ids(ids.into_iter()));
        targets.insert(split.clone(), texts);
        mapped.insert(split, rows);
    }
    let Division {
        mut train,
        validation,
        test,
    } = split::divide(task, &official, options)?;
    if let Some(few) = options.few_shot {
        let texts = &targets[&train.split];
        train = split::few_shot(task, &train, few, |example| Ok(texts[example].clone()))?;
    }
    // Each example belongs to exactly one split.
    let mut take = |picks: Picks| -> Vec<T> {
        let Some(rows) = mapped.get_mut(&picks.split) else {
            return Vec::new();
        };
        picks
            .examples
            .into_iter()
            .filter_map(|example| rows[example].take())
            .collect()
    };
    Ok(TaskData {
        train: take(train),
        validation: take(validation),
        test: take(test),
        files,
    })
}

/// Checks that a task's files exist, without reading them: used to validate a plan of many runs before starting.
///
/// # Errors
/// Those of [`load_task`] for missing files.
pub fn check_task(task: &Task, root: &Path) -> Result<(), DataError> {
    Sources::open(task, root, &LoadOptions::default())?.splits().map(drop)
}

/// The task of your own data without a card, by the fields of the file's first row: `text`, `completion` or `chat`.
///
/// # Errors
/// [`DataError::NoForm`] for other fields, and errors reading the row.
pub fn own_task(file: &Path) -> Result<&'static Task, DataError> {
    let mut misfits: Vec<(String, DataError)> = Vec::new();
    for task in Task::own() {
        let options = LoadOptions::default();
        let sources = Sources::open(task, file, &options)?;
        for (_, found) in sources.splits()? {
            for candidate in &found {
                let mut is_read = false;
                let mut stop = |_: Example| {
                    is_read = true;
                    // Any error ends the reading.
                    Err(DataError::NoRows)
                };
                let read = sources.read_as(candidate, &mut 0, &mut stop);
                match read {
                    _ if is_read => return Ok(task),
                    Err(fault) if fault.is_about_shape() => {
                        let form = match found.len() {
                            1 => task.name(),
                            _ => &candidate.form.name,
                        };
                        misfits.push((form.to_owned(), fault));
                    }
                    // The row is of this form, and has a fault that reading it will name.
                    Err(DataError::Conversation { .. }) => return Ok(task),
                    Err(fault) => return Err(fault),
                    Ok(_) => return Ok(task),
                }
            }
        }
    }
    match misfits.iter().position(|(_, fault)| !fault.is_about_fields()) {
        // A file that is not read at all is not read in any other form.
        Some(first) => Err(misfits.swap_remove(first).1),
        None => Err(DataError::NoForm {
            task: file.display().to_string(),
            misfits,
        }),
    }
}

/// Locates and reads a task's rows.
pub(crate) struct Sources<'a> {
    task: &'a Task,
    root: &'a Path,
    place: Place,
    options: &'a LoadOptions,
}

/// What the root path is.
enum Place {
    Folder(PathBuf),
    /// A single file of training rows.
    File(PathBuf),
}

/// The official splits that a task's split rule reads, each with its files in the forms they may have.
pub(crate) type SplitSources<'t> = Vec<(String, Vec<SplitFiles<'t>>)>;

impl<'a> Sources<'a> {
    pub(crate) fn open(task: &'a Task, root: &'a Path, options: &'a LoadOptions) -> Result<Self, DataError> {
        let place = if root.is_file() {
            if !task.card().split.held_out_may_be_missing() {
                return Err(DataError::OneFile {
                    file: root.to_path_buf(),
                    task: task.name().to_owned(),
                    splits: task.card().split.held_out().join(", "),
                });
            }
            Place::File(root.to_path_buf())
        } else {
            Place::Folder(find::task_folder(root, task)?)
        };
        Ok(Self {
            task,
            root,
            place,
            options,
        })
    }

    /// The splits found, training first.
    pub(crate) fn splits(&self) -> Result<SplitSources<'a>, DataError> {
        let folder = match &self.place {
            Place::File(file) => return Ok(vec![(TRAIN.to_owned(), find::forms_of_file(file, self.task)?)]),
            Place::Folder(folder) => folder,
        };
        let card = &self.task.card().split;
        let mut splits = vec![(TRAIN.to_owned(), find::split_files(folder, self.task, TRAIN)?)];
        for split in card.held_out() {
            match find::split_files(folder, self.task, split) {
                Err(DataError::MissingFile { .. }) if card.held_out_may_be_missing() => {}
                found => splits.push((split.to_owned(), found?)),
            }
        }
        Ok(splits)
    }

    /// Passes all examples of an official split to `sink`, in file order. If several forms match the files, the first
    /// one that the first row fits is used.
    pub(crate) fn read(&self, found: &[SplitFiles<'_>], sink: &mut Sink<'_>) -> Result<Vec<DataFile>, DataError> {
        let mut misfits: Vec<(String, DataError)> = Vec::new();
        for candidate in found {
            let mut rows_read = 0;
            match self.read_as(candidate, &mut rows_read, sink) {
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

    /// Reads a split's files as one form; `rows_read` is set to the number of rows processed, even if reading fails.
    fn read_as(
        &self,
        found: &SplitFiles<'_>,
        rows_read: &mut usize,
        sink: &mut Sink<'_>,
    ) -> Result<Vec<DataFile>, DataError> {
        let plan = Plan::new(self.task, found.form, self.options.reference);
        let (mut files, mut split) = (Vec::new(), SplitRows::default());
        for (file, reader) in &found.files {
            let mut rows = Rows::new(self.task, found.form, &plan, self.options, file, &mut split, sink);
            let read = source::read(*reader, &mut rows);
            let (kept, skipped, empty_fields) = (rows.kept, rows.skipped, rows.empty_fields);
            *rows_read = split.rows;
            let (sha256, bytes) = read?;
            if kept == 0 {
                let file = file.clone();
                return Err(DataError::EmptyFile { file, bytes });
            }
            files.push(DataFile {
                name: self.name(file),
                sha256,
                rows: kept,
                skipped,
                empty_fields,
            });
        }
        Ok(files)
    }

    /// Name of a file in records.
    pub(crate) fn name(&self, file: &Path) -> String {
        match &self.place {
            Place::File(file) => file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Place::Folder(_) => relative_name(self.root, file),
        }
    }
}

/// The path relative to the root, with `/` separators on every system.
pub(crate) fn relative_name(root: &Path, file: &Path) -> String {
    let below = file.strip_prefix(root).unwrap_or(file);
    let parts: Vec<_> = below
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}
