//! Run folders with arbitrary bytes, and what must hold for whatever is read from them. Shared by the property tests
//! here and the fuzz targets (`fuzz/` at the repository's root).

use std::fs;
use std::path::Path;

use adept_train::TrainError;
use adept_train::checkpoint::{self, Identity, Loaded, Progress};
use adept_train::folder::{RunFolder, read_json};
use adept_train::pretrain::record::PretrainLine;
use adept_train::record::{self, Line, RunResult, Selection};

use crate::input::Folder;

const STATE: &str = "step-00000010/state.json";
const TENSORS: &str = "step-00000010/tensors.safetensors";

/// A folder of checkpoints, one of which is the input's.
pub struct ManifestFeed(Folder);

impl ManifestFeed {
    /// Inputs are a checkpoint's two files.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(Folder::new(&[STATE, TENSORS]))
    }

    /// Looks for the newest checkpoint. Wrong checksums are corrected, so that other damage is detected.
    ///
    /// # Panics
    /// If the reader panics, or if an error does not name the file at fault.
    pub fn check(&self, input: &[u8]) -> Result<Option<Loaded>, TrainError> {
        let folder = self.0.fill(input);
        for _ in 0..3 {
            let found = newest(folder);
            let Some((wrong, right)) = found.as_ref().err().and_then(checksums) else {
                return found;
            };
            let file = self.0.file(STATE);
            // It need not be UTF-8: the reader skips unknown fields.
            let mut text = fs::read(&file).expect("it was parsed a moment ago");
            let place = text.windows(wrong.len()).position(|part| part == wrong.as_bytes());
            // It may be written with escapes.
            let Some(place) = place else { return found };
            text.splice(place..place + wrong.len(), right.bytes());
            fs::write(file, text).expect("a writable folder");
        }
        newest(folder)
    }
}

fn newest(folder: &Path) -> Result<Option<Loaded>, TrainError> {
    let found = checkpoint::newest::<Progress, Identity>(folder);
    if let Err(error) = &found {
        let message = error.to_string();
        let named = ["step-00000010: state.json: ", "step-00000010: tensors.safetensors: "];
        assert!(named.iter().any(|name| message.contains(name)), "no file: {message}");
    }
    found
}

/// The stated and the actual checksum of a file.
fn checksums(error: &TrainError) -> Option<(String, String)> {
    let TrainError::NoUsableCheckpoint { tried, .. } = error else {
        return None;
    };
    let (_, sums) = tried.first()?.split_once(": checksum ")?;
    let (right, wrong) = sums.split_once(", expected ")?;
    (!wrong.is_empty()).then(|| (wrong.to_owned(), right.to_owned()))
}

/// A run's folder.
pub struct RecordFeed(Folder);

/// The files of a run's folder that could be read.
#[derive(Debug, Default)]
pub struct RecordFiles {
    pub lines: Option<Vec<Line>>,
    pub pretrain_lines: Option<Vec<PretrainLine>>,
    pub result: Option<RunResult>,
    pub selection: Option<Selection>,
}

impl RecordFeed {
    /// Inputs are a record, a result and the selection of `best/`.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(Folder::new(&[
            "record.jsonl",
            "result.json",
            "best/selection.json",
            "best/weights",
        ]))
    }

    /// Reads each of them.
    ///
    /// # Panics
    /// If a reader panics, if an error does not name its file, or if a line does not survive a round trip.
    pub fn check(&self, input: &[u8]) -> RecordFiles {
        let folder = self.0.fill(input);
        let named = |error: &TrainError| {
            let message = error.to_string();
            assert!(
                message.contains(&folder.display().to_string()),
                "no file of the folder: {message}"
            );
        };
        let record = self.0.file("record.jsonl");
        let lines = record::read(&record).inspect_err(named).ok();
        for line in lines.iter().flatten() {
            let text = serde_json::to_string(line).expect("a line that was read");
            assert_eq!(serde_json::from_str::<Line>(&text).ok().as_ref(), Some(line));
        }
        let selection = match RunFolder::open(folder) {
            Ok(run) => {
                let selection = run.selection().inspect_err(named).ok().flatten();
                if let Some(selection) = &selection {
                    let _ = RunFolder::verify_best(&run.best(), selection).inspect_err(named);
                }
                selection
            }
            Err(error) => {
                named(&error);
                None
            }
        };
        RecordFiles {
            lines,
            pretrain_lines: record::read_lines(&record).inspect_err(named).ok(),
            result: read_json(&self.0.file("result.json")).inspect_err(named).ok(),
            selection,
        }
    }
}
