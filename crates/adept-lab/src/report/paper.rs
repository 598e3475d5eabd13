//! The paper's figures (`paper/*.toml` of this crate). They are shown next to measured ones and never mixed with them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use adept_data::Task;
use adept_train::config::TrainMethod;
use serde::Deserialize;

use super::benchmark::Benchmark;
use super::figure::Figure;

/// One table of the paper.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperTable {
    /// Title of a report.
    pub title: String,
    /// One line for help texts.
    pub about: String,
    /// Whether the measured rows have the settings for small models.
    #[serde(skip)]
    pub is_small: bool,
    /// Citation of the table.
    pub source: String,
    /// The backbone used for its figures.
    pub backbone: String,
    /// Name of its checkpoint, where it has another.
    #[serde(default)]
    checkpoint: Option<String>,
    /// What its figures are.
    #[serde(default)]
    pub figure: Figure,
    /// The task whose inference speed is a column of its own, after the mean.
    #[serde(default)]
    pub speed_of: Option<String>,
    /// Name of the table whose runs are these, too; its own if empty.
    #[serde(default)]
    runs: String,
    /// Whether its rows are what is run. Otherwise that are the methods of a profile.
    #[serde(default)]
    pub own_rows: bool,
    /// Settings of every run, `key=value`.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Settings of every run on the project's own data, `key=value`.
    #[serde(default)]
    pub sample_settings: Vec<String>,
    /// Tasks on the project's own data, where they are others.
    #[serde(default)]
    pub sample_tasks: Vec<String>,
    /// Tasks whose runs the table's rows start from; no columns of the table.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Those on the project's own data.
    #[serde(default)]
    pub sample_sources: Vec<String>,
    /// Folder of the project's own data in this table's form, where they are not those of a profile.
    #[serde(default)]
    pub sample_data: Option<PathBuf>,
    /// Folder of the project's own backbone for the project's own data, where a profile's is of no use for this table.
    #[serde(default)]
    pub sample_backbone: Option<PathBuf>,
    /// Methods on the project's own data, where they are not those of a profile.
    #[serde(default)]
    pub sample_methods: Vec<String>,
    /// Columns, in the table's order.
    pub tasks: Vec<PaperTask>,
    /// Rows, in the table's order.
    pub rows: Vec<PaperRow>,
}

/// One column of a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperTask {
    /// Reference name, as in `--tasks`.
    pub name: String,
    /// Name as printed.
    pub label: String,
    /// The metric of the column's figures.
    pub metric: String,
}

/// One row of a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperRow {
    /// Name of the row where it is not the method's: a variant of it.
    #[serde(default)]
    name: String,
    /// Name of the method in configurations; the paper has methods that are not implemented here.
    pub method: String,
    /// Name as printed.
    pub label: String,
    /// Name of the row with its settings for small models, where the printed one has the paper's figures in it.
    #[serde(default)]
    sample_label: String,
    /// Trainable parameters as printed, such as `76.8K`.
    #[serde(default)]
    pub parameters: String,
    /// The mean over all columns as printed.
    #[serde(default)]
    pub mean: Option<f64>,
    /// Samples inferred in a second, as printed.
    #[serde(default)]
    pub speed: Option<f64>,
    /// Figures by task; scores are times 100.
    #[serde(default)]
    pub figures: BTreeMap<String, f64>,
    /// Settings of the row, `key=value`.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Its settings on the project's own data.
    #[serde(default)]
    pub sample: Vec<String>,
    /// Names of the tasks that it is trained on together, all of the table's if empty; left out where each task has a run
    /// of its own.
    #[serde(default)]
    pub together: Option<Vec<String>>,
    /// Whether it is trained on the table's sources together.
    #[serde(default)]
    pub of_sources: bool,
    /// Whether a run is made from each of the table's sources, whose name is put in place of [`EACH`] in the settings. The
    /// row is then, on each task, that of the source with the best validation score.
    #[serde(default)]
    pub from_each: bool,
}

/// Stands for a source's name in the settings of a row that is made from each of them, and for every task's name in a list
/// of a row on several tasks.
pub const EACH: &str = "{each}";
/// Between the name of such a row and that of a source, in the name of a run's row.
const FROM: &str = "-from-";

impl PaperRow {
    /// Name of the row.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.name.is_empty() { &self.method } else { &self.name }
    }

    /// The row of runs from one source.
    #[must_use]
    pub fn from_source(&self, source: &str) -> Self {
        let filled = |settings: &[String]| settings.iter().map(|text| text.replace(EACH, source)).collect();
        Self {
            name: format!("{}{FROM}{source}", self.name()),
            settings: filled(&self.settings),
            sample: filled(&self.sample),
            ..self.clone()
        }
    }

    /// Whether the paper has the row; others are rows of this project beside the paper's.
    #[must_use]
    pub fn is_printed(&self) -> bool {
        !self.parameters.is_empty() || self.mean.is_some() || self.speed.is_some() || !self.figures.is_empty()
    }
}

impl PaperTable {
    /// The paper's figures for a benchmark.
    #[must_use]
    pub fn of(benchmark: Benchmark) -> Self {
        toml::from_str(benchmark.paper()).expect("the table is part of the program and a test reads it")
    }

    /// Name of the table whose runs it shares; its own if it shares none.
    #[must_use]
    pub fn runs_of(&self, benchmark: Benchmark) -> String {
        if self.runs.is_empty() {
            benchmark.name().to_owned()
        } else {
            self.runs.clone()
        }
    }

    /// A task's name as printed, or its own if the table has no such column.
    #[must_use]
    pub fn task_label<'a>(&'a self, task: &'a str) -> &'a str {
        self.tasks
            .iter()
            .find(|column| column.name == task)
            .map(|column| column.label.as_str())
            .or_else(|| {
                Task::built_in()
                    .iter()
                    .find(|known| known.name() == task)
                    .map(Task::display_name)
            })
            .unwrap_or(task)
    }

    /// A row by its name: a method's or a variant's.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<&PaperRow> {
        self.rows.iter().find(|row| row.name() == name)
    }

    /// The paper's rows.
    pub fn printed(&self) -> impl Iterator<Item = &PaperRow> {
        self.rows.iter().filter(|row| row.is_printed())
    }

    /// The paper's row of a name.
    #[must_use]
    pub fn printed_row(&self, name: &str) -> Option<&PaperRow> {
        self.printed().find(|row| row.name() == name)
    }

    /// Name of a checkpoint of its backbone.
    #[must_use]
    pub fn checkpoint(&self) -> &str {
        self.checkpoint.as_deref().unwrap_or(&self.backbone)
    }

    /// A method's name as printed; its usual title if the table has no such row.
    #[must_use]
    pub fn method_label<'a>(&'a self, method: &'a str) -> &'a str {
        let title = || {
            let known = method.parse::<TrainMethod>();
            known.map_or(method, |method| method.title())
        };
        let label = |row: &'a PaperRow| match row.sample_label.as_str() {
            small if self.is_small && !small.is_empty() => small,
            _ => &row.label,
        };
        self.row(method).map_or_else(title, label)
    }

    /// The row that a run's row is one of several alternatives for, and the source that it is from.
    #[must_use]
    pub fn alternative<'a>(&self, row: &'a str) -> Option<(&PaperRow, &'a str)> {
        let (name, source) = row.split_once(FROM)?;
        let row = self.row(name).filter(|row| row.from_each)?;
        Some((row, source))
    }

    /// Tasks whose runs rows start from.
    #[must_use]
    pub fn sources_of(&self, is_small: bool) -> &[String] {
        match is_small {
            true => &self.sample_sources,
            false => &self.sources,
        }
    }

    /// One figure of the table.
    #[must_use]
    pub fn figure(&self, method: &str, task: &str) -> Option<f64> {
        self.row(method)?.figures.get(task).copied()
    }

    /// The paper's mean to compare with a mean over `tasks`: the printed one for all columns, else computed from the
    /// figures of these tasks.
    #[must_use]
    pub fn mean_over(&self, method: &str, tasks: &[String]) -> Option<f64> {
        let row = self.row(method)?;
        if tasks.len() == self.tasks.len() {
            return row.mean;
        }
        let figures: Option<Vec<f64>> = tasks.iter().map(|task| row.figures.get(task).copied()).collect();
        let figures = figures?;
        (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed means that are not those of the printed figures.
    const OTHER_MEANS: [(Benchmark, &str); 3] = [
        (Benchmark::Superglue, "full_multi"),
        (Benchmark::Superglue, "hyperformer"),
        (Benchmark::Superglue, "mpt_multi"),
    ];

    #[test]
    fn every_row_is_complete_and_its_mean_is_the_mean_of_its_figures() {
        for benchmark in Benchmark::ALL.iter().copied() {
            let table = PaperTable::of(benchmark);
            let suite: Vec<String> = Task::suite(benchmark.name())
                .iter()
                .map(|task| task.name().to_owned())
                .collect();
            let columns: Vec<&str> = table.tasks.iter().map(|task| task.name.as_str()).collect();
            assert!(suite.is_empty() || columns == suite, "{benchmark}: {columns:?}");
            assert_eq!(benchmark.tasks().len(), columns.len(), "{benchmark}");
            for (column, task) in table.tasks.iter().zip(benchmark.tasks()) {
                let is_score = table.figure == Figure::Score;
                assert!(!is_score || column.metric == task.report_metric().name(), "{task}");
            }
            assert!(
                table.sample_tasks.iter().all(|name| Task::named(name).is_ok()),
                "{benchmark}"
            );
            for row in &table.rows {
                let method = row.name();
                let Some(printed) = row.mean else {
                    continue;
                };
                if row.figures.is_empty() {
                    continue;
                }
                let figures: Vec<f64> = table.tasks.iter().map(|task| row.figures[&task.name]).collect();
                assert_eq!(row.figures.len(), figures.len(), "{method}");
                let mean = figures.iter().sum::<f64>() / figures.len() as f64;
                // The paper rounds to one decimal, but for three means that it quotes from elsewhere.
                let is_other = OTHER_MEANS.contains(&(benchmark, method));
                let differs = (mean - printed).abs() >= 0.051;
                assert_eq!(differs, is_other, "{method}: {mean} against {printed}");
            }
        }
    }
}
