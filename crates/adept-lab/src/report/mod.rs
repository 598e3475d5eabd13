//! The report of a reproduction: `results.json`, `report.md` and `report.html`, made from the runs' records alone.
//!
//! The layout follows the paper's Table 3: tasks as columns, methods as rows, and a mean. Measured values are means
//! over seeds ± the sample standard deviation; the paper's figures have their own rows and never enter a computed
//! value. A report can be made at any time, whatever number of runs is finished.

mod benchmark;
mod best_of;
mod chart;
mod choice;
pub mod comparison;
pub(crate) mod console;
mod curves;
mod error;
mod figure;
mod groups;
pub mod heatmap;
mod html;
mod latex;
pub(crate) mod markdown;
mod paper;
mod scan;
mod search;
mod searches;
mod statistics;
mod summary;
mod table;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use adept_train::folder::{REPORT_FILES, check_report, write_atomic, write_json};
use serde::Serialize;

pub use benchmark::Benchmark;
pub use comparison::Comparison;
pub use error::ReportError;
pub use figure::Figure;
pub use paper::{EACH, PaperRow, PaperTable, PaperTask};
pub use scan::GridRecord;
pub use search::{Round, SearchRecord, Tried};
pub use statistics::Spread;
pub use summary::RunSummary;
pub use table::{Baseline, Cell, Row};

use scan::Scanned;

/// The content of a report; serialised as `results.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// Notes on which figures are measured and which are quoted.
    pub notes: Vec<String>,
    /// Origin of the quoted figures; `None` for results on synthetic data, with which no published figures are
    /// comparable.
    pub paper: Option<Quoted>,
    /// Columns, in the paper's order.
    pub tasks: Vec<String>,
    /// Scores of the most frequent training label.
    pub majority: Option<Baseline>,
    /// Rows, in the paper's order.
    pub rows: Vec<Row>,
    /// What may be said of methods with a mean.
    pub comparisons: Vec<Comparison>,
    /// Every finished run.
    pub runs: Vec<RunSummary>,
    /// Searches of settings, in the order of the rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<SearchRecord>,
    /// Folders of unfinished runs, relative to the report.
    pub unfinished: Vec<String>,
    #[serde(skip)]
    table: PaperTable,
}

/// Origin of quoted figures.
#[derive(Debug, Clone, Serialize)]
pub struct Quoted {
    /// Citation of the table.
    pub source: String,
    /// The backbone used.
    pub backbone: String,
}

impl Report {
    /// A report on these runs.
    #[must_use]
    pub fn new(grid: Option<&GridRecord>, mut runs: Vec<RunSummary>, unfinished: Vec<String>) -> Self {
        let benchmark = grid.map(|grid| grid.benchmark).unwrap_or_default();
        let mut table = PaperTable::of(benchmark);
        table.is_small = grid.is_some_and(|grid| grid.small);
        let scored = best_of::scored(&runs, &table);
        let tasks = table::tasks(&scored, &table);
        let synthetic = grid.is_some_and(|grid| grid.sample);
        let mut rows = table::rows(&scored, &table);
        if synthetic {
            rows.iter_mut().for_each(Row::forget_paper);
        }
        let place = |run: &RunSummary| {
            let task = tasks.iter().position(|task| *task == run.task);
            let method = rows.iter().position(|row| row.name == run.row);
            (task, method, run.seed)
        };
        runs.sort_by_key(place);
        // The best of several stands for them.
        let is_compared = |row: &&Row| table.alternative(&row.name).is_none();
        let compared: Vec<Row> = rows.iter().filter(is_compared).cloned().collect();
        Self {
            benchmark,
            notes: [notes(grid, &runs, &table, tasks.len()), best_of::notes(&runs, &table)].concat(),
            paper: (!synthetic).then(|| Quoted {
                source: table.source.clone(),
                backbone: table.backbone.clone(),
            }),
            majority: table::baseline(&scored, &tasks).filter(|_| table.figure.is_score()),
            comparisons: match table.figure {
                Figure::Score => comparison::comparisons(&compared, &scored, &tasks),
                Figure::ExactMatch | Figure::TrainingHours => Vec::new(),
            },
            tasks,
            rows,
            runs,
            searches: Vec::new(),
            unfinished,
            table,
        }
    }

    /// Adds searches of settings.
    #[must_use]
    pub fn with_searches(mut self, mut searches: Vec<SearchRecord>) -> Self {
        searches.sort_by_key(|search| {
            let row = self.rows.iter().position(|row| row.name == search.row);
            let task = self.tasks.iter().position(|task| *task == search.task);
            (row.is_none(), row, task)
        });
        self.searches = searches;
        self
    }

    /// Title of the column of inference speeds, for a table that has one.
    fn speed_title(&self) -> Option<String> {
        let task = self.table.speed_of.as_ref()?;
        Some(format!(
            "Inference samples per second ({})",
            self.table.task_label(task)
        ))
    }

    /// A figure of the table with its spread.
    fn measured(&self, spread: &Spread) -> String {
        text::measured(spread, self.table.figure.digits())
    }

    /// A figure without a spread.
    fn figure(&self, figure: Option<f64>) -> String {
        text::figure(figure, self.table.figure.digits())
    }

    /// Number of different seeds among the runs.
    fn seeds(&self) -> usize {
        self.runs.iter().map(|run| run.seed).collect::<BTreeSet<_>>().len()
    }

    /// Only the table of results, aligned for a terminal. It contains no times: the same runs give the same table.
    #[must_use]
    pub fn results_table(&self) -> String {
        console::results(self)
    }
}

/// Reads all runs below `out` and writes the three files there, each atomically.
///
/// # Errors
/// A run's record is unreadable or invalid, there are no runs, or a file cannot be written.
pub fn build(out: &Path) -> Result<Report, ReportError> {
    let Scanned {
        grid,
        runs,
        unfinished,
        searches,
    } = scan::scan(out)?;
    if runs.is_empty() && unfinished.is_empty() && searches.is_empty() {
        return Err(ReportError::NoRuns { path: out.to_owned() });
    }
    check_report(out)?;
    let report = Report::new(grid.as_ref(), runs, unfinished).with_searches(searches);
    let [results, page, site] = REPORT_FILES.map(|name| out.join(name));
    write_json(&results, &report)?;
    write_atomic(&page, markdown::render(&report).as_bytes())?;
    write_atomic(&site, html::render(&report).as_bytes())?;
    Ok(report)
}

/// Whether a row has the best measured figure of a column with several.
fn is_best(report: &Report, row: &Row, of: impl Fn(&Row) -> Option<f64>) -> bool {
    let figures: Vec<f64> = report.rows.iter().filter_map(&of).collect();
    let is_better = |other: &f64, own| report.table.figure.is_better(*other, own);
    figures.len() > 1 && of(row).is_some_and(|own| !figures.iter().any(|other| is_better(other, own)))
}

/// Introductory notes on which figures are measured and which are quoted.
fn notes(grid: Option<&GridRecord>, runs: &[RunSummary], table: &PaperTable, tasks: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let synthetic = grid.is_some_and(|grid| grid.sample);
    let measured = "Each value is the mean over seeds, ± the sample standard deviation where there is more than one \
                    seed (n), on this project's test split, with the checkpoint that was best on its validation split.";
    if synthetic {
        notes.push(
            "The data are synthetic: sentences in the official files' form that a program of this project wrote. The \
             methods differ here for reasons of their own, but nothing in this report can be compared with the paper's \
             figures, which are therefore left out."
                .to_owned(),
        );
        notes.push(format!("Every row was measured. {measured}"));
    } else {
        notes.push(format!(
            "Measured: the rows without a mark. {measured} Quoted: the rows marked \"paper, {}\", from {}; they were \
             not measured here.",
            table.backbone, table.source
        ));
    }
    if !runs.is_empty() {
        if !synthetic {
            notes.push(
                "A measured and a quoted value are comparable only as far as backbone, data, steps and settings agree: \
                 see the sections on backbones and settings below."
                    .to_owned(),
            );
        }
        notes.push(format!(
            "All values are times 100: {}. The majority label is the most frequent one of the training split (for STS-B \
             its mean score) given as the answer to every test row; a constant answer has a correlation of 0.",
            metrics(runs, table)
        ));
    }
    if tasks < table.tasks.len() && tasks > 0 && !synthetic {
        notes.push(format!(
            "The mean is over the {tasks} task{} of this report; the paper's mean beside it is computed from its \
             figures for the same, not its printed mean over {}.",
            if tasks == 1 { "" } else { "s" },
            table.tasks.len()
        ));
    }
    notes.extend(runs.iter().filter_map(unjudged));
    notes
}

/// Note on a run's programs without a verdict.
fn unjudged(run: &RunSummary) -> Option<String> {
    let programs = run.programs.as_ref()?;
    Some(format!(
        "{}: {} of {} programs were not judged and count as not passed, most often because: {}.",
        run.folder,
        programs.unjudged(),
        programs.all(),
        programs.reason()?
    ))
}

/// The runs' metrics in words, listing the tasks of all but the most frequent one.
fn metrics(runs: &[RunSummary], table: &PaperTable) -> String {
    let mut tasks: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for run in runs {
        tasks
            .entry(&run.metric)
            .or_default()
            .insert(table.task_label(&run.task));
    }
    let mut tasks: Vec<_> = tasks.into_iter().collect();
    tasks.sort_by_key(|(_, tasks)| std::cmp::Reverse(tasks.len()));
    let words = tasks.iter().enumerate().map(|(rank, (metric, tasks))| {
        let names: Vec<&str> = tasks.iter().copied().collect();
        let metric = metric_words(metric);
        if rank == 0 {
            metric.to_owned()
        } else {
            format!("{metric} for {}", names.join(", "))
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Common name of a metric.
fn metric_words(name: &str) -> &str {
    match name {
        "f1" => "F1",
        "f1_multiclass" => "macro F1",
        "matthews_correlation" => "Matthews correlation",
        "pearson" => "Pearson correlation",
        "spearmanr" => "Spearman correlation",
        "token_f1" => "F1 of words",
        "em" => "exact match",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run with invented figures.
    pub fn run(task: &str, method: &str, seed: u64, test: f64) -> RunSummary {
        RunSummary {
            task: task.to_owned(),
            row: method.to_owned(),
            method: method.to_owned(),
            seed,
            folder: format!("{task}/{method}/seed-{seed}"),
            metric: "accuracy".to_owned(),
            test,
            majority: Some(50.0),
            test_metrics: [("accuracy".to_owned(), test)].into(),
            programs: None,
            data: Vec::new(),
            answers: None,
            selection_metric: "accuracy".to_owned(),
            best_validation: Some(test + 1.0),
            best_step: 200,
            steps: 300,
            virtual_tokens: 100,
            rank: 0,
            trainable_parameters: 76_800,
            backbone_parameters: 222_903_552,
            backbone: "tiny <t5> | x".to_owned(),
            fingerprint: "sha256:00112233445566778899".to_owned(),
            preset: "paper".to_owned(),
            overrides: vec!["train.steps=300".to_owned()],
            device: "flex".to_owned(),
            code_version: "abc".to_owned(),
            seconds: 61.0,
            samples_per_second: 150.0,
            inference_speed: Some(400.0),
            curve: vec![(100, 50.0), (200, test + 1.0), (300, test)],
        }
    }

    #[test]
    fn both_renderings_hold_measured_and_quoted_values_apart_and_nothing_from_outside() {
        let runs = vec![
            run("sst2", "adept", 42, 91.0),
            run("sst2", "adept", 43, 92.0),
            run("rte", "pt", 42, 60.0),
        ];
        let report = Report::new(None, runs, vec!["rte/pt/seed-43".to_owned()]);
        for page in [markdown::render(&report), html::render(&report)] {
            assert!(page.contains("91.5 ± 0.7"), "measured value: {page}");
            assert!(
                page.contains("Majority label") && page.contains("50.0"),
                "the baseline: {page}"
            );
            assert!(page.contains("94.0"), "the paper's value for SST-2: {page}");
            assert!(page.contains("paper, t5-base"), "{page}");
            assert!(page.contains("rte/pt/seed-43"), "the unfinished run: {page}");
            assert!(!page.contains("<t5>"), "a backbone's name is not markup: {page}");
        }
        let page = html::render(&report);
        for outside in ["http://", "https://", "<script", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("<svg") && page.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn synthetic_data_are_said_to_be_first_and_nothing_is_quoted_beside_them() {
        let grid = GridRecord {
            sample: true,
            ..GridRecord::default()
        };
        let report = Report::new(Some(&grid), vec![run("sst2", "pt", 42, 60.0)], Vec::new());
        assert!(report.notes[0].contains("synthetic"));
        for page in [markdown::render(&report), html::render(&report), report.results_table()] {
            assert!(
                page.contains("60.0") && !page.contains("91.9"),
                "the paper's figures are left out: {page}"
            );
        }
    }

    #[test]
    fn a_report_of_begun_runs_alone_is_possible() {
        let report = Report::new(None, Vec::new(), vec!["rte/pt/seed-43".to_owned()]);
        assert!(markdown::render(&report).contains("rte/pt/seed-43"));
        assert!(html::render(&report).contains("rte/pt/seed-43"));
    }
}
