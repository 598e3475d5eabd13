//! Table 16: rows and lengths of the data sets beside the paper's figures.

use std::path::PathBuf;

use adept_data::{Task, path_text};
use adept_train::record::{code_commit, code_version};
use serde::Serialize;

use super::datasets::{Dataset, DatasetsOf, MissingDataset};
use super::render::{self, NOTHING};
use super::{PaperDataset, PaperDatasets};
use crate::report::console::aligned;
use crate::report::text::{code_markdown, short_fingerprint, thousands};

/// The data sets; serialised as `table16.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table16 {
    /// Whether the data are synthetic.
    pub synthetic: bool,
    /// Folder of the data, as given.
    #[serde(with = "path_text")]
    pub data: PathBuf,
    /// What counted tokens.
    pub tokenizer: Option<TokenizerUsed>,
    /// What the figures are.
    pub notes: Vec<String>,
    /// Measured data sets, those of the paper first and in its order.
    pub datasets: Vec<Dataset>,
    /// Data sets of the paper that are not at hand.
    pub missing: Vec<MissingDataset>,
    /// How the measured lengths agree with the paper's; `None` for synthetic data, and without a training split of as
    /// many rows as the paper's.
    pub agreement: Option<Agreement>,
    /// The paper's figures.
    pub paper: PaperDatasets,
    /// Version of the measuring program.
    pub code_version: String,
    /// The commit it was built from, if known.
    pub code_commit: Option<String>,
}

/// The tokenizer that counted tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenizerUsed {
    /// Its folder, as given.
    #[serde(with = "path_text")]
    pub folder: PathBuf,
    /// SHA-256 of its definition.
    pub sha256: String,
}

/// Measured source lengths against the paper's, over data sets with the paper's number of training rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Number of data sets.
    pub datasets: usize,
    /// Mean absolute difference of words.
    pub words: f64,
    /// Largest absolute difference of words.
    pub largest_words: f64,
    /// Mean absolute difference of tokens.
    pub tokens: Option<f64>,
}

impl Agreement {
    fn of(datasets: &[Dataset], paper: &PaperDatasets) -> Option<Self> {
        let pairs: Vec<(&Dataset, &PaperDataset)> = datasets
            .iter()
            .filter_map(|found| Some((found, paper.row(&found.task)?)))
            .filter(|(found, quoted)| found.train == quoted.train)
            .collect();
        let count = pairs.len();
        let differences = |length: &dyn Fn(&Dataset) -> Option<f64>| -> Option<Vec<f64>> {
            pairs
                .iter()
                .map(|(found, quoted)| Some((length(found)? - quoted.source_length).abs()))
                .collect()
        };
        let words = differences(&|found| Some(found.source.words)).filter(|words| !words.is_empty())?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / count as f64;
        Some(Self {
            datasets: count,
            words: mean(&words),
            largest_words: words.iter().copied().fold(0.0, f64::max),
            tokens: differences(&|found| found.source.tokens).map(|tokens| mean(&tokens)),
        })
    }
}

impl Table16 {
    pub(super) fn of(
        of: &DatasetsOf<'_>,
        datasets: Vec<Dataset>,
        missing: Vec<MissingDataset>,
        paper: PaperDatasets,
    ) -> Self {
        let agreement = Agreement::of(&datasets, &paper).filter(|_| !of.synthetic);
        let tokenizer = of.tokenizer.as_ref().map(|(tokenizer, folder)| TokenizerUsed {
            folder: folder.clone(),
            sha256: tokenizer.sha256().to_owned(),
        });
        Self {
            synthetic: of.synthetic,
            data: of.data.to_owned(),
            notes: notes(of.synthetic, tokenizer.is_some(), agreement.as_ref(), &paper),
            tokenizer,
            datasets,
            missing,
            agreement,
            paper,
            code_version: code_version(),
            code_commit: code_commit(),
        }
    }

    /// Text for a terminal.
    #[must_use]
    pub fn console(&self) -> String {
        let mut text = format!(
            "Rows of each split, and mean lengths of the training split's sources and targets in words and tokens; each \
             with\nthe paper's figure behind it.\n\n{}",
            aligned(&self.lines())
        );
        if !self.missing.is_empty() {
            text.push_str("\nNot at hand:\n\n");
            for line in &self.missing_lines()[1..] {
                text.push_str(&format!("  {}\n", line.join(": ")));
            }
        }
        if let Some(agreement) = &self.agreement {
            text.push_str(&format!("\n{}\n", agreement.text()));
        }
        text
    }

    /// The table as a Markdown page.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page = String::from("# Table 16: the data sets\n\n");
        render::notes(&mut page, &self.notes);
        page.push_str("## Rows and lengths\n\n");
        render::markdown_table(&mut page, &self.lines());
        if !self.missing.is_empty() {
            page.push_str("## Not at hand\n\n");
            render::markdown_table(&mut page, &self.missing_lines());
        }
        page.push_str("## Sources\n\n");
        page.push_str(&format!(
            "- Data: {}\n",
            code_markdown(&self.data.display().to_string())
        ));
        if let Some(tokenizer) = &self.tokenizer {
            page.push_str(&format!(
                "- Tokenizer: {}, SHA-256 {}\n",
                code_markdown(&tokenizer.folder.display().to_string()),
                code_markdown(short_fingerprint(&tokenizer.sha256))
            ));
        }
        page.push('\n');
        render::markdown_table(&mut page, &self.file_lines());
        page
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let names = [
            "",
            "Train",
            "paper",
            "Valid.",
            "paper",
            "Test",
            "paper",
            "Source words",
            "tokens",
            "paper",
            "Target words",
            "tokens",
            "paper",
            "Type",
        ];
        let mut lines = vec![names.map(str::to_owned).to_vec()];
        let quoted = self.paper.rows.iter();
        for row in quoted {
            let found = self.datasets.iter().find(|found| found.task == row.task);
            lines.push(line(&row.label, found, Some(row)));
        }
        for found in &self.datasets {
            if self.paper.row(&found.task).is_none() {
                lines.push(line(&label(&found.task), Some(found), None));
            }
        }
        lines
    }

    fn missing_lines(&self) -> Vec<Vec<String>> {
        let rows = self.missing.iter().map(|missing| {
            let label = self.paper.row(&missing.task).map(|row| row.label.clone());
            vec![label.unwrap_or_default(), missing.reason.clone()]
        });
        std::iter::once(vec!["Data set".to_owned(), "What is missing".to_owned()])
            .chain(rows)
            .collect()
    }

    fn file_lines(&self) -> Vec<Vec<String>> {
        let mut lines = vec![["Data set", "File", "Rows", "SHA-256"].map(str::to_owned).to_vec()];
        for found in &self.datasets {
            for file in &found.files {
                lines.push(vec![
                    label(&found.task),
                    file.name.clone(),
                    thousands(file.rows),
                    short_fingerprint(&file.sha256).to_owned(),
                ]);
            }
        }
        lines
    }
}

fn line(label: &str, found: Option<&Dataset>, quoted: Option<&PaperDataset>) -> Vec<String> {
    let nothing = || NOTHING.to_owned();
    let count = |value: Option<usize>| value.map_or_else(nothing, thousands);
    let length = |value: Option<f64>| value.map_or_else(nothing, |value| format!("{value:.1}"));
    let mut cells = vec![label.to_owned()];
    cells.extend([
        count(found.map(|found| found.train)),
        count(quoted.map(|row| row.train)),
        count(found.map(|found| found.validation)),
        count(quoted.map(|row| row.validation)),
        count(found.map(|found| found.test)),
        count(quoted.map(|row| row.test)),
    ]);
    let lengths = [
        (found.map(|found| found.source), quoted.map(|row| row.source_length)),
        (found.map(|found| found.target), quoted.map(|row| row.target_length)),
    ];
    for (measured, printed) in lengths {
        cells.extend([
            length(measured.map(|measured| measured.words)),
            length(measured.and_then(|measured| measured.tokens)),
            length(printed),
        ]);
    }
    let kind = || found.map(|found| found.target_kind.to_owned());
    cells.push(quoted.map(|row| row.kind.clone()).or_else(kind).unwrap_or_default());
    cells
}

fn label(task: &str) -> String {
    let known = Task::built_in().iter().find(|known| known.name() == task);
    known.map_or(task, Task::display_name).to_owned()
}

impl Agreement {
    fn text(&self) -> String {
        let sets = match self.datasets {
            1 => "the one data set".to_owned(),
            count => format!("the {count} data sets"),
        };
        let mut text = format!(
            "Over {sets} whose training split has the paper's number of rows, source lengths in words differ from the \
             paper's by {:.2} in the mean and by {:.2} at most",
            self.words, self.largest_words
        );
        match self.tokens {
            None => text.push('.'),
            Some(tokens) => text.push_str(&format!(
                ", lengths in tokens by {tokens:.2} in the mean: {} the paper's figures best.",
                if self.words <= tokens {
                    "words match"
                } else {
                    "tokens match"
                }
            )),
        }
        text
    }
}

fn notes(synthetic: bool, has_tokens: bool, agreement: Option<&Agreement>, paper: &PaperDatasets) -> Vec<String> {
    let mut notes = Vec::new();
    if synthetic {
        notes.push(
            "The data are made-up sentences written by a program: rows and lengths cannot be compared with the paper's."
                .to_owned(),
        );
    }
    notes.push(
        "Rows are those of this project's splits, which follow the published reference; a task's examples are its rows \
         (MultiRC: one for each answer). Lengths are means over the training split of the text that a model reads, \
         markers such as `sentence1:` included, not truncated. Words are split by white space."
            .to_owned(),
    );
    notes.push(match has_tokens {
        true => "Tokens are the backbone's, the end token included.".to_owned(),
        false => "No tokenizer was given (--backbone): there are no tokens.".to_owned(),
    });
    if let Some(agreement) = agreement {
        notes.push(agreement.text());
    }
    notes.push(format!(
        "Columns named \"paper\" and the types of tasks are quoted from {}, which does not state the unit of its lengths.",
        paper.source
    ));
    notes
}
