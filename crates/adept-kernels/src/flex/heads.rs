//! Attention inside one batch row, head by head. The score matrix of a head lives in a scratch buffer that stays in the
//! cache and is never written out; the backward pass computes it again from the queries, the keys and two numbers a query:
//! the largest score and the inverse sum of exponentials. (Their one-number form, the log-sum, would lose the sum where
//! every key is masked and the scores are the smallest finite float.)

use super::matmul::{SMALL, View, multiply, transpose};
use super::rows::{dot, exp, fast, maximum_of_sums, sum_of_exponentials_in_place};

/// Sizes of one batch row's attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    pub q: usize,
    pub k: usize,
    pub heads: usize,
    pub channels: usize,
}

impl Heads {
    pub fn inner(&self) -> usize {
        self.heads * self.channels
    }

    /// Elements of a scratch buffer: scores `[q, k]`, then the keys or values of a head, transposed.
    pub fn scratch(&self) -> usize {
        self.q * self.k + self.k * self.channels
    }

    pub fn scores(&self) -> View {
        View::rows(0, self.q, self.k, self.k)
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
    fn head(&self, rows: usize, head: usize, shape: Heads) -> View {
        View::rows(self.start + head * shape.channels, rows, shape.channels, self.stride)
    }
}

/// What one batch row attends with: queries `[q, h·c]`, keys and values `[k, h·c]`, bias `[h, q, k]`, mask `[k]`.
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
    top: f32,
    factor: f32,
}

impl Row<'_> {
    pub fn queries(&self, head: usize, shape: Heads) -> View {
        self.query.head(shape.q, head, shape)
    }

    pub fn keys(&self, head: usize, shape: Heads) -> View {
        self.key.head(shape.k, head, shape)
    }

    /// Writes `q·kᵀ` of one head to the front of the scratch buffer.
    fn products(&self, head: usize, shape: Heads, scratch: &mut [f32]) {
        let (queries, keys) = (self.queries(head, shape), self.keys(head, shape));
        times_transposed(shape, scratch, (self.query.values, queries), (self.key.values, keys));
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

    /// Writes the context `[q, h·c]` and the softmax `[h, q]`; `scratch` holds `q·k` elements.
    pub fn forward(&self, shape: Heads, out: &mut [f32], softmax: &mut [Softmax], scratch: &mut [f32]) {
        let Heads { q, k, channels, .. } = shape;
        let inner = shape.inner();
        for (head, softmax) in softmax.chunks_exact_mut(q).enumerate() {
            self.products(head, shape, scratch);
            fast(
                #[inline(always)]
                || {
                    let rows = scratch[..q * k].chunks_exact_mut(k).zip(softmax.iter_mut());
                    for (query, (scores, softmax)) in rows.enumerate() {
                        let (scores, future) = scores.split_at_mut(self.seen(query, shape));
                        let top = maximum_of_sums(scores, self.bias(head, query, shape), self.mask);
                        let factor = 1.0 / sum_of_exponentials_in_place(scores, top);
                        future.fill(0.0);
                        *softmax = Softmax { top, factor };
                    }
                },
            );
            let place = View::rows(head * channels, q, channels, inner);
            let values = self.value.head(k, head, shape);
            multiply(out, place, scratch, shape.scores(), self.value.values, values, false);
            // The context has fewer columns than the weights, so the factor is cheaper here.
            fast(
                #[inline(always)]
                || {
                    for (row, softmax) in out.chunks_exact_mut(inner).zip(softmax.iter()) {
                        for x in &mut row[head * channels..][..channels] {
                            *x *= softmax.factor;
                        }
                    }
                },
            );
        }
    }

    /// Writes the weights `[q, k]` of one head once more, to the front of the scratch buffer.
    pub fn weights(&self, head: usize, shape: Heads, softmax: &[Softmax], scratch: &mut [f32]) {
        self.products(head, shape, scratch);
        let out = &mut scratch[..shape.q * shape.k];
        fast(
            #[inline(always)]
            || {
                for (query, (scores, softmax)) in out.chunks_exact_mut(shape.k).zip(softmax).enumerate() {
                    let (scores, future) = scores.split_at_mut(self.seen(query, shape));
                    future.fill(0.0);
                    // The very sums of the forward pass: a masked score is `f32::MIN` there and here.
                    maximum_of_sums(scores, self.bias(head, query, shape), self.mask);
                    for score in scores {
                        *score = exp(*score - softmax.top) * softmax.factor;
                    }
                }
            },
        );
    }

    /// Writes the gradient of the scores `[q, k]` of one head: with P the weights and D the context's gradient,
    /// `P ∘ (D·Vᵀ − rowsum(D ∘ context))`, to the front of the scratch buffer.
    pub fn slopes(&self, head: usize, shape: Heads, weights: &[f32], sides: [Side<'_>; 2], scratch: &mut [f32]) {
        let [grad, context] = sides;
        let (place, values) = (grad.head(shape.q, head, shape), self.value.head(shape.k, head, shape));
        times_transposed(shape, scratch, (grad.values, place), (self.value.values, values));
        let out = &mut scratch[..shape.q * shape.k];
        fast(
            #[inline(always)]
            || {
                let rows = out.chunks_exact_mut(shape.k).zip(weights.chunks_exact(shape.k));
                for (query, (slopes, weights)) in rows.enumerate() {
                    let channels = |side: &Side<'_>| side.start + query * side.stride + head * shape.channels;
                    let product = dot(
                        &grad.values[channels(&grad)..][..shape.channels],
                        &context.values[channels(&context)..][..shape.channels],
                    );
                    for (slope, weight) in slopes.iter_mut().zip(weights) {
                        *slope = weight * (*slope - product);
                    }
                }
            },
        );
    }
}

/// Writes `left · rightᵀ` `[q, k]` to the front of the scratch buffer, by way of the transpose behind it: a product reads
/// whole rows faster than it gathers columns.
fn times_transposed(shape: Heads, scratch: &mut [f32], left: (&[f32], View), right: (&[f32], View)) {
    let (out, turned) = scratch.split_at_mut(shape.q * shape.k);
    if shape.q * shape.k * shape.channels <= SMALL {
        let view = right.1.transposed();
        return multiply(out, shape.scores(), left.0, left.1, right.0, view, false);
    }
    let turned = &mut turned[..shape.k * shape.channels];
    transpose(right.0, right.1, turned);
    let view = View::rows(0, shape.channels, shape.k, shape.k);
    multiply(out, shape.scores(), left.0, left.1, turned, view, false);
}
