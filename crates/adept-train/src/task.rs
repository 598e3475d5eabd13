//! Task-related parts of a configuration: the task, loader options, target width.

use adept_data::{FewShot, LoadOptions, RowEncoder, TargetLength, Task};

use crate::TrainError;
use crate::config::{ConfigError, RunConfig};

/// Labels and the token ids of each.
pub type LabelIds = (Vec<String>, Vec<Vec<u32>>);

/// The configured task.
pub fn task_of(config: &RunConfig) -> Result<Task, TrainError> {
    if config.task.is_empty() {
        return Err(ConfigError::Missing { key: "task" }.into());
    }
    Ok(config.task.parse()?)
}

/// Maximum target length in tokens, including the end token: from the settings or the task's card.
///
/// # Errors
/// Labels that the tokenizer cannot encode.
pub fn target_width(config: &RunConfig, task: &Task, encoder: RowEncoder<'_>) -> Result<usize, TrainError> {
    Ok(match (task.target_length(), config.input.max_target_length) {
        (TargetLength::Tokens(_), given @ 1..) => given,
        (length, _) => encoder.target_length(&length)?,
    })
}

/// A task's labels and their token ids; `None` if targets are scores or free text.
///
/// # Errors
/// Labels that the tokenizer cannot encode.
pub fn label_ids(task: &Task, encoder: RowEncoder<'_>) -> Result<Option<LabelIds>, TrainError> {
    let Some(labels) = task.labels() else { return Ok(None) };
    let texts: Vec<&str> = labels.iter().map(String::as_str).collect();
    let ids = encoder.targets(&texts)?;
    Ok(Some((labels, ids)))
}

/// The token with which the chat template ends an answer; `None` if rows are no conversations. It ends what is
/// generated even if the model's files do not name it, as those of a model that was not trained on conversations.
///
/// # Errors
/// A probe that the tokenizer cannot encode.
pub fn turn_end(task: &Task, encoder: RowEncoder<'_>) -> Result<Option<u32>, TrainError> {
    match task.is_conversation() {
        true => Ok(encoder.turn_end()?),
        false => Ok(None),
    }
}

/// Loader options in a configuration.
pub fn load_options(config: &RunConfig) -> LoadOptions {
    let input = &config.input;
    LoadOptions {
        rounding: input.score_rounding,
        reference: input.reference_slips,
        few_shot: (input.few_shot > 0).then_some(FewShot {
            rows: input.few_shot,
            seed: config.seed,
        }),
        whole: false,
    }
}
