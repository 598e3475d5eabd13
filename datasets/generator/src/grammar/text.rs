//! Words with what the grammar knows of them, and how they become a sentence.

use crate::morphology::article;

/// A word's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `the`, `a`, `some`, `Anna's`
    Determiner,
    /// `three`
    Number,
    /// `young`
    Adjective,
    /// A common noun.
    Noun,
    /// A first name.
    Name,
    /// `did`, `has`, `is`, `will`
    Auxiliary,
    /// A finite form or what stands after an auxiliary.
    Verb,
    /// `not`
    Not,
    /// An adverb of manner.
    Adverb,
    /// A phrase of place, time or reason.
    Adjunct,
    /// Everything else.
    Other,
}

/// What part of the clause a word stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The grammatical subject.
    Subject,
    /// The verb group.
    Predicate,
    /// The grammatical object.
    Object,
    /// A recipient.
    Recipient,
    /// The rest.
    Adjunct,
}

/// A word, or a few that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// As it stands within a sentence.
    pub text: String,
    /// Its kind.
    pub tag: Tag,
    /// Its place in the clause.
    pub role: Role,
    /// The same word in a form that is wrong here: the other number, another verb form.
    pub wrong: Option<String>,
}

impl Token {
    /// A word without a wrong form.
    pub fn new(text: impl Into<String>, tag: Tag, role: Role) -> Self {
        let (text, wrong) = (text.into(), None);
        Self { text, tag, role, wrong }
    }

    /// Gives it a wrong form, unless that is the same word.
    pub fn or_wrong(mut self, wrong: impl Into<String>) -> Self {
        let wrong = wrong.into();
        self.wrong = (wrong != self.text).then_some(wrong);
        self
    }
}

/// A word outside any clause.
pub fn plain(text: &str) -> Token {
    Token::new(text, Tag::Other, Role::Adjunct)
}

/// Joins words to a sentence: `a` before a vowel becomes `an`, commas and full stops lean on the word before them, the
/// first letter is a capital.
pub fn join(tokens: &[Token], end: &str) -> String {
    let mut text = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let word = match tokens.get(at + 1) {
            Some(next) if token.text == "a" => article(&next.text),
            _ => &token.text,
        };
        if !text.is_empty() && !word.starts_with([',', ';']) {
            text.push(' ');
        }
        text.push_str(word);
    }
    capitalised(&text) + end
}

/// With a capital first letter.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_put_together() {
        let words = ["yesterday", ",", "a", "old", "cook", "sold", "a", "pan"].map(plain);
        assert_eq!(join(&words, "."), "Yesterday, an old cook sold a pan.");
    }
}
