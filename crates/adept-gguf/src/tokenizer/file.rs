//! `tokenizer.json`. With hundreds of thousands of tokens and twice as many merges, a tree of JSON values would take
//! several times the memory of these lists.

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::Value;

/// The file.
#[derive(Debug, Serialize)]
pub(crate) struct TokenizerFile {
    pub version: &'static str,
    pub truncation: Option<Value>,
    pub padding: Option<Value>,
    pub added_tokens: Vec<Value>,
    pub normalizer: Value,
    pub pre_tokenizer: Value,
    pub post_processor: Value,
    pub decoder: Value,
    pub model: Bpe,
}

/// A BPE model.
#[derive(Debug)]
pub(crate) struct Bpe {
    /// The unknown token.
    pub unknown: Option<String>,
    /// Consecutive unknown characters become one token.
    pub fuses_unknown: bool,
    /// Unknown characters are split into byte tokens.
    pub has_bytes: bool,
    /// A word that is itself a token is not assembled from merges.
    pub ignores_merges: bool,
    /// Tokens and their ids, by ascending id.
    pub tokens: Vec<(String, usize)>,
    /// Pairs of indices into `tokens`, by descending priority.
    pub merges: Vec<[u32; 2]>,
}

impl Serialize for Bpe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "BPE")?;
        map.serialize_entry("dropout", &Value::Null)?;
        map.serialize_entry("unk_token", &self.unknown)?;
        map.serialize_entry("continuing_subword_prefix", &Value::Null)?;
        map.serialize_entry("end_of_word_suffix", &Value::Null)?;
        map.serialize_entry("fuse_unk", &self.fuses_unknown)?;
        map.serialize_entry("byte_fallback", &self.has_bytes)?;
        map.serialize_entry("ignore_merges", &self.ignores_merges)?;
        map.serialize_entry("vocab", &Vocab(&self.tokens))?;
        map.serialize_entry("merges", &Merges(self))?;
        map.end()
    }
}

struct Vocab<'a>(&'a [(String, usize)]);

impl Serialize for Vocab<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(text, id)| (text, id)))
    }
}

struct Merges<'a>(&'a Bpe);

impl Serialize for Merges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |place: u32| &self.0.tokens[place as usize].0;
        serializer.collect_seq(self.0.merges.iter().map(|[left, right]| [text(*left), text(*right)]))
    }
}
