//! Reads files that may not be what they should be.
//!
//! Model and data folders are cloned, linked and downloaded, and each way leaves its own kind of stand-in for the
//! expected file: a Git LFS pointer, a dangling link, a web page, an unfinished download. A parser would report all of
//! them as corrupt. [`StandIn`] recognises them and suggests a fix; [`read`] and [`read_text`] are `std::fs::read` with
//! that check and without the byte-order mark that some editors prepend to a text. [`json_object`] parses objects from
//! untrusted sources. [`is_signed`] tells the models that this project wrote from others.

// Tests may unwrap: a panic is the failure.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod json;
mod not_text;
mod origin;
mod stand_in;

use std::path::{Path, PathBuf};

pub use json::json_object;
pub use not_text::NotText;
pub use origin::{is_signed, sign};
pub use stand_in::StandIn;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system call failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file's place is taken by something else.
    #[error("{}: {what}", path.display())]
    StandIn {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: StandIn,
    },
    /// The file is not UTF-8 text, judging by its first bytes.
    #[error("{}: {what}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: NotText,
    },
    /// The text contains invalid UTF-8.
    #[error("{}: expected UTF-8, found 0x{byte:02x} at byte {at}", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first invalid byte.
        byte: u8,
        /// Its offset in the file, from 0.
        at: usize,
    },
}

impl FileError {
    /// Whether the path does not exist at all, rather than holding a stand-in.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// UTF-8 byte-order mark.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Strips a leading UTF-8 byte-order mark.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// Reads a file that must not be empty.
///
/// # Errors
/// [`FileError::Io`] and [`FileError::StandIn`].
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    check(path)?;
    std::fs::read(path).map_err(|source| FileError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Reads a text file that must not be empty, without its byte-order mark.
///
/// # Errors
/// Those of [`read`], [`FileError::NotText`] and [`FileError::NotUtf8`].
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let bytes = read(path)?;
    if let Some(what) = NotText::of_start(&bytes) {
        let path = path.to_owned();
        return Err(FileError::NotText { path, what });
    }
    let text = without_mark(&bytes);
    let mark = bytes.len() - text.len();
    match std::str::from_utf8(text) {
        Ok(text) => Ok(text.to_owned()),
        Err(cause) => Err(FileError::NotUtf8 {
            path: path.to_owned(),
            byte: text.get(cause.valid_up_to()).copied().unwrap_or_default(),
            at: mark + cause.valid_up_to(),
        }),
    }
}

/// Rejects stand-ins. A missing file passes: opening it reports that.
///
/// # Errors
/// [`FileError::StandIn`].
pub fn check(path: &Path) -> Result<(), FileError> {
    match StandIn::at(path) {
        None => Ok(()),
        Some(what) => Err(FileError::StandIn {
            path: path.to_owned(),
            what,
        }),
    }
}

/// Whether the folder has an entry for this file, even a dangling link or a partial download. `Path::exists` would call
/// those absent; opening them reports what is wrong.
#[must_use]
pub fn is_named(path: &Path) -> bool {
    path.symlink_metadata().is_ok() || matches!(StandIn::at(path), Some(StandIn::Unfinished { .. }))
}

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_without_its_mark_and_a_wrong_byte_is_placed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, "\u{feff}{}").unwrap();
        assert_eq!(read_text(&path).unwrap(), "{}");
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(read_text(&path).unwrap(), "{}");
        std::fs::write(&path, b"\xef\xbb\xbfab\xff").unwrap();
        let error = read_text(&path).unwrap_err();
        assert!(matches!(error, FileError::NotUtf8 { byte: 0xff, at: 5, .. }), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(read_text(&path).unwrap_err().is_missing());
        assert!(!is_named(&path));
    }
}
