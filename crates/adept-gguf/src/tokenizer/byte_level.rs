//! Byte-level BPE (`gpt2`): texts are split by a pre-tokenizer, and the bytes of each word merged by rank.

use std::collections::HashMap;

use serde_json::json;

use super::Parts;
use super::file::Bpe;
use super::pre_tokenizer::{self, PreTokenizer};
use super::vocabulary::Vocabulary;
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
    let tokens = vocabulary.tokens(|text, _| text.to_owned());
    let merges = merges(metadata, &vocabulary.places(&tokens)?)?;
    Ok(Parts {
        normalizer: found.normalizer(),
        pre_tokenizer: found.pre_tokenizer(),
        decoder: json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }),
        model: Bpe {
            unknown: None,
            fuses_unknown: false,
            has_bytes: false,
            ignores_merges: found.ignores_merges,
            tokens,
            merges,
        },
        begins_texts: found.begins_texts,
        offsets: Some(json!({
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true,
        })),
    })
}

fn merges(metadata: &Metadata, places: &HashMap<&str, u32>) -> Result<Vec<[u32; 2]>, GgufError> {
    let mut whole = String::new();
    let mut merge = |text: &str| {
        // The byte alphabet has no space.
        let (left, right) = text.split_once(' ')?;
        whole.clear();
        whole.extend([left, right]);
        places.get(whole.as_str())?;
        Some([*places.get(left)?, *places.get(right)?])
    };
    let merges = metadata.texts(MERGES)?.iter().enumerate().map(|(number, text)| {
        merge(text).ok_or_else(|| GgufError::Merge {
            path: metadata.path().to_owned(),
            number,
            found: text.clone(),
        })
    });
    merges.collect()
}
