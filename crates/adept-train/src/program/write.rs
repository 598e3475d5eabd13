//! Generates programs: for every problem and sample the continuation of the prompt, batch by batch.
//!
//! The soft prompt is read once for all of them. Rows are ordered by length, so that batches contain little padding; a
//! row's random draws depend only on problem and sample, so that neither order nor interruptions change a program.

use adept_core::Intervention;
use adept_data::{BatchOptions, Batcher, Encoded, TextTokenizer};
use adept_models::Family;
use burn::tensor::backend::Backend;

use super::{Completion, Completions, PreparedPrograms, Problem};
use crate::TrainError;
use crate::answering::{Asked, Continuation, Programs};
use crate::config::{RunConfig, TidyRule};
use crate::model::{ReadPrefix, TaskModel};
use crate::rows::BatchUse;

/// Default limit of generated tokens.
const MAX_NEW_TOKENS: usize = 512;

/// Generates the samples missing from `file`. `proceed(done, total)` is called before every batch; if it returns false,
/// the result is `false`.
///
/// # Errors
/// A backbone that cannot generate programs, ids that cannot be decoded, a file that cannot be written.
pub fn write<B: Backend, M: TaskModel<B>>(
    writer: &Writer<'_>,
    (model, adapter): (&M, &dyn Intervention<B>),
    file: &mut Completions,
    device: &B::Device,
    proceed: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<bool, TrainError> {
    let (problems, samples) = (&writer.programs.problems, writer.config.generation.samples);
    let size = writer.config.evaluation.batch_size;
    let mut waiting = in_order(problems, samples);
    waiting.retain(|(problem, sample)| !file.has(problem.id, *sample));
    let total = (problems.len() * samples).div_ceil(size);
    let left = waiting.len().div_ceil(size);
    let prefix = model.prefix(adapter);
    for (batch, rows) in waiting.chunks(size).enumerate() {
        if !proceed(total - left + batch, total) {
            return Ok(false);
        }
        let written = writer.batch(model, (adapter, &prefix), rows, writer.max_new_tokens(), device);
        file.append(written?)?;
    }
    Ok(proceed(total, total))
}

/// Every sample of every problem, in the order of generation.
pub fn in_order(problems: &[Problem], samples: usize) -> Vec<(&Problem, usize)> {
    let mut all: Vec<(&Problem, usize)> = problems
        .iter()
        .flat_map(|problem| (0..samples).map(move |sample| (problem, sample)))
        .collect();
    all.sort_by_key(|(problem, sample)| (problem.ids.len(), problem.id, *sample));
    all
}

/// Settings shared by all batches of a run.
pub struct Writer<'a> {
    config: &'a RunConfig,
    programs: &'a PreparedPrograms,
    tokenizer: &'a TextTokenizer,
    pad_id: u32,
    is_tidied: bool,
}

impl<'a> Writer<'a> {
    /// A writer for a backbone of this family, with `pad_id` as padding.
    #[must_use]
    pub fn new(
        config: &'a RunConfig,
        programs: &'a PreparedPrograms,
        tokenizer: &'a TextTokenizer,
        (family, pad_id): (Family, u32),
    ) -> Self {
        Self {
            config,
            programs,
            tokenizer,
            pad_id,
            is_tidied: match config.generation.tidy {
                TidyRule::Always => true,
                TidyRule::Never => false,
                TidyRule::Auto => family == Family::Llama,
            },
        }
    }

    /// Maximum number of new tokens per program.
    #[must_use]
    pub fn max_new_tokens(&self) -> usize {
        match self.config.evaluation.max_new_tokens {
            0 => MAX_NEW_TOKENS,
            given => given,
        }
    }

    /// Generates the programs of one batch, with at most `max_new_tokens` new tokens each. The soft prompt has already
    /// been read.
    ///
    /// # Errors
    /// See [`write()`].
    pub fn batch<B: Backend, M: TaskModel<B>>(
        &self,
        model: &M,
        (adapter, prefix): (&dyn Intervention<B>, &ReadPrefix<B>),
        rows: &[(&Problem, usize)],
        max_new_tokens: usize,
        device: &B::Device,
    ) -> Result<Vec<Completion>, TrainError> {
        let encoder = self.programs.form.encoder(self.tokenizer);
        let longest = self.config.input.max_source_length;
        let prompts: Vec<Encoded> = rows
            .iter()
            .map(|(problem, _)| Encoded::new(encoder.cut_source(&problem.ids, longest), Vec::new()))
            .collect();
        let (form, size) = (&self.programs.form, rows.len());
        let options = BatchOptions {
            // A single width, so that everything fits into one batch.
            buckets: vec![longest],
            ..form.batch_options(self.config, BatchUse::Answering, size, self.pad_id, 1)
        };
        let method = Programs {
            asked_for: rows,
            task: self.programs.task.name(),
            tokenizer: self.tokenizer,
            stops: &self.programs.stops,
            is_tidied: self.is_tidied,
            max_new_tokens,
            width: match self.config.input.pad_to_max {
                true => longest,
                false => 0,
            },
            rules: Continuation::of(self.config),
        };
        let mut completions = Vec::with_capacity(size);
        for batch in Batcher::new(&prompts, options)?.evaluation_batches()? {
            let asked = Asked {
                adapter,
                batch: &batch,
                device,
            };
            let answers = model.answers(&method, prefix, &asked);
            let answers = answers.map_err(|error| error.of_row(|row| rows[batch.rows[row]].0.id))?;
            for (&row, answer) in batch.rows.iter().zip(answers) {
                let (problem, sample) = rows[row];
                completions.push(Completion {
                    problem: problem.id,
                    sample,
                    completion: answer.text,
                    tokens: answer.tokens,
                });
            }
        }
        Ok(completions)
    }
}
