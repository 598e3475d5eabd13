//! T5's text normalizer: SentencePiece's `nmt_nfkc`, as the table of replacements that its model files carry.
//!
//! The rules are Unicode's NFKC (full-width letters, ligatures, superscripts and the like become plain ones, a letter and
//! its accent one character) and NMT's (control characters go, all kinds of space and invisible marks become a space).
//! transformers' T5 tokenizer keeps a normalizer only in this form, so rules that said the same in words would be lost
//! there, and its ids would not be ours.
//!
//! Layout, all little-endian: bytes of the trie (`u32`), the trie (Darts' double array, UTF-8 of what is replaced →
//! offset), then the replacements, each ended by a zero byte.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use tokenizers::normalizers::{NFC, NFD, NFKC, Nmt, Precompiled};
use tokenizers::{NormalizedString, Normalizer};
use yada::builder::DoubleArrayBuilder;

use super::PretrainError;

/// Longest text in bytes that the library replaces at once; longer ones are looked up character by character.
const LONGEST: usize = 5;

/// The table's entries. Working them out takes most of a second and gives the same every time.
static RULES: LazyLock<BTreeMap<String, String>> = LazyLock::new(rules);

/// The normalizer.
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

/// What is replaced, and by what, in the order of its bytes.
fn rules() -> BTreeMap<String, String> {
    let mut rules = BTreeMap::new();
    // The zero character ends a key and cannot be in one; a corpus with it is refused.
    for character in '\u{1}'..=char::MAX {
        let text = character.to_string();
        let plain = normalized(&text, &[&Nmt, &NFKC, &Nmt]);
        if plain != text {
            rules.insert(text, plain);
            continue;
        }
        // A letter and its accent, written as two characters. Not more: the library takes the shortest entry that fits.
        // Hangul's syllables are left out: eleven thousand more entries, for text that is seldom written so.
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
