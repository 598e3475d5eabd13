//! Names that are not known.

use std::path::Path;

use crate::error::GgufError;

/// The error of an unsupported name, with the one that reads most like it.
pub(crate) fn unknown(path: &Path, key: &str, found: &str, known: Vec<&'static str>) -> GgufError {
    // What is compared is of a bounded length: names in a damaged file may be as long as the file.
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
