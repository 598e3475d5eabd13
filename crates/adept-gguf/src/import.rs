//! The whole way: from a GGUF file to a folder.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::architecture;
use crate::container::Gguf;
use crate::error::GgufError;
use crate::tokenizer::{self, SpecialIds};
use crate::write::{Element, Folder, check_target, weights};

/// Data in a shard at most, as transformers' `save_pretrained` has it.
const SHARD: u64 = 5_000_000_000;

/// How to import a model.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Element type of the written weights.
    pub element: Element,
    /// Whether an earlier import may be replaced.
    pub overwrite: bool,
    /// llama.cpp's name of how a byte-level tokenizer splits texts, in place of the file's.
    pub pre_tokenizer: Option<String>,
    /// Bytes of weights in a file at most; a larger model is written as shards with an index.
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
    /// The weights, so many bytes, will be written.
    fn begin(&self, _bytes: u64) {}
    /// More bytes of them have been written.
    fn written(&self, _bytes: u64) {}
    /// Whether to go on.
    fn proceed(&self) -> bool {
        true
    }
}

/// No-op observer.
impl Progress for () {}

/// A model that has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// llama.cpp's name of its architecture.
    pub architecture: String,
    /// Its `model_type` in transformers.
    pub model_type: String,
    /// Number of its weights.
    pub parameters: u64,
    /// Bytes of its written weights.
    pub bytes: u64,
    /// Number of files that hold them.
    pub files: usize,
    /// Number of tensors of each type in the GGUF file.
    pub types: BTreeMap<String, usize>,
    /// Number of tokens.
    pub tokens: usize,
}

/// Reads a GGUF model, one file or any part of several, and writes a folder in Hugging Face's layout.
///
/// The folder is written beside its place, synced and renamed: it exists whole or not at all. Memory holds the
/// metadata and a piece of one tensor, whatever the size of the model; only GPT-2's maps, which have to be transposed,
/// are held one at a time.
///
/// # Errors
/// A target that is taken, files that are damaged, of an unsupported type or of an unknown architecture, and failures
/// to read or write.
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
    // The largest thing in memory; from here on it is a piece of a tensor.
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

/// The ids in `config.json`, with null for those that a model does not have: transformers would take its class's own.
fn ids(special: &SpecialIds) -> Map<String, Value> {
    let ids = [
        ("bos_token_id", special.bos),
        ("eos_token_id", special.eos),
        ("pad_token_id", special.pad),
    ];
    ids.into_iter().map(|(key, id)| (key.to_owned(), json!(id))).collect()
}

/// `generation_config.json`: texts end with any of the end tokens.
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
