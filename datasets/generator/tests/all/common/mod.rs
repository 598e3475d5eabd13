//! Where the committed samples are, and what lies there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

pub fn datasets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of a folder and of those in it.
pub fn files_below(folder: &Path) -> HashSet<PathBuf> {
    let mut names = HashSet::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => names.extend(files_below(&path)),
            path => drop(names.insert(path)),
        }
    }
    names
}
