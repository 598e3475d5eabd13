//! Typed look-ups in the metadata.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::value::{List, Value};
use crate::error::GgufError;

/// The metadata of a model.
#[derive(Debug)]
pub(crate) struct Metadata {
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

impl Metadata {
    pub fn new(path: PathBuf, values: BTreeMap<String, Value>) -> Self {
        Self { path, values }
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<&str, GgufError> {
        self.find_text(key)?.ok_or_else(|| self.missing(key))
    }

    pub fn find_text(&self, key: &str) -> Result<Option<&str>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(found) => Err(self.refuse(key, "a text", found.describe())),
        }
    }

    /// A non-negative integer. A list whose elements are all equal counts as that element: some converters write one
    /// number per layer.
    pub fn count(&self, key: &str) -> Result<usize, GgufError> {
        self.find_count(key)?.ok_or_else(|| self.missing(key))
    }

    pub fn find_count(&self, key: &str) -> Result<Option<usize>, GgufError> {
        let Some(found) = self.get(key) else { return Ok(None) };
        let number = match found {
            Value::Unsigned(value) => usize::try_from(*value).ok(),
            Value::Signed(value) => usize::try_from(*value).ok(),
            Value::List(List::Unsigned(values)) => same(values).and_then(|value| usize::try_from(value).ok()),
            Value::List(List::Signed(values)) => same(values).and_then(|value| usize::try_from(value).ok()),
            _ => None,
        };
        let expected = "one number, 0 or more, for all layers";
        let number = number.ok_or_else(|| self.refuse(key, expected, found.describe()))?;
        Ok(Some(number))
    }

    pub fn number(&self, key: &str) -> Result<f64, GgufError> {
        self.find_number(key)?.ok_or_else(|| self.missing(key))
    }

    /// A finite number.
    pub fn find_number(&self, key: &str) -> Result<Option<f64>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Float(value)) if value.is_finite() => Ok(Some(*value)),
            Some(Value::Unsigned(value)) => Ok(Some(*value as f64)),
            Some(Value::Signed(value)) => Ok(Some(*value as f64)),
            Some(found) => Err(self.refuse(key, "a finite number", found.describe())),
        }
    }

    pub fn find_flag(&self, key: &str) -> Result<Option<bool>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(found) => Err(self.refuse(key, "a Boolean", found.describe())),
        }
    }

    pub fn texts(&self, key: &str) -> Result<&[String], GgufError> {
        match self.get(key) {
            None => Err(self.missing(key)),
            Some(Value::List(List::Text(texts))) => Ok(texts),
            Some(found) => Err(self.refuse(key, "a list of texts", found.describe())),
        }
    }

    /// The error for a key with an unusable value.
    pub fn refuse(&self, key: &str, expected: impl Into<String>, found: impl ToString) -> GgufError {
        GgufError::Value {
            path: self.path.clone(),
            key: key.to_owned(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    pub fn missing(&self, key: &str) -> GgufError {
        GgufError::MissingKey {
            path: self.path.clone(),
            key: key.to_owned(),
        }
    }
}

/// The common value of all elements, if there is one.
fn same<T: Copy + PartialEq>(values: &[T]) -> Option<T> {
    let first = *values.first()?;
    values.iter().all(|value| *value == first).then_some(first)
}
