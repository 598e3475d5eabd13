//! Consistency checks on loading: a backbone's tokenizer, embedding table and configuration against each other before
//! anything is computed, and the lengths of rows against the model's positions.

use std::path::Path;

use adept_data::{Encoded, Positions, TextTokenizer};
use adept_models::{Backbone as _, Model};
use adept_train::TrainError;
use adept_train::config::RunConfig;
use burn::tensor::backend::Backend;

use super::PreparedTask;

/// Refuses a tokenizer with ids that have no embedding row, and one whose texts do not end with an end token of the
/// model.
///
/// An encoder-decoder learns to end an answer from the token that the tokenizer appends to every target: if that were
/// not an end token of the model, no answer would ever end.
pub(super) fn check_tokenizer<B: Backend>(
    path: &Path,
    model: &Model<B>,
    tokenizer: &TextTokenizer,
) -> Result<(), TrainError> {
    let rows = model.vocab_size();
    let largest = tokenizer.largest_id();
    if largest as usize >= rows {
        return Err(TrainError::TokenWithoutRow {
            backbone: path.to_owned(),
            found: largest,
            rows,
        });
    }
    if model.family().is_causal() {
        return Ok(());
    }
    let found = tokenizer.end_id();
    if found.is_some_and(|id| model.eos_ids().contains(&id)) {
        return Ok(());
    }
    Err(TrainError::EndToken {
        backbone: path.to_owned(),
        expected: model.eos_ids().to_vec(),
        found: found.map_or_else(|| "nothing".to_owned(), |id| id.to_string()),
    })
}

/// Number of positions used by a row of `tokens` tokens in its batch, according to the position rule.
pub(super) fn slots_of(config: &RunConfig, tokens: usize) -> usize {
    let widths = config.input.widths();
    match config.input.positions {
        Positions::Tokens => tokens,
        // Padding counts: a row extends to the end of its batch.
        Positions::Slots if config.input.pad_to_max => config.input.max_source_length,
        Positions::Slots => widths.into_iter().find(|width| *width >= tokens).unwrap_or(tokens),
    }
}

/// Refuses rows of a task that exceed the backbone's positions, including `prompt` virtual tokens: training rows, and
/// prompts that leave no room for an answer.
///
/// # Errors
/// [`TrainError::Positions`].
pub fn check_rows<B: Backend>(
    config: &RunConfig,
    model: &Model<B>,
    prompt: usize,
    task: &PreparedTask,
) -> Result<(), TrainError> {
    let joined = |row: usize| slots_of(config, task.train.source_length(row) + task.train.target_length(row));
    let rows = (0..task.train.len()).map(|row| (row, joined(row)));
    check_positions(model, "training row", prompt, rows)?;
    for (what, rows) in [("validation row", &task.validation.0), ("test row", &task.test.0)] {
        let answered = |row: &Encoded| slots_of(config, row.source.len()) + task.target_width;
        let rows = rows.iter().map(answered).enumerate();
        check_positions(model, what, prompt, rows)?;
    }
    Ok(())
}

/// Refuses texts that exceed a decoder's positions; T5 uses relative distances and has no limit. `tokens` gives the row
/// number and length of each text.
pub fn check_positions<B: Backend>(
    model: &Model<B>,
    what: &'static str,
    prompt: usize,
    tokens: impl IntoIterator<Item = (usize, usize)>,
) -> Result<(), TrainError> {
    let Some(positions) = model.max_positions() else {
        return Ok(());
    };
    match tokens.into_iter().max_by_key(|(_, tokens)| *tokens) {
        Some((row, tokens)) if prompt.saturating_add(tokens) > positions => Err(TrainError::Positions {
            what,
            row,
            tokens,
            prompt,
            positions,
        }),
        _ => Ok(()),
    }
}
