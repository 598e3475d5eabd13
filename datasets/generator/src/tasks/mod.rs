//! The eight tasks. Each module makes one row at a time for a given label; [`Task::splits`] gathers them into splits.
//!
//! Labels come first: how many rows of each label a split has is fixed, the order is shuffled, and a row is drawn until
//! one of the wanted label comes out that no split of the task has had.

pub mod cola;
mod cola_clauses;
mod cola_forms;
mod cola_words;
pub(crate) mod entail;
mod mnli;
pub(crate) mod mrpc;
mod premise;
pub mod qnli;
pub mod qqp;
mod rte;
pub mod sst2;
mod stsb;

use std::collections::HashSet;

use crate::dice::Dice;
use crate::lexicon::{Topic, lexicon};

/// One example: its texts and its label as the official file writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// One or two texts.
    pub texts: Vec<String>,
    /// The label.
    pub label: String,
    /// A word on its origin for the columns that have one: topic or kind.
    pub source: &'static str,
}

/// The rows of one official file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// `train`, `dev`, `dev_matched`, `dev_mismatched`
    pub name: &'static str,
    /// In their order.
    pub rows: Vec<Row>,
}

/// How many rows the files get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Training rows of CoLA, MRPC, RTE, STS-B and MNLI; of SciTail and PAWS; of WSC and CB.
    pub train: usize,
    /// Training rows of QQP, QNLI and SST-2, and of MRQA's tasks, WinoGrande and Yelp, which give 1,000 of them to
    /// validation; of MultiRC (answers), BoolQ and WiC.
    pub train_large: usize,
    /// Development rows of CoLA, MRPC, RTE, STS-B and SciTail, which are halved into validation and test, and of each
    /// of PAWS' two files; of WSC and CB, which are halved too.
    pub dev: usize,
    /// Development rows of QQP, QNLI and SST-2, of each of MNLI's two files, and of MRQA's tasks, WinoGrande and Yelp; of
    /// MultiRC (answers), BoolQ and WiC, which are halved.
    pub dev_large: usize,
}

impl Sizes {
    /// What the committed files have.
    pub const DEFAULT: Self = Self {
        train: 3000,
        train_large: 4000,
        dev: 800,
        dev_large: 500,
    };
}

/// Makes a row of a label, or nothing if this draw did not work out.
pub(crate) type Make = fn(&mut Dice, &'static [Topic], usize) -> Option<Row>;

/// A task's splits as its maker fills them.
#[derive(Debug)]
pub struct Task {
    /// The folder in the official archive.
    pub folder: &'static str,
    /// Labels, as weights in percent.
    pub(crate) weights: &'static [usize],
    /// The longest text in words.
    pub(crate) limit: usize,
    pub(crate) make: Make,
    pub(crate) large: bool,
}

/// The tasks in the order of GLUE's paper.
pub const TASKS: [Task; 8] = [
    Task {
        folder: "CoLA",
        weights: &[32, 68],
        limit: 20,
        make: cola::row,
        large: false,
    },
    Task {
        folder: "SST-2",
        weights: &[45, 55],
        limit: 26,
        make: sst2::row,
        large: true,
    },
    Task {
        folder: "MRPC",
        weights: &[33, 67],
        limit: 25,
        make: mrpc::row,
        large: false,
    },
    Task {
        folder: "STS-B",
        weights: &[20, 20, 20, 20, 20],
        limit: 18,
        make: stsb::row,
        large: false,
    },
    Task {
        folder: "QQP",
        weights: &[63, 37],
        limit: 20,
        make: qqp::row,
        large: true,
    },
    Task {
        folder: "MNLI",
        weights: &[34, 33, 33],
        limit: 24,
        make: mnli::row,
        large: false,
    },
    Task {
        folder: "QNLI",
        weights: &[50, 50],
        limit: 26,
        make: qnli::row,
        large: true,
    },
    Task {
        folder: "RTE",
        weights: &[50, 50],
        limit: 34,
        make: rte::row,
        large: false,
    },
];

impl Task {
    /// All splits of the task, train first, with no row that is in `taken`.
    ///
    /// # Errors
    /// [`Exhausted`] where the sizes ask for more than there is.
    pub fn splits(&self, seed: u64, sizes: &Sizes, taken: &[Split]) -> Result<Vec<Split>, Exhausted> {
        let (all, common, unseen) = (
            &lexicon().topics[..],
            lexicon().common_topics(),
            lexicon().unseen_topics(),
        );
        let (train, dev) = if self.large {
            (sizes.train_large, sizes.dev_large)
        } else {
            (sizes.train, sizes.dev)
        };
        let plan = match self.folder {
            "MNLI" => vec![
                ("train", train, common),
                ("dev_matched", sizes.dev_large, common),
                ("dev_mismatched", sizes.dev_large, unseen),
            ],
            _ => vec![("train", train, all), ("dev", dev, all)],
        };
        let mut seen: HashSet<Vec<String>> = taken.iter().flat_map(|split| &split.rows).map(key).collect();
        let mut splits = Vec::new();
        for (name, count, topics) in plan {
            let mut dice = Dice::new(seed, &format!("{}/{name}", self.folder));
            let rows = self.rows(count, topics, &mut dice, &mut seen)?;
            splits.push(Split { name, rows });
        }
        Ok(splits)
    }

    /// Different rows of the wanted labels, none of which has been seen.
    pub(crate) fn rows(
        &self,
        count: usize,
        topics: &'static [Topic],
        dice: &mut Dice,
        seen: &mut HashSet<Vec<String>>,
    ) -> Result<Vec<Row>, Exhausted> {
        let total: usize = self.weights.iter().sum();
        let mut labels = Vec::with_capacity(count);
        for (label, weight) in self.weights.iter().enumerate() {
            labels.extend(std::iter::repeat_n(label, count * weight / total));
        }
        // What rounding left over goes to the last label.
        labels.resize(count, self.weights.len() - 1);
        dice.shuffle(&mut labels);
        let mut rows = Vec::with_capacity(count);
        for label in labels {
            let row = (0..ATTEMPTS).find_map(|_| {
                let row = (self.make)(dice, topics, label)?;
                let long = row.texts.iter().any(|text| text.split(' ').count() > self.limit);
                (!long && !says_a_word_twice(&row) && seen.insert(key(&row))).then_some(row)
            });
            let (task, expected, found) = (self.folder, count, rows.len());
            rows.push(row.ok_or(Exhausted { task, expected, found })?);
        }
        Ok(rows)
    }
}

/// Draws for one row before the task counts as exhausted.
pub(crate) const ATTEMPTS: usize = 20_000;

/// More different rows were asked for than the grammar gives.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{task}: asked for {expected} different rows, but no new one came after {found}")]
pub struct Exhausted {
    /// The task.
    pub task: &'static str,
    /// Rows asked for.
    pub expected: usize,
    /// Rows there were.
    pub found: usize,
}

/// The texts without order and case: a pair and the same pair turned round count as one.
pub fn key(row: &Row) -> Vec<String> {
    let mut texts: Vec<String> = row.texts.iter().map(|text| text.to_lowercase()).collect();
    texts.sort();
    texts
}

/// `at home at home`, or two texts that are one: draws that did not work out.
fn says_a_word_twice(row: &Row) -> bool {
    let doubled = |text: &String| {
        let words: Vec<&str> = text.split(' ').collect();
        words.windows(2).any(|pair| pair[0].eq_ignore_ascii_case(pair[1]))
    };
    row.texts.iter().any(doubled) || row.texts.len() == 2 && row.texts[0] == row.texts[1]
}
