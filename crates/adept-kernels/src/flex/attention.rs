//! Attention, one batch row a task; see [`super::heads`] for what happens inside one.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::bridge::{Route, contiguous, elements, from_plain, from_tracked, plain, tensor, tracked};
use super::heads::{Heads, Row, Side, Softmax};
use super::matmul::multiply;
use super::pool::buffer;
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
    let shape = Heads {
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
            past: bias.past,
        };
        return from_plain(forward(&inputs, b, shape).0);
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
        past: bias.past,
    };
    let (out, softmax) = forward(&inputs, b, shape);
    let state = State {
        inputs,
        b,
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

/// Contiguous inputs: `[b, q, h·c]`, `[b, k, h·c]` twice, `[1, h, q, k]`, `[b, k]`.
#[derive(Debug, Clone)]
struct Inputs {
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    bias: Option<FlexTensor>,
    mask: Option<FlexTensor>,
    past: Option<usize>,
}

impl Inputs {
    /// The parts that belong to one batch row.
    fn row(&self, i: usize, shape: Heads) -> Row<'_> {
        let side = |tensor, rows: usize| Side {
            values: &elements(tensor)[i * rows * shape.inner()..][..rows * shape.inner()],
            start: 0,
            stride: shape.inner(),
        };
        Row {
            query: side(&self.query, shape.q),
            key: side(&self.key, shape.k),
            value: side(&self.value, shape.k),
            bias: self.bias.as_ref().map(elements),
            mask: self.mask.as_ref().map(|mask| &elements(mask)[i * shape.k..][..shape.k]),
            past: self.past,
        }
    }
}

/// The output `[b, q, h·c]` and the softmax of every batch row, head and query.
fn forward(inputs: &Inputs, b: usize, shape: Heads) -> (FlexTensor, Vec<Softmax>) {
    let Heads { q, heads, .. } = shape;
    let mut out = vec![0.0; b * q * shape.inner()];
    let mut softmax = vec![Softmax::default(); b * heads * q];
    out.par_chunks_mut(q * shape.inner())
        .zip(softmax.par_chunks_mut(heads * q))
        .enumerate()
        .for_each_init(
            || buffer(shape.scratch()),
            |scratch, (i, (out, softmax))| inputs.row(i, shape).forward(shape, out, softmax, scratch),
        );
    (tensor(out, [b, q, shape.inner()]), softmax)
}

#[derive(Debug)]
struct Attention;

#[derive(Debug, Clone)]
struct State {
    inputs: Inputs,
    b: usize,
    shape: Heads,
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

/// With P the weights, D the incoming gradient and dS the scores' gradient: `dV = Pᵀ·D`, `dQ = dS·K`, `dK = dSᵀ·Q`, and
/// dS summed over the batch for the position bias. Only the gradients of tracked parents are computed.
fn backward(state: &State, grad: &FlexTensor, parents: [Option<NodeId>; 4], grads: &mut Gradients) {
    let State {
        inputs,
        b,
        shape,
        output,
        softmax,
    } = state;
    let (b, shape) = (*b, *shape);
    let Heads { q, k, heads, .. } = shape;
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
        || [buffer(shape.scratch()), buffer(shape.scratch())],
        |[weights, slopes], (i, (((query_grad, key_grad), value_grad), bias_grad))| {
            let row = inputs.row(i, shape);
            let side = |values| Side {
                values,
                start: i * q * inner,
                stride: inner,
            };
            for head in 0..heads {
                let (queries, keys) = (row.queries(head, shape), row.keys(head, shape));
                row.weights(head, shape, &softmax[(i * heads + head) * q..][..q], weights);
                if wanted[2] {
                    let transposed = shape.scores().transposed();
                    let grad = &grad[i * q * inner..][..q * inner];
                    multiply(value_grad, keys, weights, transposed, grad, queries, false);
                }
                if !(wanted[0] || wanted[1] || wanted[3]) {
                    continue;
                }
                row.slopes(head, shape, weights, [side(grad), side(output)], slopes);
                if wanted[0] {
                    multiply(query_grad, queries, slopes, shape.scores(), row.key.values, keys, false);
                }
                if wanted[1] {
                    let transposed = shape.scores().transposed();
                    multiply(key_grad, keys, slopes, transposed, row.query.values, queries, false);
                }
                if wanted[3] {
                    bias_grad[head * q * k..][..q * k].copy_from_slice(&slopes[..q * k]);
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
