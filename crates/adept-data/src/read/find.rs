//! Locates a task's files. The given folder either contains one folder per task (named as in the official archive or on
//! the hub) or is the task's own; the card's forms list the file names of each split.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::file::TextFile;
use crate::task::{FormCard, Format, Task, plain_name};

/// Maximum number of names listed in an error.
const LISTED: usize = 12;

/// Extensions of unsupported compressed files; the error names the format by its magic bytes.
const ARCHIVES: [&str; 6] = ["zst", "bz2", "xz", "zip", "lz4", "7z"];

/// The reader for a file, with the hub's format resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Tsv,
    Csv,
    JsonLines,
    JsonDocument,
    Parquet,
}

/// The files of a split, and the form they may have.
#[derive(Debug)]
pub(crate) struct SplitFiles<'t> {
    pub form: &'t FormCard,
    pub files: Vec<(PathBuf, Reader)>,
}

/// The task's own folder: a sub-folder of the root with one of the task's names (ignoring case and hyphens), or the
/// root itself.
pub(super) fn task_folder(root: &Path, task: &Task) -> Result<PathBuf, DataError> {
    let mut folders: Vec<String> = names(root)?;
    folders.retain(|name| task.is_called(&plain_name(name)) && root.join(name).is_dir());
    // If several spellings exist, the official archive's is preferred.
    folders.sort_by_key(|name| name != task.display_name());
    Ok(folders
        .first()
        .map_or_else(|| root.to_path_buf(), |name| root.join(name)))
}

/// The folder to [load](crate::load_task) a task from, if files of it are at hand: `root` if it has one of the task's
/// names or a folder with one in it, else the first folder in `root`, by name, with such a folder in it (`glue/RTE`).
/// Nothing that is not named after the task is taken for its files.
///
/// # Errors
/// [`DataError::Io`] if a folder cannot be listed.
pub fn find_task(root: &Path, task: &Task) -> Result<Option<PathBuf>, DataError> {
    let is_called = |name: &str| task.is_called(&plain_name(name));
    let holds = |folder: &Path| -> Result<bool, DataError> {
        let found = names(folder)?;
        Ok(found.iter().any(|name| is_called(name) && folder.join(name).is_dir()))
    };
    if is_called(&root.file_name().unwrap_or_default().to_string_lossy()) || holds(root)? {
        return Ok(Some(root.to_path_buf()));
    }
    for name in names(root)? {
        let folder = root.join(name);
        if folder.is_dir() && holds(&folder)? {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

/// The files of a split, in row order, in the first form that has any: looked up in the task's folder, its `data`
/// folder and its folder on the hub. Other forms that match exactly the same files are appended; the content decides
/// between them.
pub(super) fn split_files<'t>(folder: &Path, task: &'t Task, split: &str) -> Result<Vec<SplitFiles<'t>>, DataError> {
    let folders = folders(folder, task)?;
    let mut found: Vec<SplitFiles<'t>> = Vec::new();
    for form in &task.card().forms {
        if let Some(files) = form_files(&folders, form, split)? {
            let paths = |files: &[(PathBuf, Reader)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
            if found.first().is_none_or(|first| paths(&first.files) == paths(&files)) {
                found.push(SplitFiles { form, files });
            }
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    if let Some(fault) = packed(&folders, task, split) {
        return Err(fault);
    }
    let mut expected = Vec::new();
    if !task.is_called(&plain_name(&folder.file_name().unwrap_or_default().to_string_lossy())) {
        expected.push(format!("a folder {}", task.display_name()));
    }
    for name in task.card().forms.iter().flat_map(|form| expected_names(form, split)) {
        if !expected.contains(&name) {
            expected.push(name);
        }
    }
    Err(DataError::MissingFile {
        folder: folder.to_path_buf(),
        task: task.name().into(),
        split: split.into(),
        expected,
        found: listing(folder)?,
    })
}

/// Folders that may contain a task's files: its own, `data` within it, and the one named like the task's folder on the
/// hub, ignoring case (SuperGLUE's archive has RTE in `RTE`).
fn folders(folder: &Path, task: &Task) -> Result<Vec<PathBuf>, DataError> {
    let hub = task
        .card()
        .hub
        .as_ref()
        .map(|hub| hub.folder.as_str())
        .unwrap_or_default();
    let mut folders = vec![folder.to_path_buf(), folder.join("data"), folder.join(hub)];
    if !hub.is_empty() {
        let alike = names(folder)?
            .into_iter()
            .filter(|name| plain_name(name) == plain_name(hub));
        folders.extend(alike.map(|name| folder.join(name)));
    }
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders {
        if folder.is_dir() && !found.contains(&folder) {
            found.push(folder);
        }
    }
    Ok(found)
}

/// The files of a split in one form, from the first folder that has any.
fn form_files(folders: &[PathBuf], form: &FormCard, split: &str) -> Result<Option<Vec<(PathBuf, Reader)>>, DataError> {
    let stems = stems(form, split);
    for folder in folders {
        for (name, reader) in stems.iter().flat_map(|stem| candidates(stem, form.format)) {
            for name in [name.clone(), format!("{name}.gz")] {
                let file = folder.join(&name);
                if file.is_file() && (reader != Reader::Parquet || !name.ends_with(".gz")) {
                    return Ok(Some(vec![(file, reader)]));
                }
            }
        }
        if in_parts(form) {
            for stem in stems {
                let mut files = numbered_parts(folder, stem)?;
                if files.is_empty() {
                    files = folder_of_parts(&folder.join(stem))?;
                }
                if !files.is_empty() {
                    return Ok(Some(files));
                }
            }
        }
    }
    Ok(None)
}

/// The error for a split's file that exists only as an unsupported archive; `None` if there is no such file.
fn packed(folders: &[PathBuf], task: &Task, split: &str) -> Option<DataError> {
    let names = task.card().forms.iter().flat_map(|form| expected_names(form, split));
    let names = names.flat_map(|name| ARCHIVES.map(|ending| format!("{name}.{ending}")));
    names
        .flat_map(|name| folders.iter().map(move |folder| folder.join(&name)))
        .filter(|file| file.is_file())
        .find_map(|file| TextFile::open(&file).err())
}

fn stems<'f>(form: &'f FormCard, split: &str) -> &'f [String] {
    form.files.get(split).map(Vec::as_slice).unwrap_or_default()
}

/// Whether a split of this form may be sharded.
fn in_parts(form: &FormCard) -> bool {
    matches!(form.format, Format::Hub | Format::Parquet | Format::Any)
}

/// File names listed in an error for a form.
fn expected_names(form: &FormCard, split: &str) -> Vec<String> {
    let stems = stems(form, split);
    let names = stems
        .iter()
        .flat_map(|stem| candidates(stem, form.format))
        .map(|(name, _)| name);
    let parts = stems
        .iter()
        .filter(|_| in_parts(form))
        .map(|stem| format!("{stem}-00000-of-00001.parquet"));
    names.chain(parts).collect()
}

/// A file given directly, with the forms that its extension permits.
pub(super) fn forms_of_file<'t>(file: &Path, task: &'t Task) -> Result<Vec<SplitFiles<'t>>, DataError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let found: Vec<SplitFiles<'t>> = task
        .card()
        .forms
        .iter()
        .filter(|form| endings(form.format).contains(&ending))
        .map(|form| SplitFiles {
            form,
            files: vec![(file.to_path_buf(), reader(form.format, ending))],
        })
        .collect();
    if found.is_empty() {
        // Recognise archives before rejecting the extension.
        if ARCHIVES.contains(&ending) {
            TextFile::open(file)?;
        }
        let mut expected: Vec<&str> = task
            .card()
            .forms
            .iter()
            .flat_map(|form| endings(form.format))
            .copied()
            .collect();
        expected.dedup();
        return Err(DataError::UnknownEnding {
            file: file.to_path_buf(),
            expected: format!(".{}", expected.join(", .")),
        });
    }
    Ok(found)
}

/// File names for a stem, each with its reader.
fn candidates(stem: &str, format: Format) -> Vec<(String, Reader)> {
    let ending = Path::new(stem).extension().and_then(|ending| ending.to_str());
    if let Some(ending) =
        ending.filter(|ending| matches!(*ending, "tsv" | "csv" | "txt" | "json" | "jsonl" | "parquet"))
    {
        return vec![(stem.to_owned(), reader(format, ending))];
    }
    endings(format)
        .iter()
        .map(|ending| (format!("{stem}.{ending}"), reader(format, ending)))
        .collect()
}

/// The extensions of a format, preferred one first.
fn endings(format: Format) -> &'static [&'static str] {
    match format {
        Format::Tsv => &["tsv"],
        Format::Csv => &["csv"],
        Format::Jsonl => &["jsonl"],
        Format::Json => &["json"],
        Format::Parquet => &["parquet"],
        Format::Hub => &["jsonl", "json", "parquet"],
        Format::Any => &["jsonl", "json", "csv", "tsv", "parquet"],
    }
}

/// The reader for files with this extension.
fn reader(format: Format, ending: &str) -> Reader {
    match (format, ending) {
        (_, "parquet") => Reader::Parquet,
        (Format::Tsv, _) | (Format::Any, "tsv") => Reader::Tsv,
        (Format::Csv, _) | (Format::Any, "csv") => Reader::Csv,
        (Format::Json, _) => Reader::JsonDocument,
        (Format::Jsonl | Format::Hub | Format::Parquet | Format::Any, _) => Reader::JsonLines,
    }
}

/// All shards `stem-00000-of-00003.parquet` and so on, checked for completeness.
fn numbered_parts(folder: &Path, stem: &str) -> Result<Vec<(PathBuf, Reader)>, DataError> {
    let mut parts: Vec<(usize, usize, OsString)> = Vec::new();
    for name in entries(folder)? {
        let text = name.to_string_lossy().into_owned();
        let number = text
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|rest| rest.strip_suffix(".parquet"))
            .and_then(|rest| rest.split_once("-of-"));
        // Some repositories append a hash: `train-00000-of-00001-0f1e2d3c.parquet`. `validation-…` does not match
        // `validation_matched-…`, whose remainder would start with an underscore; other names without numbers are not
        // shards at all.
        if let Some((part, of)) = number
            && let (Ok(part), Ok(of)) = (part.parse(), of.split('-').next().unwrap_or(of).parse())
        {
            parts.push((of, part, name));
        }
    }
    parts.sort();
    let Some(&(expected, ..)) = parts.last() else {
        return Ok(Vec::new());
    };
    // Shards of an older division of the same split (`…-of-00002` beside `…-of-00003`) would yield duplicate rows.
    parts.retain(|(of, ..)| *of == expected);
    if let Some(missing) = (0..expected).find(|number| parts.iter().all(|(_, part, _)| part != number)) {
        let (folder, split, found) = (folder.to_path_buf(), stem.to_string(), parts.len());
        return Err(DataError::MissingShard {
            folder,
            split,
            expected,
            found,
            missing,
        });
    }
    // They differ in their hash: an older and a newer version of the same shard.
    if let Some(pair) = parts.windows(2).find(|pair| pair[0].1 == pair[1].1) {
        return Err(DataError::DoubleShard {
            folder: folder.to_path_buf(),
            split: stem.to_owned(),
            part: pair[0].1,
            files: pair
                .iter()
                .map(|(.., name)| name.to_string_lossy().into_owned())
                .collect(),
        });
    }
    Ok(parts
        .into_iter()
        .map(|(.., name)| (folder.join(name), Reader::Parquet))
        .collect())
}

/// All parquet files of a folder, sorted by name.
fn folder_of_parts(folder: &Path) -> Result<Vec<(PathBuf, Reader)>, DataError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = entries(folder)?;
    found.retain(|name| Path::new(name).extension().is_some_and(|ending| ending == "parquet"));
    Ok(found
        .into_iter()
        .map(|name| (folder.join(name), Reader::Parquet))
        .collect())
}

/// Contents of a folder for an error message: the first dozen names and the number of others.
pub(crate) fn listing(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = names(folder)?;
    if names.len() > LISTED {
        let more = names.len() - LISTED;
        names.truncate(LISTED);
        names.push(format!("{more} more"));
    }
    Ok(names)
}

/// Sorted names in a folder, lossily decoded for display and for comparison with known names.
fn names(folder: &Path) -> Result<Vec<String>, DataError> {
    let entries = entries(folder)?.into_iter();
    Ok(entries.map(|name| name.to_string_lossy().into_owned()).collect())
}

/// Sorted names in a folder as returned by the system.
fn entries(folder: &Path) -> Result<Vec<OsString>, DataError> {
    let failed = |source| DataError::Io {
        file: folder.to_path_buf(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort();
    Ok(names)
}
