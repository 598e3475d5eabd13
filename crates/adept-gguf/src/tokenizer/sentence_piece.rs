//! SentencePiece's BPE (`llama`): spaces are written as `▁`, and pieces are merged by score. GGUF has the scores of pieces,
//! `tokenizer.json` the ranks of merges: they are what transformers makes of a SentencePiece model.

use serde_json::{Value, json};

use super::Parts;
use super::file::Bpe;
use super::vocabulary::{TokenKind, Vocabulary, is_spaces};
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
    let tokens = vocabulary.tokens(restored);
    let merges = merges(vocabulary, &tokens)?;
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
        model: Bpe {
            unknown: unknown.map(str::to_owned),
            fuses_unknown: true,
            has_bytes,
            ignores_merges: false,
            tokens,
            merges,
        },
        begins_texts: true,
        offsets: None,
    })
}

/// Bytes of the longest piece that is put together from others. SentencePiece's own limit is 16 characters by default.
const LONGEST: usize = 512;

/// How a piece is put together.
struct Merge {
    /// That of the piece.
    score: f64,
    /// Characters of both parts.
    lengths: [u32; 2],
    /// Places of both parts.
    parts: [u32; 2],
}

/// All ways of putting a piece together from two others, those of the piece with the highest score first; of one score,
/// those with the longest left part. Pieces that users have defined come before all others, as SentencePiece finds them
/// first, and become part of nothing but their like.
fn merges(vocabulary: &Vocabulary<'_>, tokens: &[(String, usize)]) -> Result<Vec<[u32; 2]>, GgufError> {
    let (scores, places) = (vocabulary.scores()?, vocabulary.places(tokens)?);
    let kinds: Vec<TokenKind> = vocabulary.iter().map(|(_, _, kind)| kind).collect();
    let mut merges: Vec<Merge> = Vec::new();
    for ((text, id), kind) in tokens.iter().zip(&kinds) {
        let score = match kind {
            TokenKind::Normal => scores[*id],
            TokenKind::UserDefined => f64::INFINITY,
            _ => continue,
        };
        if text.len() > LONGEST {
            continue;
        }
        let part = |part: &str| {
            let place = *places.get(part)?;
            let fits = match kinds[place as usize] {
                TokenKind::Normal => true,
                TokenKind::UserDefined => *kind == TokenKind::UserDefined,
                _ => false,
            };
            fits.then_some(place)
        };
        let first = merges.len();
        let length = text.chars().count() as u32;
        for (left_length, (at, _)) in (0..).zip(text.char_indices()).skip(1) {
            let (left, right) = text.split_at(at);
            if let (Some(left), Some(right)) = (part(left), part(right)) {
                merges.push(Merge {
                    score,
                    lengths: [left_length, length - left_length],
                    parts: [left, right],
                });
            }
        }
        merges[first..].sort_by_key(|merge| merge.parts);
    }
    // A stable sort, so that equals stay in the order of their ids.
    merges.sort_by(|one, other| {
        let by_score = other.score.total_cmp(&one.score);
        by_score.then_with(|| other.lengths.cmp(&one.lengths))
    });
    Ok(merges.into_iter().map(|merge| merge.parts).collect())
}
