//! The tokenizer, rebuilt from the metadata as `tokenizer.json` and `tokenizer_config.json`.

mod byte_level;
mod file;
mod pre_tokenizer;
mod sentence_piece;
mod settings;
mod vocabulary;

use serde_json::Value;

use crate::container::Metadata;
use crate::error::GgufError;
use crate::nearest;
use file::{Bpe, TokenizerFile};
use settings::Settings;
pub(crate) use settings::SpecialIds;
use vocabulary::Vocabulary;

/// A tokenizer as Hugging Face's files.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    /// `tokenizer.json`.
    pub file: TokenizerFile,
    /// `tokenizer_config.json`.
    pub config: Value,
    /// Special token ids.
    pub special: SpecialIds,
    /// Number of tokens.
    pub tokens: usize,
}

/// The parts of `tokenizer.json` that depend on the kind of tokenizer.
#[derive(Debug)]
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Bpe,
    /// Default of `tokenizer.ggml.add_bos_token`.
    begins_texts: bool,
    /// Post-processor that runs before the one that adds special tokens.
    offsets: Option<Value>,
}

/// By `tokenizer.ggml.model`.
const KINDS: [&str; 2] = ["gpt2", "llama"];

/// Rebuilds a model's tokenizer. `pre_tokenizer` overrides the metadata's.
///
/// # Errors
/// Unknown kinds of tokenizers and pre-tokenizers, and inconsistent vocabularies.
pub(crate) fn tokenizer(
    metadata: &Metadata,
    architecture: &str,
    rows: usize,
    positions: usize,
    pre_tokenizer: Option<&str>,
) -> Result<Tokenizer, GgufError> {
    const KEY: &str = "tokenizer.ggml.model";
    let vocabulary = Vocabulary::read(metadata, rows)?;
    let parts = match metadata.text(KEY)? {
        "gpt2" => byte_level::parts(metadata, &vocabulary, pre_tokenizer)?,
        "llama" => sentence_piece::parts(metadata, &vocabulary)?,
        found => return Err(nearest::unknown(metadata.path(), KEY, found, KINDS.to_vec())),
    };
    let settings = Settings::read(metadata, &vocabulary, parts.begins_texts)?;
    let added = vocabulary.added(architecture == "phi3");
    Ok(Tokenizer {
        tokens: vocabulary.len(),
        config: settings.config(metadata, &added, positions)?,
        file: TokenizerFile {
            version: "1.0",
            truncation: None,
            padding: None,
            added_tokens: added,
            normalizer: parts.normalizer,
            pre_tokenizer: parts.pre_tokenizer,
            post_processor: settings.post_processor(parts.offsets),
            decoder: parts.decoder,
            model: parts.model,
        },
        special: settings.ids,
    })
}
