//! The searches of settings in a report: a table of what was chosen, and a picture of each grid.

use std::fmt::Write as _;

use super::heatmap::Heatmap;
use super::search::SearchRecord;
use super::text::{code_markdown, escape_html, escape_markdown, thousands};
use super::{Report, html, markdown};

/// What the sections say first.
const NOTE: &str = "Settings were chosen by the validation split alone, with one seed; at a tie the one that was tried \
                    first. The chosen ones were then trained with every seed, and only those are in the table of results.";

const COLUMNS: [&str; 5] = ["Method", "Task", "Chosen settings", "Validation", "Runs"];

/// The section of `report.md`; empty without a search.
pub fn markdown(report: &Report) -> String {
    let mut page = String::new();
    if report.searches.is_empty() {
        return page;
    }
    let _ = writeln!(page, "## Searches\n\n{NOTE}\n");
    markdown::header(&mut page, &COLUMNS.map(str::to_owned), 3);
    for search in &report.searches {
        let [method, task, settings, validation, runs] = cells(report, search);
        let settings = if settings.is_empty() {
            settings
        } else {
            code_markdown(&settings)
        };
        let cells = [
            escape_markdown(&method),
            escape_markdown(&task),
            settings,
            escape_markdown(&validation),
            runs,
        ];
        markdown::line(&mut page, &cells);
    }
    page.push('\n');
    page
}

/// The section of `report.html`; empty without a search.
pub fn html(report: &Report) -> String {
    let mut page = String::new();
    if report.searches.is_empty() {
        return page;
    }
    let _ = writeln!(page, "<h2>Searches</h2>\n<p class=\"note\">{NOTE}</p>");
    html::open_table(&mut page, &COLUMNS, 3);
    for search in &report.searches {
        let [method, task, settings, validation, runs] = cells(report, search).map(|cell| escape_html(&cell));
        let _ = writeln!(
            page,
            "<tr><td class=\"text\">{method}</td><td class=\"text\">{task}</td>\
             <td class=\"text wrap\"><code>{settings}</code></td><td>{validation}</td><td>{runs}</td></tr>"
        );
    }
    html::close_table(&mut page);
    for map in report.searches.iter().flat_map(|search| maps(report, search)) {
        page.push_str(&map.render());
    }
    page
}

fn cells(report: &Report, search: &SearchRecord) -> [String; 5] {
    let score = search.winner().and_then(|winner| winner.validation);
    [
        report.table.method_label(&search.row).to_owned(),
        report.table.task_label(&search.task).to_owned(),
        search.settings().join(", "),
        score.map_or_else(|| "–".to_owned(), |score| format!("{score:.1} ({})", search.metric)),
        thousands(search.runs()),
    ]
}

/// One picture for each round: the first setting that varies gives the columns, the others the rows.
fn maps(report: &Report, search: &SearchRecord) -> Vec<Heatmap> {
    let varying: Vec<usize> = (0..search.keys.len()).filter(|place| search.varies(*place)).collect();
    let Some((across, down)) = varying.split_first() else {
        return Vec::new();
    };
    let title = |places: &[usize]| -> String {
        let keys: Vec<&str> = places.iter().map(|place| search.keys[*place].as_str()).collect();
        keys.join(", ")
    };
    let label = |tried: &super::Tried, places: &[usize]| -> String {
        let value = |place: &usize| tried.values.get(*place).map_or("", String::as_str);
        places.iter().map(value).collect::<Vec<_>>().join(", ")
    };
    // A later round has the order of the first one, which tried everything.
    let labels = |round: &super::Round, places: &[usize]| -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for tried in search.rounds.first().into_iter().flat_map(|first| &first.tried) {
            let label = label(tried, places);
            if !all.contains(&label) {
                all.push(label);
            }
        }
        all.retain(|known| round.tried.iter().any(|tried| label(tried, places) == *known));
        all
    };
    let rounds = search.rounds.len();
    let map = |(number, round): (usize, &super::Round)| {
        let (rows, columns) = (labels(round, down), labels(round, &[*across]));
        let place = |labels: &[String], label: String| labels.iter().position(|known| *known == label);
        let placed: Vec<(usize, usize, &super::Tried)> = round
            .tried
            .iter()
            .filter_map(|tried| {
                let row = place(&rows, label(tried, down))?;
                Some((row, place(&columns, label(tried, &[*across]))?, tried))
            })
            .collect();
        let mut values = vec![vec![None; columns.len()]; rows.len()];
        for (row, column, tried) in &placed {
            values[*row][*column] = tried.validation;
        }
        let chosen = |(row, column, tried): &(usize, usize, &super::Tried)| {
            (tried.name == search.chosen).then_some((*row, *column))
        };
        let of = if rounds > 1 {
            format!(", round {} of {rounds} ({} steps)", number + 1, thousands(round.steps))
        } else {
            String::new()
        };
        Heatmap {
            caption: format!(
                "{} on {}: {} on the validation split, times 100{of}",
                report.table.method_label(&search.row),
                report.table.task_label(&search.task),
                search.metric
            ),
            row_title: title(down),
            column_title: title(&[*across]),
            marked: placed.iter().filter_map(chosen).collect(),
            mark_title: "the chosen settings".to_owned(),
            decimals: 1,
            rows,
            columns,
            values,
            range: None,
        }
    };
    search.rounds.iter().enumerate().map(map).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::super::{Round, Tried};
    use super::*;

    #[test]
    fn the_chosen_cell_and_every_score_are_shown() {
        let tried = |rate: &str, tokens: &str, validation| Tried {
            name: format!("{rate}-{tokens}"),
            values: vec![rate.to_owned(), tokens.to_owned(), "100".to_owned()],
            validation,
        };
        let search = SearchRecord {
            task: "rte".to_owned(),
            row: "adept".to_owned(),
            method: "adept".to_owned(),
            metric: "accuracy".to_owned(),
            seed: 42,
            keys: vec!["rate".to_owned(), "tokens".to_owned(), "fixed".to_owned()],
            rounds: vec![Round {
                steps: 300,
                tried: vec![
                    tried("0.3", "20", Some(61.0)),
                    tried("0.3", "40", Some(63.5)),
                    tried("0.4", "20", None),
                    tried("0.4", "40", Some(62.0)),
                ],
            }],
            chosen: "0.3-40".to_owned(),
        };
        assert_eq!(search.settings(), ["rate=0.3", "tokens=40"]);
        let map = &maps(&Report::new(None, Vec::new(), Vec::new()), &search)[0];
        assert_eq!(
            (map.rows.join(" "), map.columns.join(" ")),
            ("20 40".to_owned(), "0.3 0.4".to_owned())
        );
        assert_eq!(map.values, [[Some(61.0), None], [Some(63.5), Some(62.0)]]);
        assert_eq!(map.marked, [(1, 0)]);
        // A second round that tried them in another order keeps the order of the first.
        let mut again = search.clone();
        again.rounds.push(Round {
            steps: 900,
            tried: vec![tried("0.4", "40", Some(64.0)), tried("0.3", "20", Some(61.5))],
        });
        let map = &maps(&Report::new(None, Vec::new(), Vec::new()), &again)[1];
        assert_eq!(
            (map.rows.join(" "), map.columns.join(" ")),
            ("20 40".to_owned(), "0.3 0.4".to_owned())
        );
        assert_eq!(map.values, [[Some(61.5), None], [None, Some(64.0)]]);
        let report = Report::new(None, vec![run("rte", "adept", 42, 60.0)], Vec::new()).with_searches(vec![search]);
        for page in [markdown(&report), html(&report)] {
            assert!(
                page.contains("rate=0.3, tokens=40") && page.contains("63.5 (accuracy)"),
                "{page}"
            );
        }
    }
}
