//! Table of results for a terminal: aligned columns of plain text, identical for repeated runs of the same grid.

use super::text::{MAJORITY_LABEL, plain_figure, thousands};
use super::{Report, Row, Spread};

/// Space between two columns.
const GAP: &str = "  ";

/// The table, preceded by a line that describes the figures.
pub fn results(report: &Report) -> String {
    if report.rows.is_empty() {
        return "No run is done yet.".to_owned();
    }
    let seeds = report.seeds();
    let mut names = vec!["Method".to_owned(), "Trained".to_owned()];
    names.extend(report.tasks.iter().map(|task| report.table.task_label(task).to_owned()));
    names.push("Mean".to_owned());
    names.extend(report.speed_title());
    let mut lines = vec![names];
    if let Some(majority) = &report.majority {
        let figures = report.tasks.iter().map(|task| majority.cells.get(task).copied());
        let figures = figures.chain([majority.mean]).map(plain_figure);
        lines.push(
            [MAJORITY_LABEL.to_owned(), "0".to_owned()]
                .into_iter()
                .chain(figures)
                .collect(),
        );
    }
    for row in &report.rows {
        lines.push(measured_row(report, row, seeds));
        lines.extend(quoted_row(report, row));
    }
    let heading = report.table.figure.heading();
    let heading = match seeds {
        1 => format!("{heading}, of one seed:"),
        _ => format!("{heading}, mean over {seeds} seeds ± sample standard deviation:"),
    };
    format!("{heading}\n\n{}", aligned(&lines))
}

fn measured_row(report: &Report, row: &Row, seeds: usize) -> Vec<String> {
    let counts: Vec<String> = row.trainable_parameters.iter().map(|count| thousands(*count)).collect();
    let mut cells = vec![report.table.method_label(&row.name).to_owned(), counts.join(", ")];
    let spreads = report
        .tasks
        .iter()
        .map(|task| row.cells.get(task).map(|cell| &cell.measured));
    let digits = report.table.figure.digits();
    cells.extend(
        spreads
            .chain([row.mean.as_ref()])
            .map(|spread| figure(spread, seeds, digits)),
    );
    let speed = || plain_figure(row.speed.as_ref().map(|speed| speed.mean));
    cells.extend(report.table.speed_of.iter().map(|_| speed()));
    cells
}

/// A figure and its spread, with the number of seeds if it differs from the table's.
pub(super) fn figure(spread: Option<&Spread>, seeds: usize, digits: usize) -> String {
    let Some(spread) = spread else {
        return plain_figure(None);
    };
    let mut text = format!("{:.digits$}", spread.mean);
    if let Some(deviation) = spread.standard_deviation {
        text.push_str(&format!(" ± {deviation:.digits$}"));
    }
    if spread.n != seeds {
        text.push_str(&format!(" (n={})", spread.n));
    }
    text
}

fn quoted_row(report: &Report, row: &Row) -> Option<Vec<String>> {
    let (quoted, paper) = (report.table.printed_row(&row.name)?, report.paper.as_ref()?);
    let label = format!("{} (paper, {})", quoted.label, paper.backbone);
    let figures = report.tasks.iter().map(|task| quoted.figures.get(task).copied());
    let figures = figures.chain([row.paper_mean]).map(|figure| report.figure(figure));
    let speed = report.table.speed_of.iter().map(|_| plain_figure(quoted.speed));
    let cells = [label, quoted.parameters.clone()].into_iter().chain(figures);
    Some(cells.chain(speed).collect())
}

/// Aligned columns: the first to the left, all others to the right.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let length = |line: &Vec<String>, column: usize| line.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().map(|line| length(line, column)).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;
    use crate::report::GridRecord;

    #[test]
    fn columns_are_aligned_and_hold_no_times() {
        let grid = GridRecord {
            sample: true,
            ..GridRecord::default()
        };
        let runs = vec![
            run("sst2", "adept", 42, 91.0),
            run("rte", "adept", 42, 61.0),
            run("rte", "pt", 42, 60.0),
        ];
        let table = Report::new(Some(&grid), runs.clone(), Vec::new()).results_table();
        let expected = "\
Test scores, times 100, of one seed:

Method          Trained  SST-2   RTE  Mean
Majority label        0   50.0  50.0  50.0
PT               76,800      –  60.0     –
ADePT            76,800   91.0  61.0  76.0
";
        assert_eq!(table, expected);
        let slower: Vec<_> = runs
            .into_iter()
            .map(|run| super::super::RunSummary {
                seconds: 900.0,
                samples_per_second: 1.0,
                ..run
            })
            .collect();
        assert_eq!(Report::new(Some(&grid), slower, Vec::new()).results_table(), expected);
    }

    #[test]
    fn spreads_and_quoted_rows_stand_beside_each_other() {
        let runs = vec![
            run("sst2", "pt", 42, 91.0),
            run("sst2", "pt", 43, 92.0),
            run("sst2", "adept", 42, 93.0),
        ];
        let table = Report::new(None, runs, Vec::new()).results_table();
        for expected in [
            "mean over 2 seeds",
            "91.5 ± 0.7",
            "93.0 (n=1)",
            "PT (paper, t5-base)",
            "91.9",
        ] {
            assert!(table.contains(expected), "{expected}: {table}");
        }
    }
}
