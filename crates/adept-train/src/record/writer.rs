//! Writing of a record, and of the event file made from it.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use adept_data::text::decoded;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::folder::RunFolder;
use crate::tensorboard::{Charted, EventFile};

/// A line of a record: a [`Line`](super::Line), or that of another loop.
pub trait RecordLine: Serialize + DeserializeOwned + Charted {}

impl<L: Serialize + DeserializeOwned + Charted> RecordLine for L {}

/// A line as it is written.
#[derive(Serialize, Deserialize)]
struct Timed<L> {
    #[serde(flatten)]
    line: L,
    /// Time of writing, in seconds since 1970; missing in older records.
    #[serde(default)]
    time: Option<f64>,
}

/// Appends lines to a record.
#[derive(Debug)]
pub struct RecordWriter<L> {
    path: PathBuf,
    file: BufWriter<File>,
    events: Option<EventFile>,
    lines: PhantomData<fn(&L)>,
}

impl<L: RecordLine> RecordWriter<L> {
    /// Opens the record of a run and truncates it to its first `length` bytes: 0 for a new run, the length stored in
    /// the checkpoint for a resumed one, so that events after the checkpoint are not recorded twice. With `tensorboard`
    /// an event file is kept beside it.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn of_run(folder: &RunFolder, length: u64, tensorboard: bool) -> Result<Self, TrainError> {
        let record = Self::open(&folder.record(), length)?;
        match tensorboard {
            true => record.with_events(&folder.events()),
            false => Ok(record),
        }
    }

    fn open(path: &Path, length: u64) -> Result<Self, TrainError> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(TrainError::io("open", path))?;
        let found = file.metadata().map_err(TrainError::io("read", path))?.len();
        // A record shorter than its checkpoint was modified by someone else; continue from what is there.
        let keep = length.min(found);
        file.set_len(keep).map_err(TrainError::io("cut", path))?;
        file.seek(SeekFrom::End(0)).map_err(TrainError::io("read", path))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            events: None,
            lines: PhantomData,
        })
    }

    /// Makes the event file at `path` hold the record's lines, and appends further lines to it.
    fn with_events(mut self, path: &Path) -> Result<Self, TrainError> {
        let bytes = std::fs::read(&self.path).map_err(TrainError::read("read", &self.path))?;
        let written = decoded(&self.path, &bytes)?.lines();
        // A line that this version cannot read has no event; whoever reads the record for its results will say so.
        let known: Vec<Timed<L>> = written.filter_map(|line| serde_json::from_str(line).ok()).collect();
        let start = known.iter().find_map(|line| line.time).unwrap_or_else(now);
        let lines: Vec<(L, f64)> = known
            .into_iter()
            .map(|Timed { line, time }| (line, time.unwrap_or(start)))
            .collect();
        self.events = Some(EventFile::open(path, &lines)?);
        Ok(self)
    }

    /// Appends one line. Call [`Self::flush`] to sync it to disk.
    pub fn write(&mut self, line: &L) -> Result<(), TrainError> {
        let time = now();
        let timed = Timed { line, time: Some(time) };
        let mut text = serde_json::to_vec(&timed).map_err(|source| TrainError::Json {
            path: self.path.clone(),
            line: 1,
            source,
        })?;
        text.push(b'\n');
        self.file
            .write_all(&text)
            .map_err(TrainError::io("write", &self.path))?;
        match &mut self.events {
            Some(events) => events.append(line, time),
            None => Ok(()),
        }
    }

    /// Syncs to disk and returns the record's length in bytes.
    pub fn flush(&mut self) -> Result<u64, TrainError> {
        self.file.flush().map_err(TrainError::io("write", &self.path))?;
        self.file
            .get_ref()
            .sync_data()
            .map_err(TrainError::io("flush", &self.path))?;
        self.file
            .get_ref()
            .metadata()
            .map(|data| data.len())
            .map_err(TrainError::io("read", &self.path))
    }
}

/// Seconds since 1970, to a millisecond.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // A clock before 1970 is set wrong; times are for display alone.
    since.map_or(0.0, |since| since.as_millis() as f64 / 1000.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::record::{Line, Step, read};
    use crate::tensorboard::EVENT_FILE;

    fn step(step: usize) -> Line {
        Line::Step(Step {
            step,
            loss: 0.125,
            gradient_norm: 1.0 / 3.0,
            learning_rates: [("prompt".to_owned(), 0.3)].into(),
            samples_per_second: 10.0,
            tokens_per_second: 100.0,
            seconds: 1.5,
        })
    }

    #[test]
    fn lines_read_back_and_are_cut_at_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.jsonl");
        let mut record = RecordWriter::open(&path, 0).unwrap();
        record.write(&step(1)).unwrap();
        let length = record.flush().unwrap();
        record.write(&step(2)).unwrap();
        record.flush().unwrap();
        assert_eq!(read(&path).unwrap(), [step(1), step(2)]);

        // A kill in the middle of a line: readers skip the torn line, resuming truncates it.
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"event\":\"st")
            .unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        let mut record = RecordWriter::open(&path, length).unwrap();
        record.write(&step(3)).unwrap();
        record.flush().unwrap();
        assert_eq!(read(&path).unwrap(), [step(1), step(3)]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let mut record = RecordWriter::<Line> {
            path: "run/record.jsonl".into(),
            events: None,
            lines: PhantomData,
            file: BufWriter::new(File::options().write(true).open("/dev/full").unwrap()),
        };
        record.write(&step(1)).unwrap();
        let error = record.flush().unwrap_err().to_string();
        assert!(
            error.starts_with("cannot write run/record.jsonl: No space left on device"),
            "{error}"
        );
    }

    /// The events are those of the record, whatever happened to either file.
    #[test]
    fn the_event_file_follows_the_record() {
        let folder = tempfile::tempdir().unwrap();
        let (path, events) = (folder.path().join("record.jsonl"), folder.path().join(EVENT_FILE));
        let open = |length| {
            let record = RecordWriter::open(&path, length).unwrap();
            record.with_events(&events).unwrap()
        };
        let mut record = open(0);
        record.write(&step(1)).unwrap();
        let length = record.flush().unwrap();
        let kept = std::fs::read(&events).unwrap();
        record.write(&step(2)).unwrap();
        record.flush().unwrap();
        let longer = std::fs::read(&events).unwrap();
        assert!(longer.len() > kept.len() && longer.starts_with(&kept));

        // Appending to a whole record changes nothing, resuming at a checkpoint cuts both.
        drop(open(u64::MAX));
        assert!(std::fs::read(&events).unwrap() == longer);
        drop(open(length));
        assert!(std::fs::read(&events).unwrap() == kept);
        std::fs::remove_file(&events).unwrap();
        drop(open(length));
        assert!(std::fs::read(&events).unwrap() == kept);

        // Lines of versions that wrote no times, and lines that only another version can read.
        let timeless = "{\"event\":\"later\"}\n".to_owned() + &serde_json::to_string(&step(1)).unwrap() + "\n";
        std::fs::write(&path, timeless).unwrap();
        drop(open(u64::MAX));
        assert_eq!(std::fs::read(&events).unwrap().len(), kept.len());
    }
}
