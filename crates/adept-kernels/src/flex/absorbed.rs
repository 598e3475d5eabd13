//! Attention of few queries to a memory whose keys and values are never made ([`crate::sublayer::KeysValues`]). The
//! maps of keys and values are applied to the queries of all batch rows together; the products with a row's states are
//! one task, in which the queries of all heads are the columns.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::blocks::{self, matrix, register, transposed};
use super::bridge::{Route, contiguous, elements, from_plain, from_tracked, plain, tensor, tracked};
use super::matmul::{View, multiply};
use super::packed::PackedWeight;
use super::pool::{Buffer, buffer};
use super::rows::{exp, fast};
use crate::{AttentionBias, Map};

/// Queries per task where all batch rows are processed alike.
const ROWS: usize = 16;

/// Queries `[b, q, h·c]`, states `[b, k, d]` and the maps `[d, h·c]` of keys and values to `[b, q, h·c]`.
pub(crate) fn absorbed_attention<B: Backend>(
    route: Route,
    query: Tensor<B, 3>,
    states: Tensor<B, 3>,
    maps: [Map<B>; 2],
    heads: usize,
    bias: &AttentionBias<B>,
) -> Tensor<B, 3> {
    let ([b, q, inner], [rows, k, d]) = (query.dims(), states.dims());
    assert_eq!(b, rows, "attention: queries and states of different batches");
    let sizes = Sizes {
        b,
        q,
        k,
        d,
        heads,
        channels: inner / heads,
    };
    let mask = bias.mask.clone();
    if let Some(mask) = &mask {
        assert_eq!(mask.dims(), [b, k], "attention: the key mask has the wrong shape");
    }
    let packed = maps.each_ref().map(Map::packed);
    let [key, value] = maps.map(|map| map.kept);
    if route == Route::Plain {
        let mask = mask.map(|mask| contiguous(plain(mask)));
        let parts = [plain(query), plain(states), plain(key), plain(value)];
        return from_plain(State::new(parts, packed, mask, sizes).forward().0);
    }
    let mask = mask.map(|mask| contiguous(tracked(mask).primitive));
    let parents = [tracked(query), tracked(states), tracked(key), tracked(value)];
    let nodes = parents.each_ref().map(|parent| parent.node.clone());
    let mut state = State::new(parents.map(|parent| parent.primitive), packed, mask, sizes);
    let (out, kept) = state.forward();
    let prepared = Absorbed.prepare::<NoCheckpointing>(nodes).compute_bound();
    from_tracked(match prepared.stateful() {
        OpsKind::Tracked(step) => {
            state.kept = Some(Arc::new(kept));
            step.finish(state, out)
        }
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

#[derive(Debug)]
struct Absorbed;

#[derive(Debug, Clone, Copy)]
struct Sizes {
    b: usize,
    q: usize,
    k: usize,
    d: usize,
    heads: usize,
    channels: usize,
}

impl Sizes {
    fn inner(&self) -> usize {
        self.heads * self.channels
    }

    /// Queries of all heads in a batch row.
    fn all(&self) -> usize {
        self.q * self.heads
    }

    /// Columns `[n, c]` of a head in rows of all heads.
    fn head(&self, head: usize, n: usize) -> View {
        View::rows(head * self.channels, n, self.channels, self.inner())
    }

    /// Columns `[n, d]` of a head in rows `[h, d]`.
    fn wide(&self, head: usize, n: usize) -> View {
        View::rows(head * self.d, n, self.d, self.heads * self.d)
    }
}

#[derive(Debug, Clone)]
struct State {
    sizes: Sizes,
    query: FlexTensor,
    states: FlexTensor,
    key: Elements,
    value: Elements,
    mask: Option<FlexTensor>,
    kept: Option<Arc<Kept>>,
}

/// The elements of a map, `[d, h·c]`.
#[derive(Debug, Clone)]
enum Elements {
    Whole(FlexTensor),
    /// Made anew for each product, so that no layer keeps its own.
    Packed(Arc<PackedWeight>),
}

impl Elements {
    fn of(kept: FlexTensor, packed: Option<Arc<PackedWeight>>) -> Self {
        match packed {
            Some(packed) => Self::Packed(packed),
            None => Self::Whole(contiguous(kept)),
        }
    }

    fn values(&self) -> Cow<'_, [f32]> {
        match self {
            Self::Whole(tensor) => Cow::Borrowed(elements(tensor)),
            Self::Packed(packed) => Cow::Owned(packed.values()),
        }
    }
}

/// Saved for the backward pass: queries through the map of keys and what they read of the states, `[b, q, h, d]` each,
/// and the attention weights `[b, k, q·h]`.
#[derive(Debug)]
struct Kept {
    absorbed: Buffer,
    read: Buffer,
    weights: Buffer,
}

/// The states of one batch row that its mask shows, from the first to the last: a key beyond them has weight 0. All of
/// them, if the mask shows none, since their weights are then equal.
fn shown(mask: Option<&[f32]>, k: usize) -> Range<usize> {
    let seen = |i: &usize| mask.is_none_or(|mask| mask[*i] > f32::MIN);
    match ((0..k).find(seen), (0..k).rev().find(seen)) {
        (Some(first), Some(last)) => first..last + 1,
        _ => 0..k,
    }
}

/// Turns scores `[k, columns]` into weights whose columns sum to 1.
#[inline(always)]
fn softmax_of_columns(scores: &mut [f32], mask: Option<&[f32]>, columns: usize) {
    let mut top = vec![f32::NEG_INFINITY; columns];
    for (i, row) in scores.chunks_exact_mut(columns).enumerate() {
        let mask = mask.map_or(0.0, |mask| mask[i]);
        for (x, top) in row.iter_mut().zip(&mut top) {
            let sum = *x + mask;
            *x = if sum < f32::MIN { f32::MIN } else { sum };
            *top = if *x > *top { *x } else { *top };
        }
    }
    let mut factors = vec![0.0; columns];
    for row in scores.chunks_exact_mut(columns) {
        for ((x, top), total) in row.iter_mut().zip(&top).zip(&mut factors) {
            *x = exp(*x - top);
            *total += *x;
        }
    }
    factors.iter_mut().for_each(|total| *total = 1.0 / *total);
    for row in scores.chunks_exact_mut(columns) {
        row.iter_mut().zip(&factors).for_each(|(x, factor)| *x *= factor);
    }
}

/// Turns the gradients of weights `[k, columns]` into those of the scores.
#[inline(always)]
fn softmax_of_columns_backward(grads: &mut [f32], weights: &[f32], columns: usize) {
    let mut products = vec![0.0; columns];
    for (grads, weights) in grads.chunks_exact(columns).zip(weights.chunks_exact(columns)) {
        for ((product, grad), weight) in products.iter_mut().zip(grads).zip(weights) {
            *product += grad * weight;
        }
    }
    for (grads, weights) in grads.chunks_exact_mut(columns).zip(weights.chunks_exact(columns)) {
        for ((grad, weight), product) in grads.iter_mut().zip(weights).zip(&products) {
            *grad = weight * (*grad - product);
        }
    }
}

impl State {
    fn new(
        [query, states, key, value]: [FlexTensor; 4],
        [packed_key, packed_value]: [Option<Arc<PackedWeight>>; 2],
        mask: Option<FlexTensor>,
        sizes: Sizes,
    ) -> Self {
        Self {
            sizes,
            query: contiguous(query),
            states: contiguous(states),
            key: Elements::of(key, packed_key),
            value: Elements::of(value, packed_value),
            mask,
            kept: None,
        }
    }

    fn mask(&self, row: usize) -> Option<&[f32]> {
        let k = self.sizes.k;
        self.mask.as_ref().map(|mask| &elements(mask)[row * k..][..k])
    }

    /// Rows `[n, h·c]` through the transpose of a map, head by head: `[n, h, d]`.
    fn widened(&self, rows: &[f32], map: &Elements) -> Buffer {
        let sizes = self.sizes;
        let (inner, wide) = (sizes.inner(), sizes.heads * sizes.d);
        let map = transposed(&map.values(), sizes.d, inner);
        let mut out = buffer(sizes.b * sizes.q * wide);
        let tasks = out.chunks_mut(ROWS * wide).zip(rows.chunks(ROWS * inner)).collect();
        blocks::run(tasks, rows.len() * sizes.d, |(out, rows)| {
            let n = rows.len() / inner;
            for head in 0..sizes.heads {
                let right = View::rows(head * sizes.channels * sizes.d, sizes.channels, sizes.d, sizes.d);
                let (o, l) = (sizes.wide(head, n), sizes.head(head, n));
                multiply(out, o, rows, l, map.values(), right, false);
            }
        });
        out
    }

    /// Rows `[n, h, d]` through a map, head by head: `[n, h·c]`.
    fn narrowed(&self, rows: &[f32], map: &Elements) -> FlexTensor {
        let sizes = self.sizes;
        let (inner, wide) = (sizes.inner(), sizes.heads * sizes.d);
        let map = map.values();
        let mut out = vec![0.0; sizes.b * sizes.q * inner];
        let tasks = out.chunks_mut(ROWS * inner).zip(rows.chunks(ROWS * wide)).collect();
        blocks::run(tasks, rows.len() * sizes.channels, |(out, rows): (&mut [f32], _)| {
            let n = out.len() / inner;
            for head in 0..sizes.heads {
                let (o, l, r) = (sizes.head(head, n), sizes.wide(head, n), sizes.head(head, sizes.d));
                multiply(out, o, rows, l, &map, r, false);
            }
        });
        tensor(out, [sizes.b, sizes.q, inner])
    }

    /// Multiplications with the states in each of the products of a pass.
    fn work(&self) -> usize {
        self.sizes.b * self.sizes.all() * self.sizes.k * self.sizes.d
    }

    fn forward(&self) -> (FlexTensor, Kept) {
        let Sizes { b, k, d, .. } = self.sizes;
        let all = self.sizes.all();
        let absorbed = self.widened(elements(&self.query), &self.key);
        let (mut read, mut weights) = (buffer(b * all * d), buffer(b * k * all));
        let states = elements(&self.states);
        let tasks = read
            .chunks_exact_mut(all * d)
            .zip(weights.chunks_exact_mut(k * all))
            .enumerate()
            .collect();
        blocks::run(
            tasks,
            2 * self.work(),
            |(row, (read, weights)): (usize, (&mut [f32], &mut [f32]))| {
                let seen = shown(self.mask(row), k);
                let n = seen.len();
                let states = &states[(row * k + seen.start) * d..][..n * d];
                let queries = &absorbed[row * all * d..][..all * d];
                let mask = self.mask(row).map(|mask| &mask[seen.clone()]);
                let weights = &mut weights[..n * all];
                let (l, r) = (matrix(n, d), matrix(all, d).transposed());
                multiply(weights, matrix(n, all), states, l, queries, r, false);
                fast(
                    #[inline(always)]
                    || softmax_of_columns(weights, mask, all),
                );
                let (l, r) = (matrix(n, all).transposed(), matrix(n, d));
                multiply(read, matrix(all, d), weights, l, states, r, false);
            },
        );
        let out = self.narrowed(&read, &self.value);
        (
            out,
            Kept {
                absorbed,
                read,
                weights,
            },
        )
    }

    /// The gradient `[d, h·c]` of a map between `narrow` rows `[n, h·c]` and `wide` rows `[n, h, d]`.
    fn map_gradient(&self, wide: &[f32], narrow: &[f32]) -> Vec<f32> {
        let sizes = self.sizes;
        let (n, d, channels) = (sizes.b * sizes.q, sizes.d, sizes.channels);
        let parts: Vec<Buffer> = (0..sizes.heads)
            .into_par_iter()
            .map(|head| {
                let mut part = buffer(d * channels);
                let (l, r) = (sizes.wide(head, n).transposed(), sizes.head(head, n));
                multiply(&mut part, matrix(d, channels), wide, l, narrow, r, false);
                part
            })
            .collect();
        let mut out = Vec::with_capacity(d * sizes.inner());
        for row in 0..d {
            for part in &parts {
                out.extend_from_slice(&part[row * channels..][..channels]);
            }
        }
        out
    }
}

impl Backward<Flex, 4> for Absorbed {
    type State = State;

    /// With P the weights, C what is read of the states E, U the absorbed queries and D the gradient of C:
    /// `dE = P·D + dS·U` and `dU = dSᵀ·E`, where the scores' gradient `dS` follows from `dP = E·Dᵀ`.
    fn backward(self, ops: Ops<State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [query_node, states_node, key_node, value_node] = ops.parents.map(|parent| parent.map(|node| node.id));
        let state = ops.state;
        let kept = state
            .kept
            .as_ref()
            .expect("a tracked pass keeps what its backward pass reads");
        let Sizes { b, k, d, .. } = state.sizes;
        let all = state.sizes.all();
        let read_grad = state.widened(elements(&grad), &state.value);
        let mut absorbed_grad = buffer(b * all * d);
        // States that are not shown have no gradient.
        let mut states_grad = vec![0.0; if states_node.is_some() { b * k * d } else { 0 }];
        let states = elements(&state.states);
        let tasks = absorbed_grad
            .chunks_exact_mut(all * d)
            .zip(blocks::pieces(&mut states_grad, k * d, b))
            .enumerate()
            .collect();
        blocks::run(
            tasks,
            4 * state.work(),
            |(row, (absorbed_grad, states_grad)): (usize, (&mut [f32], &mut [f32]))| {
                let seen = shown(state.mask(row), k);
                let n = seen.len();
                let states = &states[(row * k + seen.start) * d..][..n * d];
                let weights = &kept.weights[row * k * all..][..n * all];
                let grad = &read_grad[row * all * d..][..all * d];
                let mut slopes = buffer(n * all);
                let (l, r) = (matrix(n, d), matrix(all, d).transposed());
                multiply(&mut slopes, matrix(n, all), states, l, grad, r, false);
                fast(
                    #[inline(always)]
                    || softmax_of_columns_backward(&mut slopes, weights, all),
                );
                let (l, r) = (matrix(n, all).transposed(), matrix(n, d));
                multiply(absorbed_grad, matrix(all, d), &slopes, l, states, r, false);
                if !states_grad.is_empty() {
                    let out = &mut states_grad[seen.start * d..][..n * d];
                    let queries = &kept.absorbed[row * all * d..][..all * d];
                    let (o, l, r) = (matrix(n, d), matrix(n, all), matrix(all, d));
                    multiply(out, o, weights, l, grad, r, false);
                    multiply(out, o, &slopes, l, queries, r, true);
                }
            },
        );
        if let Some(id) = query_node {
            grads.register::<Flex>(id, state.narrowed(&absorbed_grad, &state.key));
        }
        if let Some(id) = states_node {
            grads.register::<Flex>(id, tensor(states_grad, [b, k, d]));
        }
        let shape = [d, state.sizes.inner()];
        if key_node.is_some() {
            let values = state.map_gradient(&absorbed_grad, elements(&state.query));
            register(grads, key_node, values, &shape);
        }
        if value_node.is_some() {
            let values = state.map_gradient(&kept.read, elements(&grad));
            register(grads, value_node, values, &shape);
        }
    }
}
