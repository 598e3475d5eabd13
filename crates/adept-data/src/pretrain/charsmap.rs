//! T5's text normalizer: SentencePiece's `nmt_nfkc`, as the replacement table stored in its model files.
//!
//! The rules are Unicode's NFKC (full-width letters, ligatures, superscripts and the like become plain ones, a letter
//! with a combining accent becomes one character) and NMT's (control characters are removed, all kinds of space and
//! invisible marks become a space). transformers' T5 tokenizer accepts a normalizer only in this form: equivalent rules
//! in any other would be dropped, and its ids would differ from ours.
//!
//! Layout, all little-endian: size of the trie in bytes (`u32`), the trie (a Darts double array, UTF-8 key → offset),
//! then the replacements, each zero-terminated.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use tokenizers::normalizers::{NFC, NFD, NFKC, Nmt, Precompiled};
use tokenizers::{NormalizedString, Normalizer};
use yada::builder::DoubleArrayBuilder;

use super::PretrainError;

/// Longest key in bytes that the library replaces at once; longer text is looked up character by character.
const LONGEST: usize = 5;

/// The table's entries. Computing them takes most of a second, so they are cached.
static RULES: LazyLock<BTreeMap<String, String>> = LazyLock::new(rules);

/// Builds the normalizer.
pub(super) fn normalizer() -> Result<Precompiled, PretrainError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| PretrainError::Trainer { source };
    let mut replacements: BTreeMap<&str, u32> = BTreeMap::new();
    let mut blob = Vec::new();
    let mut keys = Vec::with_capacity(RULES.len());
    for (text, replacement) in RULES.iter() {
        let offset = *replacements.entry(replacement).or_insert_with(|| {
            let offset = blob.len() as u32;
            blob.extend_from_slice(replacement.as_bytes());
            blob.push(0);
            offset
        });
        keys.push((text, offset));
    }
    let trie = DoubleArrayBuilder::build(&keys).map_err(|error| failed(Box::new(error)))?;
    let size = u32::try_from(trie.len()).map_err(|error| failed(Box::new(error)))?;
    let table = [&size.to_le_bytes()[..], &trie, &blob].concat();
    Precompiled::from(&table).map_err(|error| failed(Box::new(error)))
}

/// Maps each replaced text to its replacement, in byte order.
fn rules() -> BTreeMap<String, String> {
    let mut rules = BTreeMap::new();
    // The zero character terminates keys and cannot occur in one; a corpus that contains it is rejected.
    for character in '\u{1}'..=char::MAX {
        let text = character.to_string();
        let plain = normalized(&text, &[&Nmt, &NFKC, &Nmt]);
        if plain != text {
            rules.insert(text, plain);
            continue;
        }
        // A letter and its accent, as two characters. No longer sequences: the library takes the shortest matching
        // entry. Decomposed Hangul syllables are left out: eleven thousand more entries for text that is rarely written
        // that way.
        let apart = normalized(&text, &[&NFD]);
        let hangul = ('\u{ac00}'..='\u{d7a3}').contains(&character);
        let pair = apart.chars().count() == 2 && apart.len() <= LONGEST;
        if pair && !hangul && normalized(&apart, &[&NFC]) == text {
            rules.insert(apart, text);
        }
    }
    rules
}

fn normalized(text: &str, steps: &[&dyn Normalizer]) -> String {
    let mut text = NormalizedString::from(text);
    for step in steps {
        step.normalize(&mut text)
            .expect("Unicode's normal forms are defined for every text");
    }
    text.get().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let normalizer = normalizer().expect("the table can be built");
        assert_eq!(normalizer.normalize_string(text), expected, "{text:?}");
    }

    #[test]
    fn the_table_is_small() {
        let json = serde_json::to_string(&normalizer().expect("the table can be built")).expect("it is plain text");
        assert!(json.len() < 100_000, "{} bytes", json.len());
    }

    #[test]
    fn text_becomes_what_sentencepiece_makes_of_it() {
        check("Plain ASCII, 1 + 1 = 2!", "Plain ASCII, 1 + 1 = 2!");
        check("ﬁne ﬂour ½ ™ x² Ⅳ", "fine flour 1⁄2 TM x2 IV");
        check("ＦＵＬＬ　ｗｉｄｔｈ", "FULL width");
        check("cafe\u{301} nai\u{308}ve A\u{30a}", "café naïve Å");
        check(
            "a\u{a0}b\u{2003}c\u{200b}d\te\r\nf\u{feff}g\u{2581}h",
            "a b c d e f g h",
        );
        check("\u{1}\u{7f}x\u{8}", "x");
        check(
            "… “quotes” – dashes — 한국어 日本",
            "... “quotes” – dashes — 한국어 日本",
        );
        check("", "");
    }

    #[test]
    fn the_table_says_what_the_rules_say() {
        let normalizer = normalizer().expect("the table can be built");
        for character in '\u{1}'..=char::MAX {
            let text = character.to_string();
            let expected = RULES.get(&text).unwrap_or(&text);
            assert_eq!(&normalizer.normalize_string(&text), expected, "{text:?}");
        }
        for (text, expected) in RULES.iter() {
            assert_eq!(&normalizer.normalize_string(text), expected, "{text:?}");
        }
    }
}
