//! How long texts may be: T5s with 128 positions are to read every source whole.

use super::mrqa::{Document, tokens};

/// Pieces that a source may have by estimate, which leaves room for its markers and for words that are divided more
/// often than others.
const LONGEST_SOURCE: usize = 102;

/// Whether the context fits with the longest of its questions.
pub(crate) fn document_fits(document: &Document) -> bool {
    let question = document.questions.iter().map(|question| tenths(&question.text)).max();
    tenths(&document.context) + question.unwrap_or(0) <= 10 * LONGEST_SOURCE
}

/// Whether a text fits by itself.
pub(crate) fn text_fits(text: &str) -> bool {
    tenths(text) <= 10 * LONGEST_SOURCE
}

/// Tenths of pieces: means of our small T5's vocabulary, after the readers have put spaces around marks.
fn tenths(text: &str) -> usize {
    let of_token = |(token, _): (String, usize)| match token.chars().count() {
        _ if token.starts_with(['[', '<']) => 60,
        _ if token.starts_with('\'') => 30,
        _ if token.contains('-') => 36,
        _ if !token.starts_with(char::is_alphabetic) => 20,
        0..=3 => 10,
        4 => 12,
        5..=6 => 15,
        _ => 17,
    };
    tokens(text).into_iter().map(of_token).sum()
}
