//! Attention inside one batch row, head by head and in blocks of queries. The scores of a block live in a scratch buffer
//! that stays in the cache and are never written out; the backward pass computes them again from the queries, the keys and
//! two numbers a query: the largest score and the inverse sum of exponentials. (Their one-number form, the log-sum, would
//! lose the sum where every key is masked and the scores are the smallest finite float.) Where the causal limit hides the
//! later keys, a block is multiplied with those that its last query sees and no others.

use std::ops::Range;

use super::matmul::{SMALL, View, multiply, transpose};
use super::pool::{Buffer, buffer};
use super::rows::{dot, exp, fast, maximum_of_sums, sum_of_exponentials_in_place};

/// Queries of a block. Its scores of 512 keys take 128 KiB.
const BLOCK: usize = 64;

/// Sizes of one batch row's attention. Keys and values have `groups` heads, each read by as many heads of the queries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    pub q: usize,
    pub k: usize,
    pub heads: usize,
    pub groups: usize,
    pub channels: usize,
}

/// A few neighbouring queries of one head, and how many keys the last of them sees: the first ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub head: usize,
    pub first: usize,
    pub rows: usize,
    pub keys: usize,
}

impl Block {
    /// Where its scores lie in a scratch buffer.
    pub fn scores(&self) -> View {
        View::rows(0, self.rows, self.keys, self.keys)
    }

    /// Its rows of a matrix of queries.
    pub fn queries(&self, view: View) -> View {
        View {
            start: view.start + self.first * view.row,
            rows: self.rows,
            ..view
        }
    }

    /// Its rows of a matrix of keys or values.
    pub fn seen(&self, view: View) -> View {
        View {
            rows: self.keys,
            ..view
        }
    }
}

impl Heads {
    /// Width of queries.
    pub fn inner(&self) -> usize {
        self.heads * self.channels
    }

    /// Width of keys and of values.
    pub fn narrow(&self) -> usize {
        self.groups * self.channels
    }

    /// Heads of the queries that read one head of the keys.
    pub fn sharing(&self) -> usize {
        self.heads / self.groups
    }

    /// Elements of a block's scores.
    pub fn scores(&self) -> usize {
        self.q.min(BLOCK) * self.k
    }

    /// Multiplications of one head.
    pub fn work(&self) -> usize {
        2 * self.q * self.k * self.channels
    }

    /// The blocks of a head's queries, which stand behind `past` keys or see all of them.
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

/// A matrix whose rows hold all heads side by side, from `start` on and `stride` elements apart.
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

/// What one batch row attends with: queries `[q, h·c]`, keys and values `[k, g·c]`, bias `[h, q, k]`, mask `[k]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub query: Side<'a>,
    pub key: Side<'a>,
    pub value: Side<'a>,
    pub bias: Option<&'a [f32]>,
    pub mask: Option<&'a [f32]>,
    /// Query `i` sees the keys up to `past + i` alone; none: all keys.
    pub past: Option<usize>,
}

/// What turns one row of scores into weights: `e^(score − top) · factor`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Softmax {
    pub top: f32,
    pub factor: f32,
}

/// Keys or values of a head as the right side of a product with queries, `[c, k]`: a transpose written out, since a product
/// reads whole rows faster than it gathers columns, or what lies there already where the product is small.
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

    /// The keys that a head reads.
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
            .map(|bias| &bias[(head * shape.q + query) * shape.k..][..shape.k])
    }

    /// Number of keys that a query sees; they are the first ones.
    #[inline(always)]
    fn seen(&self, query: usize, shape: Heads) -> usize {
        self.past.map_or(shape.k, |past| (past + query + 1).min(shape.k))
    }

    /// Writes the context of all heads `[q, h·c]` and the softmax `[h, q]`.
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

    /// Writes the context of one head to its rows `[c]`, and the softmax of each.
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
            // The context has fewer columns than the weights, so the factor is cheaper here.
            let rows = context.chunks_exact(channels).zip(softmax.iter());
            for ((context, softmax), out) in rows.zip(&mut out) {
                out.iter_mut()
                    .zip(context)
                    .for_each(|(out, x)| *out = x * softmax.factor);
            }
        }
    }

    /// One query a row, for neighbouring groups of heads: keys and values are read once, where they lie and in their
    /// order, which is as fast as memory is. Writes the context `[heads · c]` and the softmax of those heads.
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

    /// Of the first `keys`, from the first to the last that the mask lets through; what is masked before and behind them
    /// has the weight 0. All, where it lets none through.
    fn visible(&self, keys: usize) -> Range<usize> {
        let Some(mask) = self.mask else { return 0..keys };
        let shown = |key: &usize| mask[*key] > f32::MIN;
        match ((0..keys).find(shown), (0..keys).rev().find(shown)) {
            (Some(first), Some(last)) => first..last + 1,
            _ => 0..keys,
        }
    }

    /// Writes the weights of a block of one head once more, to the front of the scratch buffer.
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
                    // The very sums of the forward pass: a masked score is `f32::MIN` there and here.
                    maximum_of_sums(scores, self.bias(block.head, query, shape), self.mask);
                    for score in scores {
                        *score = exp(*score - softmax.top) * softmax.factor;
                    }
                }
            },
        );
    }

    /// Writes the gradient of the scores of a block of one head: with P the weights and D the context's gradient,
    /// `P ∘ (D·Vᵀ − rowsum(D ∘ context))`, to the front of the scratch buffer.
    pub fn slopes(
        &self,
        shape: Heads,
        block: Block,
        values: &Turned<'_>,
        weights: &[f32],
        sides: [Side<'_>; 2],
        scratch: &mut [f32],
    ) {
        let [grad, context] = sides;
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
                let queries = block.first..block.first + block.rows;
                for ((slopes, weights), query) in rows.zip(queries) {
                    let start = |side: &Side<'_>| side.start + query * side.stride + block.head * shape.channels;
                    let product = dot(
                        &grad.values[start(&grad)..][..shape.channels],
                        &context.values[start(&context)..][..shape.channels],
                    );
                    for (slope, weight) in slopes.iter_mut().zip(weights) {
                        *slope = weight * (*slope - product);
                    }
                }
            },
        );
    }
}
