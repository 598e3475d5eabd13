//! GLUE from its own files: the official archive's TSV folders, the hub's JSONL or parquet.
//!
//! One task is loaded by [`load_glue`]: find the files ([`find`]), read each with the reader of its format
//! ([`tsv`], [`json`], [`parquet`]), make examples of the rows ([`rows`]) and divide them as the paper does
//! ([`crate::split`]). What distinguishes the tasks is one table ([`task`]).

mod find;
mod json;
mod parquet;
mod rows;
mod source;
mod task;
mod tsv;

use std::path::Path;

use find::SplitFiles;
pub(crate) use find::listing;
use rows::Rows;
pub(crate) use source::hex;
pub use task::GlueTask;

use crate::split::{self, SplitRule};
use crate::{DataError, DataFile, Example, TaskData};

/// How STS-B's scores become targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StsbRounding {
    /// One decimal, as the published reference does ("3.8").
    #[default]
    Tenth,
    /// The nearest multiple of 0.2, as T5 does (Raffel et al. 2020, section 2.4).
    Fifth,
}

/// What a loader can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// STS-B's targets.
    pub stsb: StsbRounding,
}

/// The target text of an STS-B score, to the bit what Python's `round(label, 1)` prints for the 32-bit score that the
/// hub's loader keeps: the exact binary value is rounded, ties to the even digit.
pub fn stsb_target(score: f32, rounding: StsbRounding) -> String {
    match rounding {
        // Rust's `{:.1}` rounds the exact binary value, ties to even, as Python does.
        StsbRounding::Tenth => format!("{:.1}", f64::from(score)),
        StsbRounding::Fifth => format!("{:.1}", (score * 5.0).round_ties_even() / 5.0),
    }
}

/// Loads a task and divides it into the paper's splits.
///
/// `root` holds one folder a task (`SST-2`, `sst2`, in any case) or is the task's own folder. Official test files carry
/// no labels and are not read.
///
/// # Errors
/// A [`DataError`] that names file, line, field, expected and found, for whatever is wrong with the files.
pub fn load_glue(task: GlueTask, root: &Path, options: &LoadOptions) -> Result<TaskData, DataError> {
    let folder = find::task_folder(root, task)?;
    let mut reader = Reader {
        task,
        root,
        folder: &folder,
        options,
        files: Vec::new(),
    };
    let train = reader.split(find::TRAIN)?;
    let splits = match task.split_rule() {
        SplitRule::MismatchedMatched => {
            let validation = reader.split(find::MISMATCHED)?;
            split::Splits {
                train,
                validation,
                test: reader.split(find::MATCHED)?,
            }
        }
        SplitRule::HalveValidation => split::halve_validation(task.name(), train, reader.split(find::VALIDATION)?)?,
        SplitRule::HoldOutTrain => split::hold_out_train(task.name(), train, reader.split(find::VALIDATION)?)?,
    };
    let split::Splits {
        train,
        validation,
        test,
    } = splits;
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
/// What [`load_glue`] would say about a file that is missing.
pub fn check_glue(task: GlueTask, root: &Path) -> Result<(), DataError> {
    let folder = find::task_folder(root, task)?;
    let held_out: &[SplitFiles] = match task.split_rule() {
        SplitRule::MismatchedMatched => &[find::MISMATCHED, find::MATCHED],
        SplitRule::HalveValidation | SplitRule::HoldOutTrain => &[find::VALIDATION],
    };
    for split in [find::TRAIN].iter().chain(held_out) {
        find::split_files(&folder, task, *split)?;
    }
    Ok(())
}

/// Reads the splits of one task and remembers the files.
struct Reader<'a> {
    task: GlueTask,
    root: &'a Path,
    folder: &'a Path,
    options: &'a LoadOptions,
    files: Vec<DataFile>,
}

impl Reader<'_> {
    /// All rows of an official split, in the order of its files.
    fn split(&mut self, split: SplitFiles) -> Result<Vec<Example>, DataError> {
        let mut examples = Vec::new();
        for (file, format) in find::split_files(self.folder, self.task, split)? {
            let (spec, rounding) = (self.task.spec(), self.options.stsb);
            let mut rows = match format {
                find::Format::Tsv => Rows::official(spec, rounding, &file, examples.len()),
                find::Format::Json | find::Format::Parquet => Rows::hub(spec, rounding, &file, examples.len()),
            };
            let name = relative_name(self.root, &file);
            let source = source::read(format, &mut rows)?;
            if rows.examples.is_empty() {
                return Err(DataError::EmptyFile {
                    file,
                    bytes: source.bytes,
                });
            }
            let (sha256, skipped, empty_fields) = (source.sha256, rows.skipped, rows.empty_fields);
            self.files.push(DataFile {
                name,
                sha256,
                rows: rows.examples.len(),
                skipped,
                empty_fields,
            });
            examples.append(&mut rows.examples);
        }
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
