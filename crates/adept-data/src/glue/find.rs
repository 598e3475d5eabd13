//! Where a task's files are. The folder given is GLUE's root (one folder a task, named as in the official archive or as
//! on the hub) or the task's own folder; a split is a TSV, JSONL or parquet file, the last also in numbered parts.

use std::path::{Path, PathBuf};

use super::task::{GlueTask, plain_name};
use crate::DataError;

/// Names an error lists before it says no more.
const LISTED: usize = 12;

/// An official split and the names that its files go by: the archive's, then the hub's.
#[derive(Debug, Clone, Copy)]
pub(super) struct SplitFiles {
    pub name: &'static str,
    pub stems: &'static [&'static str],
}

pub(super) const TRAIN: SplitFiles = SplitFiles {
    name: "train",
    stems: &["train"],
};
pub(super) const VALIDATION: SplitFiles = SplitFiles {
    name: "validation",
    stems: &["dev", "validation"],
};
pub(super) const MATCHED: SplitFiles = SplitFiles {
    name: "validation_matched",
    stems: &["dev_matched", "validation_matched"],
};
pub(super) const MISMATCHED: SplitFiles = SplitFiles {
    name: "validation_mismatched",
    stems: &["dev_mismatched", "validation_mismatched"],
};

/// How a file is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Tsv,
    Json,
    Parquet,
}

/// File endings in order of preference.
const ENDINGS: [(&str, Format); 4] = [
    ("tsv", Format::Tsv),
    ("jsonl", Format::Json),
    ("json", Format::Json),
    ("parquet", Format::Parquet),
];

/// The task's own folder: the root's sub-folder of its name (in any case, hyphens aside), or the root itself.
pub(super) fn task_folder(root: &Path, task: GlueTask) -> Result<PathBuf, DataError> {
    let mut folders: Vec<String> = names(root)?;
    folders.retain(|name| plain_name(name) == task.name() && root.join(name).is_dir());
    // Where two spellings stand side by side, the official archive's is taken.
    folders.sort_by_key(|name| name != task.display_name());
    Ok(folders
        .first()
        .map_or_else(|| root.to_path_buf(), |name| root.join(name)))
}

/// The files of a split, in the order of their rows. The first kind found is taken: TSV, JSONL, one parquet file,
/// parquet in parts (`train-00000-of-00002.parquet`), a folder of parts (`train/0000.parquet`); first in the task's
/// folder, then in its `data` folder.
pub(super) fn split_files(
    folder: &Path,
    task: GlueTask,
    split: SplitFiles,
) -> Result<Vec<(PathBuf, Format)>, DataError> {
    let data = folder.join("data");
    let folders = if data.is_dir() {
        vec![folder.to_path_buf(), data]
    } else {
        vec![folder.to_path_buf()]
    };
    for folder in &folders {
        for (ending, format) in ENDINGS {
            for stem in split.stems {
                let file = folder.join(format!("{stem}.{ending}"));
                if file.is_file() {
                    return Ok(vec![(file, format)]);
                }
            }
        }
        for stem in split.stems {
            let parts = numbered_parts(folder, stem)?;
            if !parts.is_empty() {
                return Ok(parts);
            }
            let parts = folder_of_parts(&folder.join(stem))?;
            if !parts.is_empty() {
                return Ok(parts);
            }
        }
    }

    let mut expected: Vec<String> = Vec::new();
    for (ending, _) in ENDINGS {
        expected.extend(split.stems.iter().map(|stem| format!("{stem}.{ending}")));
    }
    expected.extend(split.stems.iter().map(|stem| format!("{stem}-00000-of-00001.parquet")));
    if plain_name(&folder.file_name().unwrap_or_default().to_string_lossy()) != task.name() {
        expected.insert(0, format!("a folder {}", task.display_name()));
    }
    let (folder, task) = (folder.to_path_buf(), task.name());
    Err(DataError::MissingFile {
        found: listing(&folder)?,
        folder,
        task,
        split: split.name,
        expected,
    })
}

/// `stem-00000-of-00003.parquet` and its fellows, all of them.
fn numbered_parts(folder: &Path, stem: &str) -> Result<Vec<(PathBuf, Format)>, DataError> {
    let mut parts: Vec<(usize, usize, String)> = Vec::new();
    for name in names(folder)? {
        let number = name
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|rest| rest.strip_suffix(".parquet"))
            .and_then(|rest| rest.split_once("-of-"));
        // `validation-…` is no part of `validation_matched-…`, whose rest would start with an underscore; other names
        // that do not count are not parts at all.
        if let Some((part, of)) = number
            && let (Ok(part), Ok(of)) = (part.parse(), of.parse())
        {
            parts.push((of, part, name));
        }
    }
    parts.sort();
    let Some(&(expected, ..)) = parts.last() else {
        return Ok(Vec::new());
    };
    // Parts of an older division of the same split (`…-of-00002` beside `…-of-00003`) would be rows read twice.
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
    Ok(parts
        .into_iter()
        .map(|(.., name)| (folder.join(name), Format::Parquet))
        .collect())
}

/// Every parquet file of a folder, by name.
fn folder_of_parts(folder: &Path) -> Result<Vec<(PathBuf, Format)>, DataError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = names(folder)?;
    found.retain(|name| name.ends_with(".parquet"));
    Ok(found
        .into_iter()
        .map(|name| (folder.join(name), Format::Parquet))
        .collect())
}

/// What a folder holds, for an error to show: the first dozen names and how many more there are.
pub(crate) fn listing(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = names(folder)?;
    if names.len() > LISTED {
        let more = names.len() - LISTED;
        names.truncate(LISTED);
        names.push(format!("{more} more"));
    }
    Ok(names)
}

/// Sorted names in a folder.
fn names(folder: &Path) -> Result<Vec<String>, DataError> {
    let failed = |source| DataError::Io {
        file: folder.to_path_buf(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
