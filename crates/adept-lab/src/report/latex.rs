//! The table of results as LaTeX, for the package booktabs.

use super::text::{MAJORITY_LABEL, thousands};
use super::{Report, Row, Spread, is_best};

/// The table of results: the same rows as on the page, the best measured figure of a column in bold.
pub fn results(report: &Report) -> String {
    let seeds = report.seeds();
    let mut lines = vec![
        "% Needs \\usepackage{booktabs}.".to_owned(),
        match seeds {
            1 => "% Test scores, times 100, of one seed.".to_owned(),
            _ => format!(
                "% Test scores, times 100: mean over {seeds} seeds, plus or minus the sample standard deviation."
            ),
        },
        format!("\\begin{{tabular}}{{l{}}}", "r".repeat(report.tasks.len() + 2)),
        "\\toprule".to_owned(),
    ];
    let tasks = report
        .tasks
        .iter()
        .map(|task| escape_latex(report.table.task_label(task)));
    let names = ["Method".to_owned(), "Parameters".to_owned()];
    lines.push(line(names.into_iter().chain(tasks).chain(["Mean".to_owned()])));
    lines.push("\\midrule".to_owned());
    if let Some(majority) = &report.majority {
        let figures = report.tasks.iter().map(|task| majority.cells.get(task).copied());
        let figures = figures
            .chain([majority.mean])
            .map(|figure| plain(figure, str::to_owned));
        let names = [escape_latex(MAJORITY_LABEL), "0".to_owned()];
        lines.push(line(names.into_iter().chain(figures)));
    }
    for row in &report.rows {
        lines.push(measured(report, row, seeds));
        lines.extend(quoted(report, row));
    }
    lines.extend(["\\bottomrule", "\\end{tabular}", ""].map(str::to_owned));
    lines.join("\n")
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("{} \\\\", cells.collect::<Vec<_>>().join(" & "))
}

fn measured(report: &Report, row: &Row, seeds: usize) -> String {
    let counts: Vec<String> = row.trainable_parameters.iter().map(|count| thousands(*count)).collect();
    let names = [escape_latex(report.table.method_label(&row.name)), counts.join(", ")];
    let cells = report.tasks.iter().map(|task| {
        let of = |row: &Row| row.cells.get(task).map(|cell| cell.measured.mean);
        figure(
            row.cells.get(task).map(|cell| &cell.measured),
            is_best(report, row, of),
            seeds,
        )
    });
    let of = |row: &Row| row.mean.map(|mean| mean.mean);
    let mean = figure(row.mean.as_ref(), is_best(report, row, of), seeds);
    line(names.into_iter().chain(cells).chain([mean]))
}

/// A mean and its deviation, with the number of seeds if it differs from the table's.
fn figure(spread: Option<&Spread>, is_best: bool, seeds: usize) -> String {
    let Some(spread) = spread else {
        return "--".to_owned();
    };
    let mean = minus(&format!("{:.1}", spread.mean));
    let mut text = if is_best { format!("\\textbf{{{mean}}}") } else { mean };
    if let Some(deviation) = spread.standard_deviation {
        text.push_str(&format!(" $\\pm$ {deviation:.1}"));
    }
    if spread.n != seeds {
        text.push_str(&format!(" ($n={}$)", spread.n));
    }
    text
}

fn quoted(report: &Report, row: &Row) -> Option<String> {
    let (quoted, paper) = (report.table.printed_row(&row.name)?, report.paper.as_ref()?);
    let italic = |text: &str| format!("\\textit{{{text}}}");
    let label = escape_latex(&format!("{} (paper, {})", quoted.label, paper.backbone));
    let names = [italic(&label), italic(&escape_latex(&quoted.parameters))];
    let figures = report.tasks.iter().map(|task| quoted.figures.get(task).copied());
    let figures = figures.chain([row.paper_mean]).map(|figure| plain(figure, italic));
    Some(line(names.into_iter().chain(figures)))
}

fn plain(figure: Option<f64>, form: impl Fn(&str) -> String) -> String {
    figure.map_or_else(|| "--".to_owned(), |figure| form(&minus(&format!("{figure:.1}"))))
}

/// A negative number has a minus, not a hyphen.
fn minus(figure: &str) -> String {
    match figure.strip_prefix('-') {
        Some(digits) => format!("$-${digits}"),
        None => figure.to_owned(),
    }
}

/// Escapes text for LaTeX outside of mathematics.
#[must_use]
pub fn escape_latex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("\\textless{}"),
            '>' => escaped.push_str("\\textgreater{}"),
            '|' => escaped.push_str("\\textbar{}"),
            '{' | '}' | '$' | '&' | '#' | '%' | '_' => {
                escaped.push('\\');
                escaped.push(character);
            }
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    #[test]
    fn the_table_is_whole_and_the_best_figures_are_bold() {
        let runs = vec![
            run("sst2", "pt", 42, 91.0),
            run("sst2", "pt", 43, 92.0),
            run("sst2", "adept", 42, 93.0),
            run("cola", "pt", 42, -3.5),
            run("cola", "pt", 43, -3.5),
        ];
        let table = results(&Report::new(None, runs, Vec::new()));
        let expected = r"% Needs \usepackage{booktabs}.
% Test scores, times 100: mean over 2 seeds, plus or minus the sample standard deviation.
\begin{tabular}{lrrrr}
\toprule
Method & Parameters & SST-2 & CoLA & Mean \\
\midrule
Majority label & 0 & 50.0 & 50.0 & 50.0 \\
PT & 76,800 & 91.5 $\pm$ 0.7 & $-$3.5 $\pm$ 0.0 & 44.0 $\pm$ 0.4 \\
\textit{PT (paper, t5-base)} & \textit{76.8K} & \textit{91.9} & \textit{60.7} & \textit{76.3} \\
ADePT & 76,800 & \textbf{93.0} ($n=1$) & -- & -- \\
";
        assert!(table.starts_with(expected), "{table}");
        assert!(table.ends_with("\\bottomrule\n\\end{tabular}\n"), "{table}");
        let columns = |line: &str| line.matches(" & ").count();
        assert!(
            table
                .lines()
                .filter(|line| line.ends_with("\\\\"))
                .all(|line| columns(line) == 4)
        );
    }

    #[test]
    fn foreign_text_is_no_command() {
        assert_eq!(
            escape_latex("a_b&c\\%{x}$^~<#|\u{7}"),
            "a\\_b\\&c\\textbackslash{}\\%\\{x\\}\\$\\textasciicircum{}\\textasciitilde{}\\textless{}\\#\\textbar{} "
        );
    }
}
