//! `section3.4.html`: one source's first self-attention as heat maps, on a page without scripts or external resources.

use std::fmt::Write as _;

use super::record::AttentionRecord;
use super::render;
use super::section34::Section34;
use crate::report::text::escape_html;

const STYLE: &str = include_str!("../report/page.css");
const OWN_STYLE: &str = ".map text { font-size: 7px; } .map .up { fill: hsl(20 85% var(--light)); } .map .down { fill: \
                         hsl(215 75% var(--light)); } .map .frame { fill: none; stroke: var(--rule); }\n";

/// Side of a cell.
const CELL: usize = 10;
/// Space for the names of tokens.
const MARGIN: usize = 64;
/// Characters of a token's name, at most.
const NAME: usize = 14;
/// Cells below this opacity are not drawn.
const FAINTEST: f64 = 0.004;

/// Renders the page.
pub(super) fn page(section: &Section34) -> String {
    let title = "Section 3.4: the first self-attention";
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{STYLE}{OWN_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for note in &section.notes {
        let _ = writeln!(page, "<p class=\"note\">{}</p>", escape_html(note));
    }
    for task in &section.tasks {
        let own = section
            .records
            .iter()
            .filter(|record| record.subject.run.task == task.task);
        // One run of each method.
        let mut shown: Vec<&AttentionRecord> = Vec::new();
        for record in own {
            let method = record.subject.run.method;
            if !shown.iter().any(|known| known.subject.run.method == method) {
                shown.push(record);
            }
        }
        example(&mut page, &render::task_label(&task.task), &shown);
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// The same source under each method.
fn example(page: &mut String, label: &str, shown: &[&AttentionRecord]) {
    let Some(first) = shown.first() else {
        return;
    };
    let largest = |patterns: &mut dyn Iterator<Item = &Vec<Vec<f64>>>| {
        let values = patterns.flatten().flatten();
        values.fold(0.0_f64, |largest, value| largest.max(value.abs()))
    };
    let examples = || shown.iter().map(|record| &record.attention.example);
    let scale = largest(&mut examples().flat_map(|example| [&example.mean.change, &example.most.change]));
    let bare = &first.attention.example.mean;
    let bare_scale = largest(&mut std::iter::once(&bare.bare));
    let _ = writeln!(
        page,
        "<h2>{}, test row {}</h2>\n<p>Each row of a map is a query, each column a key. Full orange is {} of attention in \
         the first map; in the others full orange is {} more than the bare backbone's, full blue as much less, both after \
         renormalising over content tokens.</p>\n<div class=\"charts\">",
        escape_html(label),
        first.attention.example.row,
        render::significant(bare_scale, 2),
        render::significant(scale, 2),
    );
    let tokens = &first.example_tokens;
    figure(page, "Bare backbone, mean of heads", tokens, &bare.bare, bare_scale);
    for record in shown {
        let (run, example) = (&record.subject.run, &record.attention.example);
        let method = render::method_label(run.method);
        let caption = |what: &str| format!("{method}, seed {}, {what}: change", run.seed);
        let mean = caption("mean of heads");
        figure(page, &mean, tokens, &example.mean.change, scale);
        let most = caption(&format!("head {}, which changes most", example.head));
        figure(page, &most, tokens, &example.most.change, scale);
    }
    page.push_str("</div>\n");
}

fn figure(page: &mut String, caption: &str, tokens: &[String], values: &[Vec<f64>], scale: f64) {
    let (side, caption) = (MARGIN + CELL * tokens.len(), escape_html(caption));
    let _ = write!(
        page,
        "<figure><figcaption>{caption}</figcaption>\n<svg class=\"map\" viewBox=\"0 0 {side} {side}\" role=\"img\" \
         aria-label=\"{caption}\">\n"
    );
    for (index, token) in tokens.iter().enumerate() {
        let name = escape_html(&token.chars().take(NAME).collect::<String>());
        let (at, edge) = (MARGIN + CELL * index + CELL * 3 / 4, MARGIN - 3);
        let _ = write!(
            page,
            "<text x=\"{edge}\" y=\"{at}\" text-anchor=\"end\">{name}</text>\
             <text transform=\"translate({at} {edge}) rotate(-90)\">{name}</text>"
        );
    }
    page.push('\n');
    for (query, row) in values.iter().enumerate() {
        for (key, value) in row.iter().enumerate() {
            let opacity = if scale > 0.0 { value.abs() / scale } else { 0.0 };
            if opacity < FAINTEST {
                continue;
            }
            let class = if *value > 0.0 { "up" } else { "down" };
            let (x, y) = (MARGIN + CELL * key, MARGIN + CELL * query);
            let _ = write!(
                page,
                "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" \
                 fill-opacity=\"{opacity:.2}\"/>"
            );
        }
    }
    let width = CELL * tokens.len();
    let _ = writeln!(
        page,
        "\n<rect class=\"frame\" x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{width}\" height=\"{width}\"/>\n</svg></figure>"
    );
}
