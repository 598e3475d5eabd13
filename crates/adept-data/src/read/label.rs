//! What a value means among a task's classes, the same in every format: a name first, then a class's number. `True` of
//! a CSV file, `true` of JSON and parquet's flag are one value, and so are `1`, `"1"` and `1.0`.

use super::cell::Cell;

/// The names of a task's classes; those in one list mean the same class.
#[derive(Debug)]
pub(super) struct ClassNames(pub Vec<Vec<String>>);

/// What a value means.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    Class(usize),
    /// No class.
    None,
    /// The class of this number, or something else: nothing says which.
    Either(usize, String),
}

/// A value as all formats have it.
struct Value<'c> {
    /// The ways it may be written as a name.
    spellings: Vec<&'c str>,
    number: Option<f64>,
    flag: Option<bool>,
}

impl ClassNames {
    /// The class that a value means; none where no label is of its kind.
    pub(super) fn meaning(&self, cell: &Cell<'_>) -> Option<Meaning> {
        let written = match cell {
            Cell::Text(text) => text.trim().to_owned(),
            Cell::Integer(number) => number.to_string(),
            Cell::Number(number) => format!("{number:?}"),
            Cell::Flag(flag) => flag.to_string(),
            Cell::Null | Cell::List(_) | Cell::Object => return None,
        };
        // Quotation marks that a format without quoting has left around a label.
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
        // A 1 may stand for what is true, whichever class that is.
        let by_truth = named(&|name| affirmative(name) == Some(class == 1));
        match by_truth.filter(|other| *other != class && class < 2) {
            Some(other) => Meaning::Either(class, format!("`{}`", self.0[other][0])),
            None => Meaning::Class(class),
        }
    }
}

/// A number in plain digits, with or without digits behind a point.
fn plain_number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = text.strip_suffix('.').unwrap_or(text);
    (plain && text.starts_with(|c: char| c.is_ascii_digit()))
        .then(|| number.parse().ok())
        .flatten()
}

/// A boolean as Python, JSON and spreadsheets write it.
fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Whether a name says that something is so.
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

    /// What a value means among these names, by the class's number; `?` where it may mean either of two, `-` where it
    /// is no class.
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
        // Without such names they are 0 and 1 of two classes.
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
        // Names that are numbers leave no room for the classes' own, and truth may stand the other way round.
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
