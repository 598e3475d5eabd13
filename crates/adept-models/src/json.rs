//! Shared by the families for reading a `config.json`.

use std::path::Path;

use serde_json::Value;

use crate::error::ModelError;
use crate::files::ConfigFiles;

/// The `model_type` in a folder's `config.json`, if it has one.
///
/// # Errors
/// A file that cannot be read or is not a JSON object.
pub fn model_type(dir: &Path) -> Result<Option<String>, ModelError> {
    let files = ConfigFiles::from_dir(dir)?;
    match files.config.get("model_type") {
        None => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(other) => Err(files.config.refuse("model_type", "a text", other)),
    }
}

/// Upper limit of a dimension: the product of two of them fits into a `usize`.
const LARGEST: usize = 1 << 30;

pub(crate) fn sizes(fields: &[(&'static str, usize)]) -> Result<(), ModelError> {
    match fields.iter().find(|(_, value)| !(1..=LARGEST).contains(value)) {
        Some((field, value)) => Err(ModelError::config(field, format!("from 1 to {LARGEST}"), value)),
        None => Ok(()),
    }
}

pub(crate) fn open_unit(field: &'static str, value: f64) -> Result<(), ModelError> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(ModelError::config(field, "between 0 and 1", value))
}

pub(crate) fn rate(field: &'static str, value: f64) -> Result<(), ModelError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(ModelError::config(field, "at least 0, below 1", value))
}

pub(crate) fn token(field: &'static str, id: u32, vocabulary: usize) -> Result<(), ModelError> {
    if (id as usize) < vocabulary {
        return Ok(());
    }
    Err(ModelError::config(field, format!("below vocab_size {vocabulary}"), id))
}

pub(crate) fn tokens(field: &'static str, ids: &[u32], vocabulary: usize) -> Result<(), ModelError> {
    match ids {
        [] => Err(ModelError::config(field, "one token or more", "none")),
        ids => ids.iter().try_for_each(|&id| token(field, id, vocabulary)),
    }
}

/// Shown in errors in place of a missing field's value.
pub(crate) const ABSENT: &str = "nothing";
