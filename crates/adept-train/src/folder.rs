//! A run's folder: ownership, lock, atomic writes, and the best adapter or model so far.
//!
//! | entry | what |
//! |---|---|
//! | `adept-folder.json` | marks the folder as ours and states its kind; written first |
//! | `config.toml` | resolved configuration |
//! | `record.jsonl` | one event per line ([`crate::record`]) |
//! | `events.out.tfevents.adept` | the record as TensorBoard reads it ([`crate::tensorboard`]) |
//! | `checkpoint/step-<n>/` | what is needed to resume ([`crate::checkpoint`]); removed when the run is done |
//! | `best/` | best adapter in PEFT's layout, or the backbone for method `full`, with `selection.json` and a model card ([`crate::model_card`]) |
//! | `best-of/<name>/` | runs on several tasks that keep each one's best step: what `best/` would be by that task alone |
//! | `tasks/<name>/` | runs on several tasks: the adapter of each (`best/`), its answers and its scores |
//! | `completions.jsonl`, `judged.json` | tasks of programs: generated programs and their verdicts |
//! | `test-answers.json` | answers to the test split ([`crate::test_answers`]); missing in older runs |
//! | `result.json` | scores; written last, so that its presence means the run is done |
//! | `run.lock` | locked by the running process; the system releases the lock however the process ends |
//!
//! A run starts only in a folder that is new, empty or its own ([`check`]); completions of programs may be provided
//! beforehand, and those are not generated again. In its own folder a run writes and removes only the entries above and
//! entries named `.adept-…`.
//!
//! A grid's folder holds its marker, [`GRID_FILE`], the runs' folders, the files of the report and of the tables, and
//! `slurm/<n>/`, a new folder for each submission to a cluster.
//!
//! Every file or folder above is written under another name, synced to disk and renamed, so it is always complete.

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

use adept_core::file;

use crate::TrainError;
use crate::checkpoint;
use crate::model_card::CARD_FILE;
use crate::program::{COMPLETIONS, JUDGED};
use crate::record::Selection;
use crate::tensorboard::EVENT_FILE;
use crate::test_answers::TEST_ANSWERS;
use owner::{Marker, Standing};
use write::{is_temporary, remove_file, remove_tree};

const LOCK: &str = "run.lock";
const SELECTION: &str = "selection.json";
const TASKS: &str = "tasks";
/// Folder of a run's best step.
pub const BEST: &str = "best";
const BEST_OF: &str = "best-of";

/// Claims a folder for several runs.
///
/// # Errors
/// [`FolderError`] if it must not be written to.
pub fn claim_grid(path: &Path) -> Result<(), TrainError> {
    owner::claim(path, FolderKind::Grid).map(drop)
}

/// The folder of an adapter: in a run's folder, that of its best step.
#[must_use]
pub fn adapter_folder(path: &Path) -> PathBuf {
    let best = path.join(BEST);
    let is_run = !path.join(file::CONFIG_FILE).exists() && best.join(file::CONFIG_FILE).exists();
    if is_run { best } else { path.to_owned() }
}

/// A run's folder, locked by this process for the lifetime of the value.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl RunFolder {
    /// Creates a run's folder if it is missing, and locks it.
    ///
    /// # Errors
    /// [`FolderError`] if the folder contains anything but a run of ours; [`TrainError::Locked`] if it is in use by
    /// another process or another run of this one.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        Self::open_as(path, FolderKind::Run)
    }

    /// Like [`open`](Self::open), for a run of either kind.
    ///
    /// # Errors
    /// See [`open`](Self::open).
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
        finish_replacement(&folder.path, BEST)?;
        finish_replacement(&folder.path, TASKS)?;
        let kept = folder.path.join(BEST_OF);
        for name in replace::replaced(&kept)? {
            finish_replacement(&kept, &name)?;
        }
        Ok(folder)
    }

    /// Removes temporary files and folders left by a killed process; the lock ensures that they are unused.
    fn clear_temporaries(&self) -> Result<(), TrainError> {
        let folders = [
            self.path.clone(),
            self.best(),
            checkpoint::unfinished(&self.checkpoints()),
        ];
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            for name in names(folder)? {
                if !name.to_str().is_some_and(is_temporary) {
                    continue;
                }
                let path = folder.join(name);
                if path.is_dir() {
                    remove_tree(&path)?;
                } else {
                    remove_file(&path)?;
                }
            }
        }
        Ok(())
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the resolved configuration.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Path of the event record.
    pub fn record(&self) -> PathBuf {
        self.path.join("record.jsonl")
    }

    /// Path of TensorBoard's event file.
    pub fn events(&self) -> PathBuf {
        self.path.join(EVENT_FILE)
    }

    /// Path of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Path of the best adapter or model.
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// Path of the best adapter or model by the score of one of several tasks, where each one's is kept.
    pub fn best_of(&self, task: &str) -> PathBuf {
        self.path.join(BEST_OF).join(task)
    }

    /// Path of the test split's answers.
    pub fn test_answers(&self) -> PathBuf {
        self.path.join(TEST_ANSWERS)
    }

    /// Path of what belongs to each of several tasks.
    pub fn tasks(&self) -> PathBuf {
        self.path.join(TASKS)
    }

    /// Replaces what belongs to each of several tasks: `write` fills a new folder.
    ///
    /// # Errors
    /// Files that cannot be written, and those of `write`.
    pub fn replace_tasks(&self, write: impl FnOnce(&Path) -> Result<(), TrainError>) -> Result<(), TrainError> {
        replace_folder(&self.path, TASKS, |temporary| {
            fs::create_dir_all(temporary).map_err(TrainError::io("create", temporary))?;
            write(temporary)
        })
    }

    /// Path of the scores.
    pub fn result(&self) -> PathBuf {
        self.path.join("result.json")
    }

    /// Replaces the best, of one of several tasks if it is named: `write` fills an empty folder, which then replaces the
    /// previous one.
    ///
    /// The selection is written next to the files, with their checksums, and `card` as their model card.
    pub(crate) fn replace_best(
        &self,
        task: Option<&str>,
        selection: &mut Selection,
        card: &str,
        write: impl FnOnce(&Path) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let (parent, name) = match task {
            None => (self.path.clone(), BEST),
            Some(task) => (self.path.join(BEST_OF), task),
        };
        fs::create_dir_all(&parent).map_err(TrainError::io("create", &parent))?;
        replace_folder(&parent, name, |temporary| {
            write(temporary)?;
            selection.files = checksums(temporary)?;
            // After the checksums: the card may be edited, and gains the scores on the test split.
            let path = temporary.join(CARD_FILE);
            fs::write(&path, card).map_err(TrainError::io("write", &path))?;
            write_json(&temporary.join(SELECTION), selection)
        })
    }

    /// The selection of `best/`, if it exists.
    pub fn selection(&self) -> Result<Option<Selection>, TrainError> {
        Self::selection_of(&self.best())
    }

    /// The selection of a folder of a best adapter or model, if it exists.
    pub fn selection_of(best: &Path) -> Result<Option<Selection>, TrainError> {
        let path = best.join(SELECTION);
        if path.exists() {
            read_json(&path).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Verifies the files of a best adapter or model against the selection's checksums.
    pub fn verify_best(best: &Path, selection: &Selection) -> Result<(), TrainError> {
        for (name, expected) in &selection.files {
            let path = best.join(name);
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
    pub(crate) fn clear_best(&self) -> Result<(), TrainError> {
        replace::remove_written(&self.best())?;
        let kept = self.path.join(BEST_OF);
        if kept.is_dir() {
            remove_tree(&kept)?;
        }
        Ok(())
    }
}

/// Result of [`clear`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Whether there was a run.
    pub had_run: bool,
    /// Entries of others that were kept.
    pub kept: Vec<String>,
}

/// Removes the files that a run of ours has written to a folder, so that the next run starts over. Everything else is
/// kept.
///
/// # Errors
/// [`FolderError`] if the folder contains anything but a run of ours, [`TrainError::Locked`] if a run is using it.
pub fn clear(path: &Path, kind: FolderKind) -> Result<Cleared, TrainError> {
    let marker = match owner::standing(path, kind)? {
        Standing::Free { .. } => return Ok(Cleared::default()),
        Standing::Ours(marker) => marker,
    };
    let folder = RunFolder::open_as(path, kind)?;
    // The result first: without it, the remains after a kill are an unfinished run.
    for name in [
        "result.json",
        "record.jsonl",
        EVENT_FILE,
        "config.toml",
        JUDGED,
        TEST_ANSWERS,
    ] {
        remove_file(&path.join(name))?;
    }
    checkpoint::remove_all(&folder.checkpoints())?;
    folder.clear_best()?;
    if folder.tasks().is_dir() {
        remove_tree(&folder.tasks())?;
    }
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

/// Truncates completions to those provided before the run; if that is unknown, they are set aside.
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

/// SHA-256 of each file directly in a folder, by name.
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
            .replace_best(None, &mut selection(step), "card", |path| {
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

    /// A kill while a file is written leaves it under its temporary name, wherever it was to go.
    #[test]
    fn what_a_killed_process_was_writing_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let run = RunFolder::open(root.path()).unwrap();
        let unfinished = checkpoint::unfinished(&run.checkpoints());
        let folders = [run.path().to_owned(), run.best(), unfinished];
        drop(run);
        for folder in &folders {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(".adept-Ab12Cd.tmp"), "half").unwrap();
            fs::write(folder.join("notes"), "the user's").unwrap();
        }
        RunFolder::open(root.path()).unwrap();
        for folder in &folders {
            assert!(!folder.join(".adept-Ab12Cd.tmp").exists(), "{}", folder.display());
            assert!(folder.join("notes").exists(), "{}", folder.display());
        }
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
        RunFolder::verify_best(&folder.best(), &found).unwrap();
        fs::write(folder.best().join("weights"), "tampered").unwrap();
        assert!(matches!(
            RunFolder::verify_best(&folder.best(), &found),
            Err(TrainError::BestChanged { .. })
        ));
    }

    /// A kill between any two renames of a replacement leaves a folder that the next start repairs.
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
        let failed = folder.replace_best(None, &mut selection(2), "card", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("weights"), "torn").unwrap();
            Err(TrainError::io("write", path)(full))
        });
        assert!(matches!(failed, Err(TrainError::Io { .. })));
        assert_eq!(folder.selection().unwrap().unwrap().step, 1);
        assert!(!root.path().join(".adept-best.tmp").exists());
    }
}
