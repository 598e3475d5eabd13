//! Training data of a Unigram model: the distinct words of a text with their counts, prepared as in SentencePiece (Kudo
//! and Richardson 2018).
//!
//! Text is split at white space, and each word begins with `▁`. No piece may mix letters, digits and other characters
//! (`don't` is `▁don`, `'`, `t`), which corresponds to SentencePiece's splits by script and number for Latin text, so
//! words are split where the kind changes. The rarest characters get no piece: they become `<unk>`, and words are split
//! there, too.

use std::collections::HashMap;

use tokenizers::normalizers::Precompiled;

/// Replaces the space before a word.
pub(super) const SPACE: char = '\u{2581}';

/// Longer words are cut: training slows down and loses precision with length, and no natural-language word is this
/// long.
const LONGEST: usize = 128;

/// Distinct words and their counts.
#[derive(Default)]
pub(super) struct Words {
    counts: HashMap<String, u32>,
    /// Total characters of the texts, without white space.
    pub characters: usize,
}

impl Words {
    pub fn add(&mut self, text: &str, normalizer: &Precompiled) {
        for word in normalizer.normalize_string(text).split_whitespace() {
            self.characters += word.chars().count();
            match self.counts.get_mut(word) {
                Some(count) => *count = count.saturating_add(1),
                None => {
                    self.counts.insert(word.to_string(), 1);
                }
            }
        }
    }

    /// Number of distinct words.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// The most frequent characters that together make up `coverage` of the texts, sorted. Always includes [`SPACE`].
    pub fn alphabet(&self, coverage: f64) -> Vec<char> {
        let mut counts: HashMap<char, u64> = HashMap::new();
        for (word, &count) in &self.counts {
            for character in word.chars() {
                *counts.entry(character).or_default() += u64::from(count);
            }
        }
        let total: u64 = counts.values().sum();
        let mut counts: Vec<(char, u64)> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|&(character, count)| (std::cmp::Reverse(count), character));
        let mut covered = 0;
        let mut alphabet: Vec<char> = counts
            .into_iter()
            .take_while(|&(_, count)| {
                let more = (covered as f64) < coverage * total as f64;
                covered += count;
                more
            })
            .map(|(character, _)| character)
            .chain([SPACE])
            .collect();
        alphabet.sort_unstable();
        alphabet.dedup();
        alphabet
    }

    /// The word parts to train on with their counts, sorted so that the sums over them, and hence the model, are the
    /// same in every run.
    pub fn sentences(&self, alphabet: &[char]) -> Vec<(String, u32)> {
        let mut sentences: HashMap<String, u32> = HashMap::new();
        for (word, &count) in &self.counts {
            for part in parts(word, alphabet) {
                let sum = sentences.entry(part).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        let mut sentences: Vec<_> = sentences.into_iter().collect();
        sentences.sort_unstable();
        sentences
    }
}

/// Kinds of character that a piece must not mix.
#[derive(PartialEq, Clone, Copy)]
enum Kind {
    Letter,
    Digit,
    Sign,
}

/// A word with its leading space, split where the kind of character changes and at characters outside the alphabet.
fn parts(word: &str, alphabet: &[char]) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = SPACE.to_string();
    let (mut length, mut kind) = (1, None);
    for character in word.chars() {
        let known = alphabet.binary_search(&character).is_ok();
        let this = if character.is_alphabetic() {
            Kind::Letter
        } else if character.is_numeric() {
            Kind::Digit
        } else {
            Kind::Sign
        };
        if !known || kind.is_some_and(|kind| kind != this) || length >= LONGEST {
            if !part.is_empty() {
                parts.push(std::mem::take(&mut part));
            }
            (length, kind) = (0, None);
        }
        if known {
            part.push(character);
            length += 1;
            kind = Some(this);
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: &[&str]) {
        let alphabet: Vec<char> = {
            let mut all: Vec<char> = ('a'..='z').chain('0'..='9').chain("',.-(é▁".chars()).collect();
            all.sort_unstable();
            all
        };
        assert_eq!(parts(word, &alphabet), expected, "{word}");
    }

    #[test]
    fn words_are_cut_where_the_kind_changes() {
        check("don't", &["▁don", "'", "t"]);
        check("word,", &["▁word", ","]);
        check("(ab12.5", &["▁(", "ab", "12", ".", "5"]);
        check("café", &["▁café"]);
        // Unknown characters are dropped, and the word is split there.
        check("aЖb", &["▁a", "b"]);
        check("ЖЖ", &["▁"]);
        check(&"a".repeat(200), &[&format!("▁{}", "a".repeat(127)), &"a".repeat(73)]);
    }

    #[test]
    fn the_alphabet_covers_what_it_is_asked_to() {
        let normalizer = super::super::charsmap::normalizer().expect("the table can be built");
        let mut words = Words::default();
        words.add("aaaaaaaa bbbbbbbb ccc d", &normalizer);
        assert_eq!((words.len(), words.characters), (4, 20));
        assert_eq!(words.alphabet(1.0), ['a', 'b', 'c', 'd', SPACE]);
        // 19 of 20 characters are 95 %.
        assert_eq!(words.alphabet(0.95), ['a', 'b', 'c', SPACE]);
        assert_eq!(words.alphabet(0.96), ['a', 'b', 'c', 'd', SPACE]);
        assert_eq!(words.alphabet(0.5), ['a', 'b', SPACE]);
    }
}
