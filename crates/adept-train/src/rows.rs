//! How the rows of a task enter a backbone: what text they become, how much of it is kept, how it lies in batches.

use std::path::Path;

use adept_data::{
    BatchOptions, ChatTemplate, JoinedText, Layout, Lengths, Positions, RowEncoder, RowTemplate, Task, TextTokenizer,
};

use crate::TrainError;
use crate::config::{ConfigError, RunConfig};

/// The form of a run's rows.
#[derive(Debug, Clone)]
pub struct RowForm {
    /// How a decoder-only backbone's rows are written; none for one that reads source and target apart.
    text: Option<JoinedText>,
    positions: Positions,
    /// The settings it was made of, by key.
    settings: [(&'static str, String); 3],
}

/// The settings that decide a form, by key.
fn settings(config: &RunConfig) -> [(&'static str, String); 3] {
    let input = &config.input;
    [
        ("input.template", input.template.clone()),
        ("input.chat_template", input.chat_template.to_string()),
        ("input.positions", format!("{:?}", input.positions).to_lowercase()),
    ]
}

/// What batches are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchUse {
    /// Training: sources and targets.
    Training,
    /// Answering: of a decoder-only backbone prompts alone.
    Answering,
}

impl RowForm {
    /// For a backbone that reads source and target apart.
    ///
    /// # Errors
    /// [`TrainError::ApartTemplate`] where the configuration asks for a decoder-only backbone's text.
    pub fn apart(config: &RunConfig) -> Result<Self, TrainError> {
        let asked = [
            ("input.template", !config.input.template.is_empty()),
            ("input.chat_template", config.input.chat_template),
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

    /// For a decoder-only backbone in `folder`, whose texts end with the token `end`. Without a task source and target are
    /// parted by a space.
    ///
    /// # Errors
    /// A template that is none, a tokenizer without the chat template that is asked for.
    pub fn joined(config: &RunConfig, task: Option<&Task>, folder: &Path, end: u32) -> Result<Self, TrainError> {
        let template = match (config.input.template.as_str(), task) {
            ("", Some(task)) => task.card().row_template(),
            ("", None) => RowTemplate::spaced(),
            (text, _) => RowTemplate::parse(text).map_err(|cause| ConfigError::Template { cause })?,
        };
        let chat = match config.input.chat_template {
            true => Some(ChatTemplate::from_dir(folder)?),
            false => None,
        };
        Ok(Self {
            text: Some(JoinedText { template, chat, end }),
            positions: config.input.positions,
            settings: settings(config),
        })
    }

    /// The first setting of a configuration that asks for another form: its key, what this form was made of, and what is
    /// asked for.
    #[must_use]
    pub fn difference(&self, config: &RunConfig) -> Option<(&'static str, String, String)> {
        let mut pairs = self.settings.iter().zip(settings(config));
        let ((key, here), (_, asked)) = pairs.find(|((_, here), (_, asked))| here != asked)?;
        Some((key, here.clone(), asked))
    }

    /// Turns texts into ids of this form.
    #[must_use]
    pub fn encoder<'a>(&'a self, tokenizer: &'a TextTokenizer) -> RowEncoder<'a> {
        match &self.text {
            Some(text) => RowEncoder::joined(tokenizer, text),
            None => RowEncoder::apart(tokenizer),
        }
    }

    /// Whether source and target stand in one row.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.text.is_some()
    }

    /// Tokens that are kept of sources and targets. In one row both share the length that is set, whatever the target of
    /// a row needs of it: an answer has as much room as a target.
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

    /// How rows are put into batches.
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
        let apart = RowForm::apart(&with(&["input.template={source}{target}"]));
        assert!(message(apart.unwrap_err()).contains("`input.template`"));
        let apart = RowForm::apart(&with(&["input.chat_template=true"]));
        assert!(message(apart.unwrap_err()).contains("`input.chat_template`"));
    }

    #[test]
    fn source_and_target_share_a_row() {
        let config = with(&["input.max_source_length=64"]);
        let of = |form: &RowForm, width| {
            form.lengths(&config, width)
                .map(|lengths| (lengths.source, lengths.target))
        };
        let (apart, joined) = (RowForm::apart(&config).unwrap(), joined(&[], None).unwrap());
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
