//! The loss of a tied head. Logits have the vocabulary as outer dimension, `[v, m]`, and are computed in tiles of a few
//! hundred entries: a thread that has computed a tile immediately determines each row's largest logit and sum of
//! exponentials, while they are in the cache. The backward pass turns a tile into its gradient in place and uses it in
//! two products: for the tile's rows of the weight gradient, and for a share of the states' gradient. Weight and logits
//! are read once in each direction, and all products but one read whole rows.

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Int, Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::blocks::{self, matrix, transposed};
use super::bridge::{Route, contiguous, elements, from_plain, from_tracked, plain, tensor, tracked};
use super::matmul::multiply;
use super::pool::{Buffer, buffer};
use super::rows::{exp, fast};
use super::table::Table;
use crate::Map;

/// Logits per tile: one mebibyte, half of a small second-level cache.
const TILE: usize = 256 * 1024;
/// Vocabulary entries whose exponentials are summed in float32 before they are added to the total.
const SUMMED: usize = 64;
/// Number of partial sums of the states' gradient. Fixed, so that the sum does not depend on the number of threads.
const SHARES: usize = 8;

pub(crate) fn head_loss<B: Backend>(
    route: Route,
    states: Tensor<B, 2>,
    table: Map<B>,
    factor: f32,
    labels: Tensor<B, 1, Int>,
) -> Tensor<B, 1> {
    let labels: Vec<i64> = labels.into_data().iter::<i64>().collect();
    let packed = table.packed();
    if route == Route::Plain {
        let table = Table::of(plain(table.kept), packed);
        let state = forward(contiguous(plain(states)), table, factor, labels);
        return from_plain(tensor(vec![state.loss()], [1]));
    }
    let parents = [tracked(states), tracked(table.kept)];
    let nodes = parents.each_ref().map(|parent| parent.node.clone());
    let [states, kept] = parents.map(|parent| parent.primitive);
    let state = forward(contiguous(states), Table::of(kept, packed), factor, labels);
    let loss = tensor(vec![state.loss()], [1]);
    let prepared = HeadLoss.prepare::<NoCheckpointing>(nodes).compute_bound();
    from_tracked::<B, 1>(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(state, loss),
        OpsKind::UnTracked(step) => step.finish(loss),
    })
}

pub(crate) fn head_log_probabilities<B: Backend>(
    states: Tensor<B, 2>,
    table: Map<B>,
    factor: f32,
    labels: Tensor<B, 1, Int>,
) -> Tensor<B, 1> {
    let labels: Vec<i64> = labels.into_data().iter::<i64>().collect();
    let table = Table::of(plain(table.kept.clone()), table.packed());
    let mut out = vec![0.0; labels.len()];
    let state = forward(contiguous(plain(states)), table, factor, labels);
    for (&row, (&log_sum, &picked)) in state.rows.iter().zip(state.log_sums.iter().zip(&state.picked)) {
        out[row] = picked - log_sum;
    }
    from_plain(tensor(out, [state.all]))
}

#[derive(Debug)]
struct HeadLoss;

#[derive(Debug, Clone)]
struct State {
    table: Table,
    factor: f32,
    /// Number of all rows, and the indices of those whose label counts.
    all: usize,
    rows: Vec<usize>,
    /// For each row that counts: its label, its `ln Σ e^logit` and the logit of its label.
    labels: Vec<usize>,
    log_sums: Vec<f32>,
    picked: Vec<f32>,
    /// `factor · states` of the rows that count, `[m, d]`.
    states: Arc<Buffer>,
    /// Logits `[v, m]`; the backward pass takes and overwrites them.
    logits: Arc<Mutex<Option<Buffer>>>,
}

impl State {
    /// Mean over the rows that count, 0 if there are none.
    fn loss(&self) -> f32 {
        let rows = self.log_sums.iter().zip(&self.picked);
        let total: f64 = rows.map(|(log_sum, picked)| f64::from(log_sum - picked)).sum();
        (total / self.rows.len().max(1) as f64) as f32
    }
}

/// Vocabulary entries per tile for `m` rows.
fn tile(m: usize) -> usize {
    (TILE / m.max(1) / 16 * 16).clamp(64, 1024)
}

fn forward(states: FlexTensor, table: Table, factor: f32, labels: Vec<i64>) -> State {
    let [v, d] = table.shape();
    let all = labels.len();
    let rows: Vec<usize> = (0..all).filter(|&row| labels[row] >= 0).collect();
    let labels: Vec<usize> = rows.iter().map(|&row| labels[row] as usize).collect();
    let m = rows.len();
    let mut scaled = buffer(m * d);
    for (out, &row) in scaled.chunks_exact_mut(d).zip(&rows) {
        let source = &elements(&states)[row * d..][..d];
        out.iter_mut().zip(source).for_each(|(out, x)| *out = x * factor);
    }
    let width = tile(m);
    let mut logits = buffer(m * v);
    // For each tile and row: the largest logit, and the sum of exponentials relative to it.
    let mut summaries = buffer(2 * m * v.div_ceil(width));
    if m > 0 {
        let turned = transposed(&scaled, m, d);
        let tasks: Vec<_> = logits
            .chunks_mut(m * width)
            .zip(summaries.chunks_mut(2 * m))
            .enumerate()
            .collect();
        blocks::run(tasks, m * v * d, |(part, (logits, summaries))| {
            let (first, width) = (part * width, logits.len() / m);
            let mut room = None;
            let weights = table.rows(first..first + width, &mut room);
            multiply(
                logits,
                matrix(width, m),
                weights,
                matrix(width, d),
                turned.values(),
                turned.view(),
                false,
            );
            let (tops, sums) = summaries.split_at_mut(m);
            fast(
                #[inline(always)]
                || summarise(logits, tops, sums),
            );
        });
    }
    let log_sums = (0..m).map(|row| {
        let parts = || summaries.chunks_exact(2 * m).map(|part| (part[row], part[m + row]));
        let top = parts().fold(f32::NEG_INFINITY, |top, part| top.max(part.0));
        let sum: f64 = parts()
            .map(|(part, sum)| f64::from(sum) * f64::from(part - top).exp())
            .sum();
        (f64::from(top) + sum.ln()) as f32
    });
    let log_sums = log_sums.collect();
    let logit = |(row, &label): (usize, &usize)| {
        assert!(label < v, "head: label {label} in a vocabulary of {v}");
        logits[label * m + row]
    };
    let picked = labels.iter().enumerate().map(logit).collect();
    State {
        factor,
        all,
        rows,
        labels,
        log_sums,
        picked,
        table,
        states: Arc::new(scaled),
        logits: Arc::new(Mutex::new(Some(logits))),
    }
}

/// The largest logit of each row in a tile, and the sum of exponentials relative to it.
#[inline(always)]
fn summarise(logits: &[f32], tops: &mut [f32], sums: &mut [f32]) {
    let m = tops.len();
    tops.fill(f32::NEG_INFINITY);
    for logits in logits.chunks_exact(m) {
        for (top, &x) in tops.iter_mut().zip(logits) {
            *top = if x > *top { x } else { *top };
        }
    }
    sums.fill(0.0);
    let mut part = buffer(m);
    for entries in logits.chunks(SUMMED * m) {
        part.fill(0.0);
        for logits in entries.chunks_exact(m) {
            for ((part, &x), &top) in part.iter_mut().zip(logits).zip(tops.iter()) {
                *part += exp(x - top);
            }
        }
        sums.iter_mut().zip(part.iter()).for_each(
            #[inline(always)]
            |(sum, part)| *sum += part,
        );
    }
}

impl Backward<Flex, 2> for HeadLoss {
    type State = State;

    fn backward(self, ops: Ops<State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [states_node, weight_node] = ops.parents.map(|parent| parent.map(|node| node.id));
        let state = ops.state;
        let [v, d] = state.table.shape();
        let m = state.rows.len();
        let width = tile(m);
        let taken = state.logits.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut logits = taken.expect("a graph is walked back once");
        let slope = elements(&grad)[0] / m.max(1) as f32;

        let tiles = v.div_ceil(width);
        let a_share = tiles.div_ceil(SHARES);
        let mut weight_grad = vec![0.0; if weight_node.is_some() { v * d } else { 0 }];
        let shares = tiles.div_ceil(a_share);
        let mut states_grad = buffer(if states_node.is_some() { shares * m * d } else { 0 });
        if m > 0 {
            let step = a_share * width;
            let tasks: Vec<_> = logits
                .chunks_mut(m * step)
                .zip(blocks::pieces(&mut weight_grad, step * d, shares))
                .zip(blocks::pieces(&mut states_grad, m * d, shares))
                .enumerate()
                .collect();
            blocks::run(tasks, 2 * m * v * d, |(share, ((logits, weight_grad), states_grad))| {
                let mut room = None;
                for (part, logits) in logits.chunks_mut(m * width).enumerate() {
                    let (first, entries) = (share * step + part * width, logits.len() / m);
                    fast(
                        #[inline(always)]
                        || {
                            for logits in logits.chunks_exact_mut(m) {
                                for (x, &log_sum) in logits.iter_mut().zip(&state.log_sums) {
                                    *x = slope * exp(*x - log_sum);
                                }
                            }
                        },
                    );
                    for (row, &label) in state.labels.iter().enumerate() {
                        if (first..first + entries).contains(&label) {
                            logits[(label - first) * m + row] -= slope;
                        }
                    }
                    let place = matrix(entries, m);
                    if !states_grad.is_empty() {
                        let (o, r) = (matrix(m, d), matrix(entries, d));
                        let weights = state.table.rows(first..first + entries, &mut room);
                        multiply(states_grad, o, logits, place.transposed(), weights, r, part > 0);
                    }
                    if !weight_grad.is_empty() {
                        let (out, o) = (&mut weight_grad[part * width * d..][..entries * d], matrix(entries, d));
                        multiply(out, o, logits, place, &state.states, matrix(m, d), false);
                    }
                }
            });
        }
        if let Some(id) = states_node {
            let mut out = vec![0.0; state.all * d];
            let total = blocks::summed(&states_grad, m * d);
            for (&row, total) in state.rows.iter().zip(total.chunks_exact(d)) {
                let out = &mut out[row * d..][..d];
                out.iter_mut().zip(total).for_each(|(out, x)| *out = x * state.factor);
            }
            grads.register::<Flex>(id, tensor(out, [state.all, d]));
        }
        if let Some(id) = weight_node {
            grads.register::<Flex>(id, tensor(weight_grad, [v, d]));
        }
    }
}
