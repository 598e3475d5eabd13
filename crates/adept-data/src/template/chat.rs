//! Chat templates: the Jinja template that comes with a tokenizer, rendered as by transformers' `apply_chat_template`
//! for whole conversations ([`answers`](super::answers)) and for what is to be answered, with the beginning of the
//! assistant's answer appended (`add_generation_prompt`).
//!
//! The template is in `chat_template.jinja`, else under `chat_template` in `tokenizer_config.json`: either a single
//! text, or a list of named ones, of which `default` is used. Conversations with tools get the one that is named
//! `tool_use` there or lies in `additional_chat_templates/tool_use.jinja`, if there is one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde_json::{Map, Value as Json, json};

use super::generation::{MARK, has_generation_tags, with_marks, without_tags};
use super::python::environment;
use crate::DataError;
use crate::conversation::{Conversation, Message, Role};
use crate::text::{object_of_keys, read_text};

/// File with the template only.
const TEMPLATE_FILE: &str = "chat_template.jinja";
/// File that may contain the template and defines the special tokens used in it.
const CONFIG_FILE: &str = "tokenizer_config.json";
/// Older tokenizers define special tokens here as well.
const TOKENS_FILE: &str = "special_tokens_map.json";
/// The template of conversations with tools, beside [`TEMPLATE_FILE`].
const TOOL_USE_FILE: &str = "additional_chat_templates/tool_use.jinja";
/// Name of a template, and of its copy that also writes marks around what is generated, in the engine.
type Names = [&'static str; 2];
const DEFAULT: Names = ["chat template", "chat template with marks"];
const TOOL_USE: Names = ["tool use", "tool use with marks"];

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

/// A template's text and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// The file with the template.
    pub(super) file: PathBuf,
    text: String,
    names: Names,
}

impl Written {
    fn new(file: PathBuf, text: String, names: Names) -> Self {
        // Python's engine reads every line end as a line feed.
        let text = match text.contains('\r') {
            true => text.replace("\r\n", "\n").replace('\r', "\n"),
            false => text,
        };
        Self { file, text, names }
    }

    /// Whether the template says what is generated.
    pub(super) fn marks_answers(&self) -> bool {
        has_generation_tags(&self.text)
    }

    fn compile(&self, environment: &mut Environment<'_>) -> Result<(), ChatError> {
        let [plain, marked] = self.names;
        let texts = [(plain, without_tags(&self.text)), (marked, with_marks(&self.text))];
        for (name, text) in texts.into_iter().take(1 + usize::from(self.marks_answers())) {
            let compiled = environment.add_template_owned(name, text);
            compiled.map_err(|cause| failed(&self.file, &cause))?;
        }
        Ok(())
    }
}

/// A tokenizer's compiled chat template.
#[derive(Clone)]
pub struct ChatTemplate {
    default: Written,
    /// For conversations with tools.
    tool_use: Option<Written>,
    /// Variables of every conversation.
    variables: Map<String, Json>,
    /// `bos_token` and the like, as template variables.
    tokens: BTreeMap<String, String>,
    environment: Arc<Environment<'static>>,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("file", &self.default.file)
            .finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// Reads the template of the tokenizer in `folder`.
    ///
    /// # Errors
    /// [`ChatError`] if there is none or it is not valid Jinja; errors reading the files.
    pub fn from_dir(folder: &Path) -> Result<Self, DataError> {
        let config_file = folder.join(CONFIG_FILE);
        let config = object(&config_file)?;
        let read = |name: &str| {
            let file = folder.join(name);
            match adept_files::is_named(&file) {
                true => Ok(Some((read_text(&file)?, file))),
                false => Ok::<_, DataError>(None),
            }
        };
        let in_config = config.get("chat_template").filter(|found| !found.is_null());
        let named = |name: &str| {
            let text = in_config.and_then(|found| named_text(found, name));
            text.map(|text| (text.to_owned(), config_file.clone()))
        };
        let (default, tool_use) = match read(TEMPLATE_FILE)? {
            Some(own) => (Some(own), read(TOOL_USE_FILE)?),
            None => (named("default"), named("tool_use")),
        };
        let default = default.ok_or_else(|| match in_config {
            None => ChatError::Missing {
                folder: folder.to_owned(),
            },
            Some(found) => ChatError::NoDefault {
                file: config_file.clone(),
                found: names(found),
            },
        })?;
        let mut tokens = special_tokens(&object(&folder.join(TOKENS_FILE))?);
        tokens.extend(special_tokens(&config));
        let written = |(text, file), names| Written::new(file, text, names);
        let tool_use = tool_use.map(|found| written(found, TOOL_USE));
        Ok(Self::new(written(default, DEFAULT), tool_use, tokens)?)
    }

    fn new(default: Written, tool_use: Option<Written>, tokens: BTreeMap<String, String>) -> Result<Self, ChatError> {
        let mut environment = environment();
        for written in std::iter::once(&default).chain(&tool_use) {
            written.compile(&mut environment)?;
        }
        Ok(Self {
            default,
            tool_use,
            variables: Map::new(),
            tokens,
            environment: Arc::new(environment),
        })
    }

    /// The template with these variables for every conversation ([`template_variables`](crate::template_variables)); a
    /// row's own take their place.
    #[must_use]
    pub fn with_variables(self, variables: Map<String, Json>) -> Self {
        Self { variables, ..self }
    }

    /// What a rendered text depends on beside its conversation: the texts of the template and of that for conversations
    /// with tools, special tokens, variables, and what the template writes by itself, the date among it.
    pub(crate) fn identity(&self) -> String {
        let tool_use = self.tool_use.as_ref().map(|written| &written.text);
        let roles = [Role::System, Role::User, Role::Assistant, Role::User];
        let messages = roles.map(|role| Message::new(role, "probe"));
        let tools = Map::from_iter([("tools".to_owned(), json!([{"name": "probe"}]))]);
        // Some templates have no system, some no tools.
        let probes = [(1..2, Map::new()), (0..4, Map::new()), (1..4, tools)].map(|(range, variables)| {
            let rendered = self.render_messages(&messages[range], &variables, true);
            rendered.unwrap_or_else(|error| error.to_string())
        });
        let (text, tokens, variables) = (&self.default.text, &self.tokens, &self.variables);
        format!("{text:?} {tool_use:?} {tokens:?} {variables:?} {probes:?}")
    }

    /// The template of conversations with these variables.
    pub(super) fn of(&self, variables: &Map<String, Json>) -> &Written {
        match &self.tool_use {
            Some(tool_use) if variables.contains_key("tools") => tool_use,
            _ => &self.default,
        }
    }

    /// Renders the prompt for a user message `content`.
    ///
    /// # Errors
    /// [`ChatError::Failed`].
    pub fn render(&self, content: &str) -> Result<String, ChatError> {
        self.render_messages(&[Message::new(Role::User, content)], &Map::new(), true)
    }

    /// Renders messages with the variables of their conversation, followed by the beginning of an answer if there is to
    /// be a `prompt` for one.
    ///
    /// # Errors
    /// [`ChatError::Failed`].
    pub fn render_messages(
        &self,
        messages: &[Message],
        variables: &Map<String, Json>,
        prompt: bool,
    ) -> Result<String, ChatError> {
        self.rendered(messages, variables, prompt, None)
    }

    /// Renders a conversation with `mark` before and behind whatever the template says is generated.
    pub(super) fn render_marked(&self, told: &Conversation, mark: &str) -> Result<String, ChatError> {
        self.rendered(&told.messages, &told.variables, false, Some(mark))
    }

    fn rendered(
        &self,
        messages: &[Message],
        variables: &Map<String, Json>,
        prompt: bool,
        mark: Option<&str>,
    ) -> Result<String, ChatError> {
        let written = self.of(variables);
        let messages = messages.iter().map(|message| Value::from(Serde(&message.object)));
        let messages: Vec<Value> = messages.collect();
        // Tools and documents that a row does not have are none, not undefined; a row's own variables take the place of
        // special tokens.
        let tokens = self
            .tokens
            .iter()
            .map(|(name, token)| (name.as_str(), Value::from(token.as_str())));
        let nothing = ["tools", "documents"].map(|name| (name, Value::from(())));
        let own = self
            .variables
            .iter()
            .chain(variables)
            .map(|(name, value)| (name.as_str(), Value::from(Serde(value))));
        let given = [
            ("messages", Value::from(messages)),
            ("add_generation_prompt", Value::from(prompt)),
            (MARK, Value::from(mark.unwrap_or_default())),
        ];
        let context: BTreeMap<&str, Value> = tokens.chain(nothing).chain(own).chain(given).collect();
        let template = self
            .environment
            .get_template(written.names[usize::from(mark.is_some())]);
        let rendered = template.and_then(|template| template.render(context));
        rendered.map_err(|cause| failed(&written.file, &cause))
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

/// The template of a name; a single text is the default.
fn named_text<'a>(found: &'a Json, name: &str) -> Option<&'a str> {
    match found {
        Json::String(text) if name == "default" => Some(text),
        Json::Array(named) => {
            let of_name = named.iter().find(|one| one["name"] == name);
            of_name.and_then(|one| one["template"].as_str())
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
        let default = Written::new("model/chat_template.jinja".into(), text.to_owned(), DEFAULT);
        ChatTemplate::new(default, None, tokens)
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
        check("{% if true %}\r\na\r\n{% endif %}\rb", "", "a\nb");
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
