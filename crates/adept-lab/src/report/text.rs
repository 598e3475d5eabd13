//! Formatting of numbers and escaping of text for reports.

use super::statistics::Spread;

/// Columns of the table of runs, the same in both formats of the report.
pub const RUN_COLUMNS: [&str; 13] = [
    "Run",
    "Metric",
    "Test",
    "Best validation",
    "At step",
    "Steps",
    "m",
    "r",
    "Trainable",
    "Share",
    "Training time",
    "Device",
    "Code",
];

/// Name of the majority baseline's row.
pub const MAJORITY_LABEL: &str = "Majority label";

/// Escapes text for HTML, as content or as a quoted attribute.
#[must_use]
pub fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters other than line breaks are not allowed in HTML.
            character if character.is_control() && character != '\n' => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Escapes text for a cell of a Markdown table.
#[must_use]
pub fn escape_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Formats text as code in a cell of a Markdown table.
#[must_use]
pub fn code_markdown(text: &str) -> String {
    let plain = |character: char| {
        if character.is_control() || character == '`' {
            ' '
        } else {
            character
        }
    };
    // A vertical bar ends a cell even inside code.
    format!("`{}`", text.chars().map(plain).collect::<String>().replace('|', "\\|"))
}

/// A measured figure: `91.2 ± 0.3 (n=3)`, or `91.2 (n=1)` without a spread.
#[must_use]
pub fn measured(spread: &Spread, digits: usize) -> String {
    let mean = format!("{:.digits$}", spread.mean);
    match spread.standard_deviation {
        Some(deviation) => format!("{mean} ± {deviation:.digits$} (n={})", spread.n),
        None => format!("{mean} (n={})", spread.n),
    }
}

/// A figure without a spread; a dash if missing.
#[must_use]
pub fn plain_figure(figure: Option<f64>) -> String {
    self::figure(figure, 1)
}

/// The same with this number of digits after the decimal point.
#[must_use]
pub fn figure(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.digits$}"))
}

/// A number of parameters as the paper prints it: `76.1K`, `220M`; small numbers in full.
#[must_use]
pub fn parameters(count: usize) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => format!("{:.1}K", count as f64 / 1e3),
        1_000_000..100_000_000 => format!("{:.1}M", count as f64 / 1e6),
        _ => format!("{:.0}M", count as f64 / 1e6),
    }
}

/// A number with thousands separators: `76,051`.
#[must_use]
pub fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration: `42 s`, `7 min 03 s`, `2 h 05 min`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// The beginning of a fingerprint, enough to tell backbones apart.
#[must_use]
pub fn short_fingerprint(fingerprint: &str) -> &str {
    let hexadecimal = fingerprint.find(':').map_or(0, |colon| colon + 1);
    let end = (hexadecimal + 12).min(fingerprint.len());
    fingerprint.get(..end).unwrap_or(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_leave_its_place() {
        assert_eq!(
            escape_html("<b a='1'>&\"\u{7}"),
            "&lt;b a=&#39;1&#39;&gt;&amp;&quot;\u{fffd}"
        );
        assert_eq!(code_markdown("a_b|`c`\n"), "`a_b\\| c  `");
        assert_eq!(escape_markdown("a|b\n<i>_x_"), "a\\|b &lt;i>\\_x\\_");
    }

    #[test]
    fn figures_are_printed_as_the_paper_prints_them() {
        let spread = Spread::of(&[90.0, 92.0]).expect("there are values");
        assert_eq!(measured(&spread, 1), "91.0 ± 1.4 (n=2)");
        assert_eq!(
            measured(&Spread::of(&[64.25]).expect("there is a value"), 1),
            "64.2 (n=1)"
        );
        assert_eq!(
            [640, 76_051, 76_800, 222_903_552].map(parameters),
            ["640", "76.1K", "76.8K", "223M"]
        );
        assert_eq!(
            [7, 999, 1000, 76_051, 1_234_567].map(thousands),
            ["7", "999", "1,000", "76,051", "1,234,567"]
        );
        assert_eq!([0.4, 61.0, 7500.0].map(duration), ["0 s", "1 min 01 s", "2 h 05 min"]);
        assert_eq!(short_fingerprint("sha256:0123456789abcdef"), "sha256:0123456789ab");
    }
}
