//! A synthetic sample of the paper's five tasks of SuperGLUE, in the JSON lines of its archive: MultiRC, BoolQ, WiC,
//! WSC and CB.
//!
//! MultiRC and BoolQ ask about the stories of Table 4's tasks, WSC has the relations of WinoGrande, CB embeds an event
//! in what someone says of it, and WiC has words of two senses of its own (`senses`).

mod boolq;
mod cb;
mod multirc;
mod senses;
mod wic;
mod wsc;

use std::collections::HashSet;

use serde::Serialize;

use crate::dice::Dice;
use crate::table4::SampleError;
use crate::tasks::{ATTEMPTS, Exhausted, Sizes};
use crate::write::SampleFile;

/// What the committed files of SuperGLUE's sample have. The readers halve the development files into validation and test.
pub const SIZES: Sizes = Sizes {
    train: 600,
    train_large: 1600,
    dev: 400,
    dev_large: 400,
};

/// Rows of a file, none of which has a key that has been seen.
type Rows<R> = fn(usize, &mut Dice, &mut HashSet<String>) -> Result<Vec<R>, Exhausted>;

/// Every file, made in memory: a pure function of its arguments. With `apart_from` no text is one that this seed gives
/// in the default sizes.
///
/// # Errors
/// [`SampleError::Exhausted`] where the sizes ask for more than there is.
pub fn files(seed: u64, sizes: &Sizes, apart_from: Option<u64>) -> Result<Vec<SampleFile>, SampleError> {
    let maker = Maker {
        seed,
        sizes,
        apart_from,
    };
    let mut files = Vec::new();
    files.extend(maker.task(multirc::FOLDER, true, multirc::rows)?);
    files.extend(maker.task(boolq::FOLDER, true, boolq::rows)?);
    files.extend(maker.task(wic::FOLDER, true, wic::rows)?);
    files.extend(maker.task(wsc::FOLDER, false, wsc::rows)?);
    files.extend(maker.task(cb::FOLDER, false, cb::rows)?);
    Ok(files)
}

/// What all files have in common.
struct Maker<'a> {
    seed: u64,
    sizes: &'a Sizes,
    apart_from: Option<u64>,
}

impl Maker<'_> {
    /// A task's two files.
    fn task<R: Serialize>(
        &self,
        folder: &'static str,
        large: bool,
        rows: Rows<R>,
    ) -> Result<[SampleFile; 2], SampleError> {
        let mut seen = HashSet::new();
        if let Some(other) = self.apart_from {
            splits(folder, large, rows, (other, &SIZES), &mut seen)?;
        }
        let [train, dev] = splits(folder, large, rows, (self.seed, self.sizes), &mut seen)?;
        let file = |name: &str, rows: &[R]| -> Result<SampleFile, SampleError> {
            let mut text = String::new();
            for row in rows {
                text += &serde_json::to_string(row).map_err(|source| SampleError::Json { task: folder, source })?;
                text.push('\n');
            }
            let name = format!("{folder}/{name}.jsonl");
            Ok(SampleFile { name, text })
        };
        Ok([file("train", &train)?, file("val", &dev)?])
    }
}

fn splits<R>(
    folder: &'static str,
    large: bool,
    rows: Rows<R>,
    (seed, sizes): (u64, &Sizes),
    seen: &mut HashSet<String>,
) -> Result<[Vec<R>; 2], Exhausted> {
    let (train, dev) = if large {
        (sizes.train_large, sizes.dev_large)
    } else {
        (sizes.train, sizes.dev)
    };
    let dice = |split: &str| Dice::new(seed, &format!("superglue/{folder}/{split}"));
    Ok([
        rows(train, &mut dice("train"), seen)?,
        rows(dev, &mut dice("val"), seen)?,
    ])
}

/// Something to be told apart from what has been before.
trait Keyed {
    /// Texts none of which may come again, in lower case.
    fn keys(&self) -> Vec<String>;
}

/// Draws until one works out and has nothing that has been seen. The numbers are those of the rows there are and of those wanted.
fn draw<T: Keyed>(
    task: &'static str,
    (found, expected): (usize, usize),
    dice: &mut Dice,
    seen: &mut HashSet<String>,
    make: impl Fn(&mut Dice) -> Option<T>,
) -> Result<T, Exhausted> {
    let new = (0..ATTEMPTS).find_map(|_| {
        let one = make(dice)?;
        one.keys().iter().all(|key| !seen.contains(key)).then_some(one)
    });
    let one = new.ok_or(Exhausted { task, expected, found })?;
    seen.extend(one.keys());
    Ok(one)
}

/// Labels of a file in random order: each of `classes` equally often, as nearly as `count` allows.
fn labels(classes: usize, count: usize, dice: &mut Dice) -> Vec<usize> {
    let mut labels: Vec<usize> = (0..count).map(|row| row % classes).collect();
    dice.shuffle(&mut labels);
    labels
}
