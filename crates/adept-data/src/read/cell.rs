//! One value of a row, whatever the file's format.

use std::borrow::Cow;

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Flag(bool),
    Integer(i64),
    Number(f64),
    Text(Cow<'a, str>),
    List(Vec<Cell<'a>>),
    /// A value with fields of its own, which none of the formats' rows end in.
    Object,
}

impl<'a> Cell<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// The value itself, of texts and numbers.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            other => other.described(),
        }
    }

    /// The value as an error shows it.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Flag(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(_) => "a string".to_owned(),
            Self::List(_) => "an array".to_owned(),
            Self::Object => "an object".to_owned(),
        }
    }
}
