//! `report.html`: a self-contained page without scripts or external resources, for light and dark mode.

use std::fmt::Write as _;

use super::console::figure;
use super::curves::{curves, palette};
use super::text::{MAJORITY_LABEL, RUN_COLUMNS, duration, escape_html, parameters, plain_figure, thousands};
use super::{Report, Row, Spread, choice, comparison, heatmap, is_best, latex, markdown, searches};

const STYLE: &str = include_str!("page.css");

/// Renders the page.
pub fn render(report: &Report) -> String {
    let title = report.benchmark.title();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}, reproduced</title>\n\
         <style>\n{STYLE}{}{}{}</style>\n</head>\n<body>\n<h1>{title}, reproduced</h1>\n",
        palette(report.rows.len()),
        choice::style(report),
        heatmap::style()
    );
    for note in &report.notes {
        let _ = writeln!(page, "<p class=\"note\">{}</p>", escape_html(note));
    }
    results(&mut page, report);
    comparison::html(&mut page, report);
    quoted_table(&mut page, report);
    page.push_str(&searches::html(report));
    curves(&mut page, report);
    backbones(&mut page, report);
    settings(&mut page, report);
    runs(&mut page, report);
    unfinished(&mut page, report);
    page.push_str("</body>\n</html>\n");
    page
}

/// Opens a table that scrolls horizontally on a narrow screen. Columns up to `text` hold text, the others numbers.
pub(super) fn open_table(page: &mut String, names: &[&str], text: usize) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for (index, name) in names.iter().enumerate() {
        let class = if index < text { " class=\"text\"" } else { "" };
        let _ = write!(page, "<th scope=\"col\"{class}>{}</th>", escape_html(name));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
}

pub(super) fn close_table(page: &mut String) {
    page.push_str("</tbody></table></div>\n");
}

fn results(page: &mut String, report: &Report) {
    let _ = writeln!(page, "<h2>{}</h2>", report.table.figure.heading());
    if report.rows.is_empty() {
        page.push_str("<p>No run is done yet.</p>\n");
        return;
    }
    let seeds = report.seeds();
    if seeds > 1 {
        let _ = writeln!(
            page,
            "<p>Mean over {seeds} seeds ± the sample standard deviation; another number of seeds is given as n.</p>"
        );
    }
    choice::html(page, report);
    let mut names = vec!["Method", "Trainable parameters"];
    names.extend(report.tasks.iter().map(|task| report.table.task_label(task)));
    names.push("Mean");
    let speed = report.speed_title();
    names.extend(speed.as_deref());
    open_table(page, &names, 1);
    majority_row(page, report);
    for (place, row) in report.rows.iter().enumerate() {
        let class = choice::row_class(place);
        measured_row(page, report, (row, &class), seeds);
        quoted_row(page, report, (row, &class));
    }
    close_table(page);
    for (form, table) in [
        ("Markdown", markdown::results(report)),
        ("LaTeX", latex::results(report)),
    ] {
        let _ = writeln!(
            page,
            "<details><summary>The table as {form}</summary>\n<pre class=\"copy\">{}</pre></details>",
            escape_html(&table)
        );
    }
}

/// The whole table of the paper, also its methods without a run here.
fn quoted_table(page: &mut String, report: &Report) {
    let Some(paper) = &report.paper else {
        return;
    };
    let title = format!("Quoted: {}, {}", paper.source, paper.backbone);
    let _ = writeln!(page, "<h2>{}</h2>", escape_html(&title));
    let mut names = vec!["Method", "Trainable parameters"];
    names.extend(report.table.tasks.iter().map(|task| task.label.as_str()));
    names.push("Mean");
    let speed = report.speed_title();
    names.extend(speed.as_deref());
    open_table(page, &names, 1);
    for row in report.table.printed() {
        let (label, count) = (escape_html(&row.label), escape_html(&row.parameters));
        let _ = write!(
            page,
            "<tr class=\"quoted\"><th scope=\"row\">{label}</th><td>{count}</td>"
        );
        let figures = report
            .table
            .tasks
            .iter()
            .map(|task| row.figures.get(&task.name).copied());
        for figure in figures.chain([row.mean]) {
            let _ = write!(page, "<td>{}</td>", report.figure(figure));
        }
        if speed.is_some() {
            let _ = write!(page, "<td>{}</td>", plain_figure(row.speed));
        }
        page.push_str("</tr>\n");
    }
    close_table(page);
}

fn majority_row(page: &mut String, report: &Report) {
    let Some(majority) = &report.majority else {
        return;
    };
    let _ = write!(
        page,
        "<tr class=\"majority\"><th scope=\"row\">{MAJORITY_LABEL}</th><td>0</td>"
    );
    let figures = report.tasks.iter().map(|task| majority.cells.get(task).copied());
    for figure in figures.chain([majority.mean]) {
        let _ = write!(page, "<td>{}</td>", plain_figure(figure));
    }
    if report.table.speed_of.is_some() {
        page.push_str("<td>–</td>");
    }
    page.push_str("</tr>\n");
}

fn measured_row(page: &mut String, report: &Report, (row, class): (&Row, &str), seeds: usize) {
    let counts: Vec<String> = row.trainable_parameters.iter().map(|count| thousands(*count)).collect();
    let label = escape_html(report.table.method_label(&row.name));
    let _ = write!(
        page,
        "<tr class=\"{class}\"><th scope=\"row\">{label}</th><td>{}</td>",
        counts.join(", ")
    );
    let digits = report.table.figure.digits();
    let mut cell = |spread: Option<&Spread>, is_best: bool| {
        let class = if is_best { " class=\"best\"" } else { "" };
        let _ = write!(page, "<td{class}>{}</td>", figure(spread, seeds, digits));
    };
    for task in &report.tasks {
        let of = |row: &Row| row.cells.get(task).map(|cell| cell.measured.mean);
        cell(row.cells.get(task).map(|cell| &cell.measured), is_best(report, row, of));
    }
    let of = |row: &Row| row.mean.map(|mean| mean.mean);
    cell(row.mean.as_ref(), is_best(report, row, of));
    if report.table.speed_of.is_some() {
        let speed = plain_figure(row.speed.map(|speed| speed.mean));
        let _ = write!(page, "<td>{speed}</td>");
    }
    page.push_str("</tr>\n");
}

fn quoted_row(page: &mut String, report: &Report, (row, class): (&Row, &str)) {
    let (Some(quoted), Some(paper)) = (report.table.printed_row(&row.name), &report.paper) else {
        return;
    };
    let (label, backbone) = (escape_html(&quoted.label), escape_html(&paper.backbone));
    let _ = write!(
        page,
        "<tr class=\"quoted paper {class}\"><th scope=\"row\">{label} (paper, {backbone})</th><td>{}</td>",
        escape_html(&quoted.parameters)
    );
    let figures = report
        .tasks
        .iter()
        .map(|task| quoted.figures.get(task).copied())
        .chain([row.paper_mean]);
    for figure in figures {
        let _ = write!(page, "<td>{}</td>", report.figure(figure));
    }
    if report.table.speed_of.is_some() {
        let _ = write!(page, "<td>{}</td>", plain_figure(quoted.speed));
    }
    page.push_str("</tr>\n");
}

fn backbones(page: &mut String, report: &Report) {
    let backbones = report.backbones();
    if backbones.is_empty() {
        return;
    }
    page.push_str("<h2>Backbones</h2>\n");
    open_table(page, &["Backbone", "Fingerprint", "Parameters", "Used by"], 4);
    for backbone in backbones {
        let _ = writeln!(
            page,
            "<tr><td class=\"text\">{}</td><td class=\"text wrap\"><code>{}</code></td><td class=\"text\">{} ({})</td>\
             <td class=\"text wrap\">{}</td></tr>",
            escape_html(&backbone.name),
            escape_html(&backbone.fingerprint),
            thousands(backbone.parameters),
            parameters(backbone.parameters),
            escape_html(&backbone.used_by)
        );
    }
    close_table(page);
}

fn settings(page: &mut String, report: &Report) {
    let settings = report.settings();
    if settings.is_empty() {
        return;
    }
    page.push_str("<h2>Settings</h2>\n");
    open_table(page, &["Runs", "Preset", "Steps", "Overridden"], 4);
    for setting in settings {
        let overrides = if setting.overrides.is_empty() {
            "nothing".to_owned()
        } else {
            setting.overrides.join(", ")
        };
        let _ = writeln!(
            page,
            "<tr><td class=\"text wrap\">{}</td><td class=\"text\">{}</td><td class=\"text\">{}</td>\
             <td class=\"text wrap\"><code>{}</code></td></tr>",
            escape_html(&setting.used_by),
            escape_html(&setting.preset),
            thousands(setting.steps),
            escape_html(&overrides)
        );
    }
    close_table(page);
}

fn runs(page: &mut String, report: &Report) {
    if report.runs.is_empty() {
        return;
    }
    page.push_str("<h2>Runs</h2>\n");
    open_table(page, &RUN_COLUMNS, 2);
    for run in &report.runs {
        let _ = writeln!(
            page,
            "<tr><td class=\"text\"><code>{}</code></td><td class=\"text\">{}</td><td>{:.2}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.3} %</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>",
            escape_html(&run.folder),
            escape_html(&run.metric),
            run.test,
            run.best_validation
                .map_or_else(String::new, |score| format!("{score:.2}")),
            run.best_step,
            run.steps,
            run.virtual_tokens,
            run.rank,
            thousands(run.trainable_parameters),
            run.share(),
            duration(run.seconds),
            escape_html(&run.device),
            escape_html(&run.code_version)
        );
    }
    close_table(page);
}

fn unfinished(page: &mut String, report: &Report) {
    if report.unfinished.is_empty() {
        return;
    }
    page.push_str("<h2>Unfinished runs</h2>\n<ul>\n");
    for folder in &report.unfinished {
        let _ = writeln!(page, "<li><code>{}</code></li>", escape_html(folder));
    }
    page.push_str("</ul>\n<p>The same command resumes them.</p>\n");
}

#[cfg(test)]
mod tests {
    use adept_data::{Metric, Right};
    use adept_train::test_answers::TestAnswers;

    use super::super::RunSummary;
    use super::super::comparison::score;
    use super::super::tests::run;
    use super::*;

    /// Runs of 20 methods on 15 tasks with three seeds and invented answers to 300 rows.
    fn many() -> Vec<RunSummary> {
        let labels = ["0", "1"].map(str::to_owned);
        let mut runs = Vec::new();
        for (task, method, seed) in (0..900).map(|index: u64| (index / 60, index / 3 % 20, index % 3)) {
            let targets: Vec<String> = (0..300).map(|row| (row % 2).to_string()).collect();
            let answers: Vec<String> = (0..300_u64)
                .map(|row| {
                    let hash =
                        (row + 1000 * task + 31 * seed + 7 * method * method).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let is_wrong = hash >> 40 & 0xff < 20 + 6 * method + 3 * (task % 5) + seed;
                    labels[usize::from((row % 2 == 1) != is_wrong)].clone()
                })
                .collect();
            let answers = TestAnswers::of(
                &[Metric::Accuracy],
                Some(&labels),
                &answers,
                &Right::of_targets(targets),
            );
            let test = score(Metric::Accuracy, &answers).expect("there are answers");
            let curve = (1..=10)
                .map(|step| {
                    (
                        100 * step,
                        50.0 + (test - 50.0) * (step as f64 / 10.0).sqrt() + seed as f64 * 0.4,
                    )
                })
                .collect();
            runs.push(RunSummary {
                test,
                curve,
                answers: Some(answers),
                ..run(
                    &format!("task-{task:02}"),
                    &format!("method-{method:02}"),
                    42 + seed,
                    0.0,
                )
            });
        }
        runs
    }

    #[test]
    fn a_page_of_twenty_methods_and_fifteen_tasks_is_whole() {
        let report = Report::new(None, many(), Vec::new());
        let page = render(&report);
        for tag in [
            "table", "tr", "td", "th", "details", "svg", "span", "g", "p", "div", "label", "pre",
        ] {
            let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        let results = page
            .split("<h2>")
            .find(|part| part.starts_with("Test scores"))
            .expect("the section");
        let rows: Vec<&str> = results
            .split("<tr")
            .filter(|row| row.starts_with(" class=\"r"))
            .collect();
        assert_eq!(rows.len(), 20);
        assert!(rows.iter().all(|row| row.matches("<td").count() == 17));
        assert_eq!(results.matches("class=\"best\"").count(), 16);
        // 19 neighbours, and 18 with the best that are no neighbours of it; each on 15 tasks.
        let comparisons = page
            .split("<h2>")
            .find(|part| part.starts_with("Comparisons"))
            .expect("the section");
        assert_eq!(comparisons.matches("<tr class").count(), 37 + 37 * 15);
        assert!(comparisons.contains(" above ") && comparisons.contains("not separated"));
        assert_eq!(page.matches("class=\"legend\"").count(), 15);
        assert_eq!(page.matches("<svg class=\"key").count(), 15 * 20);
        assert!(page.contains("<pre class=\"copy\">| Method |") && page.contains("\\begin{tabular}"));
    }
}
