//! A single field value, independent of the file format.

use std::borrow::Cow;

use crate::conversation::RawMessages;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Flag(bool),
    Integer(i64),
    Number(f64),
    Text(Cow<'a, str>),
    List(Vec<Cell<'a>>),
    /// An object with fields of its own.
    Object,
    /// The messages of a conversation.
    Messages(RawMessages<'a>),
}

impl<'a> Cell<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Text and numbers as plain text.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            other => other.described(),
        }
    }

    /// The value as shown in error messages.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Flag(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(_) => "a string".to_owned(),
            Self::List(_) | Self::Messages(_) => "an array".to_owned(),
            Self::Object => "an object".to_owned(),
        }
    }
}
