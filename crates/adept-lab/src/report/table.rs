//! The figures of a report: one cell per task and method, one row per method, means over tasks.

use std::collections::{BTreeMap, BTreeSet};

use adept_train::config::TrainMethod;
use serde::Serialize;

use super::paper::PaperTable;
use super::statistics::Spread;
use super::summary::RunSummary;

/// One row: a method, or a variant of one with settings of its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name: the method's or the variant's.
    pub name: String,
    /// Reference name of the method.
    pub method: String,
    /// Numbers of trainable parameters of its runs, without duplicates (prompt lengths may differ between tasks).
    pub trainable_parameters: Vec<usize>,
    /// Figures by task.
    pub cells: BTreeMap<String, Cell>,
    /// Mean over the report's tasks; `None` if one is missing.
    pub mean: Option<Spread>,
    /// The paper's mean over the same tasks.
    pub paper_mean: Option<f64>,
    /// Samples inferred in a second on the table's task for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<Spread>,
}

/// One task with one method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// The measured figure.
    pub measured: Spread,
    /// Values by seed.
    pub values: BTreeMap<u64, f64>,
    /// The paper's figure.
    pub paper: Option<f64>,
}

/// Scores of the majority label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    /// Figures by task, without tasks whose runs have no figure or disagree, as runs on different data would.
    pub cells: BTreeMap<String, f64>,
    /// Mean over the report's tasks; `None` if one is missing.
    pub mean: Option<f64>,
}

/// The majority baseline of the runs' tasks; `None` if no run has one.
#[must_use]
pub fn baseline(runs: &[RunSummary], tasks: &[String]) -> Option<Baseline> {
    let mut cells = BTreeMap::new();
    for task in tasks {
        let mut found = runs
            .iter()
            .filter(|run| run.task == *task)
            .filter_map(|run| run.majority);
        if let Some(figure) = found.next()
            && found.all(|other| other == figure)
        {
            cells.insert(task.clone(), figure);
        }
    }
    let mean = (cells.len() == tasks.len()).then(|| cells.values().sum::<f64>() / cells.len().max(1) as f64);
    (!cells.is_empty()).then_some(Baseline { cells, mean })
}

/// All tasks of the runs in the paper's order, followed by others in alphabetical order.
#[must_use]
pub fn tasks(runs: &[RunSummary], paper: &PaperTable) -> Vec<String> {
    let found: BTreeSet<&str> = runs.iter().map(|run| run.task.as_str()).collect();
    let known = paper.tasks.iter().map(|task| task.name.as_str());
    ordered(&found, known)
}

/// Names of the rows in the paper's order, followed by other methods in the registry's and by other variants.
fn names(runs: &[RunSummary], paper: &PaperTable) -> Vec<String> {
    let found: BTreeSet<&str> = runs.iter().map(|run| run.row.as_str()).collect();
    let printed: Vec<&str> = paper.rows.iter().map(super::paper::PaperRow::name).collect();
    let others = TrainMethod::all().map(TrainMethod::name);
    let others: Vec<&str> = others.filter(|name| !printed.contains(name)).collect();
    ordered(&found, printed.into_iter().chain(others))
}

fn ordered<'a>(found: &BTreeSet<&'a str>, known: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let others = found
        .iter()
        .copied()
        .filter(|name| !known.clone().any(|other| other == *name));
    known
        .clone()
        .filter(|name| found.contains(name))
        .chain(others)
        .map(str::to_owned)
        .collect()
}

/// All rows of the table.
#[must_use]
pub fn rows(runs: &[RunSummary], paper: &PaperTable) -> Vec<Row> {
    let tasks = tasks(runs, paper);
    names(runs, paper)
        .into_iter()
        .map(|name| row(name, &tasks, runs, paper))
        .collect()
}

impl Row {
    /// Removes the paper's figures.
    pub(super) fn forget_paper(&mut self) {
        self.paper_mean = None;
        self.cells.values_mut().for_each(|cell| cell.paper = None);
    }
}

fn row(name: String, tasks: &[String], runs: &[RunSummary], paper: &PaperTable) -> Row {
    let own = || runs.iter().filter(|run| run.row == name);
    let mut cells = BTreeMap::new();
    for task in tasks {
        let values: BTreeMap<u64, f64> = own()
            .filter(|run| run.task == *task)
            .map(|run| (run.seed, paper.figure.of(run)))
            .collect();
        if let Some(measured) = Spread::of(&values.values().copied().collect::<Vec<_>>()) {
            cells.insert(
                task.clone(),
                Cell {
                    measured,
                    values,
                    paper: paper.figure(&name, task),
                },
            );
        }
    }
    Row {
        trainable_parameters: own()
            .map(|run| run.trainable_parameters)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
        mean: mean(tasks, &cells),
        paper_mean: paper.mean_over(&name, tasks),
        speed: paper.speed_of.as_ref().and_then(|task| {
            let of_task = own().filter(|run| run.task == *task);
            Spread::of(&of_task.filter_map(|run| run.inference_speed).collect::<Vec<_>>())
        }),
        cells,
        method: own().next().map(|run| run.method.clone()).unwrap_or_default(),
        name,
    }
}

/// The mean over tasks. If every task has the same seeds, it is computed per seed first and has a spread; otherwise it
/// is the mean of the tasks' means, without a spread.
fn mean(tasks: &[String], cells: &BTreeMap<String, Cell>) -> Option<Spread> {
    let cells: Option<Vec<&Cell>> = tasks.iter().map(|task| cells.get(task)).collect();
    let cells = cells?;
    let first = cells.first()?;
    if cells.iter().all(|cell| cell.values.keys().eq(first.values.keys())) {
        let by_seed: Vec<f64> = first
            .values
            .keys()
            .map(|seed| cells.iter().map(|cell| cell.values[seed]).sum::<f64>() / cells.len() as f64)
            .collect();
        return Spread::of(&by_seed);
    }
    let n = cells.iter().map(|cell| cell.measured.n).min()?;
    let mean = cells.iter().map(|cell| cell.measured.mean).sum::<f64>() / cells.len() as f64;
    Some(Spread {
        n,
        mean,
        standard_deviation: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Benchmark;
    use super::super::tests::run;
    use super::*;

    #[test]
    fn the_mean_over_tasks_has_a_spread_only_where_the_seeds_agree() {
        let paper = PaperTable::of(Benchmark::Glue);
        let mut runs = vec![
            run("rte", "pt", 42, 60.0),
            run("rte", "pt", 43, 62.0),
            run("sst2", "pt", 42, 90.0),
            run("sst2", "pt", 43, 94.0),
        ];
        let rows = rows(&runs, &paper);
        assert_eq!(tasks(&runs, &paper), ["sst2", "rte"]);
        assert_eq!(rows[0].mean, Spread::of(&[75.0, 78.0]));
        // The paper's mean is over the same two tasks.
        assert!((rows[0].paper_mean.expect("the paper has both") - (91.9 + 78.8) / 2.0).abs() < 1e-9);

        runs.push(run("rte", "pt", 44, 67.0));
        let uneven = super::rows(&runs, &paper)[0].mean.expect("every task has a run");
        assert_eq!((uneven.n, uneven.mean, uneven.standard_deviation), (2, 77.5, None));

        runs.push(run("rte", "adept", 42, 67.0));
        assert_eq!(super::rows(&runs, &paper)[1].mean, None, "SST-2 is missing");
    }

    #[test]
    fn the_baseline_has_a_mean_only_where_every_task_has_a_figure() {
        let paper = PaperTable::of(Benchmark::Glue);
        let with = |task: &str, seed, majority| RunSummary {
            majority,
            ..run(task, "pt", seed, 60.0)
        };
        let of = |runs: &[RunSummary]| baseline(runs, &tasks(runs, &paper));
        let mut runs = vec![
            with("rte", 42, Some(52.0)),
            with("rte", 43, None),
            with("sst2", 42, Some(50.0)),
        ];
        let found = of(&runs).expect("two tasks have a figure");
        assert_eq!(
            (found.mean, found.cells["rte"], found.cells["sst2"]),
            (Some(51.0), 52.0, 50.0)
        );
        // Runs on different data disagree; an older record has no figure.
        runs.push(with("sst2", 43, Some(49.0)));
        runs.push(with("cola", 42, None));
        let found = of(&runs).expect("RTE has a figure");
        assert_eq!((found.mean, found.cells.len()), (None, 1));
        assert_eq!(of(&[with("rte", 42, None)]), None);
    }
}
