//! How a decoder-only backbone completes prompts: shared by generated answers and programs.

use adept_core::Intervention;
use adept_models::CausalBackbone;
use adept_models::generate::{
    Choice, GenerateError, GenerationOptions, Part, Positions, Prefix, Request, Sampling, Written, complete,
};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::Asked;
use crate::config::RunConfig;

/// How new tokens are chosen and fed back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Continuation {
    /// How a token is chosen.
    pub choice: Choice,
    /// See [`GenerationOptions::repetition_penalty`].
    pub repetition_penalty: f64,
    /// How positions are counted.
    pub positions: Positions,
    /// Whether the adapter's offset is applied to new tokens when they are fed back.
    pub offset_new_tokens: bool,
    /// A token that ends a text besides those of the model's files.
    pub turn_end: Option<u32>,
}

impl Default for Continuation {
    /// Greedy decoding, with tokens fed back as in training.
    fn default() -> Self {
        Self {
            choice: Choice::Greedy,
            repetition_penalty: 1.0,
            positions: Positions::Tokens,
            offset_new_tokens: true,
            turn_end: None,
        }
    }
}

impl Continuation {
    /// The settings in a configuration.
    #[must_use]
    pub fn of(config: &RunConfig) -> Self {
        let section = &config.generation;
        Self {
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
            positions: match config.input.positions {
                adept_data::Positions::Tokens => Positions::Tokens,
                adept_data::Positions::Slots => Positions::Slots,
            },
            offset_new_tokens: section.offset_new_tokens,
            turn_end: None,
        }
    }
}

/// Embeddings of a decoder-only backbone's tokens, with the adapter's offset.
pub(super) fn embedding<'a, B: Backend, M: CausalBackbone<B>>(
    model: &'a M,
    adapter: &'a dyn Intervention<B>,
    offset_new_tokens: bool,
) -> impl Fn(Tensor<B, 2, Int>, Tensor<B, 2, Int>, Part) -> Tensor<B, 3> + 'a {
    move |ids, positions, part| match part {
        Part::New if !offset_new_tokens => model.embed(ids),
        Part::New | Part::Given => adapter.offset_at(model.look_up(adapter, ids), positions),
    }
}

/// Prompts to complete.
pub(super) struct Writing<'a> {
    /// Token ids of the prompts.
    pub prompts: &'a [Vec<u32>],
    /// Row and sample number of each prompt, which determine its random draws.
    pub draws: &'a [(u64, u64)],
    /// Maximum number of new tokens.
    pub max_new_tokens: usize,
    /// See [`GenerationOptions::width`].
    pub width: usize,
}

/// Completes prompts. A text ends with any of the model's end tokens or that of `rules`, where `stop` decides, or at
/// the model's last position, which is determined per row so that the result does not depend on the batch.
pub(super) fn write<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    prefix: &Prefix<M::Cache>,
    asked: &Asked<'_, B>,
    rules: &Continuation,
    writing: &Writing<'_>,
    stop: &mut dyn FnMut(usize, &[u32]) -> bool,
) -> Result<Vec<Written>, GenerateError> {
    let prompts = writing.prompts;
    let requests: Vec<Request<'_>> = prompts
        .iter()
        .zip(writing.draws)
        .map(|(ids, &(row, sample))| Request { ids, row, sample })
        .collect();
    let options = GenerationOptions {
        max_new_tokens: writing.max_new_tokens,
        choice: rules.choice,
        repetition_penalty: rules.repetition_penalty,
        end: model.eos_ids().iter().copied().chain(rules.turn_end).collect(),
        positions: rules.positions,
        width: writing.width,
    };
    let width = prompts.iter().map(Vec::len).max().unwrap_or(0).max(writing.width);
    let room = |row: usize| {
        let before = match rules.positions {
            Positions::Tokens => prompts[row].len(),
            Positions::Slots => width,
        };
        model.max_positions().saturating_sub(prefix.slots() + before)
    };
    let mut stop = |row: usize, ids: &[u32]| ids.len() >= room(row) || stop(row, ids);
    let embed = embedding(model, asked.adapter, rules.offset_new_tokens);
    complete(model, prefix, &requests, &options, &embed, &mut stop, asked.device)
}
