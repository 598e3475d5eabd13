//! The validation curves of `report.html`: a chart for each task, each with a legend of what is drawn in it.

use std::fmt::Write as _;

use super::chart::{Line, chart};
use super::text::escape_html;
use super::{Report, RunSummary};

/// Colours of the methods' lines: hues by the golden angle, so that any number of them differ, and dashes after every
/// seventh, for those who do not see hues. A method has the same in every chart.
pub fn palette(methods: usize) -> String {
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

/// The section of the page.
pub fn curves(page: &mut String, report: &Report) {
    if report.runs.iter().all(|run| run.curve.is_empty()) {
        return;
    }
    page.push_str("<h2>Validation curves</h2>\n<p>One line a seed.</p>\n<div class=\"charts\">\n");
    for task in &report.tasks {
        let own: Vec<_> = report.runs.iter().filter(|run| run.task == *task).collect();
        let line = |run: &&RunSummary| Line {
            label: format!("{}, seed {}", report.table.method_label(&run.row), run.seed),
            class: place(report, run).map_or_else(String::new, |place| format!("m{place}")),
            points: run.curve.clone(),
        };
        let lines: Vec<Line> = own.iter().map(line).collect();
        let metric = own.first().map_or("", |run| run.selection_metric.as_str());
        let title = format!("{}, validation {metric}", report.table.task_label(task));
        let _ = writeln!(
            page,
            "<figure><figcaption>{}</figcaption>\n{}\n{}</figure>",
            escape_html(&title),
            chart(&title, &lines),
            legend(report, &own)
        );
    }
    page.push_str("</div>\n");
}

/// Place of a run's row in the table.
fn place(report: &Report, run: &RunSummary) -> Option<usize> {
    report.rows.iter().position(|row| row.name == run.row)
}

/// The methods with a line in a chart, each with a piece of it.
fn legend(report: &Report, runs: &[&RunSummary]) -> String {
    let is_drawn = |run: &&&RunSummary| run.curve.iter().any(|point| point.1.is_finite());
    let mut places: Vec<usize> = runs
        .iter()
        .filter(is_drawn)
        .filter_map(|run| place(report, run))
        .collect();
    places.sort_unstable();
    places.dedup();
    let mut html = "<p class=\"legend\">".to_owned();
    for place in places {
        let label = escape_html(report.table.method_label(&report.rows[place].name));
        let _ = write!(
            html,
            "<span class=\"r{place}\"><svg class=\"key m{place}\" viewBox=\"0 0 30 8\" aria-hidden=\"true\">\
             <polyline points=\"0,4 30,4\"/></svg> {label}</span> "
        );
    }
    html.push_str("</p>");
    html
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    #[test]
    fn a_legend_names_exactly_what_its_chart_draws() {
        let not_drawn = RunSummary {
            curve: vec![(100, f64::NAN)],
            ..run("rte", "dept", 42, 61.0)
        };
        let runs = vec![
            run("sst2", "pt", 42, 90.0),
            run("sst2", "dept", 42, 91.0),
            run("rte", "adept", 42, 61.0),
            run("rte", "adept", 43, 61.0),
            run("rte", "pt", 42, 60.0),
            not_drawn,
        ];
        let report = Report::new(None, runs, Vec::new());
        let mut page = String::new();
        curves(&mut page, &report);
        let charts: Vec<&str> = page.split("<figure>").skip(1).collect();
        let labels = |chart: &str| -> Vec<String> {
            let legend = chart
                .split("class=\"legend\"")
                .nth(1)
                .expect("every chart has a legend");
            let entries = legend.split("</svg> ").skip(1);
            entries
                .map(|entry| entry[..entry.find('<').expect("it ends")].to_owned())
                .collect()
        };
        let [sst2, rte] = charts[..] else {
            panic!("{page}");
        };
        assert_eq!(labels(sst2), ["PT", "DePT"]);
        assert_eq!(labels(rte), ["PT", "ADePT"]);
        // The class of a line is that of its legend's entry, in every chart.
        for (chart, label) in [(sst2, "PT"), (rte, "PT"), (rte, "ADePT")] {
            let place = report
                .rows
                .iter()
                .position(|row| report.table.method_label(&row.name) == label);
            let place = place.expect("it has a row");
            assert!(
                chart.contains(&format!("<g class=\"m{place}\"><title>{label}, seed 42")),
                "{chart}"
            );
            assert!(
                chart.contains(&format!("key m{place}\"")) && chart.contains(&format!("</svg> {label}<")),
                "{chart}"
            );
        }
    }
}
