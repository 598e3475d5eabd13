//! A synthetic sample of the eight tasks of the paper's Table 4, in the forms of their official files: MRQA 2019's
//! NaturalQuestions, HotpotQA, SearchQA and NewsQA, and WinoGrande, Yelp polarity, SciTail and PAWS.
//!
//! Answers to questions are spans of the text; stories are made so that exactly one event fits a question (`story`,
//! `ask`). The tasks with classes are made like GLUE's, a row of a wanted label at a time.

pub(crate) mod ask;
mod forms;
mod hotpot;
pub(crate) mod length;
pub mod mrqa;
mod natural_questions;
mod news;
mod paws;
pub(crate) mod relations;
mod scitail;
mod search;
pub(crate) mod story;
pub mod winogrande;
mod yelp;

use std::collections::HashSet;

use mrqa::Document;

use crate::dice::Dice;
use crate::lexicon::{Topic, lexicon};
use crate::tasks::{ATTEMPTS, Exhausted, Sizes, Task};
use crate::write::SampleFile;

/// What the committed files of Table 4's sample have. The readers hold out 1,000 rows of the large tasks' training
/// files for validation.
pub const SIZES: Sizes = Sizes {
    train: 600,
    train_large: 1600,
    dev: 200,
    dev_large: 200,
};

/// Why there is no sample.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// More rows were asked for than there are.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// A line could not be written as JSON.
    #[error("{task}: {source}")]
    Json {
        /// The task.
        task: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

/// A task of MRQA.
struct Reading {
    folder: &'static str,
    /// The data set's name in the shared task, and that of its files.
    dataset: &'static str,
    document: fn(&'static Topic, &mut Dice) -> Option<Document>,
}

const READING: [Reading; 4] = [
    Reading {
        folder: "NQ",
        dataset: "NaturalQuestionsShort",
        document: natural_questions::document,
    },
    Reading {
        folder: "HotpotQA",
        dataset: "HotpotQA",
        document: hotpot::document,
    },
    Reading {
        folder: "SearchQA",
        dataset: "SearchQA",
        document: search::document,
    },
    Reading {
        folder: "NewsQA",
        dataset: "NewsQA",
        document: news::document,
    },
];

/// The tasks with classes of a text or of a pair.
const CLASSES: [Task; 3] = [
    Task {
        folder: "Yelp",
        weights: &[50, 50],
        limit: 80,
        make: yelp::row,
        large: true,
    },
    Task {
        folder: "SciTail",
        weights: &[50, 50],
        limit: 40,
        make: scitail::row,
        large: false,
    },
    Task {
        folder: "PAWS",
        weights: &[50, 50],
        limit: 34,
        make: paws::row,
        large: false,
    },
];

/// Every file, made in memory: a pure function of its arguments. With `apart_from` no text is one that this seed
/// gives in the default sizes.
///
/// # Errors
/// [`SampleError::Exhausted`] where the sizes ask for more than there is.
pub fn files(seed: u64, sizes: &Sizes, apart_from: Option<u64>) -> Result<Vec<SampleFile>, SampleError> {
    let mut files = Vec::new();
    for task in &READING {
        let mut seen = HashSet::new();
        if let Some(other) = apart_from {
            task.splits(other, &SIZES, &mut seen)?;
        }
        for (split, documents) in task.splits(seed, sizes, &mut seen)? {
            let (folder, dataset) = (task.folder, task.dataset);
            let json = |source| SampleError::Json { task: folder, source };
            files.push(SampleFile {
                name: format!("{folder}/{split}/{dataset}.jsonl.gz"),
                text: mrqa::lines(dataset, split, &documents).map_err(json)?,
            });
        }
    }
    let mut seen = HashSet::new();
    if let Some(other) = apart_from {
        gaps(other, &SIZES, &mut seen)?;
    }
    for (split, rows) in gaps(seed, sizes, &mut seen)? {
        let json = |source| SampleError::Json {
            task: winogrande::FOLDER,
            source,
        };
        files.push(SampleFile {
            name: format!("{}/{split}.jsonl", winogrande::FOLDER),
            text: forms::winogrande(&rows).map_err(json)?,
        });
    }
    for task in &CLASSES {
        let mut seen = HashSet::new();
        if let Some(other) = apart_from {
            classes(task, other, &SIZES, &mut seen)?;
        }
        files.extend(classes(task, seed, sizes, &mut seen)?);
    }
    Ok(files)
}

impl Reading {
    fn splits(
        &self,
        seed: u64,
        sizes: &Sizes,
        seen: &mut HashSet<String>,
    ) -> Result<Vec<(&'static str, Vec<Document>)>, Exhausted> {
        let mut splits = Vec::new();
        for (split, count) in [("train", sizes.train_large), ("dev", sizes.dev_large)] {
            let mut dice = Dice::new(seed, &format!("table4/{}/{split}", self.folder));
            splits.push((split, self.documents(count, &mut dice, seen)?));
        }
        Ok(splits)
    }

    /// Documents with `count` questions in all; the last one may have fewer than others.
    fn documents(&self, count: usize, dice: &mut Dice, seen: &mut HashSet<String>) -> Result<Vec<Document>, Exhausted> {
        let (mut documents, mut found) = (Vec::new(), 0);
        while found < count {
            let document = (0..ATTEMPTS).find_map(|_| {
                let document = (self.document)(dice.choose(&lexicon().topics), dice)?;
                let fits = length::document_fits(&document) && !repeats(&document.context);
                (fits && seen.insert(document.context.to_lowercase())).then_some(document)
            });
            let (task, expected) = (self.folder, count);
            let mut document = document.ok_or(Exhausted { task, expected, found })?;
            document.questions.truncate(count - found);
            found += document.questions.len();
            documents.push(document);
        }
        Ok(documents)
    }
}

/// `at home at home`: a draw that did not work out.
pub(crate) fn repeats(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let twice = |length: usize| words.windows(2 * length).any(|pair| pair[..length] == pair[length..]);
    twice(1) || twice(2) || twice(3)
}

fn gaps(
    seed: u64,
    sizes: &Sizes,
    seen: &mut HashSet<String>,
) -> Result<Vec<(&'static str, Vec<winogrande::Gap>)>, Exhausted> {
    let mut splits = Vec::new();
    for (split, count) in [("train_xl", sizes.train_large), ("dev", sizes.dev_large)] {
        let mut dice = Dice::new(seed, &format!("table4/{}/{split}", winogrande::FOLDER));
        splits.push((split, winogrande::rows(count, &mut dice, seen)?));
    }
    Ok(splits)
}

fn classes(
    task: &Task,
    seed: u64,
    sizes: &Sizes,
    seen: &mut HashSet<Vec<String>>,
) -> Result<Vec<SampleFile>, Exhausted> {
    let train = if task.large { sizes.train_large } else { sizes.train };
    let plan: &[(&str, &str, usize)] = match task.folder {
        "Yelp" => &[("train", "train.csv", train), ("test", "test.csv", sizes.dev_large)],
        "SciTail" => &[
            ("train", "tsv_format/scitail_1.0_train.tsv", train),
            ("dev", "tsv_format/scitail_1.0_dev.tsv", sizes.dev),
        ],
        _ => &[
            ("train", "final/train.tsv", train),
            ("dev", "final/dev.tsv", sizes.dev),
            ("test", "final/test.tsv", sizes.dev),
        ],
    };
    let mut files = Vec::new();
    for (split, name, count) in plan {
        let mut dice = Dice::new(seed, &format!("table4/{}/{split}", task.folder));
        let rows = task.rows(*count, &lexicon().topics, &mut dice, seen)?;
        files.push(SampleFile {
            name: format!("{}/{name}", task.folder),
            text: forms::table(task.folder, &rows),
        });
    }
    Ok(files)
}
