//! SentencePiece's BPE (`llama`): spaces are written as `▁`, and pieces are merged by score. GGUF has the scores of pieces,
//! `tokenizer.json` the ranks of merges: they are what transformers makes of a SentencePiece model.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Parts;
use super::vocabulary::{TokenKind, Vocabulary, entries, is_spaces};
use crate::container::Metadata;
use crate::error::GgufError;

/// What a space is written as.
const SPACE: &str = "▁";

pub(super) fn parts(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<Parts, GgufError> {
    // Converters write spaces out in tokens of spaces that users have defined.
    let restored = |text: &str, kind| match kind {
        TokenKind::UserDefined if is_spaces(text) => text.replace(' ', SPACE),
        _ => text.to_owned(),
    };
    let ids = vocabulary.ids(restored)?;
    let merges = merges(vocabulary, &ids, restored)?;
    let unknown = vocabulary.iter().find(|(_, _, kind)| *kind == TokenKind::Unknown);
    let unknown = match metadata.find_count("tokenizer.ggml.unknown_token_id")? {
        Some(id) => vocabulary.text(id),
        None => unknown.map(|(_, text, _)| text),
    };
    let has_bytes = vocabulary.iter().any(|(_, _, kind)| kind == TokenKind::Byte);
    let begins_with_space = metadata.find_flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let write_spaces = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    let normalizer = match begins_with_space {
        // In front of what follows an added token, too, as in llama.cpp and the tokenizers of published models.
        true => {
            decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
            let prepend = json!({ "type": "Prepend", "prepend": SPACE });
            json!({ "type": "Sequence", "normalizers": [prepend, write_spaces] })
        }
        false => write_spaces,
    };
    Ok(Parts {
        normalizer,
        pre_tokenizer: Value::Null,
        decoder: json!({ "type": "Sequence", "decoders": decoders }),
        model: json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": unknown,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": has_bytes,
            "ignore_merges": false,
            "vocab": entries(&ids),
            "merges": merges,
        }),
        begins_texts: true,
        offsets: None,
    })
}

/// Bytes of the longest piece that is put together from others. SentencePiece's own limit is 16 characters by default.
const LONGEST: usize = 512;

/// How a piece is put together: score, lengths of both parts, both parts.
type Merge<'a> = (f64, usize, usize, &'a str, &'a str);

/// All ways of putting a piece together from two others, those of the piece with the highest score first; of one score,
/// those with the longest left part. Pieces that users have defined come before all others, as SentencePiece finds them
/// first, and become part of nothing but their like.
fn merges(
    vocabulary: &Vocabulary<'_>,
    ids: &HashMap<String, usize>,
    restored: impl Fn(&str, TokenKind) -> String,
) -> Result<Vec<Value>, GgufError> {
    let scores = vocabulary.scores()?;
    let kinds: HashMap<usize, TokenKind> = vocabulary.iter().map(|(id, _, kind)| (id, kind)).collect();
    let texts: Vec<(usize, String, TokenKind)> = vocabulary
        .iter()
        .map(|(id, text, kind)| (id, restored(text, kind), kind))
        .collect();
    let mut merges: Vec<Merge<'_>> = Vec::new();
    let mut ways = Vec::new();
    for (id, text, kind) in &texts {
        let score = match kind {
            TokenKind::Normal => scores[*id],
            TokenKind::UserDefined => f64::INFINITY,
            _ => continue,
        };
        if text.len() > LONGEST {
            continue;
        }
        let part = |part: &str| {
            let id = *ids.get(part)?;
            let fits = match kinds.get(&id)? {
                TokenKind::Normal => true,
                TokenKind::UserDefined => *kind == TokenKind::UserDefined,
                _ => false,
            };
            fits.then_some(id)
        };
        let length = text.chars().count();
        for (number, (at, _)) in text.char_indices().enumerate().skip(1) {
            let (left, right) = text.split_at(at);
            if let (Some(first), Some(second)) = (part(left), part(right)) {
                ways.push(((first, second), (score, number, length - number, left, right)));
            }
        }
        ways.sort_by_key(|(parts, _)| *parts);
        merges.extend(ways.drain(..).map(|(_, way)| way));
    }
    // A stable sort, so that equals stay in the order of their ids.
    merges.sort_by(|one, other| {
        let lengths = (other.1, other.2).cmp(&(one.1, one.2));
        other.0.total_cmp(&one.0).then(lengths)
    });
    Ok(merges
        .into_iter()
        .map(|(_, _, _, left, right)| json!([left, right]))
        .collect())
}
