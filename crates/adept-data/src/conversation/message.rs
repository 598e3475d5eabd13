//! One message in JSON.
//!
//! | form | a message |
//! |---|---|
//! | chat (`messages`, or lists in `prompt` and `completion`) | `{"role": "user", "content": "…"}` |
//! | ShareGPT (`conversations`) | `{"from": "human", "value": "…"}` |
//!
//! Content is a text, or a list of parts of type `text`, which are concatenated; an assistant that calls tools may have
//! none. Other keys of a message are kept, in their order, for the chat template to read; as in transformers, keys that
//! are `null` are left out, and what is thought has the names `reasoning_content` and `thinking`. The arguments of a call
//! are an object, as templates expect; OpenAI's form, in which they are that object's text in JSON, is read as the object.
//! Of OpenAI's form is `weight`, too: 0 for an answer that is not learned.

use serde_json::{Map, Value};

use super::{ConversationFault, Message, Role, described};

/// Names under which an answer's reasoning is found, the first of them that of most templates.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A fault and the key of the message that it is in.
type KeyFault = (Option<String>, ConversationFault);

/// Reads a message.
pub(super) fn read(item: &Value) -> Result<Message, KeyFault> {
    let Value::Object(object) = item else {
        let (expected, found) = ("a message", described(item));
        return Err((None, ConversationFault::Kind { expected, found }));
    };
    if object.get("function_call").is_some_and(is_something) {
        let found = "`function_call`".to_owned();
        return Err((None, ConversationFault::Calls { found }));
    }
    let calls = object.get("tool_calls").filter(|calls| is_something(calls));
    let pairs = [("role", "content"), ("from", "value")];
    let pair = pairs.into_iter().find(|(role, content)| {
        object.contains_key(*role) && (object.contains_key(*content) || (*role == "role" && calls.is_some()))
    });
    let Some((role_key, content_key)) = pair else {
        let found = object.keys().cloned().collect();
        return Err((None, ConversationFault::Keys { found }));
    };
    let at = |key: &str| {
        let key = key.to_owned();
        |fault| (Some(key), fault)
    };
    let (role, role_name) = role(&object[role_key]).map_err(at(role_key))?;
    if calls.is_some() && role != Role::Assistant {
        let found = format!("them in one of the {}", role.name());
        return Err(at("tool_calls")(ConversationFault::Calls { found }));
    }
    let calls = calls.map(read_calls).transpose()?;
    let said = object.get(content_key).filter(|content| is_something(content));
    let content = match said {
        Some(said) => content(said).map_err(at(content_key))?,
        // Who calls a tool need not speak, and a tool may answer with nothing.
        None if calls.is_some() || (role == Role::Tool && object[content_key] == "") => String::new(),
        None => content(&object[content_key]).map_err(at(content_key))?,
    };
    let is_learned = match object.get("weight") {
        None | Some(Value::Null) => true,
        Some(weight) => match weight.as_f64() {
            Some(1.0) => true,
            Some(0.0) => false,
            _ => {
                let (expected, found) = ("0 or 1", described(weight));
                return Err(at("weight")(ConversationFault::Kind { expected, found }));
            }
        },
    };
    let mut seen = Map::new();
    let reasoning = REASONING
        .iter()
        .find_map(|key| object.get(*key).filter(|found| !found.is_null()));
    if let Some(reasoning) = reasoning {
        seen.insert("thinking".to_owned(), reasoning.clone());
    }
    for (key, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        match key.as_str() {
            key if key == role_key => seen.insert("role".to_owned(), role_name.into()),
            key if key == content_key => seen.insert("content".to_owned(), content.as_str().into()),
            "tool_calls" => seen.insert(key.clone(), calls.clone().unwrap_or_else(|| value.clone())),
            key => seen.insert(key.to_owned(), value.clone()),
        };
    }
    if let Some(reasoning) = reasoning {
        seen.insert("reasoning_content".to_owned(), reasoning.clone());
    }
    Ok(Message {
        role,
        content,
        is_learned,
        object: seen,
    })
}

/// A role and its name in templates. Those of tools are kept as written: templates tell them apart.
fn role(value: &Value) -> Result<(Role, &str), ConversationFault> {
    let found = value.as_str().ok_or_else(|| ConversationFault::Kind {
        expected: "a string",
        found: described(value),
    })?;
    let role = match found {
        "system" => Role::System,
        "user" | "human" => Role::User,
        "assistant" | "gpt" => Role::Assistant,
        "tool" | "function" | "ipython" => return Ok((Role::Tool, found)),
        _ => {
            return Err(ConversationFault::Role {
                found: found.to_owned(),
            });
        }
    };
    Ok((role, role.name()))
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

/// Calls of tools, `{"type": "function", "function": {"name": …, "arguments": …}}` or the function alone, with their
/// arguments as objects.
fn read_calls(value: &Value) -> Result<Value, KeyFault> {
    let kind = |key: String, expected, found: &Value| {
        let found = described(found);
        (Some(key), ConversationFault::Kind { expected, found })
    };
    let Value::Array(calls) = value else {
        return Err(kind("tool_calls".to_owned(), "an array of calls", value));
    };
    let mut calls = calls.clone();
    for (index, call) in calls.iter_mut().enumerate() {
        let mut key = format!("tool_calls[{index}]");
        let is_wrapped = call.get("function").is_some();
        if is_wrapped {
            key.push_str(".function");
        }
        let function = if is_wrapped { &mut call["function"] } else { call };
        if !function["name"].is_string() {
            return Err(kind(format!("{key}.name"), "the name of a tool", &function["name"]));
        }
        let Some(arguments) = function.get_mut("arguments") else {
            continue;
        };
        let read = match &*arguments {
            Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            other => other.clone(),
        };
        if !read.is_object() {
            let expected = "an object, or its text in JSON";
            return Err(kind(format!("{key}.arguments"), expected, arguments));
        }
        *arguments = read;
    }
    Ok(calls.into())
}

/// Whether a value says anything: calls and content may be there as `null`, as nothing or as an empty list.
fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}
