//! Texts that a decoder-only model writes on, many at a time.
//!
//! A row is laid out `[P; pads; tokens]`. The soft prompt P comes first for every row, so its keys and values are the
//! same for all of them: a [`Prefix`] reads it once. Rows that have ended leave the batch.

use std::collections::BTreeSet;

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};

use super::{Draw, GenerateError, Sampling, Stage, first_not_finite, top_and_margin};
use crate::traits::CausalBackbone;

/// A text to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its tokens, at least one.
    pub ids: &'a [u32],
    /// Its own number, which its draws depend on.
    pub row: u64,
    /// Which of its samples is written: the caller asks once for each.
    pub sample: u64,
}

/// How a new token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// The one of the largest logit, of equal ones the first.
    Greedy,
    /// One that is drawn.
    Sample(Sampling),
}

/// How slots are counted; the soft prompt's are always the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// Pads do not count: a row is written the same in every batch (transformers' generation).
    Tokens,
    /// Pads count (peft).
    Slots,
}

/// What is written and when it ends.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationOptions {
    /// Most tokens that are written for a row.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub choice: Choice,
    /// Above 1, tokens that the row has already, given or written, are less likely: a positive logit is divided by it,
    /// a negative one multiplied (Keskar et al. 2019, section 4.1, as transformers has it). 1 changes nothing; another
    /// value brings all logits to the host.
    pub repetition_penalty: f64,
    /// Tokens that end a text; with none, all tokens are like any other.
    pub end: Vec<u32>,
    /// How slots are counted.
    pub positions: Positions,
    /// Rows are padded to at least so many slots, the soft prompt not counted: batches of few widths save a GPU its
    /// preparations. 0 pads to the longest row.
    pub width: usize,
}

/// Why a text has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// With a token that ends texts, its last.
    End,
    /// The caller said so.
    Stop,
    /// There are as many tokens as it may have.
    Length,
}

/// What was written for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The new tokens, with the one that ended it, if any.
    pub ids: Vec<u32>,
    /// Why there are no more.
    pub finish: Finish,
}

impl Written {
    /// The new tokens without the one that ended it.
    pub fn text_ids(&self) -> &[u32] {
        match self.finish {
            Finish::End => &self.ids[..self.ids.len() - 1],
            Finish::Stop | Finish::Length => &self.ids,
        }
    }
}

/// What every row begins with, read once: a soft prompt at the positions from 0, or nothing.
#[derive(Debug, Clone)]
pub struct Prefix<C> {
    /// Of one row.
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

    /// Slots that it takes, m.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Positions `[rows, width]` that count on from each row's first one: the rows' own, and those behind the prefix.
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

/// Which tokens of a row are embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The text to go on from, pads included.
    Given,
    /// A token that was written.
    New,
}

/// Embeds tokens `[batch, seq]`, the adapter's offset included: `[batch, seq, d_model]`. They stand at positions
/// `[batch, seq]`, counted as [`GenerationOptions::positions`] says and without the soft prompt, as DePT asks for them.
pub type Embed<'a, B> = dyn Fn(Tensor<B, 2, Int>, Tensor<B, 2, Int>, Part) -> Tensor<B, 3> + 'a;

/// Says whether a row ends here: its place among the requests and its new tokens so far. Asked after each token.
pub type Stop<'a> = dyn FnMut(usize, &[u32]) -> bool + 'a;

/// Writes on from every request, in their order.
///
/// # Errors
/// [`GenerateError::EmptyRow`], [`GenerateError::Sampling`], and [`GenerateError::NotFinite`] where logits are not
/// finite.
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

/// As [`complete`], with the lead of the largest logit over the second for each new token (which brings all logits to
/// the host): how safe each greedy choice was.
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

/// How tokens are drawn, if they are: a temperature of 0 is greedy.
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

/// The rows of a batch that wait for a token.
struct Waiting<'a> {
    /// The request of each row of the logits; none where it has ended.
    rows: &'a [Option<usize>],
    /// Which of their new tokens they wait for.
    token: usize,
}

/// A token drawn for each row of logits `[batch, vocab]` that waits for one.
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

/// Logits `[batch, vocab]` with those of the tokens that a row `had` made less likely, each once.
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

/// What becomes of a row.
struct Row<N> {
    ids: Vec<u32>,
    notes: Vec<N>,
    finish: Option<Finish>,
}

/// The loop that all forms share: `pick` chooses a token for each row of logits `[batch, vocab]`, what it chooses for
/// rows that have ended is not used, and may note something on it.
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

/// How prompts lie in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptLayout {
    /// How slots are counted.
    pub positions: Positions,
    /// As [`GenerationOptions::width`].
    pub width: usize,
}

/// Prompts that were read behind a prefix.
pub(super) struct Read<B: Backend, C> {
    pub cache: C,
    /// Of what follows each prompt, `[batch, vocab]`.
    pub logits: Tensor<B, 2>,
    /// What entered the model, `[batch, width, d_model]`.
    pub entering: Tensor<B, 3>,
    /// The position of the slot behind each prompt, the soft prompt not counted.
    pub next: Vec<i64>,
}

/// Reads prompts, each of at least one token, padded on their left.
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

/// Whether the rows that have ended are enough for the others to move: moving copies their cache once, which then must
/// be earned by the steps that follow.
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

/// Ids and mask `[batch, width]` of rows with pads on their left.
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

/// Positions `[rows, width]` that count on from each row's first one. Pads may stand before the first position: where
/// they are is never seen, but it must be somewhere.
fn positions_tensor<B: Backend>(first: &[i64], width: usize, device: &B::Device) -> Tensor<B, 2, Int> {
    let positions: Vec<i32> = first
        .iter()
        .flat_map(|&first| (0..width as i64).map(move |slot| (first + slot).max(0) as i32))
        .collect();
    Tensor::from_data(TensorData::new(positions, [first.len(), width]), device)
}
