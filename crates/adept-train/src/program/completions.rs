//! Generated programs on disk: one line per program, appended after each batch, so that an interruption costs at most
//! one batch.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// File with the generated programs in a run's folder, one per line. It may be provided before the run; programs in it
/// are not generated again.
pub const COMPLETIONS: &str = "completions.jsonl";

/// A generated program for a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Row of the problem in the task's file.
    pub problem: usize,
    /// Index of the sample, from 0.
    pub sample: usize,
    /// The continuation of the prompt, cut where the program ends.
    pub completion: String,
    /// Number of generated tokens.
    pub tokens: usize,
}

/// The completions so far, and the file that keeps them.
#[derive(Debug, Default)]
pub struct Completions {
    /// `None` where they are kept in memory alone.
    file: Option<(PathBuf, File)>,
    /// By problem and sample.
    found: BTreeMap<(usize, usize), Completion>,
}

impl Completions {
    /// Opens or creates the file. A truncated last line is removed; one that only lacks its line break is kept.
    ///
    /// # Errors
    /// A file that cannot be read or written, or an invalid line other than the last.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let failed = TrainError::io("open", path);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let (mut found, mut whole) = (BTreeMap::new(), 0);
        let mut reader = BufReader::new(&mut file);
        let (mut line, mut is_open) = (Vec::new(), false);
        for number in 1.. {
            line.clear();
            let bytes = reader
                .read_until(b'\n', &mut line)
                .map_err(TrainError::read("read", path))?;
            if bytes == 0 {
                break;
            }
            let is_torn = !line.ends_with(b"\n");
            let completion: Completion = match serde_json::from_slice(&line) {
                Ok(completion) => completion,
                Err(_) if is_torn => break,
                Err(source) => {
                    let path = path.to_owned();
                    return Err(TrainError::Json {
                        path,
                        line: number,
                        source,
                    });
                }
            };
            found.insert((completion.problem, completion.sample), completion);
            whole += bytes as u64;
            is_open = is_torn;
        }
        let failed = TrainError::io("write", path);
        file.set_len(whole)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .and_then(|_| file.write_all(if is_open { b"\n" } else { b"" }))
            .map_err(failed)?;
        Ok(Self {
            file: Some((path.to_owned(), file)),
            found,
        })
    }

    /// Whether the file contains this sample.
    pub fn has(&self, problem: usize, sample: usize) -> bool {
        self.found.contains_key(&(problem, sample))
    }

    /// Appends the completions of a batch, all or none if the disk is full.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn append(&mut self, completions: Vec<Completion>) -> Result<(), TrainError> {
        if let Some((path, file)) = &mut self.file {
            let mut text = Vec::new();
            for completion in &completions {
                serde_json::to_writer(&mut text, completion).map_err(|cause| {
                    TrainError::io("write", path)(std::io::Error::new(std::io::ErrorKind::InvalidData, cause))
                })?;
                text.push(b'\n');
            }
            let failed = TrainError::io("write", path);
            file.write_all(&text).and_then(|()| file.sync_data()).map_err(failed)?;
        }
        let keyed = completions
            .into_iter()
            .map(|found| ((found.problem, found.sample), found));
        self.found.extend(keyed);
        Ok(())
    }

    /// Tokens of all completions.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.found.values().map(|completion| completion.tokens).sum()
    }

    /// All completions, by problem and sample.
    pub fn all(&self) -> &BTreeMap<(usize, usize), Completion> {
        &self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(problem: usize, sample: usize) -> Completion {
        Completion {
            problem,
            sample,
            completion: format!("\treturn {problem}\n"),
            tokens: 4,
        }
    }

    #[test]
    fn lines_come_back_and_a_torn_one_is_written_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("completions.jsonl");
        let mut file = Completions::open(&path).expect("a new file");
        file.append(vec![completion(3, 0), completion(3, 1)])
            .expect("a writable folder");
        file.append(vec![completion(4, 0)]).expect("a writable folder");
        let whole = std::fs::read(&path).expect("the file");
        for cut in 1..20 {
            std::fs::write(&path, &whole[..whole.len() - cut]).expect("a writable folder");
            let mut again = Completions::open(&path).expect("a torn file");
            // The last line is complete if it only lacks its line break.
            assert!(again.has(3, 1) && again.has(4, 0) == (cut == 1), "{cut}");
            if cut > 1 {
                again.append(vec![completion(4, 0)]).expect("a writable folder");
            }
            assert_eq!(std::fs::read(&path).expect("the file"), whole);
        }
        let all = Completions::open(&path).expect("a whole file").found;
        assert_eq!(
            all.into_values().collect::<Vec<_>>(),
            [completion(3, 0), completion(3, 1), completion(4, 0)]
        );
    }

    #[test]
    fn a_line_that_is_no_completion_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("completions.jsonl");
        std::fs::write(&path, "{\"problem\": 1}\n").expect("a writable folder");
        let error = Completions::open(&path).expect_err("no completion").to_string();
        assert!(
            error.contains("completions.jsonl") && error.contains("line 1"),
            "{error}"
        );
    }
}
