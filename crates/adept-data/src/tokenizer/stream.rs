//! The text of tokens that come one after the other, for those who look at it after each.

use super::TextTokenizer;
use crate::DataError;

/// A character whose bytes are not all there.
const INCOMPLETE: char = '\u{fffd}';

/// The text of the tokens so far. A token costs the decoding of a few around it, not of all.
///
/// Characters whose bytes are spread over tokens appear when they are whole.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a TextTokenizer,
    skip_special: bool,
    /// Tokens whose text is known, as context (what a token's text is can depend on whether it is the first), then those
    /// that wait.
    window: Vec<u32>,
    /// Tokens of the window whose text is known.
    known: usize,
    /// Bytes of the window's text that are known.
    shown: usize,
    text: String,
}

impl<'a> TextStream<'a> {
    pub(super) fn new(tokenizer: &'a TextTokenizer, skip_special: bool) -> Self {
        Self {
            tokenizer,
            skip_special,
            window: Vec::new(),
            known: 0,
            shown: 0,
            text: String::new(),
        }
    }

    /// Takes a token and returns the text so far, without characters that are not whole.
    ///
    /// # Errors
    /// As [`TextTokenizer::decode`].
    pub fn push(&mut self, id: u32) -> Result<&str, DataError> {
        self.window.push(id);
        let whole = self.tokenizer.decode(&self.window, self.skip_special)?;
        if whole.ends_with(INCOMPLETE) {
            return Ok(&self.text);
        }
        let Some(new) = whole.get(self.shown..) else {
            return Ok(&self.text);
        };
        self.text.push_str(new);
        let context = self.tokenizer.decode(&self.window[self.known..], self.skip_special)?;
        // Tokens without a text are no context: the next one would be taken for the first of all.
        if context.is_empty() {
            self.shown = whole.len();
        } else {
            self.window.drain(..self.known);
            self.shown = context.len();
        }
        self.known = self.window.len();
        Ok(&self.text)
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of all tokens; what is left of a character that never became whole is a replacement character.
    ///
    /// # Errors
    /// As [`TextTokenizer::decode`].
    pub fn finish(mut self) -> Result<String, DataError> {
        let whole = self.tokenizer.decode(&self.window, self.skip_special)?;
        self.text.push_str(whole.get(self.shown..).unwrap_or_default());
        Ok(self.text)
    }
}
