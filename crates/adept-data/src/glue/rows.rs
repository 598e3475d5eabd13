//! From a file's fields to examples: the one place where labels are understood and sources are put together, whatever
//! the file's format.

use std::path::{Path, PathBuf};

use super::task::Spec;
use super::{StsbRounding, stsb_target};
use crate::{DataError, Example};

/// A label as its format writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RawLabel<'a> {
    Text(&'a str),
    Integer(i64),
    Number(f64),
}

/// Collects the examples of one file.
pub(super) struct Rows {
    spec: &'static Spec,
    rounding: StsbRounding,
    pub(super) file: PathBuf,
    /// Name of the label's column in this format.
    label_field: &'static str,
    /// Names of the text columns in this format.
    text_fields: &'static [&'static str],
    /// Id of the file's first row: shards of one split count on.
    first_id: usize,
    pub(super) examples: Vec<Example>,
    pub(super) skipped: usize,
    pub(super) empty_fields: usize,
}

impl Rows {
    /// For a file with the official TSV columns.
    pub(super) fn official(spec: &'static Spec, rounding: StsbRounding, file: &Path, first_id: usize) -> Self {
        let (label_field, text_fields) = (spec.tsv_label, spec.tsv_texts);
        let file = file.to_path_buf();
        let (examples, skipped, empty_fields) = (Vec::new(), 0, 0);
        Self {
            spec,
            rounding,
            file,
            label_field,
            text_fields,
            first_id,
            examples,
            skipped,
            empty_fields,
        }
    }

    /// For a file with the hub's field names.
    pub(super) fn hub(spec: &'static Spec, rounding: StsbRounding, file: &Path, first_id: usize) -> Self {
        let rows = Self::official(spec, rounding, file, first_id);
        Self {
            label_field: "label",
            text_fields: spec.hub_texts,
            ..rows
        }
    }

    pub(super) fn spec(&self) -> &'static Spec {
        self.spec
    }

    pub(super) fn text_fields(&self) -> &'static [&'static str] {
        self.text_fields
    }

    pub(super) fn label_field(&self) -> &'static str {
        self.label_field
    }

    /// Adds a row. `line` is what an error calls it.
    pub(super) fn push(&mut self, line: usize, texts: &[&str], label: RawLabel<'_>) -> Result<(), DataError> {
        for (text, &field) in texts.iter().zip(self.text_fields) {
            if text.is_empty() {
                if self.spec.refuses_empty {
                    return Err(DataError::EmptyField {
                        file: self.file.clone(),
                        line,
                        field,
                    });
                }
                self.empty_fields += 1;
            }
        }
        let target = self.target(line, label)?;
        let id = self.first_id + self.examples.len();
        self.examples.push(Example {
            id,
            source: source_text(self.spec.markers, texts),
            target,
        });
        Ok(())
    }

    fn target(&self, line: usize, label: RawLabel<'_>) -> Result<String, DataError> {
        let target = if self.spec.classes.is_empty() {
            self.score(label)
        } else {
            self.class(label)
        };
        target.ok_or_else(|| {
            let (file, field, expected) = (self.file.clone(), self.label_field, self.expected_label());
            match label {
                RawLabel::Integer(-1) | RawLabel::Number(-1.0) | RawLabel::Text("-1") => DataError::HiddenLabel {
                    file,
                    line,
                    field,
                    expected,
                },
                RawLabel::Text(found) => DataError::UnknownLabel {
                    file,
                    line,
                    field,
                    expected,
                    found: found.to_string(),
                },
                RawLabel::Integer(found) => DataError::UnknownLabel {
                    file,
                    line,
                    field,
                    expected,
                    found: found.to_string(),
                },
                RawLabel::Number(found) => DataError::UnknownLabel {
                    file,
                    line,
                    field,
                    expected,
                    found: found.to_string(),
                },
            }
        })
    }

    /// A class's number as its digit, from its name, its digit or its number.
    fn class(&self, label: RawLabel<'_>) -> Option<String> {
        let classes = self.spec.classes;
        let number = match label {
            RawLabel::Text(text) => classes
                .iter()
                .position(|class| *class == text)
                .or_else(|| digits(text))
                .filter(|&n| n < classes.len()),
            RawLabel::Integer(number) => usize::try_from(number).ok().filter(|&n| n < classes.len()),
            RawLabel::Number(_) => None,
        };
        number.map(|number| number.to_string())
    }

    fn score(&self, label: RawLabel<'_>) -> Option<String> {
        // The hub keeps scores as 32-bit floats, and the reference rounds those: 2.35 is 2.3499999 there.
        let score = match label {
            RawLabel::Text(text) => text.parse::<f32>().ok()?,
            RawLabel::Integer(number) => number as f32,
            RawLabel::Number(number) => number as f32,
        };
        (0.0..=5.0).contains(&score).then(|| stsb_target(score, self.rounding))
    }

    fn expected_label(&self) -> String {
        if self.spec.classes.is_empty() {
            return "a score from 0 to 5".to_string();
        }
        let classes = self.spec.classes.iter().enumerate();
        let names: Vec<String> = classes.map(|(number, name)| format!("{number} ({name})")).collect();
        names.join(", ")
    }
}

/// A number written in plain digits.
fn digits(text: &str) -> Option<usize> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// `marker text marker text …`, joined by single spaces; the texts stay as they are, white space at their ends included.
fn source_text(markers: &[&str], texts: &[&str]) -> String {
    let mut source = String::with_capacity(texts.iter().map(|text| text.len() + 14).sum());
    for (marker, text) in markers.iter().zip(texts) {
        if !source.is_empty() {
            source.push(' ');
        }
        source.push_str(marker);
        source.push(' ');
        source.push_str(text);
    }
    source
}
