//! A folder of files encoded in one input: a line `==> NAME` begins a file, which ends before the next such line.
//! Shared by the property tests of every crate and the fuzz targets (`fuzz/` at the repository's root).
// Each user needs only a part of it.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

const MARK: &[u8] = b"==> ";

/// A folder, and the files that an input may provide.
pub struct Folder {
    root: tempfile::TempDir,
    files: &'static [&'static str],
    /// Content of files that an input leaves out.
    defaults: Vec<(&'static str, Vec<u8>)>,
}

impl Folder {
    /// A folder for inputs with any of these files.
    pub fn new(files: &'static [&'static str]) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let parent = root.path().join(file).parent().map(Path::to_path_buf);
            fs::create_dir_all(parent.expect("a file in the folder")).expect("a writable folder");
        }
        Self {
            root,
            files,
            defaults: Vec::new(),
        }
    }

    /// Sets the content of a file that an input leaves out.
    pub fn with(mut self, file: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        self.defaults.push((file, bytes.into()));
        self
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes the files of an input, replacing those of the previous one.
    pub fn fill(&self, input: &[u8]) -> &Path {
        let parts = parts(input);
        for name in self.files {
            let part = parts.iter().rev().find(|(found, _)| *found == name.as_bytes());
            let default = || self.defaults.iter().find(|(found, _)| found == name);
            let bytes = part
                .map(|(_, bytes)| *bytes)
                .or_else(|| default().map(|(_, bytes)| bytes.as_slice()));
            match bytes {
                Some(bytes) => fs::write(self.file(name), bytes).expect("a writable folder"),
                // The file need not exist.
                None => drop(fs::remove_file(self.file(name))),
            }
        }
        self.path()
    }
}

/// Names and contents of an input's files. The line break before a line `==> NAME` belongs to neither file.
pub fn parts(input: &[u8]) -> Vec<(&[u8], &[u8])> {
    let at_line = |at: usize| at == 0 || input[at - 1] == b'\n';
    let begins: Vec<usize> = input
        .windows(MARK.len())
        .enumerate()
        .filter(|(at, window)| *window == MARK && at_line(*at))
        .map(|(at, _)| at)
        .collect();
    let ends = begins.iter().skip(1).map(|at| at - 1).chain([input.len()]);
    begins
        .iter()
        .zip(ends)
        .map(|(&begin, end)| {
            let part = &input[begin + MARK.len()..end.max(begin + MARK.len())];
            match part.iter().position(|byte| *byte == b'\n') {
                Some(line) => (&part[..line], &part[line + 1..]),
                None => (part, &part[part.len()..]),
            }
        })
        .collect()
}

/// Encodes files as an input.
pub fn join(parts: &[(&[u8], &[u8])]) -> Vec<u8> {
    let part = |(name, bytes): &(&[u8], &[u8])| [MARK, name, b"\n", bytes].concat();
    parts.iter().map(part).collect::<Vec<_>>().join(&b'\n')
}
