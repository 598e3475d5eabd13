//! A run's record as an event file that TensorBoard reads.
//!
//! The file holds nothing of its own: each event is made from one line of the record ([`Charted`]) and from the time
//! stamped on that line. It is appended to while a run lasts, and made anew from the record where a run is resumed, so
//! that no step is in it twice.
//!
//! Learning curves are scalars; settings and the end of a run are in the form of TensorBoard's hparams plugin, which
//! compares runs.

mod chart;
mod frame;
mod messages;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::TrainError;
use crate::folder::write_atomic;
use frame::frame;
use messages::Event;

pub use chart::{Chart, Charted, Session};

/// Name of the event file in a run's folder. TensorBoard takes any file for one whose name contains `tfevents`.
pub const EVENT_FILE: &str = "events.out.tfevents.adept";

/// Format of event files, in their first event.
const FILE_VERSION: &str = "brain.Event:2";

/// An event file that is appended to.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: File,
    /// Whether the file has no event yet.
    is_empty: bool,
}

impl EventFile {
    /// Opens the event file of a record with these lines (and the time of each, in seconds since 1970). Contents that
    /// belong to other lines are replaced.
    pub fn open<L: Charted>(path: &Path, lines: &[(L, f64)]) -> Result<Self, TrainError> {
        let mut bytes = lines.first().map_or_else(Vec::new, |(_, time)| version(*time));
        for (line, time) in lines {
            bytes.extend(event(line, *time));
        }
        let is_kept = match fs::read(path) {
            // A running TensorBoard goes on reading a file that is not replaced.
            Ok(found) => found == bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(TrainError::read("read", path)(error)),
        };
        if !is_kept {
            write_atomic(path, &bytes)?;
        }
        let file = File::options().append(true).open(path);
        Ok(Self {
            file: file.map_err(TrainError::io("open", path))?,
            path: path.to_owned(),
            is_empty: bytes.is_empty(),
        })
    }

    /// Appends the event of a line, if it has one. It is not synced: what a crash loses is made again from the record.
    pub fn append(&mut self, line: &impl Charted, time: f64) -> Result<(), TrainError> {
        let mut bytes = event(line, time);
        if std::mem::take(&mut self.is_empty) {
            bytes.splice(0..0, version(time));
        }
        self.file.write_all(&bytes).map_err(TrainError::io("write", &self.path))
    }
}

/// The first event of a file, at the time of its record's first line.
fn version(time: f64) -> Vec<u8> {
    encoded(&Event::version(time, FILE_VERSION))
}

/// A line's event as a frame; empty if the line has none.
fn event(line: &impl Charted, time: f64) -> Vec<u8> {
    line.chart()
        .map_or_else(Vec::new, |chart| encoded(&Event::of(chart, time)))
}

fn encoded(event: &Event) -> Vec<u8> {
    frame(&event.encode_to_vec())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::frame::tests::{bytes_of, unframed};
    use super::messages::{What, tests::scalars};
    use super::*;

    struct Line(usize);

    impl Charted for Line {
        fn chart(&self) -> Option<Chart> {
            (self.0 > 0).then(|| Chart {
                step: self.0,
                scalars: vec![("train/loss".to_owned(), 0.25)],
                session: None,
            })
        }
    }

    /// (step, time) of each event with scalars.
    fn found(path: &Path) -> Vec<(i64, f64)> {
        let events: Vec<Event> = unframed(&fs::read(path).unwrap())
            .iter()
            .map(|data| Event::decode(data.as_slice()).unwrap())
            .collect();
        assert_eq!(events[0].what, Some(What::FileVersion(FILE_VERSION.to_owned())));
        let charted = events[1..].iter();
        charted
            .map(|event| {
                assert_eq!(scalars(event), [("train/loss".to_owned(), 0.25)]);
                (event.step, event.wall_time)
            })
            .collect()
    }

    /// The expected bytes are those of the writer in Python's `tensorboard` 2.21.
    #[test]
    fn the_bytes_are_those_of_tensorboards_own_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(EVENT_FILE);
        EventFile::open(&path, &[(Line(3), 1.5)]).unwrap();
        let expected = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c20000000000000\
                        0029eda95009000000000000f83f10032a130a110a0a747261696e2f6c6f7373150000803e43301b92";
        assert_eq!(fs::read(&path).unwrap(), bytes_of(expected));
    }

    #[test]
    fn events_are_appended_and_made_anew_from_other_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(EVENT_FILE);
        let mut file = EventFile::open(&path, &[(Line(0), 1.0)]).unwrap();
        file.append(&Line(2), 2.0).unwrap();
        file.append(&Line(4), 3.0).unwrap();
        assert_eq!(found(&path), [(2, 2.0), (4, 3.0)]);

        // Resumed after step 2: what was written later goes.
        let mut file = EventFile::open(&path, &[(Line(0), 1.0), (Line(2), 2.0)]).unwrap();
        file.append(&Line(4), 9.0).unwrap();
        assert_eq!(found(&path), [(2, 2.0), (4, 9.0)]);

        // A torn end, as a kill may leave, goes as well.
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        EventFile::open(&path, &[(Line(0), 1.0), (Line(2), 2.0), (Line(4), 9.0)]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_with_the_same_events_is_not_replaced() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(EVENT_FILE);
        let mut file = EventFile::open::<Line>(&path, &[]).unwrap();
        file.append(&Line(2), 2.0).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        EventFile::open(&path, &[(Line(2), 2.0)]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
    }
}
