//! The file form of the MRQA 2019 shared task: a header line, then a line per context with its words, its questions and
//! where their answers stand. Positions count characters, and the end of a span is its last character, as there.

use serde::Serialize;

/// A context and what is asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The text that all questions share.
    pub context: String,
    /// At least one.
    pub questions: Vec<Question>,
}

/// A question with its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// As it is asked.
    pub text: String,
    /// Each stands in the context letter by letter; the first is what a model learns to say.
    pub answers: Vec<String>,
}

/// A word or a mark, and its first character's position.
pub fn tokens(text: &str) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    // Markers such as `[PAR]` and `<P>` are one token.
    let mut marker = false;
    let mut before = ' ';
    for (at, letter) in text.chars().enumerate() {
        if letter.is_whitespace() {
            (marker, before) = (false, letter);
            continue;
        }
        let in_word = is_word(letter) && (is_word(before) || before == '\'');
        match found.last_mut() {
            Some((token, _)) if marker || in_word => token.push(letter),
            _ => {
                marker = before.is_whitespace() && matches!(letter, '[' | '<');
                found.push((letter.to_string(), at));
            }
        }
        before = letter;
    }
    found
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '-'
}

/// Where a phrase stands in a text as whole words: first and last character of each place.
pub fn spans(text: &str, phrase: &str) -> Vec<(usize, usize)> {
    let length = phrase.chars().count();
    let stands = |&(at, _): &(usize, &str)| {
        let before = text[..at].chars().next_back();
        let after = text[at + phrase.len()..].chars().next();
        length > 0
            && !before.is_some_and(|letter| is_word(letter) || letter == '\'')
            && !after.is_some_and(|letter| is_word(letter) || letter == '\'')
    };
    text.match_indices(phrase)
        .filter(stands)
        .map(|(at, _)| text[..at].chars().count())
        .map(|start| (start, start + length - 1))
        .collect()
}

/// A phrase as a text writes it, which may begin with a capital there; nothing where the text does not have it.
pub fn literal(text: &str, phrase: &str) -> Option<String> {
    [phrase.to_string(), crate::grammar::text::capitalised(phrase)]
        .into_iter()
        .find(|form| !spans(text, form).is_empty())
}

#[derive(Serialize)]
struct HeaderLine<'a> {
    header: Header<'a>,
}

#[derive(Serialize)]
struct Header<'a> {
    dataset: &'a str,
    split: &'a str,
}

#[derive(Serialize)]
struct ContextLine<'a> {
    id: &'a str,
    context: &'a str,
    qas: Vec<Asked<'a>>,
    context_tokens: Vec<(String, usize)>,
}

#[derive(Serialize)]
struct Asked<'a> {
    answers: &'a [String],
    question: &'a str,
    id: String,
    qid: String,
    question_tokens: Vec<(String, usize)>,
    detected_answers: Vec<Detected<'a>>,
}

#[derive(Serialize)]
struct Detected<'a> {
    text: &'a str,
    char_spans: Vec<(usize, usize)>,
    token_spans: Vec<(usize, usize)>,
}

/// A file of the shared task: `dataset` and `split` are named in its header and in the questions' numbers.
///
/// # Errors
/// What serde reports; there is nothing in these types that it cannot write.
pub fn lines(dataset: &str, split: &str, documents: &[Document]) -> Result<String, serde_json::Error> {
    let header = HeaderLine {
        header: Header { dataset, split },
    };
    let mut text = serde_json::to_string(&header)? + "\n";
    let mut number = 0;
    for document in documents {
        let context_tokens = tokens(&document.context);
        let mut qas = Vec::new();
        for question in &document.questions {
            let id = format!("{dataset}-{split}-{number}");
            number += 1;
            qas.push(Asked {
                answers: &question.answers,
                question: &question.text,
                qid: id.clone(),
                id,
                question_tokens: tokens(&question.text),
                detected_answers: detected(&document.context, &context_tokens, &question.answers),
            });
        }
        let (id, context) = ("", document.context.as_str());
        let line = ContextLine {
            id,
            context,
            qas,
            context_tokens,
        };
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    Ok(text)
}

fn detected<'a>(context: &str, tokens: &[(String, usize)], answers: &'a [String]) -> Vec<Detected<'a>> {
    let token_at = |position: usize| tokens.partition_point(|&(_, start)| start <= position) - 1;
    let found = answers.iter().map(|text| {
        let char_spans = spans(context, text);
        let token_spans = char_spans
            .iter()
            .map(|&(start, end)| (token_at(start), token_at(end)))
            .collect();
        Detected {
            text,
            char_spans,
            token_spans,
        }
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_marks_have_their_places() {
        let found = tokens("[DOC] Anna's semi-final, 2009.");
        let expected = [
            ("[DOC]", 0),
            ("Anna", 6),
            ("'", 10),
            ("s", 11),
            ("semi-final", 13),
            (",", 23),
            ("2009", 25),
            (".", 29),
        ];
        let found: Vec<_> = found.iter().map(|(word, at)| (word.as_str(), *at)).collect();
        // The clitic is one token with its apostrophe.
        assert_eq!(found[..2], expected[..2]);
        assert_eq!(found[2], ("'s", 10));
        assert_eq!(found[3..], expected[4..]);
    }

    #[test]
    fn places_count_characters_and_whole_words() {
        assert_eq!(
            spans("Café: the cat, the cats, the cat", "the cat"),
            [(6, 12), (25, 31)]
        );
        assert_eq!(spans("Anna's harp", "Anna"), []);
        assert_eq!(literal("The cook sang.", "the cook").as_deref(), Some("The cook"));
        assert_eq!(literal("The cook sang.", "the cellist"), None);
    }
}
