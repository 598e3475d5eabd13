//! Rows and lengths of the data sets (paper, appendix D and Table 16).
//!
//! The paper has "the average length of source sentences in the training set" without a unit. Lengths are measured in
//! words, split by white space, and in tokens; the text is the one that a model reads, markers (`sentence1:`) included.

use std::path::{Path, PathBuf};

use adept_data::{
    DataError, DataFile, LoadOptions, Task, TaskData, TextTokenizer, find_task, map_task, task::TargetCard,
};
use adept_train::TrainError;
use adept_train::folder::{claim_grid, write_atomic, write_json};
use serde::Serialize;

use super::{AnalysisError, PaperDatasets, Table16};

/// A data set in the splits of this project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dataset {
    /// Reference name of the task.
    pub task: String,
    /// What its targets are: `class`, `score`, `answer`, `program` or `conversation`.
    pub target_kind: &'static str,
    /// Training rows.
    pub train: usize,
    /// Validation rows.
    pub validation: usize,
    /// Test rows.
    pub test: usize,
    /// Lengths of the training split's sources.
    pub source: MeanLength,
    /// Lengths of the training split's targets.
    pub target: MeanLength,
    /// The files read.
    pub files: Vec<DataFile>,
}

/// Mean length of texts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanLength {
    /// In words split by white space.
    pub words: f64,
    /// In tokens, the end token included; `None` without a tokenizer.
    pub tokens: Option<f64>,
}

/// A data set of the paper that could not be measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MissingDataset {
    /// Reference name of the task.
    pub task: String,
    /// What is missing.
    pub reason: String,
}

/// What Table 16 is made from.
#[derive(Debug)]
pub struct DatasetsOf<'a> {
    /// A folder with a folder for each task, or with folders of such (`glue/RTE`).
    pub data: &'a Path,
    /// Whether the data are synthetic.
    pub synthetic: bool,
    /// The tokenizer that counts tokens, and the folder it comes from.
    pub tokenizer: Option<(TextTokenizer, PathBuf)>,
    /// Output folder.
    pub out: &'a Path,
}

/// Measures every data set at hand and writes `table16.json` and `table16.md`. `reading` is told each task before it is
/// read.
///
/// # Errors
/// Files that are not what they should be, or an output folder that is not ours. Missing files and splits that cannot
/// be made are no error: they are in the table.
pub fn run(of: &DatasetsOf<'_>, reading: &mut dyn FnMut(&Task)) -> Result<Table16, AnalysisError> {
    claim_grid(of.out)?;
    let paper = PaperDatasets::table();
    let in_paper = |task: &&Task| paper.row(task.name()).is_some();
    let further = Task::built_in()
        .iter()
        .filter(|task| !in_paper(task) && Task::own().all(|own| own != *task));
    let quoted = paper.rows.iter().filter_map(|row| Task::named(&row.task).ok());
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for task in quoted.chain(further.cloned()) {
        let tokenizer = of.tokenizer.as_ref().map(|(tokenizer, _)| tokenizer);
        match dataset(&task, of.data, tokenizer, reading).map_err(TrainError::from)? {
            Ok(dataset) => found.push(dataset),
            Err(reason) if in_paper(&&task) => missing.push(MissingDataset {
                task: task.name().to_owned(),
                reason,
            }),
            Err(_) => {}
        }
    }
    let table = Table16::of(of, found, missing, paper);
    write_json(&of.out.join("table16.json"), &table)?;
    write_atomic(&of.out.join("table16.md"), table.markdown().as_bytes())?;
    Ok(table)
}

/// A data set, or what is missing.
fn dataset(
    task: &Task,
    data: &Path,
    tokenizer: Option<&TextTokenizer>,
    reading: &mut dyn FnMut(&Task),
) -> Result<Result<Dataset, String>, DataError> {
    let Some(root) = find_task(data, task)? else {
        return Ok(Err("no folder of its files".to_owned()));
    };
    reading(task);
    let measured = map_task(task, &root, &LoadOptions::default(), |example| {
        Ok([
            lengths(&example.source, tokenizer)?,
            lengths(&example.target, tokenizer)?,
        ])
    });
    match measured {
        Ok(rows) => Ok(Ok(Dataset::of(task, &rows, tokenizer.is_some()))),
        Err(DataError::MissingFile { split, .. }) => Ok(Err(format!("no file of the official split {split}"))),
        Err(cause @ DataError::TooFewRows { .. }) => Ok(Err(cause.to_string())),
        Err(cause) => Err(cause),
    }
}

/// Words and tokens of a text; no tokens without a tokenizer.
fn lengths(text: &str, tokenizer: Option<&TextTokenizer>) -> Result<[u32; 2], DataError> {
    let words = text.split_whitespace().count();
    let tokens = match tokenizer {
        Some(tokenizer) => tokenizer.encode(text, usize::MAX)?.len(),
        None => 0,
    };
    Ok([words, tokens].map(|length| u32::try_from(length).unwrap_or(u32::MAX)))
}

impl Dataset {
    fn of(task: &Task, rows: &TaskData<[[u32; 2]; 2]>, has_tokens: bool) -> Self {
        let mean = |text: usize, unit: usize| {
            let sum: u64 = rows.train.iter().map(|row| u64::from(row[text][unit])).sum();
            sum as f64 / rows.train.len().max(1) as f64
        };
        let length = |text: usize| MeanLength {
            words: mean(text, 0),
            tokens: has_tokens.then(|| mean(text, 1)),
        };
        Self {
            task: task.name().to_owned(),
            target_kind: match task.card().target {
                TargetCard::Class { .. } => "class",
                TargetCard::Score { .. } => "score",
                TargetCard::Answer { .. } => "answer",
                TargetCard::Program { .. } => "program",
                TargetCard::Conversation { .. } => "conversation",
            },
            train: rows.train.len(),
            validation: rows.validation.len(),
            test: rows.test.len(),
            source: length(0),
            target: length(1),
            files: rows.files.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_by_white_space() {
        for (text, words) in [("", 0), (" a  b\tc\n", 3), ("sentence1: It's.", 2)] {
            assert_eq!(lengths(text, None).expect("no tokenizer, no error"), [words, 0]);
        }
    }
}
