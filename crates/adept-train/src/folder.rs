//! A run's folder: its lock, its atomic writes, and the adapter or model kept as the best so far.
//!
//! | entry | what |
//! |---|---|
//! | `config.toml` | resolved configuration |
//! | `record.jsonl` | one event a line ([`crate::record`]) |
//! | `checkpoint/step-<n>/` | what is needed to continue ([`crate::checkpoint`]); removed when the run is done |
//! | `best/` | best adapter in PEFT's layout, or the backbone for method `full`, with `selection.json` |
//! | `result.json` | scores; written last, so that its presence means the run is done |
//! | `run.lock` | held by the process that runs here; the system frees it when that process ends, however it ends |
//!
//! Every file or folder above is written under another name, flushed to disk and renamed: it exists whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use adept_data::text::decoded;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::TrainError;
use crate::record::Selection;

/// A run's folder, locked for this process while the value lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl RunFolder {
    /// Creates the folder where it is missing and locks it.
    ///
    /// # Errors
    /// [`TrainError::Locked`] where another process (or another run of this one) holds it.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        fs::create_dir_all(path).map_err(TrainError::io("create", path))?;
        let lock = path.join("run.lock");
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
        for entry in fs::read_dir(&self.path).map_err(TrainError::io("list", &self.path))? {
            let path = entry.map_err(TrainError::io("list", &self.path))?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            if !name.starts_with(".tmp") && !name.starts_with(".saving-") {
                continue;
            }
            if path.is_dir() {
                remove_tree(&path)?;
            } else {
                fs::remove_file(&path).map_err(TrainError::io("remove", &path))?;
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
            let found = file_sha256(&path).map_err(TrainError::io("read", &path))?;
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
        remove_tree(&self.best())
    }
}

const SELECTION: &str = "selection.json";

/// Replaces the folder `name` of `parent`: `write` makes a folder at the path it is given, which then takes the place of
/// the one before. A kill at any moment leaves the old one, the new one, or what [`finish_replacement`] completes.
pub(crate) fn replace_folder(
    parent: &Path,
    name: &str,
    write: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let (temporary, new) = (parent.join(format!("{name}.tmp")), parent.join(format!("{name}.new")));
    remove_tree(&temporary)?;
    if let Err(error) = write(&temporary).and_then(|()| sync_tree(&temporary)) {
        // A full disk is the likely cause; what is left of the attempt only makes it fuller.
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    fs::rename(&temporary, &new).map_err(TrainError::io("rename", &temporary))?;
    finish_replacement(parent, name)
}

/// Completes a replacement that was cut short, and clears what an unfinished one left.
pub(crate) fn finish_replacement(parent: &Path, name: &str) -> Result<(), TrainError> {
    let (new, current, old) = (
        parent.join(format!("{name}.new")),
        parent.join(name),
        parent.join(format!("{name}.old")),
    );
    remove_tree(&parent.join(format!("{name}.tmp")))?;
    if new.exists() {
        if current.exists() {
            remove_tree(&old)?;
            fs::rename(&current, &old).map_err(TrainError::io("rename", &current))?;
        }
        fs::rename(&new, &current).map_err(TrainError::io("rename", &new))?;
        sync_folder(parent)?;
    }
    remove_tree(&old)
}

/// SHA-256 of each file directly inside a folder, by name.
fn checksums(folder: &Path) -> Result<std::collections::BTreeMap<String, String>, TrainError> {
    let mut sums = std::collections::BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(TrainError::io("list", folder))? {
        let path = entry.map_err(TrainError::io("list", folder))?.path();
        if path.is_file() {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            sums.insert(name, file_sha256(&path).map_err(TrainError::io("read", &path))?);
        }
    }
    Ok(sums)
}

/// SHA-256 of a file, lower-case hex, read in pieces.
pub(crate) fn file_sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..count]);
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file whole or not at all.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // A temporary file is the owner's alone by default; a result is for whoever may read the folder (the umask decides).
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder
        .tempfile_in(folder)
        .map_err(TrainError::io("create a file in", folder))?;
    temporary.write_all(bytes).map_err(TrainError::io("write", path))?;
    temporary.as_file().sync_all().map_err(TrainError::io("flush", path))?;
    temporary
        .persist(path)
        .map_err(|error| TrainError::io("rename onto", path)(error.error))?;
    sync_folder(folder)
}

/// Writes a value as indented JSON, whole or not at all.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), TrainError> {
    let json = |source| TrainError::Json {
        path: path.to_owned(),
        line: 1,
        source,
    };
    let mut text = serde_json::to_vec_pretty(value).map_err(json)?;
    text.push(b'\n');
    write_atomic(path, &text)
}

/// Reads a JSON file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
    let bytes = fs::read(path).map_err(TrainError::io("read", path))?;
    serde_json::from_str(decoded(path, &bytes)?).map_err(|source| TrainError::Json {
        path: path.to_owned(),
        line: source.line(),
        source,
    })
}

/// Removes a folder and all in it, if it is there.
pub(crate) fn remove_tree(path: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(TrainError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Flushes every file of a folder, then the folder.
pub(crate) fn sync_tree(path: &Path) -> Result<(), TrainError> {
    for entry in fs::read_dir(path).map_err(TrainError::io("list", path))? {
        let inner = entry.map_err(TrainError::io("list", path))?.path();
        if inner.is_file() {
            File::open(&inner)
                .and_then(|file| file.sync_all())
                .map_err(TrainError::io("flush", &inner))?;
        }
    }
    sync_folder(path)
}

/// Makes renames inside a folder durable. Only Unix lets a folder be flushed.
pub(crate) fn sync_folder(path: &Path) -> Result<(), TrainError> {
    #[cfg(unix)]
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(TrainError::io("flush", path))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
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
                root.path().join("best.new"),
                root.path().join("best.old"),
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
            fs::create_dir(root.path().join("best.tmp")).unwrap();
            fs::create_dir(root.path().join(".saving-abc")).unwrap();
            fs::write(root.path().join(".tmpabc"), "torn").unwrap();
            drop(folder);
            let folder = RunFolder::open(root.path()).unwrap();
            assert_eq!(folder.selection().unwrap().unwrap().step, 2, "{cut}");
            assert!(
                !new.exists() && !old.exists() && !root.path().join("best.tmp").exists(),
                "{cut}"
            );
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
        assert!(!root.path().join("best.tmp").exists());
    }
}
