//! Tokens and their types.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::container::{List, Metadata, Value as Found};
use crate::error::GgufError;

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";

/// Token types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Normal,
    Unknown,
    /// A special token, such as the end of a text.
    Control,
    /// Matched before a text is split.
    UserDefined,
    Unused,
    Byte,
}

impl TokenKind {
    fn numbered(number: i64) -> Option<Self> {
        Some(match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}

/// A model's tokens by id.
#[derive(Debug)]
pub(super) struct Vocabulary<'a> {
    metadata: &'a Metadata,
    texts: &'a [String],
    kinds: Vec<TokenKind>,
}

impl<'a> Vocabulary<'a> {
    /// Reads the tokens of a model whose embedding has `rows` rows.
    pub fn read(metadata: &'a Metadata, rows: usize) -> Result<Self, GgufError> {
        let texts = metadata.texts(TOKENS)?;
        let kinds: Vec<i64> = match metadata.get(TYPES) {
            // Old files have no types.
            None => vec![1; texts.len()],
            Some(Found::List(List::Signed(kinds))) => kinds.clone(),
            Some(Found::List(List::Unsigned(kinds))) => {
                kinds.iter().map(|kind| i64::try_from(*kind).unwrap_or(-1)).collect()
            }
            Some(found) => return Err(metadata.refuse(TYPES, "a list of integers", found.describe())),
        };
        if kinds.len() != texts.len() {
            let expected = format!("one type for each of {} tokens", texts.len());
            return Err(metadata.refuse(TYPES, expected, format!("{} types", kinds.len())));
        }
        let read = |(id, kind): (usize, &i64)| {
            let unknown = || metadata.refuse(TYPES, "types from 1 to 6", format!("{kind} for token {id}"));
            TokenKind::numbered(*kind).ok_or_else(unknown)
        };
        let kinds = kinds.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let this = Self { metadata, texts, kinds };
        // Only fillers may exceed the embedding: Gemma 3's is cut after its last token when it is converted.
        let most = this.iter().map(|(id, _, _)| id + 1).max().unwrap_or_default();
        if !(1..=rows).contains(&most) {
            let expected = format!("1 to {rows} tokens, the rows of the embedding");
            return Err(metadata.refuse(TOKENS, expected, most));
        }
        Ok(this)
    }

    /// Tokens with their ids and types, without fillers: converters add a token `[PAD{id}]` for every row of the
    /// embedding that has none.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &'a str, TokenKind)> {
        let all = self.texts.iter().zip(&self.kinds).enumerate();
        all.map(|(id, (text, kind))| (id, text.as_str(), *kind))
            .filter(|(id, text, kind)| *kind != TokenKind::Unused || *text != format!("[PAD{id}]"))
    }

    /// Number of tokens without fillers.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The text of a token.
    pub fn text(&self, id: usize) -> Option<&'a str> {
        self.texts.get(id).map(String::as_str)
    }

    /// Tokens, converted by `text`, and their ids.
    pub fn tokens(&self, text: impl Fn(&str, TokenKind) -> String) -> Vec<(String, usize)> {
        self.iter().map(|(id, token, kind)| (text(token, kind), id)).collect()
    }

    /// Indices of tokens in a list, by text.
    ///
    /// # Errors
    /// [`GgufError::DuplicateToken`].
    pub fn places<'t>(&self, tokens: &'t [(String, usize)]) -> Result<HashMap<&'t str, u32>, GgufError> {
        let mut places = HashMap::with_capacity(tokens.len());
        for (place, (token, id)) in (0u32..).zip(tokens) {
            if let Some(first) = places.insert(token.as_str(), place) {
                return Err(GgufError::DuplicateToken {
                    path: self.metadata.path().to_owned(),
                    token: token.clone(),
                    first: tokens[first as usize].1,
                    second: *id,
                });
            }
        }
        Ok(places)
    }

    /// Scores of all tokens.
    pub fn scores(&self) -> Result<&'a [f64], GgufError> {
        match self.metadata.get(SCORES) {
            None => Err(self.metadata.missing(SCORES)),
            Some(Found::List(List::Float(scores))) if scores.len() == self.texts.len() => Ok(scores),
            Some(found) => {
                let expected = format!("a number for each of {} tokens", self.texts.len());
                Err(self.metadata.refuse(SCORES, expected, found.describe()))
            }
        }
    }

    /// The entries of `added_tokens`, which are matched before a text is split. With `strips`, special tokens absorb
    /// the spaces after them. Phi-3's do; GGUF does not store that, and llama.cpp hard-codes it as well.
    pub fn added(&self, strips: bool) -> Vec<Value> {
        /// Exceptions in Phi-3's tokenizer.
        const KEEP_SPACES: [&str; 3] = ["<unk>", "<s>", "<|endoftext|>"];
        let is_pieces = matches!(self.metadata.find_text("tokenizer.ggml.model"), Ok(Some("llama")));
        let entry = |(id, text, kind): (usize, &str, TokenKind)| {
            let is_special = kind != TokenKind::UserDefined;
            json!({
                "id": id,
                "content": text,
                "single_word": false,
                "lstrip": false,
                "rstrip": strips && is_pieces && is_special && !KEEP_SPACES.contains(&text),
                "normalized": false,
                "special": is_special,
            })
        };
        self.iter()
            .filter(|(_, text, kind)| match kind {
                TokenKind::Control | TokenKind::Unknown => true,
                // Runs of spaces are matched by the BPE model, after normalisation.
                TokenKind::UserDefined => !(is_pieces && is_spaces(text)),
                _ => false,
            })
            .map(entry)
            .collect()
    }
}

/// Whether a token consists of spaces only.
pub(super) fn is_spaces(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn metadata(model: &str, tokens: &[(&str, i64)]) -> Metadata {
        let texts = tokens.iter().map(|(text, _)| (*text).to_owned()).collect();
        let kinds = tokens.iter().map(|(_, kind)| *kind).collect();
        let values = [
            ("tokenizer.ggml.model", Found::Text(model.to_owned())),
            (TOKENS, Found::List(List::Text(texts))),
            (TYPES, Found::List(List::Signed(kinds))),
        ];
        let values = values.map(|(key, value)| (key.to_owned(), value));
        Metadata::new("model.gguf".into(), BTreeMap::from(values))
    }

    #[test]
    fn phi_3s_special_tokens_absorb_spaces() {
        let metadata = metadata(
            "llama",
            &[
                ("<s>", 3),
                ("</s>", 3),
                ("<|user|>", 3),
                ("  ", 4),
                ("<x>", 4),
                ("a", 1),
            ],
        );
        let vocabulary = Vocabulary::read(&metadata, 6).unwrap();
        let flags = |strips: bool| -> Vec<(u64, bool)> {
            let added = vocabulary.added(strips).into_iter();
            added
                .map(|token| (token["id"].as_u64().unwrap(), token["rstrip"].as_bool().unwrap()))
                .collect()
        };
        assert_eq!(flags(true), [(0, false), (1, true), (2, true), (4, false)]);
        assert_eq!(flags(false), [(0, false), (1, false), (2, false), (4, false)]);
    }

    #[test]
    fn only_fillers_may_exceed_the_embedding() {
        let tokens = |last: &'static str| [("a", 1), ("[PAD1]", 5), (last, 5)];
        let fillers = metadata("gpt2", &tokens("[PAD2]"));
        assert_eq!(Vocabulary::read(&fillers, 1).unwrap().len(), 1);
        let others = metadata("gpt2", &tokens("[PAD3]"));
        let error = Vocabulary::read(&others, 2).unwrap_err().to_string();
        assert!(
            error.contains("1 to 2 tokens, the rows of the embedding, found 3"),
            "{error}"
        );
    }

    #[test]
    fn a_token_occurs_once() {
        let metadata = metadata("gpt2", &[("a", 1), ("b", 1), ("a", 1)]);
        let vocabulary = Vocabulary::read(&metadata, 3).unwrap();
        let tokens = vocabulary.tokens(|text, _| text.to_owned());
        let error = vocabulary.places(&tokens).unwrap_err().to_string();
        assert!(error.contains("\"a\" is token 0 and token 2"), "{error}");
    }
}
