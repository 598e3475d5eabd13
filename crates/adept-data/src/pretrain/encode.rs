//! Fast tokenisation of large corpora. T5's tokenizer first splits text at white space and handles each word
//! independently, so the ids of a word are computed once and cached: most words of a long text recur.

use std::collections::{HashMap, HashSet};

use crate::{DataError, TextTokenizer};

/// Maximum number of cached words; when full, the cache is cleared. A hundred million characters of text contain about
/// a million distinct words.
const REMEMBERED: usize = 1 << 20;

/// Longer words are not cached: they rarely recur.
const LONGEST: usize = 64;

/// Tokenises texts one after another, caching words.
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

    /// Passes the ids of each text to `sink`, in order, with exactly one `</s>` appended.
    ///
    /// # Errors
    /// [`DataError::Tokenize`], as in [`TextTokenizer::encode_batch`].
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

    /// The ids without the `</s>` that the tokenizer appends.
    fn own<'b>(&self, ids: &'b [u32]) -> &'b [u32] {
        ids.strip_suffix(&[self.eos]).unwrap_or(ids)
    }
}

/// Splits at spaces between plain ASCII characters only. Next to anything else a space can be part of a multi-character
/// sequence (a space and an accent) that the normalizer replaces as a whole.
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
