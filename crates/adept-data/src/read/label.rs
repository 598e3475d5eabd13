//! Maps a value to one of a task's classes, in the same way for every format: by name first, then by number. `True` in
//! a CSV file, `true` in JSON and parquet's boolean are the same value, and so are `1`, `"1"` and `1.0`.

use super::cell::Cell;

/// The names of a task's classes; names in one list are synonyms.
#[derive(Debug)]
pub(super) struct ClassNames(pub Vec<Vec<String>>);

/// The class that a value denotes.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    Class(usize),
    /// Not a class.
    None,
    /// Ambiguous: the class with this number, or something else.
    Either(usize, String),
}

/// A label value, independent of the file format.
struct Value<'c> {
    /// Its possible spellings as a name.
    spellings: Vec<&'c str>,
    number: Option<f64>,
    flag: Option<bool>,
}

impl ClassNames {
    /// The class that a value denotes; `None` if its type cannot be a label.
    pub(super) fn meaning(&self, cell: &Cell<'_>) -> Option<Meaning> {
        let written = match cell {
            Cell::Text(text) => text.trim().to_owned(),
            Cell::Integer(number) => number.to_string(),
            Cell::Number(number) => format!("{number:?}"),
            Cell::Flag(flag) => flag.to_string(),
            Cell::Null | Cell::List(_) | Cell::Object | Cell::Messages(..) => return None,
        };
        // Quotation marks around a label, left over from a format without quoting.
        let bare = written
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .map_or(written.as_str(), str::trim);
        Some(self.find(&Value {
            spellings: vec![&written, bare],
            number: plain_number(bare),
            flag: flag(bare),
        }))
    }

    fn find(&self, value: &Value<'_>) -> Meaning {
        let named = |is: &dyn Fn(&str) -> bool| self.0.iter().position(|names| names.iter().any(|name| is(name)));
        let by_name = named(&|name| value.spellings.contains(&name))
            .or_else(|| named(&|name| value.number.is_some() && plain_number(name) == value.number))
            .or_else(|| named(&|name| value.flag.is_some() && flag(name) == value.flag));
        if let Some(class) = by_name {
            return Meaning::Class(class);
        }
        let truth = value.flag.map(f64::from);
        let index = value.number.or(truth.filter(|_| self.0.len() == 2));
        let index = index.filter(|number| number.fract() == 0.0 && (0.0..self.0.len() as f64).contains(number));
        let Some(class) = index.map(|number| number as usize) else {
            return Meaning::None;
        };
        if let Some(first) = self.0.iter().flatten().find(|name| plain_number(name).is_some()) {
            return Meaning::Either(class, format!("a name such as `{first}` that is not on the card"));
        }
        // 1 may also mean "true", whichever class that is.
        let by_truth = named(&|name| affirmative(name) == Some(class == 1));
        match by_truth.filter(|other| *other != class && class < 2) {
            Some(other) => Meaning::Either(class, format!("`{}`", self.0[other][0])),
            None => Meaning::Class(class),
        }
    }
}

/// A number written in plain digits, with or without decimals.
fn plain_number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = text.strip_suffix('.').unwrap_or(text);
    (plain && text.starts_with(|c: char| c.is_ascii_digit()))
        .then(|| number.parse().ok())
        .flatten()
}

/// A boolean as written by Python, JSON or spreadsheets.
fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Whether a name means yes or no.
fn affirmative(name: &str) -> Option<bool> {
    match name.to_ascii_lowercase().as_str() {
        "true" | "yes" | "t" | "y" | "on" => Some(true),
        "false" | "no" | "f" | "n" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The class number denoted by a value among these names; `?` if it is ambiguous, `-` if it is not a class.
    #[track_caller]
    fn check(names: &[&str], cells: &[Cell<'_>], expected: &str) {
        let names = ClassNames(
            names
                .iter()
                .map(|names| names.split('|').map(str::to_owned).collect())
                .collect(),
        );
        for cell in cells {
            let found = match names.meaning(cell).expect("a label's kind") {
                Meaning::Class(class) => class.to_string(),
                Meaning::None => "-".to_owned(),
                Meaning::Either(..) => "?".to_owned(),
            };
            assert_eq!(found, expected, "{cell:?}");
        }
    }

    fn trues() -> Vec<Cell<'static>> {
        let texts = ["true", "True", "TRUE", " true ", "\"True\"", "\" true \""];
        texts.map(Cell::text).into_iter().chain([Cell::Flag(true)]).collect()
    }

    fn ones() -> Vec<Cell<'static>> {
        let texts = ["1", "1.0", "1.", " 1", "\"1\"", "01"];
        let numbers = [Cell::Integer(1), Cell::Number(1.0)];
        texts.map(Cell::text).into_iter().chain(numbers).collect()
    }

    #[test]
    fn booleans_are_names_first() {
        check(&["true", "false"], &trues(), "0");
        check(&["false", "true"], &trues(), "1");
        check(&["False", "True"], &trues(), "1");
        check(&["no", "unknown", "TRUE|yes"], &trues(), "2");
        // Without such names, true and false are classes 1 and 0 of two.
        check(&["unacceptable", "acceptable"], &trues(), "1");
        check(&["0", "1"], &[Cell::Flag(true)], "?");
        check(&["a", "b", "c"], &trues(), "-");
        check(&["yes", "no"], &trues(), "?");
    }

    #[test]
    fn numbers_are_names_first() {
        check(&["negative", "positive"], &ones(), "1");
        check(&["1", "2"], &ones(), "0");
        check(&["1.0", "2.0"], &ones(), "0");
        check(&["false", "true"], &ones(), "1");
        check(
            &["0.5", "1.5"],
            &[Cell::Number(1.5), Cell::text("1.5"), Cell::text("1.50")],
            "1",
        );
        // Numeric names rule out class numbers, and truth values may be reversed.
        check(
            &["1", "2"],
            &[Cell::text("0"), Cell::Integer(0), Cell::Number(0.0)],
            "?",
        );
        check(&["true", "false"], &ones(), "?");
        check(&["yes", "no"], &ones(), "?");
        check(
            &["entailment", "neutral"],
            &["2", "+1", "-1", "1e0", "0.5", "", "nan", "inf"].map(Cell::text),
            "-",
        );
        check(
            &["entailment", "neutral"],
            &[Cell::Integer(-1), Cell::Number(f64::NAN), Cell::Number(0.5)],
            "-",
        );
    }
}
