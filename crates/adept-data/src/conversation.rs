//! Conversations: messages of a system, a user and an assistant, from the JSON forms that instruction data has.
//!
//! | form | a message |
//! |---|---|
//! | chat (`messages`, or lists in `prompt` and `completion`) | `{"role": "user", "content": "…"}` |
//! | ShareGPT (`conversations`) | `{"from": "human", "value": "…"}` |
//!
//! Content is a text, or a list of parts of type `text`, which are concatenated. Other keys of a message are kept, in
//! their order, for the chat template to read.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The one who asks.
    User,
    /// The one who answers: what is learned.
    Assistant,
}

impl Role {
    /// The role's name in chat templates.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// The message as templates see it: `role`, `content` and whatever else the file has.
    pub(crate) object: Map<String, Value>,
}

impl Message {
    /// A message without further keys.
    #[must_use]
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        let content = content.into();
        let object = Map::from_iter([
            ("role".to_owned(), role.name().into()),
            ("content".to_owned(), content.as_str().into()),
        ]);
        Self { role, content, object }
    }
}

/// Where a conversation stands, for errors of its template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationPlace {
    /// The file.
    pub file: Arc<Path>,
    /// Line or row.
    pub line: usize,
}

/// Messages in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// At least one.
    pub messages: Vec<Message>,
    /// Number of the first message that may be trained on: the length of a separate `prompt`, else 0.
    pub first_trained: usize,
    /// Where it stands.
    pub place: ConversationPlace,
}

/// What the last message must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndsWith {
    /// An answer: a row of a task.
    Answer,
    /// A question that is to be answered.
    Question,
}

/// Why messages are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversationFault {
    /// A value of another type.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// The type expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// Neither `role` and `content` nor `from` and `value`.
    #[error("expected `role` and `content`, or `from` and `value`, found {}", keys(found))]
    Keys {
        /// The message's keys.
        found: Vec<String>,
    },
    /// A role without a meaning.
    #[error("expected one of system, user, assistant (or, in `from`, human and gpt), found `{found}`")]
    Role {
        /// The role.
        found: String,
    },
    /// A message without text.
    #[error("expected text, found nothing")]
    Empty,
    /// A part of a message that is not text.
    #[error("expected parts of type `text`, found one of type `{found}`")]
    Part {
        /// The part's type.
        found: String,
    },
    /// A call of a tool, or its result.
    #[error("tool calls are not supported, found {found}")]
    Tools {
        /// What shows it.
        found: String,
    },
    /// Nothing to learn.
    #[error("expected a message of the assistant, found none in {found} messages")]
    NoAnswer {
        /// Number of messages.
        found: usize,
    },
    /// A row whose last message is not an answer, or a question whose last message is one.
    #[error("expected a last message of the {expected}, found one of the {found}")]
    Last {
        /// The role expected.
        expected: &'static str,
        /// The role found.
        found: &'static str,
    },
}

fn keys(found: &[String]) -> String {
    match found {
        [] => "no keys".to_owned(),
        found => found.join(", "),
    }
}

/// A fault with the field it is in, such as `messages[2].content`.
pub type FieldFault = (String, ConversationFault);

impl Conversation {
    /// Reads the messages in `items`, the list in `field`; those before `first_trained` are not trained on.
    ///
    /// # Errors
    /// The first fault, with its field.
    pub fn read(
        field: &str,
        items: &[&Value],
        first_trained: usize,
        ends: EndsWith,
        place: ConversationPlace,
    ) -> Result<Self, FieldFault> {
        let read = |(index, item)| {
            message(item).map_err(|(key, fault)| {
                let key = key.map(|key| format!(".{key}")).unwrap_or_default();
                (format!("{field}[{index}]{key}"), fault)
            })
        };
        let messages: Vec<Message> = items.iter().copied().enumerate().map(read).collect::<Result<_, _>>()?;
        let conversation = Self {
            messages,
            first_trained,
            place,
        };
        conversation
            .check(ends)
            .map_err(|fault| (field.to_owned(), fault))
            .map(|()| conversation)
    }

    fn check(&self, ends: EndsWith) -> Result<(), ConversationFault> {
        let no_answer = ConversationFault::NoAnswer {
            found: self.messages.len(),
        };
        let last = match (self.messages.last(), ends) {
            (Some(last), _) => last.role,
            (None, EndsWith::Answer) => return Err(no_answer),
            (None, EndsWith::Question) => return Err(ConversationFault::Empty),
        };
        if ends == EndsWith::Answer && self.answers().next().is_none() {
            return Err(no_answer);
        }
        let expected = match ends {
            EndsWith::Answer => Role::Assistant,
            EndsWith::Question => Role::User,
        };
        match last == expected {
            true => Ok(()),
            false => Err(ConversationFault::Last {
                expected: expected.name(),
                found: last.name(),
            }),
        }
    }

    /// Numbers of the messages that may be trained on.
    pub fn answers(&self) -> impl Iterator<Item = usize> {
        let all = self.messages.iter().enumerate().skip(self.first_trained);
        all.filter(|(_, message)| message.role == Role::Assistant)
            .map(|(index, _)| index)
    }

    /// Bytes of all messages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.messages.iter().map(|message| message.content.len()).sum()
    }

    /// Text of the last message; empty without messages.
    #[must_use]
    pub fn last(&self) -> &str {
        self.messages.last().map_or("", |message| &message.content)
    }

    /// Text of the last message before the last: what it answers; empty if there is none.
    #[must_use]
    pub fn last_question(&self) -> &str {
        let before = self.messages.len().checked_sub(2);
        before.map_or("", |index| &self.messages[index].content)
    }
}

/// A fault and the key of the message that it is in.
type KeyFault = (Option<&'static str>, ConversationFault);

fn message(item: &Value) -> Result<Message, KeyFault> {
    let Value::Object(object) = item else {
        let (expected, found) = ("a message", described(item));
        return Err((None, ConversationFault::Kind { expected, found }));
    };
    for key in ["tool_calls", "function_call", "tool_call_id"] {
        if object.get(key).is_some_and(is_something) {
            return Err((
                None,
                ConversationFault::Tools {
                    found: format!("`{key}`"),
                },
            ));
        }
    }
    let pairs = [("role", "content"), ("from", "value")];
    let pair = pairs
        .into_iter()
        .find(|(role, content)| object.contains_key(*role) && object.contains_key(*content));
    let Some((role_key, content_key)) = pair else {
        let found = object.keys().cloned().collect();
        return Err((None, ConversationFault::Keys { found }));
    };
    let role = role(&object[role_key]).map_err(|fault| (Some(role_key), fault))?;
    let content = content(&object[content_key]).map_err(|fault| (Some(content_key), fault))?;
    let mut seen = Map::new();
    for (key, value) in object {
        match key.as_str() {
            key if key == role_key => seen.insert("role".to_owned(), role.name().into()),
            key if key == content_key => seen.insert("content".to_owned(), content.as_str().into()),
            key => seen.insert(key.to_owned(), value.clone()),
        };
    }
    Ok(Message {
        role,
        content,
        object: seen,
    })
}

fn role(value: &Value) -> Result<Role, ConversationFault> {
    match value.as_str() {
        Some("system") => Ok(Role::System),
        Some("user" | "human") => Ok(Role::User),
        Some("assistant" | "gpt") => Ok(Role::Assistant),
        Some(found @ ("tool" | "function" | "ipython")) => Err(ConversationFault::Tools {
            found: format!("a message of the role `{found}`"),
        }),
        Some(found) => Err(ConversationFault::Role {
            found: found.to_owned(),
        }),
        None => Err(ConversationFault::Kind {
            expected: "a string",
            found: described(value),
        }),
    }
}

fn content(value: &Value) -> Result<String, ConversationFault> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(part).collect::<Result<String, _>>()?,
        other => {
            return Err(ConversationFault::Kind {
                expected: "a string or a list of parts",
                found: described(other),
            });
        }
    };
    match text.is_empty() {
        true => Err(ConversationFault::Empty),
        false => Ok(text),
    }
}

fn part(part: &Value) -> Result<&str, ConversationFault> {
    match (part["type"].as_str(), part["text"].as_str()) {
        (Some("text"), Some(text)) => Ok(text),
        (Some(found), _) if found != "text" => Err(ConversationFault::Part {
            found: found.to_owned(),
        }),
        _ => Err(ConversationFault::Kind {
            expected: "a part with `type` and `text`",
            found: described(part),
        }),
    }
}

/// Whether a value says anything: tool calls may be there as `null` or an empty list.
fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn read(messages: &Value, first_trained: usize) -> Result<Conversation, FieldFault> {
        let items: Vec<&Value> = messages.as_array().expect("a list").iter().collect();
        let place = ConversationPlace {
            file: Path::new("chat.jsonl").into(),
            line: 3,
        };
        Conversation::read("messages", &items, first_trained, EndsWith::Answer, place)
    }

    #[test]
    fn both_forms_of_messages_are_the_same_conversation() {
        let chat = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Two and "}, {"type": "text", "text": "two?"}]},
            {"role": "assistant", "content": "Four.", "tool_calls": null},
        ]);
        let shared = json!([
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Two and two?"},
            {"from": "gpt", "value": "Four.", "tool_calls": null},
        ]);
        let (chat, shared) = (read(&chat, 0).expect("valid"), read(&shared, 0).expect("valid"));
        assert_eq!(chat, shared);
        assert_eq!((chat.last_question(), chat.last()), ("Two and two?", "Four."));
        assert_eq!(chat.answers().collect::<Vec<_>>(), [2]);
        // Templates see all keys in the file's order.
        let keys: Vec<&String> = chat.messages[2].object.keys().collect();
        assert_eq!(keys, ["role", "content", "tool_calls"]);
    }

    #[track_caller]
    fn fails(messages: Value, expected: &str) {
        let (field, fault) = read(&messages, 0).expect_err("invalid messages");
        assert_eq!(format!("{field}: {fault}"), expected);
    }

    #[test]
    fn what_is_no_conversation_is_named() {
        let user = json!({"role": "user", "content": "Hi"});
        let answer = json!({"role": "assistant", "content": "Hello"});
        fails(
            json!([]),
            "messages: expected a message of the assistant, found none in 0 messages",
        );
        fails(
            json!([user]),
            "messages: expected a message of the assistant, found none in 1 messages",
        );
        fails(
            json!([user, answer, user]),
            "messages: expected a last message of the assistant, found one of the user",
        );
        fails(
            json!([user, "Hello"]),
            "messages[1]: expected a message, found a string",
        );
        fails(
            json!([user, {"role": "assistant", "text": "Hello"}]),
            "messages[1]: expected `role` and `content`, or `from` and `value`, found role, text",
        );
        fails(
            json!([{"role": "narrator", "content": "Hi"}, answer]),
            "messages[0].role: expected one of system, user, assistant (or, in `from`, human and gpt), found `narrator`",
        );
        fails(
            json!([{"role": 1, "content": "Hi"}, answer]),
            "messages[0].role: expected a string, found 1",
        );
        fails(
            json!([user, {"role": "assistant", "content": ""}]),
            "messages[1].content: expected text, found nothing",
        );
        fails(
            json!([user, {"role": "assistant", "content": null}]),
            "messages[1].content: expected a string or a list of parts, found null",
        );
        fails(
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, answer]),
            "messages[0].content: expected parts of type `text`, found one of type `image_url`",
        );
        fails(
            json!([{"role": "user", "content": ["Hi"]}, answer]),
            "messages[0].content: expected a part with `type` and `text`, found a string",
        );
        fails(
            json!([user, {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]}]),
            "messages[1]: tool calls are not supported, found `tool_calls`",
        );
        fails(
            json!([user, {"role": "tool", "content": "5"}, answer]),
            "messages[1].role: tool calls are not supported, found a message of the role `tool`",
        );
    }

    #[test]
    fn a_prompt_of_its_own_is_not_trained_on() {
        let messages = json!([
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "Uno."},
            {"role": "user", "content": "Two?"},
            {"role": "assistant", "content": "Dos."},
        ]);
        let answers = |first| read(&messages, first).map(|read| read.answers().collect::<Vec<_>>());
        assert_eq!(answers(0), Ok(vec![1, 3]));
        assert_eq!(answers(3), Ok(vec![3]));
        assert!(answers(4).is_err(), "nothing is left to learn");
    }
}
