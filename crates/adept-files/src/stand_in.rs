//! What may take the place of an expected file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Something in a file's place. `Display` says what it is and how to get the file itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StandIn {
    /// A dangling link.
    #[error(
        "a dangling link to {}; restore the target or fetch the file again (`adept fetch NAME`)",
        target.display()
    )]
    Link {
        /// The link's target.
        target: PathBuf,
    },
    /// A file of zero bytes.
    #[error("an empty file; copy it again or fetch it with `adept fetch NAME`")]
    Empty,
    /// A Git LFS pointer.
    #[error(
        "a Git LFS pointer, not the file{}; run `git lfs pull` in its folder or fetch it with `adept fetch NAME`",
        bytes.map(|bytes| format!(" of {bytes} bytes")).unwrap_or_default()
    )]
    LfsPointer {
        /// Size of the actual file, if the pointer states it.
        bytes: Option<u64>,
    },
    /// A git-annex pointer.
    #[error("a git-annex pointer, not the file; run `git annex get` in its folder or fetch it with `adept fetch NAME`")]
    AnnexPointer,
    /// An HTML or XML page.
    #[error(
        "a web page (HTML or XML), not the file: the server sent a page instead; download the file itself \
         (`adept fetch NAME`)"
    )]
    Markup,
    /// A server's error response, saved as if it were the file.
    #[error("a server's error response, `{text}`, not the file; fetch it with `adept fetch NAME`")]
    Answer {
        /// The first line of the response, at most 80 characters.
        text: String,
    },
    /// A partial download next to the missing file.
    #[error("an unfinished download: only {} exists; finish it or fetch the file with `adept fetch NAME`", partial.display())]
    Unfinished {
        /// The partial file.
        partial: PathBuf,
    },
}

/// Start of a Git LFS pointer, up to the version.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";
/// The LFS specification keeps pointers below this size; the known error responses are smaller, too.
const SMALL: usize = 1024;
/// How error responses of the Hugging Face hub and GitHub begin.
const ANSWERS: [&str; 8] = [
    "Entry not found",
    "Repository not found",
    "Invalid username or password",
    "Invalid credentials",
    "Unauthorized",
    "Access to model",
    "Access to dataset",
    "404: Not Found",
];
/// How web pages begin, lower-cased.
const MARKUP: [&str; 4] = ["<!doctype html", "<html", "<head", "<?xml"];
/// Suffixes that download tools append to unfinished files.
const UNFINISHED: [&str; 5] = [".incomplete", ".part", ".partial", ".crdownload", ".download"];

impl StandIn {
    /// Detects a stand-in at `path`. `None` if it may be the file itself, or if nothing is there.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let Ok(about) = path.metadata() else {
            return Self::in_place_of_missing(path);
        };
        if !about.is_file() {
            return None;
        }
        if about.len() == 0 {
            return Some(Self::Empty);
        }
        let mut start = Vec::with_capacity(SMALL);
        // An unreadable file is not a stand-in: opening it reports the system's error.
        File::open(path).ok()?.take(SMALL as u64).read_to_end(&mut start).ok()?;
        Self::of_start(&start)
    }

    /// Detects a stand-in from a file's first bytes (1024 suffice). `None` if it may be the file itself; empty input
    /// yields `None` as well.
    #[must_use]
    pub fn of_start(start: &[u8]) -> Option<Self> {
        if start.starts_with(LFS) {
            return Some(Self::LfsPointer { bytes: lfs_size(start) });
        }
        if start.starts_with(b"/annex/objects/") {
            return Some(Self::AnnexPointer);
        }
        let text = String::from_utf8_lossy(&start[..start.len().min(SMALL)]);
        let text = text.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
        let lower = text.get(..16).unwrap_or(text).to_ascii_lowercase();
        if MARKUP.iter().any(|begin| lower.starts_with(begin)) {
            return Some(Self::Markup);
        }
        if start.len() < SMALL && ANSWERS.iter().any(|begin| text.starts_with(begin)) {
            return Some(Self::Answer {
                text: text.lines().next().unwrap_or_default().chars().take(80).collect(),
            });
        }
        None
    }

    fn in_place_of_missing(path: &Path) -> Option<Self> {
        if let Ok(target) = path.read_link() {
            return Some(Self::Link { target });
        }
        let name = path.file_name()?;
        let partial = |end: &str| {
            let mut name = name.to_owned();
            name.push(end);
            path.with_file_name(name)
        };
        UNFINISHED
            .into_iter()
            .map(partial)
            .find(|partial| partial.is_file())
            .map(|partial| Self::Unfinished { partial })
    }
}

/// The `size` line of an LFS pointer.
fn lfs_size(pointer: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(pointer).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("size ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(start: &[u8], expected: Option<StandIn>, words: &str) {
        let found = StandIn::of_start(start);
        assert_eq!(found, expected);
        if let Some(found) = found {
            assert!(found.to_string().contains(words), "{found}");
        }
    }

    #[test]
    fn the_first_bytes_tell() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 891646390\n";
        let lfs = |bytes| Some(StandIn::LfsPointer { bytes });
        check(pointer, lfs(Some(891_646_390)), "891646390 bytes; run `git lfs pull`");
        check(&pointer[..50], lfs(None), "git lfs pull");
        check(
            b"/annex/objects/SHA256E-s1--ab",
            Some(StandIn::AnnexPointer),
            "git annex get",
        );
        for page in [
            "<!DOCTYPE html>",
            "\n\u{feff} <html lang=en>",
            "<?xml version=\"1.0\"?><Error/>",
            "<html>",
        ] {
            check(page.as_bytes(), Some(StandIn::Markup), "web page");
        }
        let answer = StandIn::Answer {
            text: "Entry not found".to_owned(),
        };
        check(b"Entry not found\n", Some(answer), "`Entry not found`");
    }

    #[test]
    fn files_pass_for_what_they_are() {
        let long = [b"Entry not found in a long text. ".as_slice(); 40].concat();
        for file in [
            b"".as_slice(),
            b"{\"model_type\": \"t5\"}",
            b"\x40\0\0\0\0\0\0\0{\"__metadata__\":{}}",
            b"PK\x03\x04",
            b"<s> is where a text begins",
            &long,
            "ä".repeat(600).as_bytes(),
        ] {
            check(file, None, "");
        }
    }

    #[test]
    fn places_tell_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        assert_eq!(StandIn::at(&path), None);
        let partial = folder.path().join("model.safetensors.incomplete");
        std::fs::write(&partial, "x").unwrap();
        assert_eq!(StandIn::at(&path), Some(StandIn::Unfinished { partial }));
        assert!(crate::is_named(&path));
        std::fs::write(&path, "").unwrap();
        assert_eq!(StandIn::at(&path), Some(StandIn::Empty));
        std::fs::write(&path, "<html>").unwrap();
        assert_eq!(StandIn::at(&path), Some(StandIn::Markup));
        std::fs::write(&path, "weights").unwrap();
        assert_eq!(StandIn::at(&path), None);
        assert_eq!(StandIn::at(folder.path()), None, "a folder is for whoever opens it");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_is_told_from_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::os::unix::fs::symlink("../blobs/ab", &path).unwrap();
        let found = StandIn::at(&path).unwrap();
        assert!(found.to_string().contains("../blobs/ab"), "{found}");
        assert!(crate::is_named(&path) && !path.exists());
    }
}
