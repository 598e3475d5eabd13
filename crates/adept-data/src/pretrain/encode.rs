//! Tokenising much text quickly. T5's tokenizer splits text at white space before anything else and looks at each word
//! by itself, so a word's ids need to be worked out once only: text of any length is mostly words seen before.

use std::collections::{HashMap, HashSet};

use crate::{DataError, TextTokenizer};

/// Words that are remembered at most; with more, all are forgotten. Text of a hundred million characters has about a
/// million.
const REMEMBERED: usize = 1 << 20;

/// Longer words are worked out each time: they hardly come twice.
const LONGEST: usize = 64;

/// Tokenises texts one part after the other.
pub(super) struct Encoder<'a> {
    tokenizer: &'a TextTokenizer,
    eos: u32,
    known: HashMap<String, Box<[u32]>>,
}

impl<'a> Encoder<'a> {
    pub fn new(tokenizer: &'a TextTokenizer, eos: u32) -> Self {
        Self {
            tokenizer,
            eos,
            known: HashMap::new(),
        }
    }

    /// Hands on the ids of the texts in their order, exactly one `</s>` behind each text's own.
    ///
    /// # Errors
    /// [`DataError::Tokenize`] as from [`TextTokenizer::encode_batch`].
    pub fn encode(&mut self, texts: &[String], mut sink: impl FnMut(&[u32])) -> Result<(), DataError> {
        if !self.tokenizer.splits_at_spaces() {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            for ids in self.tokenizer.encode_batch(&texts, usize::MAX)? {
                sink(self.own(&ids));
                sink(&[self.eos]);
            }
            return Ok(());
        }
        if self.known.len() > REMEMBERED {
            self.known.clear();
        }
        let mut unknown: HashSet<&str> = HashSet::new();
        for text in texts {
            unknown.extend(words(text).filter(|word| !self.known.contains_key(*word)));
        }
        let unknown: Vec<&str> = unknown.into_iter().collect();
        let mut long: HashMap<&str, Box<[u32]>> = HashMap::new();
        for (word, ids) in unknown.iter().zip(self.tokenizer.encode_batch(&unknown, usize::MAX)?) {
            let ids = self.own(&ids).into();
            if word.len() > LONGEST {
                long.insert(word, ids);
            } else {
                self.known.insert((*word).to_string(), ids);
            }
        }
        for text in texts {
            for word in words(text) {
                if let Some(ids) = self.known.get(word).or_else(|| long.get(word)) {
                    sink(ids);
                }
            }
            sink(&[self.eos]);
        }
        Ok(())
    }

    /// The ids without the `</s>` that the tokenizer puts behind them.
    fn own<'b>(&self, ids: &'b [u32]) -> &'b [u32] {
        ids.strip_suffix(&[self.eos]).unwrap_or(ids)
    }
}

/// A text's words: what lies between spaces that have plain ASCII on both sides. With anything else beside it, a space
/// can be part of a character that is made of several (a space and an accent), which the normalizer takes as one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let plain = move |at: usize| bytes.get(at).is_none_or(u8::is_ascii);
    let mut start = 0;
    let ends = (0..=bytes.len())
        .filter(move |&at| at == bytes.len() || (bytes[at] == b' ' && (at == 0 || plain(at - 1)) && plain(at + 1)));
    ends.filter_map(move |end| {
        let word = &text[start..end];
        start = (end + 1).min(text.len());
        (!word.is_empty()).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::words;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text:?}");
    }

    #[test]
    fn words_lie_between_plain_spaces() {
        check("", &[]);
        check("one", &["one"]);
        check("one two  three", &["one", "two", "three"]);
        check(" one ", &["one"]);
        check("café au lait", &["café au", "lait"]);
        check("a \u{308}b c", &["a \u{308}b", "c"]);
        check("a\u{a0}b\tc d", &["a\u{a0}b\tc", "d"]);
    }
}
