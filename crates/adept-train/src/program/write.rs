//! A model writes programs: for every problem and sample what goes on where the prompt ends, batch by batch.
//!
//! The soft prompt is read once for all of them ([`Prefix`]). Rows are written in the order of their lengths, so that
//! batches hold few pads; what a row's draws depend on is the problem and the sample alone, so that neither the order nor
//! a stop changes a program.

use adept_core::Intervention;
use adept_data::TextTokenizer;
use adept_models::generate::{
    Choice, GenerationOptions, Part, Positions, Prefix, Request, Sampling, Written, complete,
};
use adept_models::{CausalBackbone, Family, Model};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::{Completion, Completions, PreparedPrograms, Problem, end_of, tidied, truncated};
use crate::TrainError;
use crate::config::{GenerationSection, PositionRule, RunConfig, TidyRule};

/// Tokens that are written at most where the configuration does not say.
const MAX_NEW_TOKENS: usize = 512;

/// Writes what is not in `file` yet. `proceed(done, total)` is asked before every batch; where it says no, the answer is
/// `false`.
///
/// # Errors
/// A backbone that is no decoder alone, ids that cannot be decoded, a file that cannot be written.
pub fn write<B: Backend>(
    config: &RunConfig,
    (model, adapter): (&Model<B>, &dyn Intervention<B>),
    tokenizer: &TextTokenizer,
    programs: &PreparedPrograms,
    file: &mut Completions,
    device: &B::Device,
    proceed: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<bool, TrainError> {
    let writing = Writing {
        samples: config.generation.samples,
        size: config.evaluation.batch_size,
        problems: &programs.problems,
    };
    let text = (tokenizer, programs.stops.as_slice());
    let family = model.family();
    match model {
        Model::CodeGen(model) => writing.all(
            &Writer::new(config, (model, family), adapter, text, device),
            file,
            proceed,
        ),
        Model::Llama(model) => writing.all(
            &Writer::new(config, (model, family), adapter, text, device),
            file,
            proceed,
        ),
        Model::T5(_) => Err(TrainError::Program {
            task: config.task.clone(),
        }),
    }
}

/// What is to be written.
struct Writing<'a> {
    samples: usize,
    /// Rows of a batch.
    size: usize,
    problems: &'a [Problem],
}

impl Writing<'_> {
    fn all<B: Backend, M: CausalBackbone<B>>(
        &self,
        writer: &Writer<'_, B, M>,
        file: &mut Completions,
        proceed: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<bool, TrainError> {
        let mut waiting = in_order(self.problems, self.samples);
        waiting.retain(|(problem, sample)| !file.has(problem.id, *sample));
        let total = (self.problems.len() * self.samples).div_ceil(self.size);
        let left = waiting.len().div_ceil(self.size);
        for (batch, rows) in waiting.chunks(self.size).enumerate() {
            if !proceed(total - left + batch, total) {
                return Ok(false);
            }
            file.append(writer.batch(rows)?)?;
        }
        Ok(proceed(total, total))
    }
}

/// Every sample of every problem, in the order of writing.
pub fn in_order(problems: &[Problem], samples: usize) -> Vec<(&Problem, usize)> {
    let mut all: Vec<(&Problem, usize)> = problems
        .iter()
        .flat_map(|problem| (0..samples).map(move |sample| (problem, sample)))
        .collect();
    all.sort_by_key(|(problem, sample)| (problem.ids.len(), problem.id, *sample));
    all
}

/// What all batches of a run share, the soft prompt's keys and values among it.
pub struct Writer<'a, B: Backend, M: CausalBackbone<B>> {
    model: &'a M,
    adapter: &'a dyn Intervention<B>,
    prefix: Prefix<M::Cache>,
    device: &'a B::Device,
    options: GenerationOptions,
    section: &'a GenerationSection,
    max_prompt: usize,
    tokenizer: &'a TextTokenizer,
    /// What ends a program.
    stops: &'a [String],
    is_tidied: bool,
}

impl<'a, B: Backend, M: CausalBackbone<B>> Writer<'a, B, M> {
    /// Reads the adapter's soft prompt. `text` is the tokenizer and what ends a program.
    pub fn new(
        config: &'a RunConfig,
        (model, family): (&'a M, Family),
        adapter: &'a dyn Intervention<B>,
        (tokenizer, stops): (&'a TextTokenizer, &'a [String]),
        device: &'a B::Device,
    ) -> Self {
        let section = &config.generation;
        Self {
            model,
            adapter,
            prefix: Prefix::new(model, adapter.prompt()),
            device,
            options: GenerationOptions {
                max_new_tokens: match config.evaluation.max_new_tokens {
                    0 => MAX_NEW_TOKENS,
                    given => given,
                },
                choice: match section.temperature > 0.0 {
                    false => Choice::Greedy,
                    true => Choice::Sample(Sampling {
                        temperature: section.temperature,
                        top_k: section.top_k,
                        top_p: section.top_p,
                        seed: config.seed,
                    }),
                },
                repetition_penalty: section.repetition_penalty,
                end: model.eos_ids().to_vec(),
                positions: match config.input.positions {
                    PositionRule::Tokens => Positions::Tokens,
                    PositionRule::Slots => Positions::Slots,
                },
                width: match config.input.pad_to_max {
                    true => config.input.max_source_length,
                    false => 0,
                },
            },
            section,
            max_prompt: config.input.max_source_length,
            tokenizer,
            stops,
            is_tidied: match section.tidy {
                TidyRule::Always => true,
                TidyRule::Never => false,
                TidyRule::Auto => family == Family::Llama,
            },
        }
    }

    /// Tokens that a program may have.
    pub fn max_new_tokens(&self) -> usize {
        self.options.max_new_tokens
    }

    /// The programs of one batch.
    pub fn batch(&self, rows: &[(&Problem, usize)]) -> Result<Vec<Completion>, TrainError> {
        self.batch_of(rows, self.max_new_tokens())
    }

    /// The same with at most so many new tokens.
    pub fn batch_of(&self, rows: &[(&Problem, usize)], max_new_tokens: usize) -> Result<Vec<Completion>, TrainError> {
        let options = GenerationOptions {
            max_new_tokens,
            ..self.options.clone()
        };
        let prompts: Vec<Vec<u32>> = rows
            .iter()
            .map(|(problem, _)| self.tokenizer.cut_left(&problem.ids, self.max_prompt))
            .collect();
        let requests: Vec<Request<'_>> = rows
            .iter()
            .zip(&prompts)
            .map(|((problem, sample), ids)| Request {
                ids,
                row: problem.id as u64,
                sample: *sample as u64,
            })
            .collect();
        let embed = |ids, positions, part| -> Tensor<B, 3> {
            let embeddings = self.model.embed(ids);
            match part {
                Part::New if !self.section.offset_new_tokens => embeddings,
                Part::New | Part::Given => self.adapter.offset_at(embeddings, positions),
            }
        };
        let prefix = &self.prefix;
        let mut texts: Vec<_> = rows.iter().map(|_| self.tokenizer.stream(true)).collect();
        let mut failed = None;
        let width = prompts.iter().map(Vec::len).max().unwrap_or(0).max(options.width);
        // A text ends with the model's last position. Each has its own, so that a program is the same in every batch.
        let room = |row: usize| {
            let before = match options.positions {
                Positions::Tokens => prompts[row].len(),
                Positions::Slots => width,
            };
            self.model.max_positions().saturating_sub(prefix.slots() + before)
        };
        let mut stop = |row: usize, ids: &[u32]| -> bool {
            if ids.len() >= room(row) {
                return true;
            }
            let last = ids.last().copied();
            match last.map(|id| texts[row].push(id).map(|_| ())).transpose() {
                Ok(_) => end_of(texts[row].text(), self.stops).is_some(),
                Err(cause) => {
                    failed.get_or_insert(cause);
                    true
                }
            }
        };
        let model = self.model;
        let written = complete(model, prefix, &requests, &options, &embed, &mut stop, self.device)
            .map_err(|error| error.of_row(|row| rows[row].0.id))?;
        if let Some(cause) = failed {
            return Err(cause.into());
        }
        rows.iter()
            .zip(written)
            .map(|((problem, sample), written)| self.completion(problem, *sample, &written))
            .collect()
    }

    fn completion(&self, problem: &Problem, sample: usize, written: &Written) -> Result<Completion, TrainError> {
        let text = self.tokenizer.decode(written.text_ids(), true)?;
        let completion = truncated(&text, self.stops);
        Ok(Completion {
            problem: problem.id,
            sample,
            completion: match self.is_tidied {
                true => tidied(&problem.prompt, completion),
                false => completion.to_owned(),
            },
            tokens: written.ids.len(),
        })
    }
}
