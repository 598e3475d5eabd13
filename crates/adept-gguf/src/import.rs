//! The import from end to end.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::architecture;
use crate::container::Gguf;
use crate::error::GgufError;
use crate::tokenizer::{self, SpecialIds};
use crate::write::{Element, Folder, check_target, weights};

/// Largest shard in bytes of data: 5 GB, as is customary on the hub.
const SHARD: u64 = 5_000_000_000;

/// Options of an import.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Element type of the written weights.
    pub element: Element,
    /// Replace an earlier import in the output folder.
    pub overwrite: bool,
    /// Pre-tokenizer of a byte-level tokenizer by llama.cpp's name; overrides `tokenizer.ggml.pre`.
    pub pre_tokenizer: Option<String>,
    /// Largest weight file in bytes of data; a larger model is written as shards with an index.
    pub shard: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            element: Element::default(),
            overwrite: false,
            pre_tokenizer: None,
            shard: SHARD,
        }
    }
}

/// Observes an import.
pub trait Progress {
    /// Called once, with the total size of the weights in bytes.
    fn begin(&self, _bytes: u64) {}
    /// `bytes` more have been written.
    fn written(&self, _bytes: u64) {}
    /// Returning false stops the import with [`GgufError::Stopped`].
    fn proceed(&self) -> bool {
        true
    }
}

/// No-op observer.
impl Progress for () {}

/// Summary of an imported model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// llama.cpp's name of the architecture.
    pub architecture: String,
    /// `model_type` in transformers.
    pub model_type: String,
    /// Number of weights.
    pub parameters: u64,
    /// Size of the written weights in bytes.
    pub bytes: u64,
    /// Number of weight files.
    pub files: usize,
    /// Number of tensors of each type in the GGUF file.
    pub types: BTreeMap<String, usize>,
    /// Number of tokens.
    pub tokens: usize,
}

/// Reads a GGUF model, one file or any part of several, and writes a folder in Hugging Face's layout.
///
/// The folder is written beside its final location, synced and renamed: it exists whole or not at all. Memory use is
/// that of the metadata and tokenizer plus a chunk of one tensor, independently of the model's size; only GPT-2's
/// matrices, which have to be transposed, are held one at a time.
///
/// # Errors
/// An output folder that is not empty, damaged files, unsupported types, architectures or tokenizers, and failures to
/// read or write.
pub fn import(model: &Path, out: &Path, settings: &Settings, progress: &dyn Progress) -> Result<Imported, GgufError> {
    check_target(out, settings.overwrite)?;
    let gguf = Gguf::open(model)?;
    let described = architecture::model(&gguf)?;
    let tokenizer = tokenizer::tokenizer(
        gguf.metadata(),
        described.architecture,
        described.vocabulary,
        described.positions,
        settings.pre_tokenizer.as_deref(),
    )?;
    let mut config = described.config;
    for (key, value) in ids(&tokenizer.special) {
        config.insert(key, value);
    }
    config.insert("torch_dtype".to_owned(), json!(settings.element.torch()));

    let folder = Folder::beside(out)?;
    let special = tokenizer.special.clone();
    let tokens = tokenizer.tokens;
    folder.json("tokenizer.json", &tokenizer.file)?;
    folder.json("tokenizer_config.json", &tokenizer.config)?;
    folder.json("generation_config.json", &generation(&special))?;
    // By far the largest object; what follows needs a chunk of a tensor.
    drop(tokenizer);
    let written = weights(
        &gguf,
        &described.tensors,
        settings.element,
        settings.shard,
        folder.path(),
        progress,
    )?;
    let model_type = config
        .get("model_type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    folder.config(config)?;
    folder.finish()?;
    Ok(Imported {
        architecture: described.architecture.to_owned(),
        model_type,
        parameters: written.parameters,
        bytes: written.bytes,
        files: written.files,
        types: gguf.types(),
        tokens,
    })
}

/// Token ids for `config.json`. Missing ones are null, since transformers has defaults for absent keys.
fn ids(special: &SpecialIds) -> Map<String, Value> {
    let ids = [
        ("bos_token_id", special.bos),
        ("eos_token_id", special.eos),
        ("pad_token_id", special.pad),
    ];
    ids.into_iter().map(|(key, id)| (key.to_owned(), json!(id))).collect()
}

/// `generation_config.json`, with all end tokens.
fn generation(special: &SpecialIds) -> Value {
    let mut config = Map::new();
    config.insert("_from_model_config".to_owned(), json!(true));
    let ends: Vec<usize> = special.eos.iter().chain(&special.ends).copied().collect();
    let eos = match ends.as_slice() {
        [] => None,
        [only] => Some(json!(only)),
        several => Some(json!(several)),
    };
    let entries = [
        ("bos_token_id", special.bos.map(Value::from)),
        ("eos_token_id", eos),
        ("pad_token_id", special.pad.map(Value::from)),
    ];
    for (key, value) in entries {
        if let Some(value) = value {
            config.insert(key.to_owned(), value);
        }
    }
    Value::Object(config)
}
