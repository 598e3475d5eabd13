//! Fields of a configuration: what values they take and what they mean.
//!
//! They come from the configuration's structs ([`Schema::of`]), and those of methods from their registry. One list
//! serves the checks of files and `--set` overrides, the nearest-key hint of an unknown key, and
//! `docs/configuration.md` (a test keeps that page equal to [`super::document::page`]).

use std::sync::LazyLock;

use adept_core::Method;
use adept_data::Task;

use super::RunConfig;
use super::own_fields::{groups, settings};
use super::schema::Schema;

/// What values a field takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Any text, paths included.
    Text,
    /// One of these words.
    Choice(Vec<String>),
    /// `true` or `false`.
    Flag,
    /// A whole number within `min ..= max`.
    Integer {
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// A finite number within `min ..= max`.
    Number {
        /// Smallest value allowed.
        min: f64,
        /// Largest value allowed.
        max: f64,
    },
    /// A number within `min ..= max`, or one word.
    NumberOr {
        /// Keyword for a value that is taken from elsewhere.
        word: String,
        /// Smallest value allowed.
        min: f64,
        /// Largest value allowed.
        max: f64,
    },
    /// A list of whole numbers above zero.
    Widths,
    /// A list of texts, which may be empty.
    Texts,
    /// A built-in task's name, or the path of a card.
    Task,
    /// A list of tables (`[[name]]`), each with these fields; only a file can give it.
    Tables(Schema),
}

impl Kind {
    /// What a reader is told was expected.
    pub fn describe(&self) -> String {
        match self {
            Kind::Text => "text".into(),
            Kind::Choice(words) => format!("one of {}", words.join(", ")),
            Kind::Task => {
                let names: Vec<&str> = Task::built_in().iter().map(Task::name).collect();
                format!("one of {}, or the path of a card (.toml)", names.join(", "))
            }
            Kind::Flag => "true or false".into(),
            Kind::Integer { min, max } if *max == i64::MAX => format!("a whole number from {min}"),
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Number { min, max } => format!("a number from {min} to {max}"),
            Kind::NumberOr { word, min, max } => format!("a number from {min} to {max}, or \"{word}\""),
            Kind::Widths => "a list of whole numbers above 0".into(),
            Kind::Texts => "a list of texts".into(),
            Kind::Tables(_) => "a list of tables in a file".into(),
        }
    }
}

/// One field of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Dotted key, as in `--set` and as the TOML path.
    pub key: String,
    /// Former name of the key's last part, still accepted.
    pub was: Option<String>,
    /// Type and range.
    pub kind: Kind,
    /// Whether another value can change the trained adapter or its scores. A run resumes only with the same values of
    /// these; the others (folders, logging) may differ between a run and its continuation.
    pub decides: bool,
    /// What the field means.
    pub meaning: String,
    /// The method that declares the field; none: a field of every run.
    pub method: Option<Method>,
}

impl Field {
    /// Whether the field is called so, or once was.
    pub(super) fn is_called(&self, key: &str) -> bool {
        let was = || {
            let (section, last) = key.rsplit_once('.').unwrap_or(("", key));
            section == self.section() && self.was.as_deref() == Some(last)
        };
        self.key == key || was()
    }

    /// Dotted name of the section that the field is in; empty at the top level.
    pub fn section(&self) -> &str {
        self.key.rsplit_once('.').map_or("", |(section, _)| section)
    }
}

/// Upper end of half-open ranges such as Adam's betas: one is not allowed.
pub(crate) const BELOW_ONE: f64 = 0.999_999;

/// A run that adapts a backbone: the fields of every run, and those that methods declare.
pub static RUN: LazyLock<Schema> = LazyLock::new(|| {
    let mut schema = Schema::of::<RunConfig>("docs/configuration.md");
    for method in Method::ALL {
        schema.extend_section("adapter", settings(*method));
        schema.extend_section("optimizer", groups(*method));
    }
    schema
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_keys() {
        for (typed, expected) in [
            ("train.step", "train.steps"),
            ("train.batchsize", "train.batch_size"),
            ("optimizer.promt.learning_rate", "optimizer.prompt.learning_rate"),
            ("virtual_tokens", "adapter.virtual_tokens"),
            ("sed", "seed"),
        ] {
            assert_eq!(RUN.nearest(typed), expected, "for {typed}");
        }
    }
}
