//! Checkboxes that hide a method's rows and curves, in CSS alone. A browser without `:has` shows everything.

use std::fmt::Write as _;

use super::Report;
use super::text::{MAJORITY_LABEL, escape_html};

/// Class of the rows of a method, by its place in the table.
pub fn row_class(place: usize) -> String {
    format!("r{place}")
}

/// What can be hidden: the name of its checkbox, a selector, a label.
fn parts(report: &Report) -> Vec<(String, String, &str)> {
    let mut parts = Vec::new();
    for (place, row) in report.rows.iter().enumerate() {
        let selector = format!(".m{place}, .{}", row_class(place));
        parts.push((format!("show-{place}"), selector, report.table.method_label(&row.name)));
    }
    if report.majority.is_some() {
        parts.push(("show-majority".to_owned(), ".majority".to_owned(), MAJORITY_LABEL));
    }
    if report.paper.is_some() {
        parts.push(("show-paper".to_owned(), ".paper".to_owned(), "Figures of the paper"));
    }
    parts
}

/// Style rules of the checkboxes.
pub fn style(report: &Report) -> String {
    let rule = |(name, selector, _): (String, String, &str)| {
        format!("body:has(#{name}:not(:checked)) :is({selector}) {{ display: none; }}\n")
    };
    parts(report).into_iter().map(rule).collect()
}

/// The checkboxes, folded away.
pub fn html(page: &mut String, report: &Report) {
    page.push_str("<details class=\"choice\"><summary>Rows and curves shown</summary>\n<div>\n");
    for (name, _, label) in parts(report) {
        let label = escape_html(label);
        let _ = writeln!(
            page,
            "<label><input type=\"checkbox\" id=\"{name}\" checked> {label}</label>"
        );
    }
    page.push_str("</div></details>\n");
}

#[cfg(test)]
mod tests {
    use super::super::html::render;
    use super::super::tests::run;
    use super::*;

    #[test]
    fn every_box_has_a_rule_and_every_rule_hides_something() {
        let runs = vec![
            run("rte", "pt", 42, 60.0),
            run("rte", "adept", 42, 61.0),
            run("rte", "lora", 42, 62.0),
        ];
        let report = Report::new(None, runs, Vec::new());
        let page = render(&report);
        assert_eq!(page.matches("type=\"checkbox\"").count(), 5);
        for (name, selector, label) in parts(&report) {
            assert!(
                page.contains(&format!("id=\"{name}\" checked> {label}</label>")),
                "{name}"
            );
            assert!(
                page.contains(&format!("body:has(#{name}:not(:checked)) :is({selector})")),
                "{name}"
            );
            for class in selector.split(", ").map(|part| &part[1..]) {
                let classes = page.split("class=\"").skip(1).filter_map(|rest| rest.split('"').next());
                assert!(
                    classes.flat_map(str::split_whitespace).any(|found| found == class),
                    "nothing has the class {class}"
                );
            }
        }
    }
}
