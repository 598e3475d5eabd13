//! Joins source and target into one text for a decoder-only backbone.
//!
//! A [`RowTemplate`] joins them, by default with a space. A [`ChatTemplate`] is the Jinja template that comes with a
//! tokenizer for conversations. Encoder-decoders read sources and targets separately and need neither.

mod answers;
mod chat;
mod generation;
mod python;

use serde::{Deserialize, Deserializer};

pub use answers::{ConversationText, TrainedAnswers};
pub use chat::{ChatError, ChatTemplate};

const SOURCE: &str = "source";
const TARGET: &str = "target";

/// A text containing `{source}` and ending with `{target}`. `{{` and `}}` are literal braces.
///
/// Spaces before `{target}` belong to the target: byte-pair tokenizers merge a space with the following word, and a
/// prompt that ends with a space would be followed by tokens never seen in that place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowTemplate {
    /// The template as written.
    text: String,
    /// Text before the source.
    before: String,
    /// Text between source and target, without trailing spaces.
    between: String,
    /// The trailing spaces.
    lead: String,
}

/// Why a template is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// An unknown field.
    #[error("expected the fields {{source}} and {{target}}, found {{{found}}} (use {{{{ and }}}} for literal braces)")]
    UnknownField {
        /// The field.
        found: String,
    },
    /// An unbalanced brace.
    #[error("expected fields in braces, found a single {brace} at byte {at} (use {{{{ and }}}} for literal braces)")]
    Brace {
        /// The brace.
        brace: char,
        /// Its position in bytes, from 1.
        at: usize,
    },
    /// A field that does not occur exactly once.
    #[error("expected {{{field}}} exactly once, found it {found} times")]
    Field {
        /// The field.
        field: &'static str,
        /// Number of occurrences.
        found: usize,
    },
    /// Text after the target.
    #[error("expected {{target}} at the end, after {{source}}; found {found:?} after it")]
    BehindTarget {
        /// The text found.
        found: String,
    },
}

/// A part of a template.
enum Part {
    Text(String),
    Field(String),
}

impl RowTemplate {
    /// Source and target separated by a space.
    #[must_use]
    pub fn spaced() -> Self {
        Self::parse("{source} {target}").expect("it has both fields, the target last")
    }

    /// Source and target without a separator: for programs, where the source determines how it continues.
    #[must_use]
    pub fn adjacent() -> Self {
        Self::parse("{source}{target}").expect("it has both fields, the target last")
    }

    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let parts = parts(text)?;
        for field in [SOURCE, TARGET] {
            let found = parts.iter().filter(|part| part.is_field(field)).count();
            if found != 1 {
                return Err(TemplateError::Field { field, found });
            }
        }
        let mut texts = [String::new(), String::new(), String::new()];
        let mut fields = 0;
        for part in &parts {
            match part {
                Part::Text(text) => texts[fields].push_str(text),
                Part::Field(name) if fields == 0 && name == TARGET => {
                    return Err(TemplateError::BehindTarget {
                        found: format!("{{{SOURCE}}}"),
                    });
                }
                Part::Field(_) => fields += 1,
            }
        }
        let [before, mut between, behind] = texts;
        if !behind.is_empty() {
            return Err(TemplateError::BehindTarget { found: behind });
        }
        let lead = between.split_off(between.trim_end_matches(' ').len());
        Ok(Self {
            text: text.to_owned(),
            before,
            between,
            lead,
        })
    }

    /// The template as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Text before the target. Trailing spaces are omitted if they are part of the target.
    #[must_use]
    pub fn prompt(&self, source: &str) -> String {
        let mut prompt = format!("{}{source}{}", self.before, self.between);
        if !self.lead.is_empty() {
            prompt.truncate(prompt.trim_end_matches(' ').len());
        }
        prompt
    }

    /// The spaces prepended to the target.
    #[must_use]
    pub fn lead(&self) -> &str {
        &self.lead
    }
}

impl Part {
    fn is_field(&self, name: &str) -> bool {
        matches!(self, Self::Field(found) if found == name)
    }
}

/// Splits a template into text and fields.
fn parts(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(place) = rest.find(['{', '}']) {
        let brace = if rest.as_bytes()[place] == b'{' { '{' } else { '}' };
        let single = || TemplateError::Brace {
            brace,
            at: text.len() - rest.len() + place + 1,
        };
        plain.push_str(&rest[..place]);
        let behind = &rest[place + 1..];
        if let Some(behind) = behind.strip_prefix(brace) {
            plain.push(brace);
            rest = behind;
            continue;
        }
        if brace == '}' {
            return Err(single());
        }
        let (name, behind) = behind.split_once('}').ok_or_else(single)?;
        if name.contains('{') {
            return Err(single());
        }
        if ![SOURCE, TARGET].contains(&name) {
            let found = name.to_owned();
            return Err(TemplateError::UnknownField { found });
        }
        parts.push(Part::Text(std::mem::take(&mut plain)));
        parts.push(Part::Field(name.to_owned()));
        rest = behind;
    }
    plain.push_str(rest);
    parts.push(Part::Text(plain));
    Ok(parts)
}

impl<'de> Deserialize<'de> for RowTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| serde::de::Error::custom(format_args!("`template`: {error}")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spaces_before_the_target_are_the_targets() {
        let check = |template: &str, source: &str, prompt: &str, lead: &str| {
            let template = RowTemplate::parse(template).unwrap();
            assert_eq!((template.prompt(source).as_str(), template.lead()), (prompt, lead));
        };
        check("{source} {target}", "a film", "a film", " ");
        check("{source} {target}", "a film  ", "a film", " ");
        check("{source} {target}", "", "", " ");
        check("{source}{target}", "def f():\n ", "def f():\n ", "");
        check("Q: {source}\nA:  {target}", "why", "Q: why\nA:", "  ");
        check("{source}\n{target}", "why ", "why \n", "");
        check("{{{source}}}: {target}", "x", "{x}:", " ");
        // A source is inserted verbatim, not parsed as a template.
        check("{source} {target}", "{target} }", "{target} }", " ");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let check = |template: &str, expected: &str| {
            let error = RowTemplate::parse(template).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected} in {error}");
        };
        check("", "expected {source} exactly once, found it 0 times");
        check("{target}", "expected {source} exactly once, found it 0 times");
        check("{source}", "expected {target} exactly once, found it 0 times");
        check(
            "{source}{source}{target}",
            "expected {source} exactly once, found it 2 times",
        );
        check("{target}{source}", "found \"{source}\" after it");
        check("{source} {target}.", "found \".\" after it");
        check("{source} {label}{target}", "found {label}");
        check("{source} { target}", "found { target}");
        check("{source} {target", "a single { at byte 10");
        check("é} {source} {target}", "a single } at byte 3");
        check("{{source} {target}", "a single } at byte 9");
        check("{so{source}urce} {target}", "a single { at byte 1");
    }
}
