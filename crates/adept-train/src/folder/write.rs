//! Atomic writing and reading of files.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use adept_data::text::decoded;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::TrainError;

/// Temporary entries are named `.adept-`, six letters or digits, `.tmp`, in this crate and in those that write for it.
const TEMPORARY: (&str, &str) = (".adept-", ".tmp");

/// Whether an entry has the name of one of our temporary files.
pub(crate) fn is_temporary(name: &str) -> bool {
    let middle = name
        .strip_prefix(TEMPORARY.0)
        .and_then(|rest| rest.strip_suffix(TEMPORARY.1));
    middle.is_some_and(|middle| middle.len() == 6 && middle.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// SHA-256 of a file in lower-case hex, read in chunks.
pub fn file_sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
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

/// A temporary file in the target's folder, written and synced.
pub(super) fn beside(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, TrainError> {
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    // Temporary files are readable only by the owner by default; a result gets the permissions decided by the umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder
        .tempfile_in(folder)
        .map_err(TrainError::io("create a file in", folder))?;
    temporary.write_all(bytes).map_err(TrainError::io("write", path))?;
    temporary.as_file().sync_all().map_err(TrainError::io("flush", path))?;
    Ok(temporary)
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Writes a file atomically.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    beside(path, bytes)?
        .persist(path)
        .map_err(|error| TrainError::io("rename onto", path)(error.error))?;
    sync_folder(folder_of(path))
}

/// Writes a value as indented JSON, atomically.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), TrainError> {
    write_atomic(path, &json(path, value)?)
}

/// Serialises a value as indented JSON, for the file at `path`.
pub(super) fn json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, TrainError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|source| TrainError::Json {
        path: path.to_owned(),
        line: 1,
        source,
    })?;
    text.push(b'\n');
    Ok(text)
}

/// Reads a JSON file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
    let bytes = fs::read(path).map_err(TrainError::read("read", path))?;
    serde_json::from_str(decoded(path, &bytes)?).map_err(|source| TrainError::Json {
        path: path.to_owned(),
        line: source.line(),
        source,
    })
}

/// Copies those of the named files that exist. Read and write failures are different errors.
pub fn copy_files(names: &[&str], from: &Path, to: &Path) -> Result<(), TrainError> {
    for name in names {
        let (source, target) = (from.join(name), to.join(name));
        match fs::read(&source) {
            Ok(bytes) => fs::write(&target, bytes).map_err(TrainError::io("write", &target))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(TrainError::read("read", &source)(error)),
        }
    }
    Ok(())
}

/// Removes a folder and its contents, if it exists. Only for contents that are entirely ours.
pub(crate) fn remove_tree(path: &Path) -> Result<(), TrainError> {
    absent_is_fine(fs::remove_dir_all(path)).map_err(TrainError::io("remove", path))
}

/// Removes a file, if it exists.
pub(crate) fn remove_file(path: &Path) -> Result<(), TrainError> {
    absent_is_fine(fs::remove_file(path)).map_err(TrainError::io("remove", path))
}

/// Removes the named files of a folder, and the folder itself if it is then empty.
pub(crate) fn remove_files(folder: &Path, names: &[impl AsRef<Path>]) -> Result<(), TrainError> {
    for name in names {
        remove_file(&folder.join(name))?;
    }
    remove_empty(folder)
}

/// Removes a folder if it is empty and not a link.
pub(crate) fn remove_empty(folder: &Path) -> Result<(), TrainError> {
    use std::io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory, NotFound};
    match fs::remove_dir(folder) {
        Err(error)
            if !matches!(
                error.kind(),
                NotFound | DirectoryNotEmpty | AlreadyExists | NotADirectory
            ) =>
        {
            Err(TrainError::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

fn absent_is_fine(removed: std::io::Result<()>) -> std::io::Result<()> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match removed {
        // `NotADirectory`: a component of the path is a file, so nothing exists by this name.
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(()),
        other => other,
    }
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Result<Vec<OsString>, TrainError> {
    let mut names: Vec<OsString> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect())
        .map_err(TrainError::read("list", folder))?;
    names.sort();
    Ok(names)
}

/// Syncs every file of a folder, then the folder.
pub(crate) fn sync_tree(path: &Path) -> Result<(), TrainError> {
    for name in names(path)? {
        let inner = path.join(name);
        if inner.is_file() {
            File::open(&inner)
                .and_then(|file| file.sync_all())
                .map_err(TrainError::io("flush", &inner))?;
        }
    }
    sync_folder(path)
}

/// Makes renames in a folder durable. Only Unix can sync a folder.
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

    #[test]
    fn temporaries_are_known_by_their_whole_name() {
        let folder = tempfile::tempdir().unwrap();
        let made = beside(&folder.path().join("result.json"), b"{}").unwrap();
        assert!(is_temporary(made.path().file_name().unwrap().to_str().unwrap()));
        for name in [
            ".tmp_drafts",
            ".tmpAbc123",
            ".adept-drafts",
            ".adept-.tmp",
            ".adept-my notes.tmp",
            "adept-Abc123.tmp",
            ".adept-Abc1234.tmp",
            ".saving-Abc123",
        ] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
