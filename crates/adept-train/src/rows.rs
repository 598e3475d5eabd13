//! Layout of a task's rows for a backbone: their text, truncation, and batching.

use std::path::Path;

use adept_data::{
    BatchOptions, ChatTemplate, JoinedText, Layout, Lengths, Positions, RowEncoder, RowTemplate, Task, TextTokenizer,
    template_variables,
};

use crate::TrainError;
use crate::config::{ConfigError, RunConfig};

/// Layout of a run's rows.
#[derive(Debug, Clone)]
pub struct RowForm {
    /// Text format of decoder-only rows; `None` for a backbone that reads source and target separately.
    text: Option<JoinedText>,
    positions: Positions,
    /// The settings it was created from, by key.
    settings: [(&'static str, String); 5],
}

/// The settings that determine a layout, by key.
fn settings(config: &RunConfig) -> [(&'static str, String); 5] {
    let input = &config.input;
    [
        ("input.template", input.template.clone()),
        ("input.chat_template", input.chat_template.to_string()),
        ("input.chat_template_kwargs", input.chat_template_kwargs.clone()),
        ("input.positions", format!("{:?}", input.positions).to_lowercase()),
        ("input.answers", format!("{:?}", input.answers).to_lowercase()),
    ]
}

/// Purpose of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchUse {
    /// Training: sources and targets.
    Training,
    /// Prediction: only prompts for a decoder-only backbone.
    Answering,
}

impl RowForm {
    /// Layout for a backbone that reads source and target separately.
    ///
    /// # Errors
    /// [`TrainError::ApartTemplate`] if the configuration has settings for a decoder-only backbone, and
    /// [`TrainError::ApartConversations`] if the task's rows need one.
    pub fn apart(config: &RunConfig, task: Option<&Task>) -> Result<Self, TrainError> {
        if let Some(task) = task.filter(|task| task.is_conversation()) {
            let task = task.name().to_owned();
            return Err(TrainError::ApartConversations { task });
        }
        let asked = [
            ("input.template", !config.input.template.is_empty()),
            ("input.chat_template", config.input.chat_template),
            (
                "input.chat_template_kwargs",
                !config.input.chat_template_kwargs.is_empty(),
            ),
        ];
        match asked.into_iter().find(|(_, asked)| *asked) {
            Some((key, _)) => Err(TrainError::ApartTemplate { key }),
            None => Ok(Self {
                text: None,
                positions: Positions::Tokens,
                settings: settings(config),
            }),
        }
    }

    /// Layout for a decoder-only backbone in `folder`, whose texts end with the token `end`. Without a task, source and
    /// target are separated by a space. Conversations have the tokenizer's chat template and no other.
    ///
    /// # Errors
    /// An invalid template, or a tokenizer without the chat template that is needed.
    pub fn joined(config: &RunConfig, task: Option<&Task>, folder: &Path, end: u32) -> Result<Self, TrainError> {
        let is_conversation = task.is_some_and(Task::is_conversation);
        let template = match (config.input.template.as_str(), task) {
            ("", _) if is_conversation => RowTemplate::adjacent(),
            (_, Some(task)) if is_conversation => {
                let task = task.name().to_owned();
                return Err(TrainError::ConversationTemplate { task });
            }
            ("", Some(task)) => task.card().row_template(),
            ("", None) => RowTemplate::spaced(),
            (text, _) => RowTemplate::parse(text).map_err(|cause| ConfigError::Template { cause })?,
        };
        let chat = match config.input.chat_template || is_conversation {
            true => {
                let variables = template_variables(&config.input.chat_template_kwargs);
                let variables = variables.map_err(|cause| ConfigError::ChatVariables { cause })?;
                Some(ChatTemplate::from_dir(folder)?.with_variables(variables))
            }
            false if !config.input.chat_template_kwargs.is_empty() => return Err(TrainError::NoChatTemplate),
            false => None,
        };
        Ok(Self {
            text: Some(JoinedText {
                template,
                chat,
                end,
                answers: config.input.answers,
            }),
            positions: config.input.positions,
            settings: settings(config),
        })
    }

    /// The first setting of a configuration that requires another layout, as (key, value of this layout, value
    /// requested).
    #[must_use]
    pub fn difference(&self, config: &RunConfig) -> Option<(&'static str, String, String)> {
        let mut pairs = self.settings.iter().zip(settings(config));
        let ((key, here), (_, asked)) = pairs.find(|((_, here), (_, asked))| here != asked)?;
        Some((key, here.clone(), asked))
    }

    /// Encodes texts according to this layout.
    #[must_use]
    pub fn encoder<'a>(&'a self, tokenizer: &'a TextTokenizer) -> RowEncoder<'a> {
        match &self.text {
            Some(text) => RowEncoder::joined(tokenizer, text),
            None => RowEncoder::apart(tokenizer),
        }
    }

    /// Whether source and target share a row.
    #[must_use]
    fn is_joined(&self) -> bool {
        self.text.is_some()
    }

    /// Maximum lengths of sources and targets in tokens. In a joined row both share the configured length, independent
    /// of the row's actual target: an answer has as much room as a target.
    ///
    /// # Errors
    /// [`TrainError::NoRoomForSource`].
    pub fn lengths(&self, config: &RunConfig, target_width: usize) -> Result<Lengths, TrainError> {
        let longest = config.input.max_source_length;
        if self.is_joined() && target_width >= longest {
            return Err(TrainError::NoRoomForSource {
                max_source_length: longest,
                target_width,
            });
        }
        Ok(Lengths {
            source: longest - if self.is_joined() { target_width } else { 0 },
            target: target_width,
        })
    }

    /// Batching options for this layout.
    #[must_use]
    pub fn batch_options(
        &self,
        config: &RunConfig,
        batches: BatchUse,
        batch_size: usize,
        pad_id: u32,
        target_width: usize,
    ) -> BatchOptions {
        BatchOptions {
            layout: match (self.is_joined(), batches) {
                (false, _) => Layout::Apart,
                (true, BatchUse::Training) => Layout::Joined(self.positions),
                (true, BatchUse::Answering) => Layout::Prompts(self.positions),
            },
            batch_size,
            max_source_length: config.input.max_source_length,
            buckets: config.input.widths(),
            pad_to_max: config.input.pad_to_max,
            pad_id,
            target_width,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::resolve;

    fn with(settings: &[&str]) -> RunConfig {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        resolve(None, &settings).unwrap().config
    }

    fn joined(settings: &[&str], task: Option<&str>) -> Result<RowForm, TrainError> {
        let task = task.map(|name| Task::named(name).unwrap());
        RowForm::joined(&with(settings), task.as_ref(), Path::new("/no/such/folder"), 7)
    }

    fn template(settings: &[&str], task: Option<&str>) -> String {
        let form = joined(settings, task).unwrap();
        form.text.unwrap().template.text().to_owned()
    }

    #[test]
    fn a_setting_stands_over_the_card_and_the_card_over_nothing() {
        assert_eq!(template(&[], None), "{source} {target}");
        assert_eq!(template(&[], Some("mbpp")), "{source}{target}");
        assert_eq!(
            template(&["input.template={source}: {target}"], Some("mbpp")),
            "{source}: {target}"
        );
    }

    #[test]
    fn what_a_backbone_cannot_read_is_refused() {
        let message = |error: TrainError| error.to_string();
        let missing = message(joined(&["input.chat_template=true"], None).unwrap_err());
        assert!(
            missing.contains("/no/such/folder: expected a chat template"),
            "{missing}"
        );
        let apart = RowForm::apart(&with(&["input.template={source}{target}"]), None);
        assert!(message(apart.unwrap_err()).contains("`input.template`"));
        let apart = RowForm::apart(&with(&["input.chat_template=true"]), None);
        assert!(message(apart.unwrap_err()).contains("`input.chat_template`"));
        let variables = "input.chat_template_kwargs={\"enable_thinking\": false}";
        let apart = RowForm::apart(&with(&[variables]), None);
        assert!(message(apart.unwrap_err()).contains("`input.chat_template_kwargs`"));
        let unused = message(joined(&[variables], None).unwrap_err());
        assert!(unused.contains("`input.chat_template` = true"), "{unused}");
        let chat = Task::named("chat").unwrap();
        let apart = message(RowForm::apart(&with(&[]), Some(&chat)).unwrap_err());
        assert!(apart.contains("chat: ") && apart.contains("decoder-only"), "{apart}");
        // Conversations have no other template than the tokenizer's.
        let missing = message(joined(&[], Some("chat")).unwrap_err());
        assert!(missing.contains("expected a chat template"), "{missing}");
        let other = message(joined(&["input.template={source}{target}"], Some("chat")).unwrap_err());
        assert!(other.contains("`input.template`"), "{other}");
    }

    #[test]
    fn source_and_target_share_a_row() {
        let config = with(&["input.max_source_length=64"]);
        let of = |form: &RowForm, width| {
            form.lengths(&config, width)
                .map(|lengths| (lengths.source, lengths.target))
        };
        let (apart, joined) = (RowForm::apart(&config, None).unwrap(), joined(&[], None).unwrap());
        assert_eq!(of(&apart, 20).unwrap(), (64, 20));
        assert_eq!(of(&apart, 100).unwrap(), (64, 100));
        assert_eq!(of(&joined, 20).unwrap(), (44, 20));
        let refused = of(&joined, 64).unwrap_err().to_string();
        assert!(
            refused.contains("64") && refused.contains("input.max_source_length"),
            "{refused}"
        );
    }
}
