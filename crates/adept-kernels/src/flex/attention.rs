//! Attention with one head of a batch row per task; the backward pass has one key head per task, with all query heads
//! that use it. See [`super::heads`] for the computation within a head. A head's sums do not depend on the thread that
//! computes them, and tasks share no sums.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::blocks;
use super::bridge::{Route, Rows, contiguous, elements, from_plain, from_tracked, in_rows, plain, tensor, tracked};
use super::heads::{Bias, Heads, Row, Side, Softmax};
use super::matmul::multiply;
use super::pool::{Buffer, buffer};
use super::segments::{gathered, spread};
use crate::segments::Part;
use crate::{AttentionBias, Segments};

pub(crate) fn attention<B: Backend>(
    route: Route,
    query: Tensor<B, 3>,
    key: Tensor<B, 3>,
    value: Tensor<B, 3>,
    heads: usize,
    bias: &AttentionBias<B>,
) -> Tensor<B, 3> {
    let ([b, q, inner], [_, k, narrow]) = (query.dims(), key.dims());
    let channels = inner / heads;
    let shape = Heads {
        q,
        k,
        heads,
        groups: narrow / channels,
        channels,
    };
    let (position, mask, segments) = (bias.bias.clone(), bias.mask.clone(), bias.segments.clone());
    let [most_queries, most_keys] = segments.as_ref().map_or([q, k], |segments| [segments.width(); 2]);
    if let Some(segments) = &segments {
        assert_eq!(
            [b, q, k],
            [1, segments.total(), segments.total()],
            "attention: the slots are not those of the segments"
        );
        assert!(
            segments.shared() == 0 || (bias.past.is_some() && position.is_none()),
            "attention: only causal rows share slots"
        );
    }
    if let Some(position) = &position {
        assert_eq!(
            position.dims(),
            [1, heads, most_queries, most_keys],
            "attention: the position bias has the wrong shape"
        );
    }
    if let Some(mask) = &mask {
        assert_eq!(mask.dims(), [b, k], "attention: the key mask has the wrong shape");
    }
    if route == Route::Plain {
        let inputs = Inputs {
            query: in_rows(plain(query)),
            key: in_rows(plain(key)),
            value: in_rows(plain(value)),
            bias: position.map(|bias| contiguous(plain(bias))),
            mask: mask.map(|mask| contiguous(plain(mask))),
            past: bias.past,
            segments,
        };
        return from_plain(forward(&inputs, b, shape).0);
    }
    let (query, key, value) = (tracked(query), tracked(key), tracked(value));
    let nodes = [query.node.clone(), key.node.clone(), value.node.clone()];
    let position = position.map(tracked::<B, 4>);
    let position_node = position.as_ref().map(|bias| bias.node.clone());
    let inputs = Inputs {
        query: in_rows(query.primitive),
        key: in_rows(key.primitive),
        value: in_rows(value.primitive),
        bias: position.map(|bias| contiguous(bias.primitive)),
        mask: mask.map(|mask| contiguous(tracked(mask).primitive)),
        past: bias.past,
        segments,
    };
    let (out, softmax) = forward(&inputs, b, shape);
    let state = State {
        inputs,
        b,
        shape,
        softmax,
    };
    let [query, key, value] = nodes;
    // The position bias, if any, is a fourth parent: its table is trained in full fine-tuning.
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

/// Queries `[b, q, h·c]`, keys and values `[b, k, g·c]`, with rows at any stride; bias `[1, h, q, k]` and mask
/// `[b, k]`, contiguous.
#[derive(Debug, Clone)]
struct Inputs {
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    bias: Option<FlexTensor>,
    mask: Option<FlexTensor>,
    past: Option<usize>,
    /// If given, all rows lie in one batch row, without padding.
    segments: Option<Segments>,
}

/// The rows of the inputs: of the batch, or the parts of its segments. Shared keys and values are copied, so that each
/// row's are contiguous; the backward pass copies them again instead of keeping the copies.
struct BatchRows<'a> {
    inputs: &'a Inputs,
    parts: Option<Vec<Part>>,
    spread: Option<[Buffer; 2]>,
    /// The shape of each, in order.
    shapes: Vec<Heads>,
}

impl<'a> BatchRows<'a> {
    fn new(inputs: &'a Inputs, b: usize, shape: Heads) -> Self {
        let parts = inputs.segments.as_ref().map(Segments::parts);
        let of_part = |part: &Part| Heads {
            q: part.queries,
            k: part.keys,
            ..shape
        };
        Self {
            inputs,
            spread: parts
                .as_ref()
                .filter(|_| inputs.segments.as_ref().is_some_and(|segments| segments.shared() > 0))
                .map(|parts| [&inputs.key, &inputs.value].map(|x| spread(x, parts))),
            shapes: match &parts {
                None => vec![shape; b],
                Some(parts) => parts.iter().map(of_part).collect(),
            },
            parts,
        }
    }

    /// The inputs of one of them.
    fn row(&self, i: usize) -> Row<'_> {
        let (inputs, shape) = (self.inputs, self.shapes[i]);
        let part = self.parts.as_ref().map(|parts| parts[i]);
        let given = |tensor, start: fn(Part) -> usize| {
            let rows = Rows::of(tensor);
            Side {
                values: rows.values,
                start: rows.start + part.map_or(i * rows.batch, |part| start(part) * rows.row),
                stride: rows.row,
            }
        };
        let [key, value] = match (&self.spread, part) {
            (Some(spread), Some(part)) => spread.each_ref().map(|values| Side {
                values,
                start: part.key * shape.narrow(),
                stride: shape.narrow(),
            }),
            _ => [&inputs.key, &inputs.value].map(|tensor| given(tensor, |part| part.key)),
        };
        Row {
            query: given(&inputs.query, |part| part.query),
            key,
            value,
            bias: inputs.bias.as_ref().map(|bias| Bias {
                values: elements(bias),
                queries: bias.layout().shape()[2],
                keys: bias.layout().shape()[3],
            }),
            mask: inputs
                .mask
                .as_ref()
                .map(|mask| &elements(mask)[i * shape.k..][..shape.k]),
            past: inputs
                .past
                .map(|past| part.map_or(past, |part| part.keys - part.queries)),
        }
    }
}

/// Splits `values` `[Σ n, h·c]` by batch row, of `n` slots each, and head into `n` pieces `[c]`; empty input yields
/// empty lists.
fn by_head(
    values: &mut [f32],
    slots: impl Iterator<Item = usize>,
    heads: usize,
    channels: usize,
) -> Vec<Vec<&mut [f32]>> {
    let mut rows = values.chunks_exact_mut(heads * channels);
    let mut lists = Vec::new();
    for n in slots {
        let first = lists.len();
        lists.extend((0..heads).map(|_| Vec::with_capacity(n)));
        for row in rows.by_ref().take(n) {
            for (list, piece) in lists[first..].iter_mut().zip(row.chunks_exact_mut(channels)) {
                list.push(piece);
            }
        }
    }
    lists
}

/// Splits `[Σ h·q]` by batch row and head.
fn softmax_by_head<'a>(mut values: &'a mut [Softmax], shapes: &[Heads]) -> Vec<&'a mut [Softmax]> {
    let mut parts = Vec::with_capacity(shapes.iter().map(|shape| shape.heads).sum());
    for shape in shapes {
        for _ in 0..shape.heads {
            let (part, rest) = values.split_at_mut(shape.q);
            parts.push(part);
            values = rest;
        }
    }
    parts
}

/// The output `[b, q, h·c]`, and the softmax parameters of every batch row, head and query.
fn forward(inputs: &Inputs, b: usize, shape: Heads) -> (FlexTensor, Vec<Softmax>) {
    let Heads {
        q,
        heads,
        groups,
        channels,
        ..
    } = shape;
    let inner = shape.inner();
    let mut out = vec![0.0; b * q * inner];
    let mut softmax = vec![Softmax::default(); b * heads * q];
    let rows = BatchRows::new(inputs, b, shape);
    let shapes = &rows.shapes;
    let work = shapes.iter().map(|shape| heads * shape.work()).sum();
    if q == 1 {
        // One piece per thread: the longer a key's contiguous piece, the better for memory bandwidth.
        let some = groups.div_ceil(rayon::current_num_threads().div_ceil(b)).max(1);
        let width = some * shape.sharing();
        let tasks = out
            .chunks_mut(inner)
            .zip(softmax.chunks_mut(heads))
            .enumerate()
            .flat_map(|(i, (out, softmax))| {
                let parts = out.chunks_mut(width * channels).zip(softmax.chunks_mut(width));
                parts.enumerate().map(move |(part, outputs)| (i, part * some, outputs))
            })
            .collect();
        blocks::run(
            tasks,
            work,
            |(i, first, (out, softmax)): (_, _, (&mut [f32], &mut [Softmax]))| {
                let groups = first..first + softmax.len() / shape.sharing();
                rows.row(i).one_query(groups, shape, out, softmax);
            },
        );
    } else {
        let lists = by_head(&mut out, shapes.iter().map(|shape| shape.q), heads, channels);
        let parts = softmax_by_head(&mut softmax, shapes);
        let tasks = lists.into_iter().zip(parts).enumerate().collect();
        blocks::run(
            tasks,
            work,
            |(i, (out, softmax)): (usize, (Vec<&mut [f32]>, &mut [Softmax]))| {
                rows.row(i / heads)
                    .head(i % heads, shapes[i / heads], out.into_iter(), softmax);
            },
        );
    }
    (tensor(out, [b, q, inner]), softmax)
}

#[derive(Debug)]
struct Attention;

#[derive(Debug, Clone)]
struct State {
    inputs: Inputs,
    b: usize,
    shape: Heads,
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

/// With P the weights, D the incoming gradient and dS the gradient of the scores: `dV = Pᵀ·D`, `dQ = dS·K`,
/// `dK = dSᵀ·Q`, and dS summed over the batch for the position bias. Only gradients of tracked parents are computed.
fn backward(state: &State, grad: &FlexTensor, parents: [Option<NodeId>; 4], grads: &mut Gradients) {
    let State {
        inputs,
        b,
        shape,
        softmax,
    } = state;
    let (b, shape) = (*b, *shape);
    let Heads {
        q,
        k,
        heads,
        groups,
        channels,
    } = shape;
    let (inner, narrow, sharing) = (shape.inner(), shape.narrow(), shape.sharing());
    let wanted = parents.map(|parent| parent.is_some());
    let rows = BatchRows::new(inputs, b, shape);
    let shapes = &rows.shapes;
    assert!(
        inputs.segments.is_none() || !wanted[3],
        "attention: the position bias of segments is frozen"
    );
    // An unneeded gradient is an empty vector; its pieces are empty lists.
    let room = |wanted: bool, size: usize| vec![0.0; if wanted { size } else { 0 }];
    let mut query_grad = room(wanted[0], b * q * inner);
    let keys: usize = shapes.iter().map(|shape| shape.k).sum();
    let mut key_grad = room(wanted[1], keys * narrow);
    let mut value_grad = room(wanted[2], keys * narrow);
    let mut bias_grad = room(wanted[3], b * heads * q * k);
    let slots = |of: fn(&Heads) -> usize| shapes.iter().map(of);
    let mut queries = by_head(&mut query_grad, slots(|shape| shape.q), heads, channels).into_iter();
    let tasks: Vec<_> = by_head(&mut key_grad, slots(|shape| shape.k), groups, channels)
        .into_iter()
        .zip(by_head(&mut value_grad, slots(|shape| shape.k), groups, channels))
        .zip(blocks::pieces(&mut bias_grad, sharing * q * k, shapes.len() * groups))
        .enumerate()
        .map(|(i, ((keys, values), bias))| Task {
            row: i / groups,
            group: i % groups,
            queries: queries.by_ref().take(sharing).collect(),
            keys,
            values,
            bias,
        })
        .collect();
    let grad = elements(grad);
    let work = shapes.iter().map(|shape| 2 * heads * shape.work()).sum();
    // Queries in front of each row.
    let before: Vec<usize> = shapes
        .iter()
        .scan(0, |end, shape| {
            *end += shape.q;
            Some(*end - shape.q)
        })
        .collect();
    blocks::run(tasks, work, |task| {
        let (shape, before) = (shapes[task.row], before[task.row]);
        let row = rows.row(task.row);
        let side = |values| Side {
            values,
            start: before * inner,
            stride: inner,
        };
        let first = before * heads + task.group * sharing * shape.q;
        let softmax = &softmax[first..][..sharing * shape.q];
        task.run(&row, shape, wanted, side(grad), softmax);
    });
    let whole = |values: Vec<f32>| match (&rows.spread, &rows.parts) {
        (Some(_), Some(parts)) if !values.is_empty() => gathered(&values, parts, k, narrow),
        _ => values,
    };
    let (key_grad, value_grad) = (whole(key_grad), whole(value_grad));
    let [query, key, value, bias] = parents;
    let sizes = [
        (query, query_grad, [b, q, inner]),
        (key, key_grad, [b, k, narrow]),
        (value, value_grad, [b, k, narrow]),
    ];
    for (parent, values, shape) in sizes {
        if let Some(id) = parent {
            grads.register::<Flex>(id, tensor(values, shape));
        }
    }
    if let Some(id) = bias {
        let total = blocks::summed(&bias_grad, heads * q * k);
        grads.register::<Flex>(id, tensor(total, [1, heads, q, k]));
    }
}

/// One key head of a batch row with the query heads that use it: the destinations of their gradients.
struct Task<'a> {
    row: usize,
    group: usize,
    /// One list per query head.
    queries: Vec<Vec<&'a mut [f32]>>,
    keys: Vec<&'a mut [f32]>,
    values: Vec<&'a mut [f32]>,
    /// `[sharing, q, k]`
    bias: &'a mut [f32],
}

impl Task<'_> {
    /// The gradients of keys and values are summed over heads and blocks in a fixed order, starting with the last
    /// block: it sees all keys, and so initialises all rows.
    fn run(self, row: &Row<'_>, shape: Heads, wanted: [bool; 4], grad: Side<'_>, softmax: &[Softmax]) {
        let Heads { q, k, channels, .. } = shape;
        let first = self.group * shape.sharing();
        let turned = (row.turned_keys(first, shape), row.turned_values(first, shape));
        let (mut weights, mut slopes) = (buffer(shape.scores()), buffer(shape.scores()));
        let room = |wanted: bool, rows: usize| buffer(if wanted { rows * channels } else { 0 });
        let mut query_grad = room(wanted[0], q);
        let [mut key_grad, mut value_grad] = [room(wanted[1], k), room(wanted[2], k)];
        let whole = blocks::matrix(k, channels);
        let bias = self.bias;
        let mut queries = self.queries.into_iter();
        for (i, softmax) in softmax.chunks_exact(q).enumerate() {
            let head = first + i;
            let mut query_rows = queries.next().unwrap_or_default();
            for (nth, block) in shape.blocks(head, row.past).rev().enumerate() {
                let more = i > 0 || nth > 0;
                let (scores, seen) = (block.scores(), block.seen(whole));
                row.weights(shape, block, &turned.0, softmax, &mut weights);
                if wanted[2] {
                    let right = block.queries(grad.head(q, head, channels));
                    multiply(
                        &mut value_grad,
                        seen,
                        &weights,
                        scores.transposed(),
                        grad.values,
                        right,
                        more,
                    );
                }
                if !(wanted[0] || wanted[1] || wanted[3]) {
                    continue;
                }
                row.slopes(shape, block, &turned.1, &weights, grad, &mut slopes);
                if wanted[0] {
                    let place = blocks::matrix(block.rows, channels);
                    let keys = block.seen(row.keys(head, shape));
                    multiply(&mut query_grad, place, &slopes, scores, row.key.values, keys, false);
                    for (out, made) in query_rows[block.first..]
                        .iter_mut()
                        .zip(query_grad.chunks_exact(channels))
                        .take(block.rows)
                    {
                        out.copy_from_slice(made);
                    }
                }
                if wanted[1] {
                    let right = block.queries(row.queries(head, shape));
                    multiply(
                        &mut key_grad,
                        seen,
                        &slopes,
                        scores.transposed(),
                        row.query.values,
                        right,
                        more,
                    );
                }
                if wanted[3] {
                    let rows = bias[(i * q + block.first) * k..].chunks_exact_mut(k);
                    for (out, slopes) in rows.zip(slopes.chunks_exact(block.keys)).take(block.rows) {
                        out[..block.keys].copy_from_slice(slopes);
                    }
                }
            }
        }
        for (pieces, made) in [(self.keys, &key_grad), (self.values, &value_grad)] {
            for (out, made) in pieces.into_iter().zip(made.chunks_exact(channels)) {
                out.copy_from_slice(made);
            }
        }
    }
}
