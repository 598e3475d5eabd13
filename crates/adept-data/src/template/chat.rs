//! Chat templates: the Jinja template that comes with a tokenizer, rendered as by transformers' `apply_chat_template`
//! for whole conversations ([`answers`](super::answers)) and for what is to be answered, with the beginning of the
//! assistant's answer appended (`add_generation_prompt`).
//!
//! The template is in `chat_template.jinja`, else under `chat_template` in `tokenizer_config.json`: either a single
//! text, or a list of named ones, of which `default` is used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde_json::{Map, Value as Json};

use super::generation::{has_generation_tags, with_marks, without_tags};
use super::python::environment;
use crate::DataError;
use crate::conversation::{Message, Role};
use crate::text::{object_of_keys, read_text};

/// File with the template only.
const TEMPLATE_FILE: &str = "chat_template.jinja";
/// File that may contain the template and defines the special tokens used in it.
const CONFIG_FILE: &str = "tokenizer_config.json";
/// Older tokenizers define special tokens here as well.
const TOKENS_FILE: &str = "special_tokens_map.json";
/// Name of the template in the engine.
const NAME: &str = "chat template";
/// Name of the template that also writes marks around what is generated.
const MARKED: &str = "chat template with marks";

/// Why a chat template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The tokenizer has no chat template.
    #[error("{}: expected a chat template ({TEMPLATE_FILE}, or `chat_template` in {CONFIG_FILE}), found none", folder.display())]
    Missing {
        /// The tokenizer's folder.
        folder: PathBuf,
    },
    /// Several templates, none of them the default.
    #[error("{}: `chat_template`: expected a single template, or one named `default`, found {found}", file.display())]
    NoDefault {
        /// The file.
        file: PathBuf,
        /// The templates found.
        found: String,
    },
    /// A template that does not parse or render.
    #[error("{}: chat template, line {line}: {message}", file.display())]
    Failed {
        /// The file with the template.
        file: PathBuf,
        /// The line of the template, from 1.
        line: usize,
        /// The engine's error message, or that of the template's own `raise_exception`.
        message: String,
    },
    /// What precedes an answer is written differently once the answer follows, so that the answer cannot be told apart.
    #[error(
        "{}: chat template: the first {messages} of {of} messages: expected the beginning of the whole text, found \
         {found:?} in place of {expected:?}; `input.answers = \"last\"` trains the last answer alone, and \
         {{% generation %}} in the template says what an answer is", file.display()
    )]
    NotPrefix {
        /// The file with the template.
        file: PathBuf,
        /// Number of messages that were rendered.
        messages: usize,
        /// Number of all messages.
        of: usize,
        /// The whole text around the first difference.
        expected: String,
        /// What was rendered there instead.
        found: String,
    },
    /// A template that does not mark each answer once.
    #[error(
        "{}: chat template: expected one {{% generation %}} for each of {expected} answers, found {found}",
        file.display()
    )]
    Marks {
        /// The file with the template.
        file: PathBuf,
        /// Number of the assistant's messages.
        expected: usize,
        /// Number of blocks rendered.
        found: usize,
    },
    /// A template that writes nothing for an answer.
    #[error("{}: chat template: expected text for message {message} of {of}, an answer, found none", file.display())]
    NoAnswer {
        /// The file with the template.
        file: PathBuf,
        /// Number of the message, from 1.
        message: usize,
        /// Number of all messages.
        of: usize,
    },
}

/// A tokenizer's compiled chat template.
#[derive(Clone)]
pub struct ChatTemplate {
    file: PathBuf,
    text: String,
    /// `bos_token` and the like, as template variables.
    tokens: BTreeMap<String, String>,
    environment: Arc<Environment<'static>>,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// Reads the template of the tokenizer in `folder`.
    ///
    /// # Errors
    /// [`ChatError`] if there is none or it is not valid Jinja; errors reading the files.
    pub fn from_dir(folder: &Path) -> Result<Self, DataError> {
        let own = folder.join(TEMPLATE_FILE);
        let config_file = folder.join(CONFIG_FILE);
        let config = object(&config_file)?;
        let (file, text) = match adept_files::is_named(&own) {
            true => (own.clone(), read_text(&own)?),
            false => {
                let found = config.get("chat_template").filter(|found| !found.is_null());
                let found = found.ok_or_else(|| ChatError::Missing {
                    folder: folder.to_owned(),
                })?;
                let text = default_text(found).ok_or_else(|| ChatError::NoDefault {
                    file: config_file.clone(),
                    found: names(found),
                })?;
                (config_file, text.to_owned())
            }
        };
        let mut tokens = special_tokens(&object(&folder.join(TOKENS_FILE))?);
        tokens.extend(special_tokens(&config));
        Ok(Self::new(file, text, tokens)?)
    }

    fn new(file: PathBuf, text: String, tokens: BTreeMap<String, String>) -> Result<Self, ChatError> {
        let mut environment = environment();
        let compiled = environment.add_template_owned(NAME, without_tags(&text));
        compiled.map_err(|cause| failed(&file, &cause))?;
        if has_generation_tags(&text) {
            let compiled = environment.add_template_owned(MARKED, with_marks(&text));
            compiled.map_err(|cause| failed(&file, &cause))?;
        }
        Ok(Self {
            file,
            text,
            tokens,
            environment: Arc::new(environment),
        })
    }

    /// Source text of the template.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file with the template.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether the template says what is generated.
    pub(super) fn marks_answers(&self) -> bool {
        self.environment.get_template(MARKED).is_ok()
    }

    /// Renders the prompt for a user message `content`.
    ///
    /// # Errors
    /// [`ChatError::Failed`].
    pub fn render(&self, content: &str) -> Result<String, ChatError> {
        self.render_messages(&[Message::new(Role::User, content)], true)
    }

    /// Renders messages, followed by the beginning of an answer if there is to be a `prompt` for one.
    ///
    /// # Errors
    /// [`ChatError::Failed`].
    pub fn render_messages(&self, messages: &[Message], prompt: bool) -> Result<String, ChatError> {
        self.rendered(NAME, messages, prompt, "")
    }

    /// Renders messages with `mark` before and behind whatever the template says is generated.
    pub(super) fn render_marked(&self, messages: &[Message], mark: &str) -> Result<String, ChatError> {
        self.rendered(MARKED, messages, false, mark)
    }

    fn rendered(&self, name: &str, messages: &[Message], prompt: bool, mark: &str) -> Result<String, ChatError> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| Value::from(Serde(&message.object)))
            .collect();
        let nothing = Value::from(());
        let context = context! {
            messages,
            tools => nothing.clone(),
            documents => nothing,
            add_generation_prompt => prompt,
            generation_mark => mark,
            ..Value::from(self.tokens.clone())
        };
        let template = self.environment.get_template(name);
        let rendered = template.and_then(|template| template.render(context));
        rendered.map_err(|cause| failed(&self.file, &cause))
    }
}

fn failed(file: &Path, cause: &minijinja::Error) -> ChatError {
    // The innermost error states the reason.
    let mut innermost = cause;
    while let Some(source) = std::error::Error::source(innermost).and_then(|source| source.downcast_ref()) {
        innermost = source;
    }
    let message = match innermost.detail() {
        Some(detail) => detail.to_owned(),
        None => innermost.kind().to_string(),
    };
    ChatError::Failed {
        file: file.to_owned(),
        line: cause.line().or(innermost.line()).unwrap_or(1),
        message,
    }
}

/// The object in a JSON file; empty if the file does not exist.
fn object(file: &Path) -> Result<Map<String, Json>, DataError> {
    if !adept_files::is_named(file) {
        return Ok(Map::new());
    }
    object_of_keys(&read_text(file)?, &mut None).map_err(|source| DataError::JsonDocument {
        file: file.to_owned(),
        source,
    })
}

/// The template used by default.
fn default_text(found: &Json) -> Option<&str> {
    match found {
        Json::String(text) => Some(text),
        Json::Array(named) => {
            let default = named.iter().find(|one| one["name"] == "default");
            default.and_then(|one| one["template"].as_str())
        }
        _ => None,
    }
}

/// The template names found instead of a default, for the error message.
fn names(found: &Json) -> String {
    let Json::Array(named) = found else {
        return found.to_string();
    };
    let names: Vec<&str> = named.iter().filter_map(|one| one["name"].as_str()).collect();
    match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// Special tokens by variable name: either strings, or objects with the text under `content`.
fn special_tokens(config: &Map<String, Json>) -> BTreeMap<String, String> {
    let text = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        Json::Object(token) => token.get("content")?.as_str().map(str::to_owned),
        _ => None,
    };
    let tokens = config.iter().filter(|(name, _)| name.ends_with("_token"));
    tokens
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn template(text: &str) -> Result<ChatTemplate, ChatError> {
        let tokens = BTreeMap::from([("bos_token".to_owned(), "<s>".to_owned())]);
        ChatTemplate::new("model/chat_template.jinja".into(), text.to_owned(), tokens)
    }

    #[track_caller]
    fn check(text: &str, content: &str, expected: &str) {
        assert_eq!(template(text).unwrap().render(content).unwrap(), expected);
    }

    #[track_caller]
    fn fails(text: &str, expected: &str) {
        let error = template(text).and_then(|template| template.render("hi")).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("model/chat_template.jinja: chat template, {expected}")
        );
    }

    #[test]
    fn a_template_sees_what_pythons_templates_see() {
        check(
            "{{ bos_token }}\n{%- for m in messages %}\n  {%- if loop.first %}[{{ m['role'] | upper }}]{% endif %}\n{{ m.content.strip() }}{% \
             endfor %}{% if add_generation_prompt %}<a>{% endif %}\n",
            " hi ",
            "<s>[USER]hi<a>",
        );
        // Block tags consume their lines.
        check("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "", "a\nb\nc");
        check(
            "{% for x in range(9) %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}",
            "",
            "01",
        );
        check(
            "{{ tools is none }} {{ eos_token is defined }} {{ strftime_now('%Y') | length }}",
            "",
            "True False 4",
        );
        check(
            "{{ messages | tojson }}",
            "<é>",
            "[{\"role\": \"user\", \"content\": \"<é>\"}]",
        );
        check(
            "{{ messages[0] | tojson(indent=1, sort_keys=true, ensure_ascii=true) }}{{ [] | tojson(indent=2) }}",
            "é😀",
            "{\n \"content\": \"\\u00e9\\ud83d\\ude00\",\n \"role\": \"user\"\n}[]",
        );
        check("{{ [1, 2] | tojson(separators=(';', '=')) }}", "", "[1;2]");
        check("x {%- generation -%} y {% endgeneration %}z", "", "xy z");
    }

    #[test]
    fn a_template_that_fails_is_named_with_its_line() {
        fails(
            "a\n{{ raise_exception('no system message') }}",
            "line 2: no system message",
        );
        fails("a\n\n{% if %}", "line 3: unexpected end of block");
        fails(
            "{{ messages[0].name.strip() }}",
            "line 1: undefined has no method named strip (`messages[0].name` is undefined)",
        );
        fails(
            "{{ strftime_now('%') }}",
            "line 1: strftime_now: \"%\": strftime formatting failed: invalid format string, expected byte after `%`, \
             but found end of format string",
        );
        let endless = "{% for a in range(9999) %}{% for a in range(9999) %}x{% endfor %}{% endfor %}";
        fails(endless, "line 1: engine ran out of fuel");
    }
}
