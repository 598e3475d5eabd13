//! What reading a `config.json` shares between families.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::ModelError;

/// Path and text of a folder's `config.json`.
pub(crate) fn config_text(dir: &Path) -> Result<(PathBuf, String), ModelError> {
    let path = dir.join("config.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(source) => Err(ModelError::Io { path, source }),
    }
}

/// The family that a folder's `config.json` names; none where it names none.
///
/// # Errors
/// A file that cannot be read or is no JSON object.
pub fn model_type(dir: &Path) -> Result<Option<String>, ModelError> {
    #[derive(Deserialize)]
    struct Family {
        model_type: Option<String>,
    }
    let (path, text) = config_text(dir)?;
    let family: Family = serde_json::from_str(&text).map_err(|source| ModelError::Json { path, source })?;
    Ok(family.model_type)
}

pub(crate) fn at_least_one(fields: &[(&'static str, usize)]) -> Result<(), ModelError> {
    match fields.iter().find(|(_, value)| *value == 0) {
        Some((field, value)) => Err(ModelError::config(field, "at least 1", value)),
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

/// What stands for a field that a file lacks in an error.
pub(crate) const ABSENT: &str = "nothing";
