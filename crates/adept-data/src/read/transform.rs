//! Task-specific text transformations (tasks.md, "Text-to-text format"), as defined by T5's preprocessors (Raffel et
//! al. 2020, appendix D) and applied by the published reference.

use std::borrow::Cow;

/// Surrounds every character that is neither `_`, white space, a number, a letter nor a combining mark with spaces, and
/// collapses runs of white space: `what's up?` becomes `what ' s up ? `.
pub(super) fn pad_punctuation(text: &str) -> String {
    let mut padded = String::with_capacity(text.len() + text.len() / 8);
    let space = |padded: &mut String| {
        if !padded.ends_with(' ') {
            padded.push(' ');
        }
    };
    for c in text.chars() {
        if c.is_whitespace() {
            space(&mut padded);
        } else if c == '_' || is_word(c) {
            padded.push(c);
        } else {
            space(&mut padded);
            padded.push(c);
            padded.push(' ');
        }
    }
    padded
}

/// Whether a character's general category is letter, number or mark.
fn is_word(c: char) -> bool {
    use unicode_properties::{GeneralCategoryGroup as Group, UnicodeGeneralCategory};
    c.is_ascii_alphanumeric()
        || (!c.is_ascii() && matches!(c.general_category_group(), Group::Letter | Group::Number | Group::Mark))
}

/// Removes MultiRC's markup: `<br>` becomes a space, `<b>` and `</b>` are dropped.
pub(super) fn remove_markup(text: &str) -> String {
    text.replace("<br>", " ").replace("<b>", "").replace("</b>", "")
}

/// Turns ReCoRD's passage into one paragraph, with each `@highlight` line as a sentence.
pub(super) fn highlights(text: &str) -> String {
    let mut passage = String::with_capacity(text.len());
    for (number, part) in text.split("\n@highlight\n").enumerate() {
        if number > 0 {
            // A part with this ending is already a complete sentence.
            let ended = passage.ends_with(['.', '?', '!', '"', '\'']);
            passage.push_str(if ended { " " } else { ". " });
        }
        passage.push_str(part);
    }
    passage
}

/// Marks WSC's spans, the first as `* first *` and the second as `# second #`.
///
/// A span is its words and the 0-based index of the first one, words being separated by single white-space characters.
/// The two markers of the first span shift the index of a later second one by two. A span that is not found at its
/// index is not marked, as in the reference. Spans are corrected first, as those of the hub's `wsc.fixed` already are.
pub(super) fn mark_spans(text: &str, first: (&str, usize), second: (&str, usize)) -> String {
    let (first, second) = ((mended(text, first), first.1), (mended(text, second), second.1));
    let moved = if first.1 < second.1 { 2 } else { 0 };
    let marked = mark(text, (&first.0, first.1), '*').unwrap_or_else(|| text.to_owned());
    mark(&marked, (&second.0, second.1.saturating_add(moved)), '#').unwrap_or(marked)
}

/// Corrects a span to match its text. Some spans in the official files differ in capitalisation, end with a full stop,
/// or have a line break for a space.
fn mended<'s>(text: &str, (span, word): (&'s str, usize)) -> Cow<'s, str> {
    let mut letters = span.chars();
    let (false, Some(initial), Some(there)) = (text.contains(span), letters.next(), text.split_whitespace().nth(word))
    else {
        return Cow::Borrowed(span);
    };
    let initial: String = match there.starts_with(char::is_lowercase) {
        true => initial.to_lowercase().collect(),
        false => initial.to_uppercase().collect(),
    };
    let whole = initial + letters.as_str();
    Cow::Owned(whole.trim_end_matches('.').replace('\n', " "))
}

fn mark(text: &str, (span, word): (&str, usize), with: char) -> Option<String> {
    let mut rest = text;
    for _ in 0..word {
        let end = rest.find(char::is_whitespace).filter(|&end| end > 0)?;
        let white = rest[end..].chars().next().map_or(0, char::len_utf8);
        rest = &rest[end + white..];
    }
    let behind = rest.strip_prefix(span)?;
    let before = &text[..text.len() - rest.len()];
    Some(format!("{before}{with} {span} {with}{behind}"))
}

/// Formats an unindented Python docstring with a program's description and examples of its use.
pub(super) fn docstring(text: &str, examples: &[String]) -> String {
    let mut docstring = format!("\"\"\"\n{text}\n");
    for example in examples {
        docstring.push_str(example);
        docstring.push('\n');
    }
    docstring + "\"\"\"\n"
}

/// The unindented import lines of a Python program.
pub(super) fn imports(program: &str) -> String {
    program
        .lines()
        .filter(|line| line.starts_with("import ") || line.starts_with("from "))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Names of the top-level functions and classes of a Python program, without duplicates.
pub(super) fn defined(program: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for line in program.lines() {
        let Some(rest) = line.strip_prefix("def ").or_else(|| line.strip_prefix("class ")) else {
            continue;
        };
        let mut words = rest.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(name) = words.find(|word| !word.is_empty())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_gets_room() {
        for (text, expected) in [
            ("what's up?", "what ' s up ? "),
            ("a_b  c\t\nd", "a_b c d"),
            ("1,000 €", "1 , 000 € "),
            ("naïve e\u{301}té", "naïve e\u{301}té"),
            ("Ⓐ½", " Ⓐ ½"),
            (" (x)", " ( x ) "),
            ("", ""),
        ] {
            assert_eq!(pad_punctuation(text), expected, "{text}");
        }
    }

    #[test]
    fn markup_goes() {
        assert_eq!(remove_markup("<b>Sent 1: </b>One.<br>Two."), "Sent 1: One. Two.");
    }

    #[test]
    fn spans_are_marked_where_they_stand() {
        let text = "Mark told Pete many lies about himself";
        for (first, second, expected) in [
            (
                ("Mark", 0),
                ("himself", 6),
                "* Mark * told Pete many lies about # himself #",
            ),
            (
                ("himself", 6),
                ("Pete", 2),
                "Mark told # Pete # many lies about * himself *",
            ),
            (
                ("many lies", 3),
                ("Mark", 0),
                "# Mark # told Pete * many lies * about himself",
            ),
            // Not found, or beyond the end: left unchanged; the second index is shifted by two regardless.
            (("Jane", 0), ("many", 1), "Mark told Pete # many # lies about himself"),
            (("Mark", 9), ("Pete", 2), "Mark told # Pete # many lies about himself"),
        ] {
            assert_eq!(mark_spans(text, first, second), expected);
        }
    }

    #[test]
    fn spans_are_mended_as_they_stand_in_the_text() {
        let text = "The boats of Ann came. She was glad.";
        for (first, second, expected) in [
            (
                ("the boats", 0),
                ("She", 5),
                "* The boats * of Ann came. # She # was glad.",
            ),
            (("Boats", 1), ("she", 5), "The * boats * of Ann came. # She # was glad."),
            (
                ("Ann.", 3),
                ("was\nglad", 6),
                "The boats of * Ann * came. She # was glad #.",
            ),
            // Found in the text, but not at the given index.
            (("Ann", 1), ("She", 5), "The boats of Ann came. She was glad."),
            (("Jane", 99), ("she", 5), "The boats of Ann came. # She # was glad."),
        ] {
            assert_eq!(mark_spans(text, first, second), expected);
        }
    }

    #[test]
    fn highlights_become_sentences() {
        assert_eq!(
            highlights("He left.\n@highlight\nShe stayed\n@highlight\nEnd\"\n@highlight\nX"),
            "He left. She stayed. End\" X"
        );
    }

    #[test]
    fn what_a_program_defines_and_imports() {
        let program = "import re\r\nfrom math import pi\n  import os\nclass Pair(object):\n  def first(self):\n    pass\n\
                       def  add (a, b):\n  return a\ndef add(a):\n  pass\nundefined = 1\n";
        assert_eq!(defined(program), ["Pair", "add"]);
        assert_eq!(imports(program), "import re\nfrom math import pi\n");
    }

    #[test]
    fn docstrings_hold_their_examples() {
        let examples = ["assert f(1) == 2".to_owned(), "assert f(2) == 3".to_owned()];
        let expected = "\"\"\"\nAdd one.\nassert f(1) == 2\nassert f(2) == 3\n\"\"\"\n";
        assert_eq!(docstring("Add one.", &examples), expected);
        assert_eq!(docstring("Add.", &[]), "\"\"\"\nAdd.\n\"\"\"\n");
    }
}
