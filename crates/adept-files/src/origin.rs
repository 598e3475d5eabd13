//! Which model folders this project wrote: only those may be replaced.

use std::path::Path;

use serde_json::{Map, Value};

use crate::json_object;

/// Key in `config.json`, in analogy to `transformers_version`.
const VERSION_KEY: &str = "adept_version";

/// Marks the content of a `config.json` as written by this project.
pub fn sign(config: &mut Map<String, Value>) {
    config.insert(VERSION_KEY.to_owned(), env!("CARGO_PKG_VERSION").into());
}

/// Whether a `config.json` has the mark; a missing or unreadable one does not.
#[must_use]
pub fn is_signed(config: &Path) -> bool {
    let text = std::fs::read(config).ok();
    let config = text.and_then(|text| json_object(&text).ok());
    config.is_some_and(|config| config.contains_key(VERSION_KEY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_signed_config_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(!is_signed(&path));
        let mut config = Map::new();
        std::fs::write(&path, Value::Object(config.clone()).to_string()).unwrap();
        assert!(!is_signed(&path));
        sign(&mut config);
        std::fs::write(&path, Value::Object(config).to_string()).unwrap();
        assert!(is_signed(&path));
    }
}
