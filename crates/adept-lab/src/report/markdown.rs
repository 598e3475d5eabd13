//! `report.md`.

use std::fmt::Write as _;

use super::text::{
    MAJORITY_LABEL, RUN_COLUMNS, code_markdown, duration, escape_markdown, parameters, plain_figure, thousands,
};
use super::{Report, Row, comparison, searches};

/// Renders the page.
pub fn render(report: &Report) -> String {
    let mut page = format!("# {}, reproduced\n\n", report.benchmark.title());
    for note in &report.notes {
        let _ = writeln!(page, "> {}\n>", escape_markdown(note));
    }
    page.push('\n');
    if report.rows.is_empty() {
        page.push_str("No run is done yet.\n\n");
    } else {
        let _ = writeln!(page, "## {}\n\n{}", report.table.figure.heading(), results(report));
    }
    comparison::markdown(&mut page, report);
    quoted_table(&mut page, report);
    page.push_str(&searches::markdown(report));
    backbones(&mut page, report);
    settings(&mut page, report);
    runs(&mut page, report);
    unfinished(&mut page, report);
    page.push_str("The validation curves are in `report.html`, all numbers in `results.json`.\n");
    page
}

pub(crate) fn line(page: &mut String, cells: &[String]) {
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

pub(crate) fn header(page: &mut String, names: &[String], numeric_from: usize) {
    line(page, names);
    let rules: Vec<String> = (0..names.len())
        .map(|index| if index < numeric_from { "---" } else { "---:" }.to_owned())
        .collect();
    line(page, &rules);
}

/// The table of results.
pub fn results(report: &Report) -> String {
    let mut page = String::new();
    let mut names = vec!["Method".to_owned(), "Trainable parameters".to_owned()];
    names.extend(
        report
            .tasks
            .iter()
            .map(|task| escape_markdown(report.table.task_label(task))),
    );
    names.push("Mean".to_owned());
    names.extend(report.speed_title());
    header(&mut page, &names, 1);
    majority_row(&mut page, report);
    for row in &report.rows {
        measured_row(&mut page, report, row);
        quoted_row(&mut page, report, row);
    }
    page
}

fn majority_row(page: &mut String, report: &Report) {
    let Some(majority) = &report.majority else {
        return;
    };
    let mut cells = vec![format!("**{MAJORITY_LABEL}**"), "0".to_owned()];
    let figures = report.tasks.iter().map(|task| majority.cells.get(task).copied());
    cells.extend(figures.chain([majority.mean]).map(plain_figure));
    cells.extend(report.table.speed_of.iter().map(|_| "–".to_owned()));
    line(page, &cells);
}

fn measured_row(page: &mut String, report: &Report, row: &Row) {
    let counts: Vec<String> = row.trainable_parameters.iter().map(|count| thousands(*count)).collect();
    let mut cells = vec![
        format!("**{}**", escape_markdown(report.table.method_label(&row.name))),
        counts.join(", "),
    ];
    for task in &report.tasks {
        cells.push(
            row.cells
                .get(task)
                .map_or_else(|| "–".to_owned(), |cell| report.measured(&cell.measured)),
        );
    }
    cells.push(
        row.mean
            .as_ref()
            .map_or_else(|| "–".to_owned(), |mean| report.measured(mean)),
    );
    let speed = || plain_figure(row.speed.as_ref().map(|speed| speed.mean));
    cells.extend(report.table.speed_of.iter().map(|_| speed()));
    line(page, &cells);
}

fn quoted_row(page: &mut String, report: &Report, row: &Row) {
    let (Some(quoted), Some(paper)) = (report.table.printed_row(&row.name), &report.paper) else {
        return;
    };
    let mut cells = vec![
        format!("*{} (paper, {})*", escape_markdown(&quoted.label), paper.backbone),
        format!("*{}*", quoted.parameters),
    ];
    for task in &report.tasks {
        cells.push(quoted.figures.get(task).map_or_else(
            || "–".to_owned(),
            |figure| format!("*{}*", report.figure(Some(*figure))),
        ));
    }
    cells.push(
        row.paper_mean
            .map_or_else(|| "–".to_owned(), |mean| format!("*{}*", report.figure(Some(mean)))),
    );
    cells.extend(
        report
            .table
            .speed_of
            .iter()
            .map(|_| format!("*{}*", plain_figure(quoted.speed))),
    );
    line(page, &cells);
}

/// The whole table of the paper, also its methods without a run here.
fn quoted_table(page: &mut String, report: &Report) {
    let Some(paper) = &report.paper else {
        return;
    };
    let _ = writeln!(
        page,
        "## Quoted: {}, {}\n",
        escape_markdown(&paper.source),
        escape_markdown(&paper.backbone)
    );
    let mut names = vec!["Method".to_owned(), "Trainable parameters".to_owned()];
    names.extend(report.table.tasks.iter().map(|task| escape_markdown(&task.label)));
    names.push("Mean".to_owned());
    names.extend(report.speed_title());
    header(page, &names, 1);
    for row in report.table.printed() {
        let mut cells = vec![escape_markdown(&row.label), row.parameters.clone()];
        let figures = report
            .table
            .tasks
            .iter()
            .map(|task| row.figures.get(&task.name).copied());
        cells.extend(figures.chain([row.mean]).map(|figure| report.figure(figure)));
        cells.extend(report.table.speed_of.iter().map(|_| plain_figure(row.speed)));
        line(page, &cells);
    }
    page.push('\n');
}

fn backbones(page: &mut String, report: &Report) {
    let backbones = report.backbones();
    if backbones.is_empty() {
        return;
    }
    page.push_str("## Backbones\n\n");
    header(
        page,
        &["Backbone", "Fingerprint", "Parameters", "Used by"].map(str::to_owned),
        4,
    );
    for backbone in backbones {
        let cells = [
            escape_markdown(&backbone.name),
            code_markdown(&backbone.fingerprint),
            format!(
                "{} ({})",
                thousands(backbone.parameters),
                parameters(backbone.parameters)
            ),
            escape_markdown(&backbone.used_by),
        ];
        line(page, &cells);
    }
    page.push('\n');
}

fn settings(page: &mut String, report: &Report) {
    let settings = report.settings();
    if settings.is_empty() {
        return;
    }
    page.push_str("## Settings\n\n");
    header(page, &["Runs", "Preset", "Steps", "Overridden"].map(str::to_owned), 4);
    for setting in settings {
        let cells = [
            escape_markdown(&setting.used_by),
            escape_markdown(&setting.preset),
            thousands(setting.steps),
            if setting.overrides.is_empty() {
                "nothing".to_owned()
            } else {
                code_markdown(&setting.overrides.join(", "))
            },
        ];
        line(page, &cells);
    }
    page.push('\n');
}

fn runs(page: &mut String, report: &Report) {
    if report.runs.is_empty() {
        return;
    }
    page.push_str("## Runs\n\n");
    header(page, &RUN_COLUMNS.map(str::to_owned), 2);
    for run in &report.runs {
        let cells = [
            format!("`{}`", run.folder),
            escape_markdown(&run.metric),
            format!("{:.2}", run.test),
            run.best_validation
                .map_or_else(String::new, |score| format!("{score:.2}")),
            run.best_step.to_string(),
            run.steps.to_string(),
            run.virtual_tokens.to_string(),
            run.rank.to_string(),
            thousands(run.trainable_parameters),
            format!("{:.3} %", run.share()),
            duration(run.seconds),
            escape_markdown(&run.device),
            escape_markdown(&run.code_version),
        ];
        line(page, &cells);
    }
    page.push('\n');
}

fn unfinished(page: &mut String, report: &Report) {
    if report.unfinished.is_empty() {
        return;
    }
    page.push_str("## Unfinished runs\n\n");
    for folder in &report.unfinished {
        let _ = writeln!(page, "- `{folder}`");
    }
    page.push_str("\nThe same command resumes them.\n\n");
}
