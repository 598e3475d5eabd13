//! The output folder: written beside its final location, synced, and renamed.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::error::GgufError;

const CONFIG: &str = "config.json";
/// Files of an import other than weights.
const FILES: [&str; 4] = [
    CONFIG,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// An output folder under a temporary name; dropping it deletes it.
pub(crate) struct Folder {
    target: PathBuf,
    staging: TempDir,
    inner: PathBuf,
}

/// Accepts a new or empty folder, or with `overwrite` an earlier import without other files.
pub(crate) fn check_target(target: &Path, overwrite: bool) -> Result<(), GgufError> {
    let taken = |reason: String| GgufError::Taken {
        dir: target.to_owned(),
        reason,
    };
    // `.` and `..` cannot be renamed to.
    if target.file_name().is_none() {
        return Err(taken("expected the name of a folder".to_owned()));
    }
    let entries = match fs::read_dir(target) {
        Ok(entries) => entries,
        Err(_) if target.symlink_metadata().is_err() => return Ok(()),
        Err(_) => return Err(taken("expected a folder, found something else".to_owned())),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_, _>>().map_err(|source| GgufError::Io {
        path: target.to_owned(),
        source,
    })?;
    if names.is_empty() {
        return Ok(());
    }
    if !adept_files::is_signed(&target.join(CONFIG)) {
        return Err(taken(
            "expected a new or empty folder, found files of another program".to_owned(),
        ));
    }
    let is_written = |name: &str| {
        let is_weights = name.starts_with("model") && (name.ends_with(".safetensors") || name.ends_with(".index.json"));
        FILES.contains(&name) || is_weights
    };
    match names.iter().find(|name| !is_written(name)) {
        Some(other) => Err(taken(format!(
            "expected a new or empty folder, found `{other}`, which no import has written"
        ))),
        None if overwrite => Ok(()),
        None => Err(taken(
            "expected a new or empty folder, found an earlier import".to_owned(),
        )),
    }
}

impl Folder {
    /// Creates the temporary folder next to the target, on the same file system.
    pub fn beside(target: &Path) -> Result<Self, GgufError> {
        let parent = parent(target);
        fs::create_dir_all(parent).map_err(|source| write_error(parent, source))?;
        let staging = tempfile::Builder::new()
            .prefix(".adept-")
            .suffix(".tmp")
            .tempdir_in(parent)
            .map_err(|source| write_error(parent, source))?;
        // With the usual permissions, unlike the temporary folder's.
        let inner = staging.path().join("model");
        fs::create_dir(&inner).map_err(|source| write_error(&inner, source))?;
        Ok(Self {
            target: target.to_owned(),
            staging,
            inner,
        })
    }

    /// Where files are written.
    pub fn path(&self) -> &Path {
        &self.inner
    }

    /// Writes a JSON file.
    pub fn json(&self, name: &str, value: &impl Serialize) -> Result<(), GgufError> {
        write_json(&self.inner.join(name), value)
    }

    /// Writes `config.json`, marked as ours.
    pub fn config(&self, mut config: Map<String, Value>) -> Result<(), GgufError> {
        adept_files::sign(&mut config);
        self.json(CONFIG, &Value::Object(config))
    }

    /// Moves the folder to its final location, replacing an earlier import.
    pub fn finish(self) -> Result<(), GgufError> {
        let failed = |source| write_error(&self.target, source);
        sync(&self.inner)?;
        if self.target.exists() {
            fs::rename(&self.target, self.staging.path().join("earlier")).map_err(failed)?;
        }
        fs::rename(&self.inner, &self.target).map_err(failed)?;
        sync(parent(&self.target))
    }
}

/// Writes and syncs a JSON file.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), GgufError> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer_pretty(&mut file, value)?;
        file.write_all(b"\n")?;
        file.into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()
    };
    write().map_err(|source| write_error(path, source))
}

fn sync(dir: &Path) -> Result<(), GgufError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| write_error(dir, source))
}

fn parent(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn write_error(path: &Path, source: std::io::Error) -> GgufError {
    GgufError::Write {
        path: path.to_owned(),
        source,
    }
}
