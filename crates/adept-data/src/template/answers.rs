//! The answers of a conversation within the text that a chat template makes of it.
//!
//! A template that has `{% generation %}` says itself what an answer is, as in transformers'
//! `return_assistant_tokens_mask`. Of any other an answer is what its message adds: the text of the messages before it,
//! with the beginning of an answer (`add_generation_prompt`), and the text up to and with it must both be beginnings of
//! the whole text.

use std::ops::Range;

use super::chat::{ChatError, ChatTemplate};
use crate::conversation::{Conversation, Role};
use crate::loss::excerpts;

/// Which answers of a conversation are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainedAnswers {
    /// Every message of the assistant.
    #[default]
    All,
    /// The last message.
    Last,
}

impl TrainedAnswers {
    /// All variants, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::All, Self::Last];
}

/// A conversation as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationText {
    /// The text, as of `apply_chat_template(messages)`.
    pub text: String,
    /// Bytes of the answers that are trained on, in order; at least one.
    pub answers: Vec<Range<usize>>,
    /// Whether the template itself says what an answer is.
    pub is_marked: bool,
}

impl ChatTemplate {
    /// Renders a conversation that has an answer at its end.
    ///
    /// # Errors
    /// [`ChatError`].
    pub fn conversation(&self, told: &Conversation, trained: TrainedAnswers) -> Result<ConversationText, ChatError> {
        let is_marked = self.of(&told.variables).marks_answers();
        let (text, answers) = match is_marked {
            true => self.marked_answers(told)?,
            false => self.added_answers(told, trained)?,
        };
        let answers = match trained {
            TrainedAnswers::All => answers,
            TrainedAnswers::Last => answers.last().cloned().into_iter().collect(),
        };
        let of = told.messages.len();
        let message = |answer: usize| match trained {
            TrainedAnswers::All => told.answers().nth(answer).map_or(of, |message| message + 1),
            TrainedAnswers::Last => of,
        };
        match answers.iter().position(Range::is_empty) {
            Some(empty) => Err(self.no_answer(told, message(empty))),
            None => Ok(ConversationText {
                text,
                answers,
                is_marked,
            }),
        }
    }

    /// The error for an answer, by the number of its message from 1, of which nothing is in the text.
    pub(crate) fn no_answer(&self, told: &Conversation, message: usize) -> ChatError {
        ChatError::NoAnswer {
            file: self.of(&told.variables).file.clone(),
            message,
            of: told.messages.len(),
        }
    }

    /// Answers as the template's tags say.
    fn marked_answers(&self, told: &Conversation) -> Result<(String, Vec<Range<usize>>), ChatError> {
        let mark = mark(&self.render_messages(&told.messages, &told.variables, false)?);
        let marked = self.render_marked(told, &mark)?;
        let mut text = String::with_capacity(marked.len());
        let mut places = Vec::new();
        for (number, part) in marked.split(&*mark).enumerate() {
            if number > 0 {
                places.push(text.len());
            }
            text.push_str(part);
        }
        let written = (0..told.messages.len()).filter(|index| told.messages[*index].role == Role::Assistant);
        let written: Vec<usize> = written.collect();
        let expected = written.len();
        if places.len() != 2 * expected {
            return Err(ChatError::Marks {
                file: self.of(&told.variables).file.clone(),
                expected,
                found: places.len() / 2,
            });
        }
        let trained: Vec<usize> = told.answers().collect();
        let all = written.iter().zip(places.chunks(2));
        let all = all.filter(|(message, _)| trained.contains(message));
        Ok((text, all.map(|(_, pair)| pair[0]..pair[1]).collect()))
    }

    /// Answers as what their messages add.
    fn added_answers(
        &self,
        told: &Conversation,
        trained: TrainedAnswers,
    ) -> Result<(String, Vec<Range<usize>>), ChatError> {
        let messages = &told.messages;
        let text = self.render_messages(messages, &told.variables, false)?;
        let up_to = |count: usize, prompt: bool| {
            if count == messages.len() {
                return Ok(text.len());
            }
            let found = self.render_messages(&messages[..count], &told.variables, prompt)?;
            match text.starts_with(&found) {
                true => Ok(found.len()),
                false => {
                    let (expected, found) = excerpts(&text, &found);
                    Err(ChatError::NotPrefix {
                        file: self.of(&told.variables).file.clone(),
                        messages: count,
                        of: messages.len(),
                        expected,
                        found,
                    })
                }
            }
        };
        let first = match trained {
            TrainedAnswers::All => 0,
            TrainedAnswers::Last => messages.len() - 1,
        };
        let spans = told.answers().filter(|message| *message >= first);
        let spans = spans.map(|message| Ok(up_to(message, true)?..up_to(message + 1, false)?));
        let spans = spans.collect::<Result<_, _>>()?;
        Ok((text, spans))
    }
}

/// A text that is not in `text`.
fn mark(text: &str) -> String {
    let mut mark = "\u{10fffe}".to_owned();
    while text.contains(&mark) {
        mark.push('\u{10ffff}');
    }
    mark
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::super::chat::tests::template;
    use super::*;
    use crate::conversation::Message;
    use crate::conversation::tests::read;

    const LINES: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>\n{% endfor %}{% if \
                         add_generation_prompt %}<assistant>{% endif %}";

    fn two_answers(first_trained: usize) -> Conversation {
        let messages = json!([
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "Uno."},
            {"role": "user", "content": "Two?"},
            {"role": "assistant", "content": "Dos."},
        ]);
        read(&messages, first_trained).unwrap()
    }

    #[track_caller]
    fn check(text: &str, told: &Conversation, trained: TrainedAnswers, expected: &[&str]) {
        let found = template(text).unwrap().conversation(told, trained).unwrap();
        let answers: Vec<&str> = found.answers.iter().map(|span| &found.text[span.clone()]).collect();
        assert_eq!(answers, expected);
        let plain = template(text)
            .unwrap()
            .render_messages(&told.messages, &told.variables, false)
            .unwrap();
        assert_eq!(found.text, plain);
    }

    #[test]
    fn an_answer_is_what_its_message_adds_behind_its_beginning() {
        let (all, last) = (TrainedAnswers::All, TrainedAnswers::Last);
        check(LINES, &two_answers(0), all, &["Uno.<end>\n", "Dos.<end>\n"]);
        check(LINES, &two_answers(0), last, &["Dos.<end>\n"]);
        check(LINES, &two_answers(2), all, &["Dos.<end>\n"]);
    }

    #[test]
    fn tags_say_what_an_answer_is() {
        let marked = "{% for m in messages %}\n  {%- if m.role == 'assistant' %}\n<a>\n    {% generation %}\n{{ m.content }}!\n    \
                      {%- endgeneration %}\n{% else %}({{ m.content }}){% endif %}\n{% endfor %}\n";
        let (all, last) = (TrainedAnswers::All, TrainedAnswers::Last);
        check(marked, &two_answers(0), all, &["Uno.!", "Dos.!"]);
        check(marked, &two_answers(0), last, &["Dos.!"]);
        check(marked, &two_answers(3), all, &["Dos.!"]);
        let mut told = two_answers(0);
        told.messages[1] = Message::new(Role::Assistant, "\u{10fffe}");
        check(marked, &told, all, &["\u{10fffe}!", "Dos.!"]);
    }

    #[track_caller]
    fn fails(text: &str, trained: TrainedAnswers, expected: &str) {
        let found = template(text).unwrap().conversation(&two_answers(0), trained);
        let message = found.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn a_template_that_rewrites_what_came_before_is_refused() {
        // Answers but the last are shortened, as templates do that drop earlier reasoning.
        let shortened = "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and not loop.last %}…{% else %}{{ m.content \
                         }}{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
        fails(
            shortened,
            TrainedAnswers::All,
            "the first 2 of 4 messages: expected the beginning of the whole text, found",
        );
        check(shortened, &two_answers(0), TrainedAnswers::Last, &["Dos."]);
        fails(
            "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
            TrainedAnswers::All,
            "expected one {% generation %} for each of 2 answers, found 4",
        );
        fails(
            "{{ messages | length }}{{ add_generation_prompt }}",
            TrainedAnswers::Last,
            "the first 3 of 4 messages",
        );
        fails(
            "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
            TrainedAnswers::Last,
            "expected text for message 4 of 4, an answer, found none",
        );
    }
}
