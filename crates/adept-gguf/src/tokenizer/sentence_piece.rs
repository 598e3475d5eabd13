//! SentencePiece's BPE (`llama`): spaces become `▁`, and pieces are merged by score.
//!
//! GGUF stores a score for each piece, `tokenizer.json` ranked merges. The merges are derived from the scores as
//! transformers does when it converts a SentencePiece model.

use serde_json::{Value, json};

use super::Parts;
use super::file::Bpe;
use super::vocabulary::{TokenKind, Vocabulary, is_spaces};
use crate::container::Metadata;
use crate::error::GgufError;

/// Stands for a space.
const SPACE: &str = "▁";

pub(super) fn parts(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<Parts, GgufError> {
    // In user-defined tokens that consist of spaces, converters have replaced `▁` by the space itself.
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
        // Also after an added token, as in llama.cpp and in published tokenizers.
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

/// Longest piece, in bytes, that merges are derived for; SentencePiece's own limit is 16 characters by default. Keeps
/// the work on hostile files linear.
const LONGEST: usize = 512;

/// A pair of pieces that form a third.
struct Merge {
    /// Score of the resulting piece.
    score: f64,
    /// Lengths of the two parts in characters.
    lengths: [u32; 2],
    /// Indices of the two parts in the token list.
    parts: [u32; 2],
}

/// All pairs of pieces that form a third, by descending score of the result, then by descending length of the left
/// part.
///
/// User-defined pieces come first, because SentencePiece matches them before it merges anything, and are parts of
/// user-defined pieces only.
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
    // The sort is stable: ties stay in the order of ids.
    merges.sort_by(|one, other| {
        let by_score = other.score.total_cmp(&one.score);
        by_score.then_with(|| other.lengths.cmp(&one.lengths))
    });
    Ok(merges.into_iter().map(|merge| merge.parts).collect())
}
