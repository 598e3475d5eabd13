//! Batched decoder-only generation.
//!
//! A row is laid out as `[P; pads; tokens]`. The soft prompt P comes first in every row, so its keys and values are
//! shared by all rows: a [`Prefix`] reads it once. Finished rows leave the batch.

use std::collections::BTreeSet;

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};

use super::{Draw, GenerateError, Sampling, Stage, first_not_finite, top_and_margin};
use crate::traits::CausalBackbone;

/// A prompt to complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its token ids, at least one.
    pub ids: &'a [u32],
    /// Row number that keys the random draws.
    pub row: u64,
    /// Index of the sample; one request yields one sample.
    pub sample: u64,
}

impl<'a> Request<'a> {
    /// The first sample for a single text.
    pub fn new(ids: &'a [u32]) -> Self {
        Self { ids, row: 0, sample: 0 }
    }
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// The token with the largest logit; the first in case of ties.
    Greedy,
    /// A random token.
    Sample(Sampling),
}

/// How positions are counted; the soft prompt's always come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// Padding is not counted: a row's output does not depend on its batch (transformers' generation).
    Tokens,
    /// Padding is counted (peft).
    Slots,
}

/// Options of decoding and stopping.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationOptions {
    /// Maximum number of new tokens per row.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub choice: Choice,
    /// Values above 1 make tokens already in the row, given or generated, less likely: positive logits are divided by
    /// it, negative ones multiplied (Keskar et al. 2019, section 4.1, as in transformers). 1 is neutral; any other
    /// value moves all logits to the host.
    pub repetition_penalty: f64,
    /// End tokens; if empty, no token ends a text.
    pub end: Vec<u32>,
    /// How positions are counted.
    pub positions: Positions,
    /// Pads rows to at least this many slots, the soft prompt not counted: few distinct widths save a GPU from
    /// preparing kernels. 0 pads to the longest row.
    pub width: usize,
}

impl GenerationOptions {
    /// Greedy decoding of at most `max_new_tokens` tokens, stopping at any token of `end`.
    pub fn greedy(max_new_tokens: usize, end: &[u32]) -> Self {
        Self {
            max_new_tokens,
            choice: Choice::Greedy,
            repetition_penalty: 1.0,
            end: end.to_vec(),
            positions: Positions::Tokens,
            width: 0,
        }
    }
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// An end token was generated; it is the last token.
    End,
    /// The caller stopped it.
    Stop,
    /// The maximum length was reached.
    Length,
}

/// The tokens generated for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// New tokens, including the end token, if any.
    pub ids: Vec<u32>,
    /// Why generation stopped.
    pub finish: Finish,
}

impl Written {
    /// New tokens without the end token.
    pub fn text_ids(&self) -> &[u32] {
        match self.finish {
            Finish::End => &self.ids[..self.ids.len() - 1],
            Finish::Stop | Finish::Length => &self.ids,
        }
    }
}

/// The common prefix of all rows, read once: a soft prompt at positions from 0, or nothing.
#[derive(Debug, Clone)]
pub struct Prefix<C> {
    /// One row.
    cache: C,
    slots: usize,
}

impl<C> Prefix<C> {
    /// Reads a soft prompt `[m, d_model]`, if there is one.
    pub fn new<B: Backend, M: CausalBackbone<B, Cache = C>>(model: &M, prompt: Option<Tensor<B, 2>>) -> Self {
        let mut cache = model.new_cache();
        let Some(prompt) = prompt else {
            return Self { cache, slots: 0 };
        };
        let ([slots, _], device) = (prompt.dims(), prompt.device());
        let mask = Tensor::<B, 2, Bool>::full([1, slots], true, &device);
        let positions = positions_tensor(&[0], slots, &device);
        model.read(prompt.unsqueeze(), mask, positions, &mut cache);
        Self { cache, slots }
    }

    /// Number of slots it occupies, m.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Positions `[rows, width]` that count up from each row's first position: the rows' own, and those offset by the
    /// prefix.
    pub(super) fn positions<B: Backend>(
        &self,
        first: &[i64],
        width: usize,
        device: &B::Device,
    ) -> (Tensor<B, 2, Int>, Tensor<B, 2, Int>) {
        let behind: Vec<i64> = first.iter().map(|first| first + self.slots as i64).collect();
        (
            positions_tensor(first, width, device),
            positions_tensor(&behind, width, device),
        )
    }
}

/// The part of a row that a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The prompt, padding included.
    Given,
    /// A generated token.
    New,
}

/// Embeds tokens `[batch, seq]`, including the adapter's offset: `[batch, seq, d_model]`. The second argument holds
/// their positions `[batch, seq]`, counted according to [`GenerationOptions::positions`] and without the soft prompt,
/// as DePT requires.
pub type Embed<'a, B> = dyn Fn(Tensor<B, 2, Int>, Tensor<B, 2, Int>, Part) -> Tensor<B, 3> + 'a;

/// Decides whether a row ends, given its index among the requests and its new tokens so far. Called after each token.
pub type Stop<'a> = dyn FnMut(usize, &[u32]) -> bool + 'a;

/// Completes every request, in order.
///
/// # Errors
/// [`GenerateError::EmptyRow`], [`GenerateError::Sampling`], and [`GenerateError::NotFinite`] if logits are not finite.
pub fn complete<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    prefix: &Prefix<M::Cache>,
    requests: &[Request<'_>],
    options: &GenerationOptions,
    embed: &Embed<'_, B>,
    stop: &mut Stop<'_>,
    device: &B::Device,
) -> Result<Vec<Written>, GenerateError> {
    let rows = match sampled(options)? {
        None => {
            let pick = |logits: Tensor<B, 2>, _: &Waiting<'_>| {
                let ids = logits.argmax(1).into_data();
                Ok(ids.iter::<i64>().map(|id| (id as u32, ())).collect())
            };
            decode(model, prefix, requests, options, (embed, stop), device, pick)?
        }
        Some(sampling) => {
            let pick = |logits: Tensor<B, 2>, waiting: &Waiting<'_>| {
                let ids = drawn(logits, waiting, requests, &sampling)?;
                Ok(ids.into_iter().map(|id| (id, ())).collect())
            };
            decode(model, prefix, requests, options, (embed, stop), device, pick)?
        }
    };
    Ok(rows.into_iter().map(|(written, _)| written).collect())
}

/// Like [`complete`], and returns for each new token the margin between the two largest logits (which moves all logits
/// to the host): how safe each greedy choice was.
///
/// # Errors
/// As [`complete`].
pub fn complete_with_margins<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    prefix: &Prefix<M::Cache>,
    requests: &[Request<'_>],
    options: &GenerationOptions,
    embed: &Embed<'_, B>,
    stop: &mut Stop<'_>,
    device: &B::Device,
) -> Result<Vec<(Written, Vec<f32>)>, GenerateError> {
    let sampling = sampled(options)?;
    let pick = |logits: Tensor<B, 2>, waiting: &Waiting<'_>| {
        let [_, vocab] = logits.dims();
        let values: Vec<f32> = logits.clone().into_data().iter::<f32>().collect();
        let mut chosen: Vec<(u32, f32)> = values.chunks(vocab).map(top_and_margin).collect();
        if let Some(sampling) = &sampling {
            let ids = drawn(logits, waiting, requests, sampling)?;
            chosen.iter_mut().zip(ids).for_each(|(chosen, id)| chosen.0 = id);
        }
        Ok(chosen)
    };
    decode(model, prefix, requests, options, (embed, stop), device, pick)
}

/// The sampling options, or `None` for greedy decoding (also at temperature 0).
fn sampled(options: &GenerationOptions) -> Result<Option<Sampling>, GenerateError> {
    let penalty = options.repetition_penalty;
    if !(penalty.is_finite() && penalty > 0.0) {
        return Err(GenerateError::Sampling {
            option: "repetition_penalty",
            expected: "a finite number above 0",
            found: penalty,
        });
    }
    match options.choice {
        Choice::Greedy => Ok(None),
        Choice::Sample(sampling) => {
            sampling.validate()?;
            Ok((sampling.temperature > 0.0).then_some(sampling))
        }
    }
}

/// The rows of a batch that need a token.
struct Waiting<'a> {
    /// The request of each row of logits; `None` if it has ended.
    rows: &'a [Option<usize>],
    /// Index of the new token.
    token: usize,
}

/// Draws a token for each active row of logits `[batch, vocab]`.
fn drawn<B: Backend>(
    logits: Tensor<B, 2>,
    waiting: &Waiting<'_>,
    requests: &[Request<'_>],
    sampling: &Sampling,
) -> Result<Vec<u32>, GenerateError> {
    let [_, vocab] = logits.dims();
    let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
    let choose = |(logits, row): (&[f32], &Option<usize>)| {
        let Some(row) = *row else {
            return Ok(0);
        };
        let Request { row: own, sample, .. } = requests[row];
        let token = waiting.token;
        let draw = Draw {
            row: own,
            sample,
            token: token as u64,
        };
        sampling.draw(logits, draw).ok_or(GenerateError::NotFinite {
            row,
            token,
            stage: Stage::Logits,
        })
    };
    values.chunks(vocab).zip(waiting.rows).map(choose).collect()
}

/// Logits `[batch, vocab]` after applying the repetition penalty to the tokens a row `had`, once each.
fn penalised<'r, B: Backend, I: Iterator<Item = &'r u32>>(
    logits: Tensor<B, 2>,
    waits: &[Option<usize>],
    had: impl Fn(usize) -> I,
    penalty: f32,
) -> Tensor<B, 2> {
    let ([batch, vocab], device) = (logits.dims(), logits.device());
    let mut values: Vec<f32> = logits.into_data().iter::<f32>().collect();
    for (logits, row) in values.chunks_mut(vocab).zip(waits) {
        let Some(row) = *row else { continue };
        let had: BTreeSet<u32> = had(row).copied().collect();
        for id in had {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = if *logit > 0.0 {
                    *logit / penalty
                } else {
                    *logit * penalty
                };
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [batch, vocab]), &device)
}

/// State of a row being generated.
struct Row<N> {
    ids: Vec<u32>,
    notes: Vec<N>,
    finish: Option<Finish>,
}

/// The loop shared by all variants: `pick` chooses a token for each row of logits `[batch, vocab]` and may attach a
/// note to it; choices for finished rows are ignored.
fn decode<B: Backend, M: CausalBackbone<B>, N>(
    model: &M,
    prefix: &Prefix<M::Cache>,
    requests: &[Request<'_>],
    options: &GenerationOptions,
    (embed, stop): (&Embed<'_, B>, &mut Stop<'_>),
    device: &B::Device,
    pick: impl Fn(Tensor<B, 2>, &Waiting<'_>) -> Result<Vec<(u32, N)>, GenerateError>,
) -> Result<Vec<(Written, Vec<N>)>, GenerateError> {
    if let Some(row) = requests.iter().position(|request| request.ids.is_empty()) {
        return Err(GenerateError::EmptyRow { row });
    }
    let mut rows: Vec<Row<N>> = requests
        .iter()
        .map(|_| Row {
            ids: Vec::new(),
            notes: Vec::new(),
            finish: None,
        })
        .collect();
    if rows.is_empty() || options.max_new_tokens == 0 {
        return Ok(written(rows));
    }
    let given: Vec<&[u32]> = requests.iter().map(|request| request.ids).collect();
    let layout = PromptLayout {
        positions: options.positions,
        width: options.width,
    };
    let Read {
        mut cache,
        mut logits,
        mut entering,
        next,
    } = read_prompts(model, prefix, &given, layout, embed, device);

    let mut live: Vec<usize> = (0..requests.len()).collect();
    for token in 0..options.max_new_tokens {
        let waits: Vec<Option<usize>> = live
            .iter()
            .map(|&row| rows[row].finish.is_none().then_some(row))
            .collect();
        let waiting = Waiting { rows: &waits, token };
        if let Some(place) = first_not_finite(&logits, |place| waits[place].is_some()) {
            let stage = Stage::Logits;
            let error = GenerateError::NotFinite {
                row: place,
                token,
                stage,
            };
            return Err(error
                .unless_finite(Stage::Embeddings, &entering)
                .of_row(|place| live[place]));
        }
        if options.repetition_penalty != 1.0 {
            let had = |row: usize| requests[row].ids.iter().chain(&rows[row].ids);
            logits = penalised(logits, &waits, had, options.repetition_penalty as f32);
        }
        for (row, (id, note)) in waits.iter().zip(pick(logits, &waiting)?) {
            let Some(row) = *row else { continue };
            let Row { ids, notes, finish } = &mut rows[row];
            ids.push(id);
            notes.push(note);
            *finish = if options.end.contains(&id) {
                Some(Finish::End)
            } else {
                stop(row, ids).then_some(Finish::Stop)
            };
        }
        let going: Vec<usize> = (0..live.len())
            .filter(|&place| rows[live[place]].finish.is_none())
            .collect();
        if going.is_empty() || token + 1 == options.max_new_tokens {
            break;
        }
        if is_worth_leaving(live.len() - going.len(), live.len()) {
            let places: Vec<i32> = going.iter().map(|&place| place as i32).collect();
            let places = TensorData::new(places, [going.len()]);
            cache = model.select_cache(&cache, Tensor::from_data(places, device));
            live = going.iter().map(|&place| live[place]).collect();
        }
        let last: Vec<i32> = live
            .iter()
            .map(|&row| rows[row].ids.last().map_or(0, |&id| id as i32))
            .collect();
        let batch = live.len();
        let ids = Tensor::from_data(TensorData::new(last, [batch, 1]), device);
        let next: Vec<i64> = live.iter().map(|&row| next[row] + token as i64).collect();
        let (own, behind) = prefix.positions(&next, 1, device);
        let mask = Tensor::full([batch, 1], true, device);
        entering = embed(ids, own, Part::New);
        logits = model.read(entering.clone(), mask, behind, &mut cache);
    }
    Ok(written(rows))
}

/// How prompts are laid out in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptLayout {
    /// How positions are counted.
    pub positions: Positions,
    /// See [`GenerationOptions::width`].
    pub width: usize,
}

/// The result of reading prompts after a prefix.
pub(super) struct Read<B: Backend, C> {
    pub cache: C,
    /// Logits of each prompt's next token, `[batch, vocab]`.
    pub logits: Tensor<B, 2>,
    /// The model's input, `[batch, width, d_model]`.
    pub entering: Tensor<B, 3>,
    /// The position after each prompt, the soft prompt not counted.
    pub next: Vec<i64>,
}

/// Reads left-padded prompts of at least one token each.
pub(super) fn read_prompts<B: Backend, M: CausalBackbone<B>>(
    model: &M,
    prefix: &Prefix<M::Cache>,
    prompts: &[&[u32]],
    layout: PromptLayout,
    embed: &Embed<'_, B>,
    device: &B::Device,
) -> Read<B, M::Cache> {
    let longest = prompts.iter().map(|ids| ids.len()).max().unwrap_or(0);
    let width = longest.max(layout.width);
    let pads: Vec<usize> = prompts.iter().map(|ids| width - ids.len()).collect();
    let first: Vec<i64> = match layout.positions {
        Positions::Tokens => pads.iter().map(|&pads| -(pads as i64)).collect(),
        Positions::Slots => vec![0; prompts.len()],
    };
    let mut cache = model.repeat_cache(&prefix.cache, prompts.len());
    let (ids, mask) = padded(prompts, &pads, width, model.pad_id(), device);
    let (own, behind) = prefix.positions(&first, width, device);
    let entering = embed(ids, own, Part::Given);
    let logits = model.read(entering.clone(), mask, behind, &mut cache);
    Read {
        cache,
        logits,
        entering,
        next: first.iter().map(|first| first + width as i64).collect(),
    }
}

/// Whether enough rows have ended to compact the batch: compacting copies the cache once, a cost the remaining steps
/// must recover.
fn is_worth_leaving(ended: usize, rows: usize) -> bool {
    ended > 0 && ended * 4 >= rows
}

fn written<N>(rows: Vec<Row<N>>) -> Vec<(Written, Vec<N>)> {
    rows.into_iter()
        .map(|Row { ids, notes, finish }| {
            let finish = finish.unwrap_or(Finish::Length);
            (Written { ids, finish }, notes)
        })
        .collect()
}

/// Ids and mask `[batch, width]` of left-padded rows.
fn padded<B: Backend>(
    prompts: &[&[u32]],
    pads: &[usize],
    width: usize,
    pad_id: u32,
    device: &B::Device,
) -> (Tensor<B, 2, Int>, Tensor<B, 2, Bool>) {
    let mut ids = Vec::with_capacity(prompts.len() * width);
    let mut mask = Vec::with_capacity(prompts.len() * width);
    for (prompt, &pads) in prompts.iter().zip(pads) {
        ids.extend(std::iter::repeat_n(pad_id as i32, pads));
        ids.extend(prompt.iter().map(|&id| id as i32));
        mask.extend((0..width).map(|slot| slot >= pads));
    }
    let shape = [prompts.len(), width];
    (
        Tensor::from_data(TensorData::new(ids, shape), device),
        Tensor::from_data(TensorData::new(mask, shape), device),
    )
}

/// Positions `[rows, width]` that count up from each row's first position. Padding may come before the first position;
/// it is never attended to, but its positions must be valid.
fn positions_tensor<B: Backend>(first: &[i64], width: usize, device: &B::Device) -> Tensor<B, 2, Int> {
    let positions: Vec<i32> = first
        .iter()
        .flat_map(|&first| (0..width as i64).map(move |slot| (first + slot).max(0) as i32))
        .collect();
    Tensor::from_data(TensorData::new(positions, [first.len(), width]), device)
}
