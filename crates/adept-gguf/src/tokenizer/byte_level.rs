//! Byte-level BPE (`gpt2`): texts are split by a pattern, and the bytes of each part merged by rank.

use serde_json::{Value, json};

use super::Parts;
use super::pre_tokenizer::{self, PreTokenizer};
use super::vocabulary::{Vocabulary, entries};
use crate::container::Metadata;
use crate::error::GgufError;
use crate::nearest;

const MERGES: &str = "tokenizer.ggml.merges";
const PRE: &str = "tokenizer.ggml.pre";

pub(super) fn parts(metadata: &Metadata, vocabulary: &Vocabulary<'_>, given: Option<&str>) -> Result<Parts, GgufError> {
    let name = match given {
        Some(name) => Some(name),
        None => metadata.find_text(PRE)?,
    };
    let Some(name) = name else {
        let path = metadata.path().to_owned();
        let known = pre_tokenizer::names();
        return Err(GgufError::NoPreTokenizer { path, known });
    };
    let Some(found) = PreTokenizer::named(name) else {
        return Err(nearest::unknown(metadata.path(), PRE, name, pre_tokenizer::names()));
    };
    let ids = vocabulary.ids(|text, _| text.to_owned())?;
    let merges = metadata.texts(MERGES)?.iter().enumerate().map(|(number, text)| {
        // A space is none of the characters that bytes are written as.
        let pair = text.split_once(' ').filter(|(left, right)| {
            [*left, *right, &format!("{left}{right}")]
                .iter()
                .all(|part| ids.contains_key(*part))
        });
        let (left, right) = pair.ok_or_else(|| GgufError::Merge {
            path: metadata.path().to_owned(),
            number,
            found: text.clone(),
        })?;
        Ok(json!([left, right]))
    });
    let merges: Vec<Value> = merges.collect::<Result<_, GgufError>>()?;
    Ok(Parts {
        normalizer: found.normalizer(),
        pre_tokenizer: found.pre_tokenizer(),
        decoder: json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }),
        model: json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": found.ignores_merges,
            "vocab": entries(&ids),
            "merges": merges,
        }),
        begins_texts: found.begins_texts,
        offsets: Some(json!({
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true,
        })),
    })
}
