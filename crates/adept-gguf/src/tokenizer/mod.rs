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

/// A model's tokenizer in the files of Hugging Face.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    /// `tokenizer.json`.
    pub file: TokenizerFile,
    /// `tokenizer_config.json`.
    pub config: Value,
    /// Ids with a meaning.
    pub special: SpecialIds,
    /// Number of tokens.
    pub tokens: usize,
}

/// What a tokenizer does to texts, apart from its tokens: the parts of a `tokenizer.json`.
#[derive(Debug)]
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Bpe,
    /// Whether texts begin with the begin-of-text token where the metadata does not say so.
    begins_texts: bool,
    /// What the post-processor does before special tokens are added, if anything.
    offsets: Option<Value>,
}

/// By `tokenizer.ggml.model`.
const KINDS: [&str; 2] = ["gpt2", "llama"];

/// Rebuilds a model's tokenizer. `pre_tokenizer` takes the place of the metadata's.
///
/// # Errors
/// A kind of tokenizer or a pre-tokenizer that is not known, and vocabularies that contradict themselves.
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
