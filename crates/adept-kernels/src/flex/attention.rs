//! Attention, one batch row a task: the score matrix of a head lives in a scratch buffer that stays in the cache and is
//! never written out. The backward pass computes it again from the queries, the keys and two numbers a query row: the
//! largest score and the inverse sum of exponentials. (Their one-number form, the log-sum, would lose the sum where every
//! key is masked and the scores are the smallest finite float.)

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::bridge::{Route, contiguous, elements, from_plain, from_tracked, plain, tensor, tracked};
use super::matmul::{View, multiply};
use super::rows::{dot, exponentials, fast, maximum, sum};
use crate::AttentionBias;

pub(crate) fn attention<B: Backend>(
    route: Route,
    query: Tensor<B, 3>,
    key: Tensor<B, 3>,
    value: Tensor<B, 3>,
    heads: usize,
    bias: &AttentionBias<B>,
) -> Tensor<B, 3> {
    let ([b, q, inner], [_, k, _]) = (query.dims(), key.dims());
    let shape = Geometry {
        b,
        q,
        k,
        heads,
        channels: inner / heads,
    };
    let (position, mask) = (bias.bias.clone(), bias.mask.clone());
    if let Some(position) = &position {
        assert_eq!(
            position.dims(),
            [1, heads, q, k],
            "attention: the position bias does not fit"
        );
    }
    if let Some(mask) = &mask {
        assert_eq!(mask.dims(), [b, k], "attention: the key mask does not fit");
    }
    if route == Route::Plain {
        let inputs = Inputs {
            query: contiguous(plain(query)),
            key: contiguous(plain(key)),
            value: contiguous(plain(value)),
            bias: position.map(|bias| contiguous(plain(bias))),
            mask: mask.map(|mask| contiguous(plain(mask))),
        };
        return from_plain(forward(&inputs, shape).0);
    }
    let (query, key, value) = (tracked(query), tracked(key), tracked(value));
    let nodes = [query.node.clone(), key.node.clone(), value.node.clone()];
    let position = position.map(tracked::<B, 4>);
    let position_node = position.as_ref().map(|bias| bias.node.clone());
    let inputs = Inputs {
        query: contiguous(query.primitive),
        key: contiguous(key.primitive),
        value: contiguous(value.primitive),
        bias: position.map(|bias| contiguous(bias.primitive)),
        mask: mask.map(|mask| contiguous(tracked(mask).primitive)),
    };
    let (out, softmax) = forward(&inputs, shape);
    let state = State {
        inputs,
        shape,
        output: out.clone(),
        softmax,
    };
    let [query, key, value] = nodes;
    // The position bias is a fourth parent where there is one: its table is trained in full fine-tuning.
    from_tracked(match position_node {
        Some(bias) => {
            let step =
                <Attention as Backward<Flex, 4>>::prepare::<NoCheckpointing>(Attention, [query, key, value, bias]);
            match step.compute_bound().stateful() {
                OpsKind::Tracked(step) => step.finish(state, out),
                OpsKind::UnTracked(step) => step.finish(out),
            }
        }
        None => {
            let step = <Attention as Backward<Flex, 3>>::prepare::<NoCheckpointing>(Attention, [query, key, value]);
            match step.compute_bound().stateful() {
                OpsKind::Tracked(step) => step.finish(state, out),
                OpsKind::UnTracked(step) => step.finish(out),
            }
        }
    })
}

/// Sizes of one call.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    b: usize,
    q: usize,
    k: usize,
    heads: usize,
    channels: usize,
}

impl Geometry {
    fn inner(&self) -> usize {
        self.heads * self.channels
    }

    /// One head of a `[rows, h·c]` block.
    fn head(&self, rows: usize, head: usize) -> View {
        View::rows(head * self.channels, rows, self.channels, self.inner())
    }

    fn scores(&self) -> View {
        View::rows(0, self.q, self.k, self.k)
    }
}

/// Contiguous inputs: `[b, q, h·c]`, `[b, k, h·c]` twice, `[1, h, q, k]`, `[b, k]`.
#[derive(Debug, Clone)]
struct Inputs {
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    bias: Option<FlexTensor>,
    mask: Option<FlexTensor>,
}

impl Inputs {
    /// The parts that belong to one batch row.
    fn row(&self, i: usize, shape: Geometry) -> Row<'_> {
        let block = |tensor, rows: usize| &elements(tensor)[i * rows * shape.inner()..][..rows * shape.inner()];
        Row {
            query: block(&self.query, shape.q),
            key: block(&self.key, shape.k),
            value: block(&self.value, shape.k),
            bias: self.bias.as_ref().map(elements),
            mask: self.mask.as_ref().map(|mask| &elements(mask)[i * shape.k..][..shape.k]),
        }
    }
}

struct Row<'a> {
    query: &'a [f32],
    key: &'a [f32],
    value: &'a [f32],
    bias: Option<&'a [f32]>,
    mask: Option<&'a [f32]>,
}

impl Row<'_> {
    /// Writes `q·kᵀ + bias + mask` of one head, kept finite where two masks add up.
    fn scores(&self, head: usize, shape: Geometry, out: &mut [f32]) {
        let (q, k) = (shape.head(shape.q, head), shape.head(shape.k, head).transposed());
        multiply(out, shape.scores(), self.query, q, self.key, k);
        fast(|| {
            if let Some(bias) = self.bias {
                let bias = &bias[head * shape.q * shape.k..][..shape.q * shape.k];
                for (score, bias) in out.iter_mut().zip(bias) {
                    *score += bias;
                }
            }
            if let Some(mask) = self.mask {
                for row in out.chunks_exact_mut(shape.k) {
                    for (score, mask) in row.iter_mut().zip(mask) {
                        let added = *score + mask;
                        *score = if added < f32::MIN { f32::MIN } else { added };
                    }
                }
            }
        });
    }
}

/// What turns one row of scores into weights: `e^(score − top) · factor`.
#[derive(Debug, Clone, Copy, Default)]
struct Softmax {
    top: f32,
    factor: f32,
}

impl Softmax {
    #[inline(always)]
    fn apply(self, scores: &mut [f32]) {
        exponentials(scores, self.top);
        for score in scores {
            *score *= self.factor;
        }
    }
}

/// The output `[b, q, h·c]` and the softmax of every batch row, head and query.
fn forward(inputs: &Inputs, shape: Geometry) -> (FlexTensor, Vec<Softmax>) {
    let Geometry { b, q, k, heads, .. } = shape;
    let mut out = vec![0.0; b * q * shape.inner()];
    let mut softmax = vec![Softmax::default(); b * heads * q];
    out.par_chunks_mut(q * shape.inner())
        .zip(softmax.par_chunks_mut(heads * q))
        .enumerate()
        .for_each_init(
            || vec![0.0; q * k],
            |scratch, (i, (out, softmax))| {
                let row = inputs.row(i, shape);
                for (head, softmax) in softmax.chunks_exact_mut(q).enumerate() {
                    row.scores(head, shape, scratch);
                    fast(|| {
                        for (scores, softmax) in scratch.chunks_exact_mut(k).zip(softmax.iter_mut()) {
                            let top = maximum(scores);
                            exponentials(scores, top);
                            let factor = 1.0 / sum(scores);
                            *softmax = Softmax { top, factor };
                            for score in scores {
                                *score *= factor;
                            }
                        }
                    });
                    let view = shape.head(q, head);
                    multiply(out, view, scratch, shape.scores(), row.value, shape.head(k, head));
                }
            },
        );
    (tensor(out, [b, q, shape.inner()]), softmax)
}

#[derive(Debug)]
struct Attention;

#[derive(Debug, Clone)]
struct State {
    inputs: Inputs,
    shape: Geometry,
    output: FlexTensor,
    softmax: Vec<Softmax>,
}

impl Backward<Flex, 3> for Attention {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [query, key, value] = parents;
        backward(&ops.state, &grad, [query, key, value, None], grads);
    }
}

impl Backward<Flex, 4> for Attention {
    type State = State;

    fn backward(self, ops: Ops<State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        backward(&ops.state, &grad, parents, grads);
    }
}

/// Buffers of one task: the weights of a head and their gradient.
struct Scratch {
    weights: Vec<f32>,
    slopes: Vec<f32>,
    products: Vec<f32>,
}

/// With P the weights and D the incoming gradient: `dV = Pᵀ·D`, `dS = P ∘ (D·Vᵀ − rowsum(D ∘ output))`, `dQ = dS·K`,
/// `dK = dSᵀ·Q`, and dS summed over the batch for the position bias. Only the gradients of tracked parents are computed.
fn backward(state: &State, grad: &FlexTensor, parents: [Option<NodeId>; 4], grads: &mut Gradients) {
    let State {
        inputs,
        shape,
        output,
        softmax,
    } = state;
    let shape = *shape;
    let Geometry { b, q, k, heads, .. } = shape;
    let inner = shape.inner();
    let wanted = parents.map(|parent| parent.is_some());
    // An empty vector stands for a gradient nobody asked for; its chunks are empty slices.
    let room = |wanted: bool, size: usize| vec![0.0; if wanted { size } else { 0 }];
    let mut query_grad = room(wanted[0], b * q * inner);
    let mut key_grad = room(wanted[1], b * k * inner);
    let mut value_grad = room(wanted[2], b * k * inner);
    let mut bias_grad = room(wanted[3], b * heads * q * k);
    let blocks = split(&mut query_grad, b)
        .into_par_iter()
        .zip(split(&mut key_grad, b))
        .zip(split(&mut value_grad, b))
        .zip(split(&mut bias_grad, b));
    let (grad, output) = (elements(grad), elements(output));
    blocks.enumerate().for_each_init(
        || Scratch {
            weights: vec![0.0; q * k],
            slopes: vec![0.0; q * k],
            products: vec![0.0; q],
        },
        |scratch, (i, (((query_grad, key_grad), value_grad), bias_grad))| {
            let row = inputs.row(i, shape);
            let (grad, output) = (
                &grad[i * q * inner..][..q * inner],
                &output[i * q * inner..][..q * inner],
            );
            for head in 0..heads {
                let softmax = &softmax[(i * heads + head) * q..][..q];
                let (queries, keys) = (shape.head(q, head), shape.head(k, head));
                row.scores(head, shape, &mut scratch.weights);
                fast(|| {
                    for (scores, softmax) in scratch.weights.chunks_exact_mut(k).zip(softmax) {
                        softmax.apply(scores);
                    }
                });
                if wanted[2] {
                    let weights = shape.scores().transposed();
                    multiply(value_grad, keys, &scratch.weights, weights, grad, queries);
                }
                if !(wanted[0] || wanted[1] || wanted[3]) {
                    continue;
                }
                multiply(
                    &mut scratch.slopes,
                    shape.scores(),
                    grad,
                    queries,
                    row.value,
                    keys.transposed(),
                );
                fast(|| {
                    for (j, product) in scratch.products.iter_mut().enumerate() {
                        let channels = j * inner + head * shape.channels..j * inner + (head + 1) * shape.channels;
                        *product = dot(&grad[channels.clone()], &output[channels]);
                    }
                    let rows = scratch.slopes.chunks_exact_mut(k).zip(scratch.weights.chunks_exact(k));
                    for ((slopes, weights), product) in rows.zip(&scratch.products) {
                        for (slope, weight) in slopes.iter_mut().zip(weights) {
                            *slope = weight * (*slope - product);
                        }
                    }
                });
                if wanted[0] {
                    multiply(query_grad, queries, &scratch.slopes, shape.scores(), row.key, keys);
                }
                if wanted[1] {
                    multiply(
                        key_grad,
                        keys,
                        &scratch.slopes,
                        shape.scores().transposed(),
                        row.query,
                        queries,
                    );
                }
                if wanted[3] {
                    bias_grad[head * q * k..][..q * k].copy_from_slice(&scratch.slopes);
                }
            }
        },
    );
    let [query, key, value, bias] = parents;
    let sizes = [(query, query_grad, q), (key, key_grad, k), (value, value_grad, k)];
    for (parent, values, rows) in sizes {
        if let Some(id) = parent {
            grads.register::<Flex>(id, tensor(values, [b, rows, inner]));
        }
    }
    if let Some(id) = bias {
        let size = heads * q * k;
        let mut total = bias_grad[..size].to_vec();
        for part in bias_grad[size..].chunks_exact(size) {
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        }
        grads.register::<Flex>(id, tensor(total, [1, heads, q, k]));
    }
}

/// `parts` equal pieces; of nothing, as many empty ones.
fn split(values: &mut [f32], parts: usize) -> Vec<&mut [f32]> {
    if values.is_empty() {
        return (0..parts).map(|_| Default::default()).collect();
    }
    let size = values.len() / parts;
    values.chunks_exact_mut(size).collect()
}
