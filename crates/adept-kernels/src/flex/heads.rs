//! Attention within one batch row, by head and block of queries. The scores of a block stay in a scratch buffer in the
//! cache and are never stored; the backward pass recomputes them from the queries, the keys and two numbers per query:
//! the largest score and the inverse sum of exponentials. (Combining these into a single log-sum would lose the sum
//! when every key is masked and the scores are the smallest finite float.) With a causal limit, a block is multiplied
//! only with the keys that its last query sees.

use std::ops::Range;

use super::matmul::{SMALL, View, multiply, transpose};
use super::pool::{Buffer, buffer};
use super::rows::{dot, exp, fast, maximum_of_sums, sum_of_exponentials_in_place};

/// Queries per block. A block's scores for 512 keys take 128 KiB.
const BLOCK: usize = 64;

/// Dimensions of one batch row's attention. Keys and values have `groups` heads, each shared by an equal number of
/// query heads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    pub q: usize,
    pub k: usize,
    pub heads: usize,
    pub groups: usize,
    pub channels: usize,
}

/// Neighbouring queries of one head, and the number of leading keys that the last of them sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub head: usize,
    pub first: usize,
    pub rows: usize,
    pub keys: usize,
}

impl Block {
    /// Location of the block's scores in a scratch buffer.
    pub fn scores(&self) -> View {
        View::rows(0, self.rows, self.keys, self.keys)
    }

    /// The block's rows in a matrix of queries.
    pub fn queries(&self, view: View) -> View {
        View {
            start: view.start + self.first * view.row,
            rows: self.rows,
            ..view
        }
    }

    /// The visible rows in a matrix of keys or values.
    pub fn seen(&self, view: View) -> View {
        View {
            rows: self.keys,
            ..view
        }
    }
}

impl Heads {
    /// Row width of queries.
    pub fn inner(&self) -> usize {
        self.heads * self.channels
    }

    /// Row width of keys and values.
    pub fn narrow(&self) -> usize {
        self.groups * self.channels
    }

    /// Query heads per key head.
    pub fn sharing(&self) -> usize {
        self.heads / self.groups
    }

    /// Number of scores in a block.
    pub fn scores(&self) -> usize {
        self.q.min(BLOCK) * self.k
    }

    /// Multiplications per head.
    pub fn work(&self) -> usize {
        2 * self.q * self.k * self.channels
    }

    /// The blocks of a head's queries, which follow `past` keys or, without a limit, see all of them.
    pub fn blocks(self, head: usize, past: Option<usize>) -> impl DoubleEndedIterator<Item = Block> {
        (0..self.q.div_ceil(BLOCK)).map(move |i| {
            let first = i * BLOCK;
            let rows = BLOCK.min(self.q - first);
            let keys = past.map_or(self.k, |past| self.k.min(past + first + rows));
            Block {
                head,
                first,
                rows,
                keys,
            }
        })
    }
}

/// A matrix with all heads concatenated in each row; rows start at `start`, `stride` elements apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    pub values: &'a [f32],
    pub start: usize,
    pub stride: usize,
}

impl Side<'_> {
    pub fn head(&self, rows: usize, head: usize, channels: usize) -> View {
        View::rows(self.start + head * channels, rows, channels, self.stride)
    }
}

/// A position bias `[h, queries, keys]`, of which a row may use the first queries and keys only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bias<'a> {
    pub values: &'a [f32],
    pub queries: usize,
    pub keys: usize,
}

/// Attention inputs of one batch row: queries `[q, h·c]`, keys and values `[k, g·c]`, bias, mask `[k]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub query: Side<'a>,
    pub key: Side<'a>,
    pub value: Side<'a>,
    pub bias: Option<Bias<'a>>,
    pub mask: Option<&'a [f32]>,
    /// Query `i` sees keys up to `past + i` only; `None`: all keys.
    pub past: Option<usize>,
}

/// Parameters that turn a row of scores into weights: `e^(score − top) · factor`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Softmax {
    pub top: f32,
    pub factor: f32,
}

/// Keys or values of a head as the right operand of a product with queries, `[c, k]`: a transposed copy, since a
/// product reads contiguous rows faster than it gathers columns, or a view if the product is small.
pub(super) struct Turned<'a> {
    own: Option<Buffer>,
    given: &'a [f32],
    view: View,
}

impl<'a> Turned<'a> {
    fn new(side: Side<'a>, group: usize, shape: Heads) -> Self {
        let Heads { q, k, channels, .. } = shape;
        let (given, view) = (side.values, side.head(k, group, channels));
        if q * k * channels <= SMALL {
            let (own, view) = (None, view.transposed());
            return Self { own, given, view };
        }
        let mut own = buffer(k * channels);
        transpose(given, view, &mut own);
        Self {
            own: Some(own),
            given,
            view: View::rows(0, channels, k, k),
        }
    }

    /// Writes the products of a block's rows of `left` to the front of `out`.
    fn products(&self, left: &[f32], view: View, block: Block, out: &mut [f32]) {
        let seen = View {
            columns: block.keys,
            ..self.view
        };
        let right = self.own.as_deref().unwrap_or(self.given);
        multiply(out, block.scores(), left, block.queries(view), right, seen, false);
    }
}

impl<'a> Row<'a> {
    pub fn queries(&self, head: usize, shape: Heads) -> View {
        self.query.head(shape.q, head, shape.channels)
    }

    /// The keys used by a query head.
    pub fn keys(&self, head: usize, shape: Heads) -> View {
        self.key.head(shape.k, head / shape.sharing(), shape.channels)
    }

    pub fn turned_keys(&self, head: usize, shape: Heads) -> Turned<'a> {
        Turned::new(self.key, head / shape.sharing(), shape)
    }

    pub fn turned_values(&self, head: usize, shape: Heads) -> Turned<'a> {
        Turned::new(self.value, head / shape.sharing(), shape)
    }

    #[inline(always)]
    fn bias(&self, head: usize, query: usize, shape: Heads) -> Option<&[f32]> {
        self.bias
            .map(|bias| &bias.values[(head * bias.queries + query) * bias.keys..][..shape.k])
    }

    /// Number of leading keys that a query sees.
    #[inline(always)]
    fn seen(&self, query: usize, shape: Heads) -> usize {
        self.past.map_or(shape.k, |past| (past + query + 1).min(shape.k))
    }

    /// Writes the context of all heads `[q, h·c]` and the softmax parameters `[h, q]`.
    pub fn forward(&self, shape: Heads, out: &mut [f32], softmax: &mut [Softmax]) {
        if shape.q == 1 {
            return self.one_query(0..shape.groups, shape, out, softmax);
        }
        let (inner, channels) = (shape.inner(), shape.channels);
        for (head, softmax) in softmax.chunks_exact_mut(shape.q).enumerate() {
            let place = head * channels..(head + 1) * channels;
            let rows = out.chunks_exact_mut(inner).map(|row| &mut row[place.clone()]);
            self.head(head, shape, rows, softmax);
        }
    }

    /// Writes the context of one head to its rows `[c]`, and the softmax parameters of each.
    pub fn head<'o>(
        &self,
        head: usize,
        shape: Heads,
        mut out: impl Iterator<Item = &'o mut [f32]>,
        softmax: &mut [Softmax],
    ) {
        let Heads { q, k, channels, .. } = shape;
        let keys = self.turned_keys(head, shape);
        let values = self.value.head(k, head / shape.sharing(), channels);
        let mut scratch = buffer(shape.scores() + q.min(BLOCK) * channels);
        let (scores, context) = scratch.split_at_mut(shape.scores());
        for block in shape.blocks(head, self.past) {
            let softmax = &mut softmax[block.first..][..block.rows];
            keys.products(self.query.values, self.queries(head, shape), block, scores);
            fast(
                #[inline(always)]
                || {
                    let rows = scores.chunks_exact_mut(block.keys).zip(softmax.iter_mut());
                    for ((scores, softmax), query) in rows.zip(block.first..) {
                        let (scores, future) = scores.split_at_mut(self.seen(query, shape));
                        let top = maximum_of_sums(scores, self.bias(head, query, shape), self.mask);
                        let factor = 1.0 / sum_of_exponentials_in_place(scores, top);
                        future.fill(0.0);
                        *softmax = Softmax { top, factor };
                    }
                },
            );
            let place = View::rows(0, block.rows, channels, channels);
            let (left, right) = (block.scores(), block.seen(values));
            multiply(context, place, scores, left, self.value.values, right, false);
            // Scaling the context is cheaper than scaling the weights, which have more columns.
            let rows = context.chunks_exact(channels).zip(softmax.iter());
            for ((context, softmax), out) in rows.zip(&mut out) {
                out.iter_mut()
                    .zip(context)
                    .for_each(|(out, x)| *out = x * softmax.factor);
            }
        }
    }

    /// A single query per row, for neighbouring groups of heads: keys and values are read once, sequentially and
    /// without copying, at memory bandwidth. Writes the context `[heads · c]` and the softmax parameters of these
    /// heads.
    pub fn one_query(&self, groups: Range<usize>, shape: Heads, out: &mut [f32], softmax: &mut [Softmax]) {
        let Heads { channels, .. } = shape;
        let (sharing, first) = (shape.sharing(), groups.start * shape.sharing());
        let seen = self.visible(self.seen(0, shape));
        let (start, k) = (seen.start, seen.len());
        let mask = self.mask.map(|mask| &mask[seen.clone()]);
        let width = groups.len() * channels;
        let rows = |side: &Side<'a>| {
            let (values, stride) = (side.values, side.stride);
            let origin = side.start + groups.start * channels;
            seen.clone().map(
                #[inline(always)]
                move |key| &values[origin + key * stride..][..width],
            )
        };
        let queries = &self.query.values[self.query.start + first * channels..][..out.len()];
        let mut scores = buffer(softmax.len() * k);
        fast(
            #[inline(always)]
            || {
                for (i, row) in rows(&self.key).enumerate() {
                    for group in 0..groups.len() {
                        let key = &row[group * channels..][..channels];
                        for head in group * sharing..(group + 1) * sharing {
                            scores[head * k + i] = dot(&queries[head * channels..][..channels], key);
                        }
                    }
                }
                for ((head, scores), softmax) in (first..).zip(scores.chunks_exact_mut(k)).zip(softmax.iter_mut()) {
                    let bias = self.bias(head, 0, shape).map(|bias| &bias[start..][..k]);
                    let top = maximum_of_sums(scores, bias, mask);
                    let factor = 1.0 / sum_of_exponentials_in_place(scores, top);
                    *softmax = Softmax { top, factor };
                }
                out.fill(0.0);
                for (i, row) in rows(&self.value).enumerate() {
                    for group in 0..groups.len() {
                        let value = &row[group * channels..][..channels];
                        for head in group * sharing..(group + 1) * sharing {
                            let weight = scores[head * k + i];
                            for (out, x) in out[head * channels..][..channels].iter_mut().zip(value) {
                                *out += weight * x;
                            }
                        }
                    }
                }
                for (out, softmax) in out.chunks_exact_mut(channels).zip(softmax.iter()) {
                    for x in out {
                        *x *= softmax.factor;
                    }
                }
            },
        );
    }

    /// The range from the first to the last unmasked key among the first `keys`; masked keys outside of it have weight
    /// 0. All of them, if every key is masked.
    fn visible(&self, keys: usize) -> Range<usize> {
        let Some(mask) = self.mask else { return 0..keys };
        let shown = |key: &usize| mask[*key] > f32::MIN;
        match ((0..keys).find(shown), (0..keys).rev().find(shown)) {
            (Some(first), Some(last)) => first..last + 1,
            _ => 0..keys,
        }
    }

    /// Recomputes the weights of a block of one head into the front of the scratch buffer.
    pub fn weights(&self, shape: Heads, block: Block, keys: &Turned<'_>, softmax: &[Softmax], scratch: &mut [f32]) {
        keys.products(self.query.values, self.queries(block.head, shape), block, scratch);
        let softmax = &softmax[block.first..][..block.rows];
        fast(
            #[inline(always)]
            || {
                let rows = scratch.chunks_exact_mut(block.keys).zip(softmax);
                for ((scores, softmax), query) in rows.zip(block.first..) {
                    let (scores, future) = scores.split_at_mut(self.seen(query, shape));
                    future.fill(0.0);
                    // Exactly the sums of the forward pass: a masked score is `f32::MIN` in both.
                    maximum_of_sums(scores, self.bias(block.head, query, shape), self.mask);
                    for score in scores {
                        *score = exp(*score - softmax.top) * softmax.factor;
                    }
                }
            },
        );
    }

    /// Writes the gradient of the scores of a block of one head to the front of the scratch buffer: with P the weights
    /// and D the context's gradient, `P ∘ (S − rowsum(P ∘ S))` for `S = D·Vᵀ`. The sum is that of D and the context,
    /// which therefore need not be kept.
    pub fn slopes(
        &self,
        shape: Heads,
        block: Block,
        values: &Turned<'_>,
        weights: &[f32],
        grad: Side<'_>,
        scratch: &mut [f32],
    ) {
        values.products(
            grad.values,
            grad.head(shape.q, block.head, shape.channels),
            block,
            scratch,
        );
        fast(
            #[inline(always)]
            || {
                let rows = scratch
                    .chunks_exact_mut(block.keys)
                    .zip(weights.chunks_exact(block.keys));
                for (slopes, weights) in rows.take(block.rows) {
                    let product = dot(slopes, weights);
                    for (slope, weight) in slopes.iter_mut().zip(weights) {
                        *slope = weight * (*slope - product);
                    }
                }
            },
        );
    }
}
