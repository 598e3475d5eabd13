//! Pre-tokenizers of byte-level models, by llama.cpp's name for them (`tokenizer.ggml.pre`).
//!
//! The patterns are those of GPT-2, cl100k, o200k and Tekken as the published `tokenizer.json` files have them.

use serde_json::{Value, json};

/// A pre-tokenizer, and what else its name implies in llama.cpp.
#[derive(Debug, Clone, Copy)]
pub(super) struct PreTokenizer {
    /// Synonyms.
    names: &'static [&'static str],
    split: Split,
    /// Texts are normalised to NFC first.
    composes: bool,
    /// A word that is itself a token is not assembled from merges.
    pub ignores_merges: bool,
    /// Default of `tokenizer.ggml.add_bos_token`.
    pub begins_texts: bool,
}

#[derive(Debug, Clone, Copy)]
enum Split {
    /// GPT-2's pattern.
    Gpt2,
    /// Single digits, then GPT-2's pattern.
    Digits,
    /// A pattern of its own.
    Pattern(&'static str),
}

/// cl100k: words with a preceding character, numbers of up to three digits.
const THREE_DIGITS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same with single digits.
const ONE_DIGIT: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// o200k: words are also split at changes of case.
const BY_CASE: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's Tekken: as o200k, with single digits and without contractions.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const PLAIN: PreTokenizer = PreTokenizer {
    names: &[],
    split: Split::Gpt2,
    composes: false,
    ignores_merges: false,
    begins_texts: false,
};

const KNOWN: [PreTokenizer; 8] = [
    PreTokenizer {
        names: &["gpt-2", "default", "phi-2"],
        ..PLAIN
    },
    // GPT-NeoX, Pythia.
    PreTokenizer {
        names: &["mpt", "olmo"],
        composes: true,
        ..PLAIN
    },
    PreTokenizer {
        names: &["smollm", "starcoder", "refact"],
        split: Split::Digits,
        ..PLAIN
    },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3"],
        split: Split::Pattern(THREE_DIGITS),
        ignores_merges: true,
        begins_texts: true,
        ..PLAIN
    },
    // Phi-4.
    PreTokenizer {
        names: &["dbrx", "smaug-bpe"],
        split: Split::Pattern(THREE_DIGITS),
        ..PLAIN
    },
    PreTokenizer {
        names: &["qwen2"],
        split: Split::Pattern(ONE_DIGIT),
        composes: true,
        ..PLAIN
    },
    // Phi-4-mini.
    PreTokenizer {
        names: &["gpt-4o"],
        split: Split::Pattern(BY_CASE),
        ..PLAIN
    },
    PreTokenizer {
        names: &["tekken"],
        split: Split::Pattern(TEKKEN),
        ignores_merges: true,
        begins_texts: true,
        ..PLAIN
    },
];

/// All names, synonyms next to each other.
pub(super) fn names() -> Vec<&'static str> {
    KNOWN.iter().flat_map(|known| known.names).copied().collect()
}

impl PreTokenizer {
    pub fn named(name: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.names.contains(&name))
    }

    pub fn normalizer(&self) -> Value {
        match self.composes {
            true => json!({ "type": "NFC" }),
            false => Value::Null,
        }
    }

    pub fn pre_tokenizer(&self) -> Value {
        let bytes = |has_pattern: bool| {
            json!({
                "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": has_pattern,
            })
        };
        let both = |first: Value, second: Value| json!({ "type": "Sequence", "pretokenizers": [first, second] });
        match self.split {
            Split::Gpt2 => bytes(true),
            Split::Digits => both(json!({ "type": "Digits", "individual_digits": true }), bytes(true)),
            Split::Pattern(pattern) => both(
                json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false }),
                bytes(false),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let mut names = names();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
