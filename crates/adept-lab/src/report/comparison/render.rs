//! The section "Comparisons" of both pages.

use std::fmt::Write as _;

use super::super::Report;
use super::super::choice::row_class;
use super::super::html::{close_table, open_table};
use super::super::markdown::{header, line};
use super::super::text::{escape_html, escape_markdown};
use super::{Comparison, Separation, Verdict};

/// Columns of the table; the first three hold text.
const COLUMNS: [&str; 9] = [
    "Methods",
    "Verdict",
    "By task",
    "Ranks",
    "Difference",
    "95 % over examples",
    "p",
    "95 % over seeds",
    "p",
];

/// What the figures are.
const INTRODUCTION: [&str; 3] = [
    "Each method is compared with the next one in the ranking by the mean over tasks, and with the best one: the \
     difference of their test scores, times 100, on the same test examples with the same seeds. Over examples: the \
     interval of a paired bootstrap (at most 10,000 resamples of each task's test examples, with the seeds as they \
     are). Over seeds: Student's interval of the differences by seed.",
    "\"Above\" is written only where both intervals exclude 0. Anything else is not separated: these runs do not show \
     that one method is better. By task, the same holds for each task alone.",
    "The intervals are not corrected for the number of comparisons: where nothing differs, one in twenty excludes 0.",
];
/// What a single seed allows.
const ONE_SEED: &str = "The runs have one seed: one seed allows no claim over seeds, whatever the interval over \
                        examples is.";

/// Paragraphs before the table.
fn paragraphs(report: &Report) -> Vec<String> {
    let mut paragraphs: Vec<String> = INTRODUCTION.map(str::to_owned).into();
    let is_one = |comparison: &Comparison| comparison.overall.seeds.len() == 1;
    if report.comparisons.iter().any(is_one) {
        paragraphs.push(ONE_SEED.to_owned());
    }
    let without = report.rows.iter().filter(|row| row.mean.is_none());
    let without: Vec<&str> = without.map(|row| report.table.method_label(&row.name)).collect();
    if !without.is_empty() {
        paragraphs.push(format!(
            "Not ranked, for lack of a figure on every task: {}.",
            without.join(", ")
        ));
    }
    paragraphs
}

/// The section of `report.md`.
pub fn markdown(page: &mut String, report: &Report) {
    if report.comparisons.is_empty() {
        return;
    }
    page.push_str("## Comparisons\n\n");
    for paragraph in paragraphs(report) {
        let _ = writeln!(page, "{}\n", escape_markdown(&paragraph));
    }
    header(page, &COLUMNS.map(str::to_owned), 3);
    for comparison in &report.comparisons {
        line(page, &cells(report, comparison).map(|cell| escape_markdown(&cell)));
    }
    page.push('\n');
}

/// The section of `report.html`, with a table of the differences by task that can be opened.
pub fn html(page: &mut String, report: &Report) {
    if report.comparisons.is_empty() {
        return;
    }
    page.push_str("<h2>Comparisons</h2>\n");
    for paragraph in paragraphs(report) {
        let _ = writeln!(page, "<p>{}</p>", escape_html(&paragraph));
    }
    open_table(page, &COLUMNS, 3);
    for comparison in &report.comparisons {
        row(
            page,
            &classes(report, comparison, comparison.overall.verdict),
            &cells(report, comparison),
        );
    }
    close_table(page);
    page.push_str("<details><summary>Differences by task</summary>\n");
    let names = COLUMNS.iter().filter(|name| **name != "Ranks");
    let names: Vec<&str> = names
        .map(|name| if *name == "By task" { "Task" } else { *name })
        .collect();
    open_table(page, &names, 3);
    for comparison in &report.comparisons {
        for task in &report.tasks {
            if let Some(separation) = comparison.tasks.get(task) {
                let names = names_of(report, comparison);
                let [difference, examples, p, seeds, seeds_p] = figures(separation);
                let task = report.table.task_label(task).to_owned();
                let verdict = said(separation, names);
                let cells = [format!("{} – {}", names[0], names[1]), verdict, task];
                let cells: Vec<String> = cells
                    .into_iter()
                    .chain([difference, examples, p, seeds, seeds_p])
                    .collect();
                row(page, &classes(report, comparison, separation.verdict), &cells);
            }
        }
    }
    close_table(page);
    page.push_str("</details>\n");
}

/// Classes of a row: it is hidden with either of its methods.
fn classes(report: &Report, comparison: &Comparison, verdict: Verdict) -> String {
    let place = |method: &String| report.rows.iter().position(|row| row.name == *method);
    let places = comparison.methods.iter().filter_map(place);
    let mut classes: Vec<String> = places.map(row_class).collect();
    if !matches!(verdict, Verdict::Above | Verdict::Below) {
        classes.push("unclear".to_owned());
    }
    classes.join(" ")
}

fn row(page: &mut String, classes: &str, cells: &[String]) {
    let _ = write!(page, "<tr class=\"{classes}\">");
    for (column, cell) in cells.iter().enumerate() {
        let cell = escape_html(cell);
        let _ = match column {
            0 => write!(page, "<th scope=\"row\">{cell}</th>"),
            1 | 2 => write!(page, "<td class=\"text\">{cell}</td>"),
            _ => write!(page, "<td>{cell}</td>"),
        };
    }
    page.push_str("</tr>\n");
}

/// The cells of a row of the table, as plain text.
fn cells(report: &Report, comparison: &Comparison) -> [String; 9] {
    let names = names_of(report, comparison);
    let [difference, examples, p, seeds, seeds_p] = figures(&comparison.overall);
    [
        format!("{} – {}", names[0], names[1]),
        said(&comparison.overall, names),
        by_task(report, comparison),
        format!("{}, {}", comparison.ranks[0], comparison.ranks[1]),
        difference,
        examples,
        p,
        seeds,
        seeds_p,
    ]
}

fn names_of<'a>(report: &'a Report, comparison: &'a Comparison) -> [&'a str; 2] {
    let [above, below] = &comparison.methods;
    [above, below].map(|method| report.table.method_label(method))
}

/// Difference, interval over examples and p, interval over seeds and p; dashes where there are none.
fn figures(separation: &Separation) -> [String; 5] {
    let none = || "–".to_owned();
    let interval = |[low, high]: [f64; 2]| format!("{low:+.2} to {high:+.2}");
    let p = |p: f64| {
        if p < 0.001 {
            "< 0.001".to_owned()
        } else {
            format!("{p:.3}")
        }
    };
    let seeds = separation.over_seeds;
    [
        separation
            .difference
            .map_or_else(none, |difference| format!("{difference:+.2}")),
        separation
            .examples
            .map_or_else(none, |examples| interval(examples.interval)),
        separation.examples.map_or_else(none, |examples| p(examples.p)),
        seeds.map_or_else(none, |seeds| format!("{} (n={})", interval(seeds.interval), seeds.n)),
        seeds.map_or_else(none, |seeds| p(seeds.p)),
    ]
}

/// A verdict in words.
fn said(separation: &Separation, [first, second]: [&str; 2]) -> String {
    match separation.verdict {
        Verdict::Above => format!("{first} above {second}"),
        Verdict::Below => format!("{second} above {first}"),
        Verdict::NotSeparated => "not separated".to_owned(),
        Verdict::OneSeed if separation.seeds.len() == 1 => "not separated: one seed".to_owned(),
        Verdict::OneSeed => "not separated: the tasks share no seed".to_owned(),
        Verdict::NoAnswers => "not separated: answers to the same examples are missing".to_owned(),
        Verdict::NoSharedSeed => "not compared: no shared seed".to_owned(),
        Verdict::OtherBackbone => "not compared: other backbones".to_owned(),
        Verdict::OtherData => "not compared: other data".to_owned(),
    }
}

/// Most names of tasks in a cell; more are counted.
const NAMED: usize = 4;

/// Tasks on which one method is above the other.
fn by_task(report: &Report, comparison: &Comparison) -> String {
    let all = report.tasks.len();
    let on = |word: &str, verdict: Verdict| {
        let is = |task: &&String| {
            comparison
                .tasks
                .get(*task)
                .is_some_and(|found| found.verdict == verdict)
        };
        let tasks: Vec<&str> = report
            .tasks
            .iter()
            .filter(is)
            .map(|task| report.table.task_label(task))
            .collect();
        match tasks.len() {
            0 => None,
            count if count > NAMED => Some(format!("{word} on {count} of {all}")),
            _ => Some(format!("{word} on {}", tasks.join(", "))),
        }
    };
    let separated: Vec<String> = [on("above", Verdict::Above), on("below", Verdict::Below)]
        .into_iter()
        .flatten()
        .collect();
    if separated.is_empty() {
        return format!("none of {all} separated");
    }
    separated.join("; ")
}
