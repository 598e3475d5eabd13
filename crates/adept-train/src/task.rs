//! What a configuration says about its task: which one it is, how its files are read, how wide its targets are.

use adept_data::{FewShot, LoadOptions, ScoreRounding, TargetLength, Task, TextTokenizer};

use crate::TrainError;
use crate::config::{ConfigError, Rounding, RunConfig};

/// Labels and the token ids of each.
pub type LabelIds = (Vec<String>, Vec<Vec<u32>>);

/// The task of a configuration.
pub fn task_of(config: &RunConfig) -> Result<Task, TrainError> {
    if config.task.is_empty() {
        return Err(ConfigError::Missing { key: "task" }.into());
    }
    Ok(config.task.parse()?)
}

/// The width of a task's targets in tokens, their end included: the card's, or what the settings say.
///
/// # Errors
/// Labels that the tokenizer cannot encode.
pub fn target_width(config: &RunConfig, task: &Task, tokenizer: &TextTokenizer) -> Result<usize, TrainError> {
    Ok(match (task.target_length(), config.input.max_target_length) {
        (TargetLength::Tokens(_), given @ 1..) => given,
        (length, _) => tokenizer.target_length(&length)?,
    })
}

/// A task's labels and their ids; none where targets are scores or answers.
///
/// # Errors
/// Labels that the tokenizer cannot encode.
pub fn label_ids(task: &Task, tokenizer: &TextTokenizer, width: usize) -> Result<Option<LabelIds>, TrainError> {
    let Some(labels) = task.labels() else { return Ok(None) };
    let ids = labels.iter().map(|label| tokenizer.encode(label, width));
    let ids = ids.collect::<Result<_, _>>()?;
    Ok(Some((labels, ids)))
}

/// What a configuration tells the loader.
pub fn load_options(config: &RunConfig) -> LoadOptions {
    let input = &config.input;
    LoadOptions {
        rounding: match input.stsb_rounding {
            Rounding::Tenth => ScoreRounding::Tenth,
            Rounding::Fifth => ScoreRounding::Fifth,
        },
        reference: input.reference_slips,
        few_shot: (input.few_shot > 0).then_some(FewShot {
            rows: input.few_shot,
            seed: config.seed,
        }),
    }
}
