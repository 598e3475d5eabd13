//! `report.html`: a self-contained page without scripts or external resources, for light and dark mode.

use std::fmt::Write as _;

use super::chart::{Line, chart};
use super::text::{MAJORITY_LABEL, RUN_COLUMNS, duration, escape_html, parameters, plain_figure, thousands};
use super::{Report, Row, heatmap, searches};

const STYLE: &str = include_str!("page.css");

/// Renders the page.
pub fn render(report: &Report) -> String {
    let title = report.benchmark.title();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}, reproduced</title>\n\
         <style>\n{STYLE}{}{}</style>\n</head>\n<body>\n<h1>{title}, reproduced</h1>\n",
        palette(report.rows.len()),
        heatmap::style()
    );
    for note in &report.notes {
        let _ = writeln!(page, "<p class=\"note\">{}</p>", escape_html(note));
    }
    results(&mut page, report);
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
fn open_table(page: &mut String, names: &[&str], text: usize) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for (index, name) in names.iter().enumerate() {
        let class = if index < text { " class=\"text\"" } else { "" };
        let _ = write!(page, "<th scope=\"col\"{class}>{}</th>", escape_html(name));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
}

fn close_table(page: &mut String) {
    page.push_str("</tbody></table></div>\n");
}

fn results(page: &mut String, report: &Report) {
    let _ = writeln!(page, "<h2>{}</h2>", report.table.figure.heading());
    if report.rows.is_empty() {
        page.push_str("<p>No run is done yet.</p>\n");
        return;
    }
    let mut names = vec!["Method", "Trainable parameters"];
    names.extend(report.tasks.iter().map(|task| report.table.task_label(task)));
    names.push("Mean");
    let speed = report.speed_title();
    names.extend(speed.as_deref());
    open_table(page, &names, 1);
    majority_row(page, report);
    for row in &report.rows {
        measured_row(page, report, row);
        quoted_row(page, report, row);
    }
    close_table(page);
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
    for row in &report.table.rows {
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

/// Colours of the methods' lines: hues by the golden angle, so that any number of them differ, and dashes after every
/// seventh, for those who do not see hues.
fn palette(methods: usize) -> String {
    let rule = |place: usize| {
        let (hue, dash) = ((215.0 + 137.508 * place as f64) % 360.0, 3 * (place / 7));
        let dash = if dash > 0 {
            format!(" stroke-dasharray: {dash} {dash};")
        } else {
            String::new()
        };
        format!(".m{place} {{ color: hsl({hue:.0} 70% var(--light));{dash} }}\n")
    };
    (0..methods).map(rule).collect()
}

fn majority_row(page: &mut String, report: &Report) {
    let Some(majority) = &report.majority else {
        return;
    };
    let _ = write!(page, "<tr><th scope=\"row\">{MAJORITY_LABEL}</th><td>0</td>");
    let figures = report.tasks.iter().map(|task| majority.cells.get(task).copied());
    for figure in figures.chain([majority.mean]) {
        let _ = write!(page, "<td>{}</td>", plain_figure(figure));
    }
    if report.table.speed_of.is_some() {
        page.push_str("<td>–</td>");
    }
    page.push_str("</tr>\n");
}

fn measured_row(page: &mut String, report: &Report, row: &Row) {
    let counts: Vec<String> = row.trainable_parameters.iter().map(|count| thousands(*count)).collect();
    let label = escape_html(report.table.method_label(&row.name));
    let _ = write!(page, "<tr><th scope=\"row\">{label}</th><td>{}</td>", counts.join(", "));
    for task in &report.tasks {
        let of = |row: &Row| row.cells.get(task).map(|cell| cell.measured.mean);
        let value = row
            .cells
            .get(task)
            .map_or_else(|| "–".to_owned(), |cell| report.measured(&cell.measured));
        let _ = write!(page, "<td{}>{value}</td>", best(report, row, of));
    }
    let of = |row: &Row| row.mean.as_ref().map(|mean| mean.mean);
    let mean = row
        .mean
        .as_ref()
        .map_or_else(|| "–".to_owned(), |mean| report.measured(mean));
    let _ = write!(page, "<td{}>{mean}</td>", best(report, row, of));
    if report.table.speed_of.is_some() {
        let of = |row: &Row| row.speed.as_ref().map(|speed| speed.mean);
        let speed = plain_figure(of(row));
        let _ = write!(page, "<td{}>{speed}</td>", best(report, row, of));
    }
    page.push_str("</tr>\n");
}

/// Marks the best measured figure of a column with several.
fn best(report: &Report, row: &Row, of: impl Fn(&Row) -> Option<f64>) -> &'static str {
    let figures: Vec<f64> = report.rows.iter().filter_map(&of).collect();
    let kind = report.table.figure;
    match of(row) {
        Some(own) if figures.len() > 1 && !figures.iter().any(|other| kind.is_better(*other, own)) => " class=\"best\"",
        _ => "",
    }
}

fn quoted_row(page: &mut String, report: &Report, row: &Row) {
    let (Some(quoted), Some(paper)) = (report.table.row(&row.name), &report.paper) else {
        return;
    };
    let (label, backbone) = (escape_html(&quoted.label), escape_html(&paper.backbone));
    let _ = write!(
        page,
        "<tr class=\"quoted\"><th scope=\"row\">{label} (paper, {backbone})</th><td>{}</td>",
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

fn curves(page: &mut String, report: &Report) {
    if report.runs.iter().all(|run| run.curve.is_empty()) {
        return;
    }
    page.push_str("<h2>Validation curves</h2>\n<p class=\"legend\">");
    for (place, row) in report.rows.iter().enumerate() {
        let label = escape_html(report.table.method_label(&row.name));
        let _ = write!(page, "<span class=\"m{place}\">{label}</span>");
    }
    let class = |name: &str| {
        let place = report.rows.iter().position(|row| row.name == name);
        place.map_or_else(String::new, |place| format!("m{place}"))
    };
    page.push_str("one line a seed</p>\n<div class=\"charts\">\n");
    for task in &report.tasks {
        let own: Vec<_> = report.runs.iter().filter(|run| run.task == *task).collect();
        let line = |run: &&super::RunSummary| Line {
            label: format!("{}, seed {}", report.table.method_label(&run.row), run.seed),
            class: class(&run.row),
            points: run.curve.clone(),
        };
        let lines: Vec<Line> = own.iter().map(line).collect();
        let metric = own.first().map_or("", |run| run.selection_metric.as_str());
        let title = format!("{}, validation {metric}", report.table.task_label(task));
        let _ = writeln!(
            page,
            "<figure><figcaption>{}</figcaption>\n{}</figure>",
            escape_html(&title),
            chart(&title, &lines)
        );
    }
    page.push_str("</div>\n");
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
