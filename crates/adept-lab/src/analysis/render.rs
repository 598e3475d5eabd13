//! Rendering shared by the tables: figures, notes, the list of runs.

use std::fmt::Write as _;

use adept_train::config::TrainMethod;

use super::SUBSTITUTE;
use super::record::Subject;
use crate::report::markdown::{header, line};
use crate::report::text::{code_markdown, escape_markdown, short_fingerprint, thousands};
use crate::report::{Benchmark, GridRecord, PaperTable, Spread};

/// Shown in place of a missing figure.
pub(super) const NOTHING: &str = "–";

/// The tasks of the runs without duplicates, in order of appearance.
pub(super) fn tasks<'a>(subjects: impl Iterator<Item = &'a Subject>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for subject in subjects {
        if !names.contains(&subject.run.task.as_str()) {
            names.push(&subject.run.task);
        }
    }
    names
}

/// A score, times 100, with its spread over seeds.
pub(super) fn score(spread: &Spread) -> String {
    match spread.standard_deviation {
        Some(deviation) => format!("{:.1} ± {deviation:.1}", spread.mean),
        None => format!("{:.1}", spread.mean),
    }
}

/// A difference of scores with its sign and its spread over seeds.
pub(super) fn change(spread: &Spread) -> String {
    match spread.standard_deviation {
        Some(deviation) => format!("{:+.1} ± {deviation:.1}", spread.mean),
        None => format!("{:+.1}", spread.mean),
    }
}

/// A fraction as a percentage: integer from 10 %, two significant digits below.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent == 0.0 || percent >= 9.95 {
        format!("{percent:.0} %")
    } else {
        format!("{} %", significant(percent, 2))
    }
}

/// A figure with the given number of significant digits.
pub(super) fn significant(value: f64, digits: i32) -> String {
    if is_tiny(value) {
        return format!("{value:.*e}", usize::try_from(digits - 1).unwrap_or(0));
    }
    let decimals = decimals(value, digits);
    format!("{value:.decimals$}")
}

/// A figure with three significant digits, and its spread over seeds with as many decimals.
pub(super) fn size(spread: &Spread) -> String {
    let mean = significant(spread.mean, 3);
    let decimals = decimals(spread.mean, 3);
    match spread.standard_deviation {
        Some(deviation) if is_tiny(spread.mean) => format!("{mean} ± {deviation:.1e}"),
        Some(deviation) => format!("{mean} ± {deviation:.decimals$}"),
        None => mean,
    }
}

/// Whether a figure needs scientific notation.
fn is_tiny(value: f64) -> bool {
    value != 0.0 && value.abs() < 1e-3
}

/// Number of decimals that show this many significant digits of a value.
fn decimals(value: f64, digits: i32) -> usize {
    if value == 0.0 || !value.is_finite() {
        return 0;
    }
    let before = value.abs().log10().floor() as i32 + 1;
    usize::try_from(digits - before).unwrap_or(0)
}

/// Note about the data, shown first.
pub(super) fn data_note(grid: &GridRecord) -> Option<String> {
    grid.sample.then(|| {
        "The data are made-up sentences written by a program: the figures show what the methods do on them, and cannot \
         be compared with the paper's."
            .to_owned()
    })
}

/// Note on the origin of measured and quoted figures.
pub(super) fn paper_note(source: &str, backbone: &str) -> String {
    format!(
        "Measured: all figures but those under \"The paper's figures\", which are quoted from {source} ({backbone}) and \
         were not measured here. ± is the sample standard deviation over seeds."
    )
}

/// Note on the task that stands in for the paper's second one, if it is among these.
pub(super) fn substitute_note<'a>(mut tasks: impl Iterator<Item = &'a str>) -> Option<String> {
    tasks.any(|task| task == SUBSTITUTE).then(|| {
        "The paper's second task is BoolQ, which is not among GLUE's: QNLI, a question and a sentence of a passage, is \
         used instead and must not be compared with it."
            .to_owned()
    })
}

/// Note on whether adapters that were not changed score what their training recorded, by task.
pub(super) fn check_note<'a>(unchanged: &str, tasks: impl Iterator<Item = (&'a str, bool)>) -> String {
    let differing: Vec<String> = tasks
        .filter(|(_, as_recorded)| !as_recorded)
        .map(|(task, _)| task_label(task))
        .collect();
    if differing.is_empty() {
        return format!("Check: {unchanged} every adapter scores what its training recorded.");
    }
    format!(
        "Check: {unchanged} adapters of {} score differently from their training record, possibly because of another \
         device or program version.",
        differing.join(", ")
    )
}

/// Display name of a method.
pub(super) fn method_label(method: TrainMethod) -> String {
    PaperTable::of(Benchmark::Glue).method_label(method.name()).to_owned()
}

/// Display name of a task.
pub(super) fn task_label(task: &str) -> String {
    PaperTable::of(Benchmark::Glue).task_label(task).to_owned()
}

/// A block quote of notes.
pub(super) fn notes(page: &mut String, notes: &[String]) {
    for (index, note) in notes.iter().enumerate() {
        if index > 0 {
            page.push_str(">\n");
        }
        let _ = writeln!(page, "> {}", escape_markdown(note));
    }
    page.push('\n');
}

/// A Markdown table of text, with its first column left-aligned.
pub(super) fn markdown_table(page: &mut String, lines: &[Vec<String>]) {
    let Some((names, rows)) = lines.split_first() else {
        return;
    };
    let escaped = |cells: &[String]| cells.iter().map(|cell| escape_markdown(cell)).collect::<Vec<_>>();
    header(page, &escaped(names), 1);
    for row in rows {
        line(page, &escaped(row));
    }
    page.push('\n');
}

/// The runs used for a table.
pub(super) fn runs<'a>(page: &mut String, subjects: impl Iterator<Item = &'a Subject>) {
    page.push_str("## Runs\n\n");
    let names = [
        "Run",
        "Steps",
        "At step",
        "m",
        "r",
        "Trainable",
        "Backbone",
        "Adapter",
        "Folder",
        "Measured on",
    ];
    header(page, &names.map(str::to_owned), 1);
    for subject in subjects {
        let run = &subject.run;
        let cells = [
            format!("{} {} {}", run.task, run.method, run.seed),
            thousands(run.config.train.steps),
            thousands(run.best_step),
            run.virtual_tokens.to_string(),
            run.rank.to_string(),
            thousands(run.trainable_parameters),
            code_markdown(short_fingerprint(&run.fingerprint)),
            code_markdown(short_fingerprint(&subject.adapter)),
            code_markdown(&subject.folder.display().to_string()),
            escape_markdown(&subject.device),
        ];
        line(page, &cells);
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_the_digits_that_count() {
        let spread = |values: &[f64]| Spread::of(values).expect("there are values");
        assert_eq!(score(&spread(&[60.0, 62.0])), "61.0 ± 1.4");
        assert_eq!(
            [change(&spread(&[-2.0])), change(&spread(&[0.0, 1.0]))],
            ["-2.0", "+0.5 ± 0.7"]
        );
        assert_eq!(
            [16.29, 6.066, 0.012_34, 0.000_123_4, 123.4, 0.0].map(|value| significant(value, 3)),
            ["16.3", "6.07", "0.0123", "1.23e-4", "123", "0"]
        );
        assert_eq!(size(&spread(&[0.010, 0.012])), "0.0110 ± 0.0014");
        assert_eq!(size(&spread(&[1e-6, 3e-6])), "2.00e-6 ± 1.4e-6");
        assert_eq!(
            [1.0, 0.256, 0.0123, 0.000_456, 0.0].map(percent),
            ["100 %", "26 %", "1.2 %", "0.046 %", "0 %"]
        );
    }
}
