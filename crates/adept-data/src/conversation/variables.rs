//! What a row has for the chat template beside its messages, under the keys that TRL and transformers use.
//!
//! | key | value |
//! |---|---|
//! | `tools` | a list of descriptions of tools, or its text in JSON |
//! | `documents` | a list of documents |
//! | `chat_template_kwargs` | an object of variables of this template, such as `{"enable_thinking": false}` |
//!
//! Data in ShareGPT's form may have the text of the first message under `system`, too.

use serde_json::{Map, Value, json};

use super::{ConversationFault, FieldFault, Message, Role, described};

/// Variables that are given to every template, and by nothing else.
pub(super) const GIVEN: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// Key of the template's own variables.
const OWN: &str = "chat_template_kwargs";

/// Variables of a chat template, from the text of a JSON object; an empty text has none.
///
/// # Errors
/// [`ConversationFault`] for what is no object, or names a variable that is given to every template.
pub fn template_variables(text: &str) -> Result<Map<String, Value>, ConversationFault> {
    match text {
        "" => Ok(Map::new()),
        text => own(&serde_json::from_str(text).unwrap_or_else(|_| text.into())).cloned(),
    }
}

/// The variables in `row`. `null` and empty lists are as good as missing, as in TRL.
pub(super) fn read(row: &Map<String, Value>) -> Result<Map<String, Value>, FieldFault> {
    let mut variables = Map::new();
    for key in ["tools", "documents"] {
        let Some(found) = row.get(key).filter(|found| !found.is_null()) else {
            continue;
        };
        let list = match found {
            Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            other => other.clone(),
        };
        let is_list = |list: &Value| list.as_array().is_some_and(|items| items.iter().all(Value::is_object));
        if !is_list(&list) {
            return Err(kind(key, "a list of objects, or its text in JSON", found));
        }
        if list != json!([]) {
            variables.insert(key.to_owned(), list);
        }
    }
    if let Some(found) = row.get(OWN).filter(|found| !found.is_null()) {
        variables.extend(own(found).map_err(|fault| (OWN.to_owned(), fault))?.clone());
    }
    Ok(variables)
}

/// The message of the system that stands beside the messages, of which `first` is the first.
pub(super) fn system(row: &Map<String, Value>, first: Option<&Message>) -> Result<Option<Message>, FieldFault> {
    let key = "system";
    match row.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(_)) if first.is_some_and(|first| first.role == Role::System) => {
            Err((key.to_owned(), ConversationFault::TwoSystems))
        }
        Some(Value::String(text)) => Ok(Some(Message::new(Role::System, text.as_str()))),
        Some(other) => Err(kind(key, "a string", other)),
    }
}

fn own(value: &Value) -> Result<&Map<String, Value>, ConversationFault> {
    let own = value.as_object().ok_or_else(|| ConversationFault::Kind {
        expected: "an object of variables, in JSON",
        found: described(value),
    })?;
    match own.keys().find(|key| GIVEN.contains(&key.as_str())) {
        Some(found) => Err(ConversationFault::Given { found: found.clone() }),
        None => Ok(own),
    }
}

fn kind(key: &str, expected: &'static str, found: &Value) -> FieldFault {
    let found = described(found);
    (key.to_owned(), ConversationFault::Kind { expected, found })
}
