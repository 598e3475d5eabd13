//! Conversations: messages of a system, a user, an assistant and its tools, from the JSON forms that instruction data
//! has, and what a chat template reads beside them.

mod message;
mod variables;

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use variables::template_variables;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The one who asks.
    User,
    /// The one who answers: what is learned.
    Assistant,
    /// A tool: the result of a call.
    Tool,
}

impl Role {
    /// The role's name in chat templates.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; empty if the assistant only calls tools.
    pub content: String,
    /// Whether it is trained on if it is an answer.
    pub is_learned: bool,
    /// The message as templates see it: `role`, `content` and whatever else the file has, `tool_calls` among them.
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
        Self {
            role,
            content,
            is_learned: true,
            object,
        }
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
    /// What the template reads beside the messages: `tools`, `documents` and those of `chat_template_kwargs`.
    pub variables: Map<String, Value>,
    /// Where it stands.
    pub place: ConversationPlace,
}

/// Messages that are to be read, in their row.
#[derive(Debug, Clone, PartialEq)]
pub struct RawMessages<'a> {
    /// The messages.
    pub items: Vec<&'a Value>,
    /// Number of the first one that may be trained on.
    pub first_trained: usize,
    /// The row that has them, which may have `tools`, `documents` and `chat_template_kwargs`, too, and a `system`
    /// message.
    pub row: &'a Map<String, Value>,
}

/// What the last message must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndsWith {
    /// An answer: a row of a task.
    Answer,
    /// A question, or the result of a tool, that is to be answered.
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
    #[error("expected one of system, user, assistant, tool (or, in `from`, human and gpt), found `{found}`")]
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
    /// Calls of tools where none can be.
    #[error("expected `tool_calls` in messages of the assistant, found {found}")]
    Calls {
        /// What was found instead.
        found: String,
    },
    /// A last answer that is not to be learned.
    #[error("expected a last message that is learned, found one of `weight` 0")]
    LastWeight,
    /// Two messages of the system.
    #[error("expected no `system` beside a first message of the system, found both")]
    TwoSystems,
    /// A variable that a template gets from elsewhere.
    #[error("expected variables of the chat template other than {}, found `{found}`", variables::GIVEN.join(", "))]
    Given {
        /// The variable.
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
    /// Reads messages, the list in `field`, and what else the row has for the template.
    ///
    /// # Errors
    /// The first fault, with its field.
    pub fn read(
        field: &str,
        raw: &RawMessages<'_>,
        ends: EndsWith,
        place: ConversationPlace,
    ) -> Result<Self, FieldFault> {
        let read = |(index, item)| {
            message::read(item).map_err(|(key, fault)| {
                let key = key.map(|key| format!(".{key}")).unwrap_or_default();
                (format!("{field}[{index}]{key}"), fault)
            })
        };
        let messages = raw.items.iter().copied().enumerate().map(read);
        let mut messages = messages.collect::<Result<Vec<_>, _>>()?;
        let system = variables::system(raw.row, messages.first())?;
        let first_trained = raw.first_trained + usize::from(system.is_some());
        messages.splice(0..0, system);
        let conversation = Self {
            messages,
            first_trained,
            variables: variables::read(raw.row)?,
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
        let expected = match (ends, last) {
            (EndsWith::Answer, Role::Assistant) if self.messages.last().is_some_and(|last| !last.is_learned) => {
                return Err(ConversationFault::LastWeight);
            }
            (EndsWith::Answer, Role::Assistant) | (EndsWith::Question, Role::User | Role::Tool) => return Ok(()),
            (EndsWith::Answer, _) => "assistant",
            (EndsWith::Question, _) => "user or of a tool",
        };
        Err(ConversationFault::Last {
            expected,
            found: last.name(),
        })
    }

    /// Numbers of the messages that may be trained on.
    pub fn answers(&self) -> impl Iterator<Item = usize> {
        let all = self.messages.iter().enumerate().skip(self.first_trained);
        all.filter(|(_, message)| message.role == Role::Assistant && message.is_learned)
            .map(|(index, _)| index)
    }

    /// Bytes of all messages and variables, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let objects = self.messages.iter().map(|message| &message.object);
        let values = objects.chain([&self.variables]).flat_map(Map::values);
        values.map(text_bytes).sum()
    }

    /// Text of the last message; empty without messages, and if the last one only calls tools.
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

/// Bytes of the texts in a value.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(object) => object.iter().map(|(key, value)| key.len() + text_bytes(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
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
        in_row(messages, first_trained, &Map::new())
    }

    fn in_row(messages: &Value, first_trained: usize, row: &Map<String, Value>) -> Result<Conversation, FieldFault> {
        let raw = RawMessages {
            items: messages.as_array().expect("a list").iter().collect(),
            first_trained,
            row,
        };
        let place = ConversationPlace {
            file: Path::new("chat.jsonl").into(),
            line: 3,
        };
        Conversation::read("messages", &raw, EndsWith::Answer, place)
    }

    #[test]
    fn both_forms_of_messages_are_the_same_conversation() {
        let chat = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Two and "}, {"type": "text", "text": "two?"}]},
            {"role": "assistant", "content": "Four.", "name": "Ada"},
        ]);
        let shared = json!([
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "Two and two?"},
            {"from": "gpt", "value": "Four.", "name": "Ada"},
        ]);
        let (chat, shared) = (read(&chat, 0).expect("valid"), read(&shared, 0).expect("valid"));
        assert_eq!(chat, shared);
        assert_eq!((chat.last_question(), chat.last()), ("Two and two?", "Four."));
        assert_eq!(chat.answers().collect::<Vec<_>>(), [2]);
        // Templates see all keys in the file's order.
        let keys: Vec<&String> = chat.messages[2].object.keys().collect();
        assert_eq!(keys, ["role", "content", "name"]);
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
            "messages[0].role: expected one of system, user, assistant, tool (or, in `from`, human and gpt), found `narrator`",
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
        let call = |call: Value| json!([user, {"role": "assistant", "content": null, "tool_calls": call}]);
        fails(
            call(json!({"name": "add"})),
            "messages[1].tool_calls: expected an array of calls, found an object",
        );
        fails(
            call(json!([{"name": "add"}, {"id": "1"}])),
            "messages[1].tool_calls[1].name: expected the name of a tool, found null",
        );
        fails(
            call(json!([{"function": {"name": "add", "arguments": "1, 2"}}])),
            "messages[1].tool_calls[0].function.arguments: expected an object, or its text in JSON, found a string",
        );
        fails(
            json!([{"role": "user", "content": "Hi", "tool_calls": [{"name": "add"}]}, answer]),
            "messages[0].tool_calls: expected `tool_calls` in messages of the assistant, found them in one of the user",
        );
        fails(
            json!([user, {"role": "assistant", "content": null, "function_call": {"name": "add"}}]),
            "messages[1]: expected `tool_calls` in messages of the assistant, found `function_call`",
        );
        fails(
            json!([user, {"role": "assistant", "content": "a", "weight": 0.5}]),
            "messages[1].weight: expected 0 or 1, found 0.5",
        );
        fails(
            json!([user, answer, user, {"role": "assistant", "content": "a", "weight": 0}]),
            "messages: expected a last message that is learned, found one of `weight` 0",
        );
        fails(
            json!([user, {"role": "tool", "content": null}, answer]),
            "messages[1].content: expected a string or a list of parts, found null",
        );
    }

    #[test]
    fn calls_and_results_of_tools_are_messages() {
        let told = json!([
            {"role": "user", "content": "Two and three?"},
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "add", "arguments": "{\"b\": 2, \"a\": 3}"}}]},
            {"role": "tool", "content": "", "tool_call_id": "1"},
            {"role": "ipython", "content": "5"},
            {"role": "assistant", "content": "", "tool_calls": [{"name": "say", "arguments": {"text": "5"}}]},
        ]);
        let told = read(&told, 0).expect("valid");
        assert_eq!(told.answers().collect::<Vec<_>>(), [1, 4]);
        assert_eq!((told.last_question(), told.last()), ("5", ""));
        let arguments = &told.messages[1].object["tool_calls"][0]["function"]["arguments"];
        assert_eq!(arguments.to_string(), r#"{"b":2,"a":3}"#, "an object, in its order");
        assert!(
            !told.messages[1].object.contains_key("content"),
            "templates tell it from nothing"
        );
        assert_eq!(told.messages[3].object["role"], "ipython");
        assert!(told.bytes() > told.messages.iter().map(|message| message.content.len()).sum());
    }

    #[test]
    fn keys_are_as_transformers_writes_them() {
        let seen = |message: Value| {
            let told = read(&json!([{"role": "user", "content": "a"}, message]), 0).expect("valid");
            Value::from(told.messages[1].object.clone()).to_string()
        };
        assert_eq!(
            seen(json!({"name": null, "role": "assistant", "content": "b", "reasoning": "c", "tool_calls": null})),
            r#"{"thinking":"c","role":"assistant","content":"b","reasoning":"c","reasoning_content":"c"}"#
        );
        assert_eq!(
            seen(json!({"role": "assistant", "content": "b", "thinking": "c", "reasoning_content": "d"})),
            r#"{"thinking":"c","role":"assistant","content":"b","reasoning_content":"d"}"#
        );
    }

    #[test]
    fn a_system_may_stand_beside_the_messages() {
        let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
        let row = |system: Value| Map::from_iter([("system".to_owned(), system)]);
        let told = in_row(&messages, 1, &row("Be brief.".into())).expect("valid");
        assert_eq!(
            (told.messages[0].role, told.messages[0].content.as_str()),
            (Role::System, "Be brief.")
        );
        assert_eq!((told.messages.len(), told.first_trained), (3, 2));
        assert_eq!(in_row(&messages, 1, &row("".into())).expect("valid").messages.len(), 2);
        let both = json!([{"role": "system", "content": "x"}, messages[0], messages[1]]);
        let fault = |messages, system| in_row(messages, 0, &row(system)).expect_err("a fault");
        assert_eq!(
            fault(&both, "y".into()),
            ("system".to_owned(), ConversationFault::TwoSystems)
        );
        assert_eq!(fault(&messages, json!(1)).0, "system");
    }

    #[test]
    fn a_row_has_variables_for_the_template() {
        let messages = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
        let variables = |row: Value| {
            let read = in_row(&messages, 0, row.as_object().expect("a row"));
            read.map(|told| Value::from(told.variables).to_string())
                .map_err(|(field, fault)| format!("{field}: {fault}"))
        };
        let tools = json!([{"name": "add"}]);
        let all = json!({
            "tools": tools.to_string(), "documents": [{}], "chat_template_kwargs": {"enable_thinking": false}, "other": 1,
        });
        let expected = r#"{"tools":[{"name":"add"}],"documents":[{}],"enable_thinking":false}"#;
        assert_eq!(variables(all).as_deref(), Ok(expected));
        let nothing = json!({"tools": null, "documents": [], "chat_template_kwargs": null});
        assert_eq!(variables(nothing).as_deref(), Ok("{}"));
        let fails = |row: Value, expected: &str| assert_eq!(variables(row), Err(expected.to_owned()));
        fails(
            json!({"tools": "hammer"}),
            "tools: expected a list of objects, or its text in JSON, found a string",
        );
        fails(
            json!({"documents": ["a"]}),
            "documents: expected a list of objects, or its text in JSON, found an array",
        );
        fails(
            json!({"chat_template_kwargs": true}),
            "chat_template_kwargs: expected an object of variables, in JSON, found true",
        );
        fails(
            json!({"chat_template_kwargs": {"tools": []}}),
            "chat_template_kwargs: expected variables of the chat template other than messages, tools, documents, \
             add_generation_prompt, found `tools`",
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
