//! Errors for unsupported names.

use std::path::Path;

use crate::error::GgufError;

/// The error for an unsupported name, with the most similar supported one.
pub(crate) fn unknown(path: &Path, key: &str, found: &str, known: Vec<&'static str>) -> GgufError {
    // Bounds the comparison: in a damaged file the name may be as long as the file.
    let found: String = found.chars().take(64).collect();
    let nearest = known.iter().min_by_key(|name| strsim::levenshtein(name, &found));
    GgufError::Unknown {
        path: path.to_owned(),
        key: key.to_owned(),
        nearest: nearest.copied().unwrap_or_default(),
        found,
        known,
    }
}
