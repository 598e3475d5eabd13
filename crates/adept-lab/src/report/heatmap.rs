//! A table of values with shaded cells, for grids over two settings. The value is printed in every cell, so that the
//! colour only repeats it.

use std::fmt::Write as _;

use super::text::escape_html;

/// Shades from the lowest to the highest value on a light page: one hue, so that they differ in lightness alone, and
/// all light enough for the page's dark ink (WCAG 2.2, 1.4.3).
const LIGHT: [&str; 9] = [
    "#f3f7fb", "#e4eef7", "#d5e5f4", "#c5dbf0", "#b5d1ec", "#a5c7e8", "#94bce3", "#82b1de", "#70a5d9",
];
/// The same on a dark page, for its light ink.
const DARK: [&str; 9] = [
    "#1c2530", "#1d2c3d", "#1e344a", "#203c58", "#214466", "#234c74", "#255483", "#275c91", "#29649f",
];

/// Values over two settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heatmap {
    /// What the table is of.
    pub caption: String,
    /// What the rows are values of.
    pub row_title: String,
    /// What the columns are values of.
    pub column_title: String,
    /// Labels of the rows.
    pub rows: Vec<String>,
    /// Labels of the columns.
    pub columns: Vec<String>,
    /// Values by row and column; a missing one is shown as a dash, one that is not finite without a shade.
    pub values: Vec<Vec<Option<f64>>>,
    /// Row and column of each cell to outline.
    pub marked: Vec<(usize, usize)>,
    /// What an outline means; shown below the table where a cell is marked.
    pub mark_title: String,
    /// Digits after the decimal point.
    pub decimals: usize,
    /// Values of the lightest and the darkest shade, for maps that share a scale; `None` for those of this map.
    pub range: Option<(f64, f64)>,
}

impl Heatmap {
    /// The map as an HTML table with a legend of its shades. The page needs [`style`].
    #[must_use]
    pub fn render(&self) -> String {
        let range = self.range.or_else(|| self.own_range());
        let mut html = format!(
            "<div class=\"scroll\"><table class=\"heat\">\n<caption>{}</caption>\n<thead><tr><th \
             scope=\"col\">{}</th><th scope=\"colgroup\" colspan=\"{}\">{}</th></tr>\n<tr><th></th>",
            escape_html(&self.caption),
            escape_html(&self.row_title),
            self.columns.len().max(1),
            escape_html(&self.column_title),
        );
        for column in &self.columns {
            let _ = write!(html, "<th scope=\"col\">{}</th>", escape_html(column));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for (row, label) in self.rows.iter().enumerate() {
            let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape_html(label));
            for column in 0..self.columns.len() {
                html.push_str(&self.cell(row, column, range));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        html.push_str(&self.legend(range));
        html
    }

    /// The value of a cell; `None` also where the values have fewer rows or columns than labels.
    fn value(&self, row: usize, column: usize) -> Option<f64> {
        *self.values.get(row)?.get(column)?
    }

    /// Lowest and highest finite value.
    fn own_range(&self) -> Option<(f64, f64)> {
        let finite = || self.values.iter().flatten().flatten().filter(|value| value.is_finite());
        finite().next()?;
        Some((
            finite().copied().fold(f64::INFINITY, f64::min),
            finite().copied().fold(f64::NEG_INFINITY, f64::max),
        ))
    }

    fn cell(&self, row: usize, column: usize, range: Option<(f64, f64)>) -> String {
        let Some(value) = self.value(row, column) else {
            return "<td>–</td>".to_owned();
        };
        let mut classes = Vec::new();
        if let Some(shade) = range.and_then(|range| shade(value, range)) {
            classes.push(format!("heat{shade}"));
        }
        let text = format!("{value:.*}", self.decimals);
        let text = if self.marked.contains(&(row, column)) {
            classes.push("marked".to_owned());
            format!("<strong>{text}</strong>")
        } else {
            text
        };
        if classes.is_empty() {
            return format!("<td>{text}</td>");
        }
        format!("<td class=\"{}\">{text}</td>", classes.join(" "))
    }

    /// Lowest and highest value with the shades between them, and the meaning of an outline.
    fn legend(&self, range: Option<(f64, f64)>) -> String {
        let mut html = "<p class=\"heat-legend\">".to_owned();
        if let Some((lowest, highest)) = range {
            let _ = write!(html, "{lowest:.*} ", self.decimals);
            for shade in 0..LIGHT.len() {
                let _ = write!(html, "<i class=\"heat{shade}\"></i>");
            }
            let _ = write!(html, " {highest:.*}", self.decimals);
        }
        if !self.marked.is_empty() && !self.mark_title.is_empty() {
            let _ = write!(html, " <i class=\"marked\"></i> {}", escape_html(&self.mark_title));
        }
        html.push_str("</p>\n");
        html
    }
}

/// The shade of a value; values outside of the range have its nearest end's. `None` if it is not finite.
fn shade(value: f64, (lowest, highest): (f64, f64)) -> Option<usize> {
    if !value.is_finite() {
        return None;
    }
    let last = LIGHT.len() - 1;
    // Equal values have the middle shade: none of them is low or high.
    let part = if highest > lowest {
        ((value - lowest) / (highest - lowest)).clamp(0.0, 1.0)
    } else {
        0.5
    };
    Some((part * last as f64).round() as usize)
}

/// Style rules of all maps of a page; they use the page's variables `--ink` and `--page`.
#[must_use]
pub fn style() -> String {
    let shades = |shades: &[&str]| {
        let rule = |(place, colour): (usize, &&str)| format!(".heat{place} {{ background: {colour}; }}\n");
        shades.iter().enumerate().map(rule).collect::<String>()
    };
    format!(
        "{}@media (prefers-color-scheme: dark) {{\n{}}}\n{}",
        shades(&LIGHT),
        shades(&DARK),
        ".heat caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }\n\
         .heat td { text-align: center; border: 1px solid var(--page); }\n\
         .heat thead th { text-align: center; }\n\
         .heat thead th:first-child { text-align: left; }\n\
         .marked { outline: 2px solid var(--ink); outline-offset: -3px; }\n\
         .heat-legend i { display: inline-block; width: 1.1rem; height: .8rem; }\n\
         .heat-legend .marked { outline-offset: 0; margin-left: 1.2rem; }\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Heatmap {
        let text = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        Heatmap {
            caption: "SST-2 <validation>".to_owned(),
            row_title: "rate of P".to_owned(),
            column_title: "rate of f".to_owned(),
            rows: text(&["0.3", "0.4"]),
            columns: text(&["1e-4", "5e-4", "1e-3"]),
            values: vec![
                vec![Some(50.0), Some(90.0), None],
                vec![Some(70.0), Some(f64::NAN)],
                vec![Some(0.5)],
            ],
            marked: vec![(0, 1)],
            mark_title: "best".to_owned(),
            decimals: 1,
            range: None,
        }
    }

    #[test]
    fn every_cell_prints_its_value_in_its_shade() {
        let html = Heatmap {
            values: map().values[..2].to_vec(),
            ..map()
        }
        .render();
        let row = "<tr><th scope=\"row\">0.3</th><td class=\"heat0\">50.0</td><td class=\"heat8 \
                   marked\"><strong>90.0</strong></td><td>–</td></tr>";
        assert!(html.contains(row), "{html}");
        // A value that is not finite has no shade, and a cell that the values lack is a dash.
        let row = "<tr><th scope=\"row\">0.4</th><td class=\"heat4\">70.0</td><td>NaN</td><td>–</td></tr>";
        assert!(html.contains(row), "{html}");
        assert!(html.contains("SST-2 &lt;validation&gt;") && html.contains("<i class=\"marked\"></i> best"));
        assert!(html.contains(">50.0 <i class=\"heat0\">") && html.contains("</i> 90.0"));
    }

    #[test]
    fn a_given_range_replaces_the_values_own() {
        let html = Heatmap {
            range: Some((0.0, 80.0)),
            ..map()
        }
        .render();
        assert!(html.contains("<td class=\"heat5\">50.0</td>") && html.contains("heat8 marked"));
        assert_eq!(shade(3.0, (3.0, 3.0)), Some(4));
        let none = Heatmap::default().render();
        assert!(none.contains("<table") && !none.contains("heat0"));
    }

    /// Relative luminance of `#rrggbb` (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let channel = |start: usize| {
            let value = u8::from_str_radix(&colour[start..start + 2], 16).expect("two digits");
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn the_ink_of_both_pages_is_readable_on_every_shade() {
        let inks: Vec<&str> = include_str!("page.css")
            .split("--ink: ")
            .skip(1)
            .map(|rest| &rest[..7])
            .collect();
        let [light, dark] = inks[..] else {
            panic!("one ink a page: {inks:?}");
        };
        for (ink, shades) in [(light, LIGHT), (dark, DARK)] {
            let mut last = None;
            for colour in shades {
                let (one, other) = (luminance(ink), luminance(colour));
                let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                assert!(contrast >= 4.5, "{ink} on {colour}: {contrast:.2}");
                // Each shade is further from the page than the one before it.
                assert!(last.is_none_or(|last: f64| contrast < last), "{colour}");
                last = Some(contrast);
            }
        }
    }
}
