//! Selects the files of a repository to download.

use std::collections::BTreeMap;

use crate::{HubError, Listing, RemoteFile, Repository};

/// A model's configuration and tokenizer files.
const DESCRIPTION: [&str; 10] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "vocab.json",
    "merges.txt",
];

/// A model's weights as a single file, and the index of sharded weights.
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

impl Listing {
    /// Configuration, tokenizer and weights of a model: a single `model.safetensors`, or its index and shards.
    ///
    /// # Errors
    /// [`HubError::NoFile`] if there is no `config.json` or no safetensors file.
    pub fn model_files(&self, repository: &Repository) -> Result<Vec<RemoteFile>, HubError> {
        let has = |name: &str| self.files.iter().any(|file| file.name == name);
        let missing = |expected: &str| HubError::NoFile {
            repository: repository.to_string(),
            expected: expected.to_owned(),
            found: self.names(),
        };
        if !has("config.json") {
            return Err(missing("config.json"));
        }
        if !has(WEIGHTS) && !has(INDEX) {
            return Err(missing(&format!("{WEIGHTS} or {INDEX}")));
        }
        let is_part = |name: &str| name.starts_with("model-") && name.ends_with(".safetensors");
        let wanted = |file: &&RemoteFile| {
            let name = file.name.as_str();
            let weights = if has(WEIGHTS) {
                name == WEIGHTS
            } else {
                name == INDEX || is_part(name)
            };
            DESCRIPTION.contains(&name) || weights
        };
        Ok(self.files.iter().filter(wanted).cloned().collect())
    }

    /// The data files in a folder (`""` is the root): parquet, JSON, tables, also gzipped.
    ///
    /// # Errors
    /// [`HubError::NoFile`] if there are none.
    pub fn data_files(&self, repository: &Repository, folder: &str) -> Result<Vec<RemoteFile>, HubError> {
        let is_data = |name: &str| {
            let name = name.strip_suffix(".gz").unwrap_or(name);
            [".parquet", ".jsonl", ".json", ".tsv", ".csv", ".txt"]
                .iter()
                .any(|ending| name.ends_with(ending))
        };
        let inside =
            |name: &str| folder.is_empty() || name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let files: Vec<RemoteFile> = self
            .files
            .iter()
            .filter(|file| inside(&file.name) && is_data(&file.name) && file.name != "dataset_infos.json")
            .cloned()
            .collect();
        if files.is_empty() {
            let at = if folder.is_empty() {
                String::new()
            } else {
                format!("{folder}/")
            };
            return Err(HubError::NoFile {
                repository: repository.to_string(),
                expected: format!("{at}*.parquet (or jsonl, tsv, csv)"),
                found: self.names(),
            });
        }
        Ok(files)
    }

    /// Compares the listing with checksums known in advance (SHA-256 or Git, hex), by name within a folder. A mirror
    /// with other content under the right name is thus detected before anything is downloaded. Names missing from the
    /// listing pass: whoever reads the files reports them.
    ///
    /// # Errors
    /// [`HubError::OtherFile`].
    pub fn check(
        &self,
        repository: &Repository,
        folder: &str,
        known: &BTreeMap<String, String>,
    ) -> Result<(), HubError> {
        for file in &self.files {
            let name = match folder {
                "" => Some(file.name.as_str()),
                _ => file.name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
            };
            let Some(expected) = name.and_then(|name| known.get(name)) else {
                continue;
            };
            if file.checksum.hex() != expected {
                return Err(HubError::OtherFile {
                    repository: repository.to_string(),
                    name: file.name.clone(),
                    expected: expected.clone(),
                    found: file.checksum.hex().to_owned(),
                });
            }
        }
        Ok(())
    }

    /// The first few names, for an error message.
    fn names(&self) -> String {
        const SHOWN: usize = 8;
        let mut names: Vec<&str> = self.files.iter().take(SHOWN).map(|file| file.name.as_str()).collect();
        let more = format!("{} more", self.files.len().saturating_sub(SHOWN));
        if self.files.len() > SHOWN {
            names.push(&more);
        }
        if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        }
    }
}
