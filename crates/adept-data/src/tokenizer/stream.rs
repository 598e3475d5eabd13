//! Incremental decoding of tokens as they are generated.

use super::TextTokenizer;
use crate::DataError;

/// Replacement character for an incomplete byte sequence.
const INCOMPLETE: char = '\u{fffd}';

/// The text of the tokens so far. Each token costs the decoding of a few neighbours, not of the whole sequence.
///
/// Characters whose bytes are spread over several tokens appear once they are complete.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a TextTokenizer,
    skip_special: bool,
    /// Decoded tokens kept as context (a token's text can depend on whether it is the first), followed by pending
    /// tokens.
    window: Vec<u32>,
    /// Number of decoded tokens in the window.
    known: usize,
    /// Bytes of the window's text already emitted.
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

    /// Adds a token and returns the text so far, without incomplete characters.
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
        // Tokens without text cannot serve as context: the next token would be treated as the first.
        if context.is_empty() {
            self.shown = whole.len();
        } else {
            self.window.drain(..self.known);
            self.shown = context.len();
        }
        self.known = self.window.len();
        Ok(&self.text)
    }

    /// The text so far, without incomplete characters.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of all tokens; a character that was never completed becomes a replacement character.
    ///
    /// # Errors
    /// As [`TextTokenizer::decode`].
    pub fn finish(mut self) -> Result<String, DataError> {
        let whole = self.tokenizer.decode(&self.window, self.skip_special)?;
        self.text.push_str(whole.get(self.shown..).unwrap_or_default());
        Ok(self.text)
    }
}
