//! A run's folder: whose it is, its lock, its atomic writes, and the adapter or model kept as the best so far.
//!
//! | entry | what |
//! |---|---|
//! | `adept-folder.json` | says that the folder is ours and what it is; written first |
//! | `config.toml` | resolved configuration |
//! | `record.jsonl` | one event a line ([`crate::record`]) |
//! | `checkpoint/step-<n>/` | what is needed to continue ([`crate::checkpoint`]); removed when the run is done |
//! | `best/` | best adapter in PEFT's layout, or the backbone for method `full`, with `selection.json` |
//! | `completions.jsonl`, `judged.json` | tasks of programs: what was written, and what became of it |
//! | `result.json` | scores; written last, so that its presence means the run is done |
//! | `run.lock` | held by the process that runs here; the system frees it when that process ends, however it ends |
//!
//! A run begins only in a folder that is new, empty or its own ([`check`]); completions of programs may be there
//! beforehand, and what they hold is not written again. In its own folder a run writes and removes the entries above
//! and what it calls `.adept-…`, and nothing else.
//!
//! Every file or folder above is written under another name, flushed to disk and renamed: it exists whole or not at
//! all.

mod owner;
mod replace;
mod write;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

pub use owner::{FolderError, FolderKind, GRID_FILE, MARKER, REPORT_FILES, check, check_report};
pub use replace::TOKENIZER_FILES;
pub(crate) use replace::{finish_replacement, replace_folder};
pub use write::{copy_files, file_sha256, read_json, write_atomic, write_json};
pub(crate) use write::{hex, names, remove_empty, remove_files, sync_folder, sync_tree};

use crate::TrainError;
use crate::checkpoint;
use crate::program::{COMPLETIONS, JUDGED};
use crate::record::Selection;
use owner::{Marker, Standing};
use write::{is_temporary, remove_file, remove_tree};

const LOCK: &str = "run.lock";
const SELECTION: &str = "selection.json";

/// Makes a folder of several runs ours.
///
/// # Errors
/// [`FolderError`] where it is not ours to write into.
pub fn claim_grid(path: &Path) -> Result<(), TrainError> {
    owner::claim(path, FolderKind::Grid).map(drop)
}

/// A run's folder, locked for this process while the value lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl RunFolder {
    /// Creates the folder of a run where it is missing and locks it.
    ///
    /// # Errors
    /// [`FolderError`] where it holds something that is no run of ours; [`TrainError::Locked`] where another process
    /// (or another run of this one) holds it.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        Self::open_as(path, FolderKind::Run)
    }

    /// As [`open`](Self::open), for a run of either kind.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_as(path: &Path, kind: FolderKind) -> Result<Self, TrainError> {
        owner::claim(path, kind)?;
        let lock = path.join(LOCK);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&lock)
            .map_err(TrainError::io("open", &lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
                let pid = if known {
                    pid.trim().to_owned()
                } else {
                    "unknown".to_owned()
                };
                return Err(TrainError::Locked {
                    path: path.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(source)) => return Err(TrainError::io("lock", &lock)(source)),
        }
        file.set_len(0).map_err(TrainError::io("write", &lock))?;
        writeln!(file, "{}", std::process::id()).map_err(TrainError::io("write", &lock))?;
        let folder = Self {
            path: path.to_owned(),
            _lock: file,
        };
        folder.clear_temporaries()?;
        finish_replacement(&folder.path, "best")?;
        Ok(folder)
    }

    /// Removes the temporary files and folders that a killed process left behind; the lock says that nobody uses them.
    fn clear_temporaries(&self) -> Result<(), TrainError> {
        for name in names(&self.path)? {
            if !name.to_str().is_some_and(is_temporary) {
                continue;
            }
            let path = self.path.join(name);
            if path.is_dir() {
                remove_tree(&path)?;
            } else {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Events.
    pub fn record(&self) -> PathBuf {
        self.path.join("record.jsonl")
    }

    /// Checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Best adapter or model.
    pub fn best(&self) -> PathBuf {
        self.path.join("best")
    }

    /// Scores.
    pub fn result(&self) -> PathBuf {
        self.path.join("result.json")
    }

    /// Replaces the best: `write` fills an empty folder, which then takes the place of the one before.
    ///
    /// The selection is written beside the files, with their checksums.
    pub fn replace_best(
        &self,
        selection: &mut Selection,
        write: impl FnOnce(&Path) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        replace_folder(&self.path, "best", |temporary| {
            write(temporary)?;
            selection.files = checksums(temporary)?;
            write_json(&temporary.join(SELECTION), selection)
        })
    }

    /// What `best/` says about itself, if it is there.
    pub fn selection(&self) -> Result<Option<Selection>, TrainError> {
        let path = self.best().join(SELECTION);
        if path.exists() {
            read_json(&path).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Checks the files of `best/` against the checksums of the selection.
    pub fn verify_best(&self, selection: &Selection) -> Result<(), TrainError> {
        for (name, expected) in &selection.files {
            let path = self.best().join(name);
            let found = file_sha256(&path).map_err(TrainError::read("read", &path))?;
            if found != *expected {
                return Err(TrainError::BestChanged {
                    path,
                    expected: expected.clone(),
                    found,
                });
            }
        }
        Ok(())
    }

    /// Removes what a run leaves behind before its first checkpoint.
    pub fn clear_best(&self) -> Result<(), TrainError> {
        replace::remove_written(&self.best())
    }
}

/// What [`clear`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Whether there was a run.
    pub had_run: bool,
    /// Entries that are not ours and stay.
    pub kept: Vec<String>,
}

/// Removes what a run of ours has written in a folder, so that the next one begins anew. Everything else stays.
///
/// # Errors
/// [`FolderError`] where the folder holds something that is no run of ours, [`TrainError::Locked`] where a run is in
/// it.
pub fn clear(path: &Path, kind: FolderKind) -> Result<Cleared, TrainError> {
    let marker = match owner::standing(path, kind)? {
        Standing::Free { .. } => return Ok(Cleared::default()),
        Standing::Ours(marker) => marker,
    };
    let folder = RunFolder::open_as(path, kind)?;
    // The result goes first: without it, what a kill leaves of the rest is a run that was begun.
    for name in ["result.json", "record.jsonl", "config.toml", JUDGED] {
        remove_file(&path.join(name))?;
    }
    checkpoint::remove_all(&folder.checkpoints())?;
    folder.clear_best()?;
    if kind == FolderKind::Pretraining {
        for name in ["model", "tokenizer"] {
            replace::remove_written(&path.join(name))?;
        }
        for name in ["tokens.bin", "tokenizer-made-of.json"] {
            remove_file(&path.join(name))?;
        }
    }
    clear_completions(path, marker.as_ref())?;
    let kept = names(path)?
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name != MARKER && name != LOCK)
        .collect();
    Ok(Cleared { had_run: true, kept })
}

/// Cuts completions back to what was there before the run; where nobody knows, they are set aside.
fn clear_completions(folder: &Path, marker: Option<&Marker>) -> Result<(), TrainError> {
    let path = folder.join(COMPLETIONS);
    if !path.exists() {
        return Ok(());
    }
    let Some(marker) = marker else {
        let free = |number: &usize| !folder.join(format!("completions-{number}.jsonl")).exists();
        let number = (1..)
            .find(free)
            .expect("a folder holds fewer files than there are numbers");
        let aside = folder.join(format!("completions-{number}.jsonl"));
        return fs::rename(&path, &aside).map_err(TrainError::io("rename", &path));
    };
    match marker.given.get(COMPLETIONS) {
        None => remove_file(&path),
        Some(bytes) => File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len(*bytes))
            .map_err(TrainError::io("cut", &path)),
    }
}

/// SHA-256 of each file directly inside a folder, by name.
fn checksums(folder: &Path) -> Result<BTreeMap<String, String>, TrainError> {
    let mut sums = BTreeMap::new();
    for name in names(folder)? {
        let path = folder.join(&name);
        if path.is_file() {
            let sum = file_sha256(&path).map_err(TrainError::io("read back", &path))?;
            sums.insert(name.to_string_lossy().into_owned(), sum);
        }
    }
    Ok(sums)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn selection(step: usize) -> Selection {
        Selection {
            step,
            metric: "accuracy".into(),
            score: 50.0,
            scores: Default::default(),
            files: Default::default(),
        }
    }

    fn put(folder: &RunFolder, step: usize) {
        folder
            .replace_best(&mut selection(step), |path| {
                fs::create_dir(path).unwrap();
                fs::write(path.join("weights"), step.to_string()).unwrap();
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn a_locked_folder_is_refused_and_a_left_lock_is_not() {
        let root = tempfile::tempdir().unwrap();
        let held = RunFolder::open(root.path()).unwrap();
        let error = RunFolder::open(root.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("in use by process {}", std::process::id())),
            "{error}"
        );
        drop(held);
        fs::write(root.path().join("run.lock"), "999999\n").unwrap();
        RunFolder::open(root.path()).unwrap();
    }

    #[test]
    fn the_best_is_replaced_and_verified() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(root.path()).unwrap();
        assert!(folder.selection().unwrap().is_none());
        put(&folder, 1);
        put(&folder, 2);
        let found = folder.selection().unwrap().unwrap();
        assert_eq!(found.step, 2);
        folder.verify_best(&found).unwrap();
        fs::write(folder.best().join("weights"), "tampered").unwrap();
        assert!(matches!(
            folder.verify_best(&found),
            Err(TrainError::BestChanged { .. })
        ));
    }

    /// A kill between any two renames of a replacement leaves a folder that the next start completes.
    #[test]
    fn a_replacement_cut_short_is_completed() {
        for cut in [
            "best is still the old one",
            "old one moved away",
            "new one in place, old one left",
        ] {
            let root = tempfile::tempdir().unwrap();
            let folder = RunFolder::open(root.path()).unwrap();
            put(&folder, 1);
            fs::rename(folder.best(), root.path().join("first")).unwrap();
            put(&folder, 2);
            let (best, new, old) = (
                folder.best(),
                root.path().join(".adept-best.new"),
                root.path().join(".adept-best.old"),
            );
            match cut {
                "best is still the old one" => {
                    fs::rename(&best, &new).unwrap();
                    fs::rename(root.path().join("first"), &best).unwrap();
                }
                "old one moved away" => {
                    fs::rename(&best, &new).unwrap();
                    fs::rename(root.path().join("first"), &old).unwrap();
                }
                _ => fs::rename(root.path().join("first"), &old).unwrap(),
            }
            let left = [".adept-best.tmp", ".adept-Ab1cde.tmp"].map(|name| root.path().join(name));
            left.iter().for_each(|path| fs::create_dir(path).unwrap());
            let mine = [".tmp_drafts", "best.old", "best.tmp", ".adept-notes"].map(|name| root.path().join(name));
            mine.iter().for_each(|path| fs::create_dir(path).unwrap());
            drop(folder);
            let folder = RunFolder::open(root.path()).unwrap();
            assert_eq!(folder.selection().unwrap().unwrap().step, 2, "{cut}");
            assert!(!new.exists() && !old.exists(), "{cut}");
            assert!(left.iter().all(|path| !path.exists()), "{cut}");
            assert!(mine.iter().all(|path| path.exists()), "{cut}");
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_best() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::open(root.path()).unwrap();
        put(&folder, 1);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let failed = folder.replace_best(&mut selection(2), |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("weights"), "torn").unwrap();
            Err(TrainError::io("write", path)(full))
        });
        assert!(matches!(failed, Err(TrainError::Io { .. })));
        assert_eq!(folder.selection().unwrap().unwrap().step, 1);
        assert!(!root.path().join(".adept-best.tmp").exists());
    }
}
