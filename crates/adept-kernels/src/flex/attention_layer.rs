//! The attention sublayer in one pass over the batch: norm, projections, attention, output map and residual of a few batch
//! rows at a time. Self-attention projects queries, keys and values with one product; cross-attention projects queries and
//! reads keys and values that lie side by side in the memory.

use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::blocks::{self, Weights, matrix, pieces, register, summed, transposed, units_a_task};
use super::bridge::{
    Route, Tracked, contiguous, elements, elements_mut, from_plain, from_tracked, plain, tensor, tracked,
};
use super::heads::{Heads, Row, Side, Softmax};
use super::matmul::{Product, View, multiply, products};
use super::norm::{add_weight_gradient, norm_rows, norm_rows_backward};
use super::pool::{Buffer, buffer};
use super::rows::fast;
use crate::AttentionBias;
use crate::sublayer::AttentionWeights;

/// Self-attention of `x` `[b, n, d]`, or with a memory `[b, k, 2·h·c]` cross-attention, where `x` may hold several rows
/// for each of the memory's. `weights.inputs` are the query's, key's and value's maps, or the query's alone.
pub(crate) fn attention_layer<B: Backend>(
    route: Route,
    x: Tensor<B, 3>,
    weights: AttentionWeights<B>,
    memory: Option<Tensor<B, 3>>,
    heads: usize,
    bias: &AttentionBias<B>,
    eps: f32,
) -> Tensor<B, 3> {
    let [rows, n, _] = x.dims();
    let inner = weights.output.dims()[0];
    let [b, k] = memory
        .as_ref()
        .map_or([rows, n], |memory| [memory.dims()[0], memory.dims()[1]]);
    let shape = Heads {
        q: rows * n / b,
        k,
        heads,
        channels: inner / heads,
    };
    let (position, mask) = (bias.bias.clone(), bias.mask.clone());
    if let Some(position) = &position {
        assert_eq!(
            position.dims(),
            [1, heads, shape.q, k],
            "attention: the position bias does not fit"
        );
    }
    if let Some(mask) = &mask {
        assert_eq!(mask.dims(), [b, k], "attention: the key mask does not fit");
    }
    let AttentionWeights { norm, inputs, output } = weights;
    let settings = Settings {
        shape,
        b,
        eps,
        maps: inputs.len(),
        memory: memory.is_some(),
        biased: position.is_some(),
    };
    if route == Route::Plain {
        let mask = mask.map(|mask| contiguous(plain(mask)));
        let parts: Vec<FlexTensor> = [plain(x), plain(norm), plain(output)]
            .into_iter()
            .chain(inputs.into_iter().map(plain))
            .chain(memory.map(plain))
            .chain(position.map(plain))
            .map(contiguous)
            .collect();
        return from_plain(State::new(&parts, mask, settings).forward().0);
    }
    let mask = mask.map(|mask| contiguous(tracked(mask).primitive));
    let parents: Vec<Tracked> = [tracked(x), tracked(norm), tracked(output)]
        .into_iter()
        .chain(inputs.into_iter().map(tracked))
        .chain(memory.map(tracked))
        .chain(position.map(tracked))
        .collect();
    fn sized<const N: usize>(parents: Vec<Tracked>) -> [Tracked; N] {
        <[Tracked; N]>::try_from(parents).expect("the length was just matched")
    }
    from_tracked(match parents.len() {
        5 => finish::<5>(sized(parents), mask, settings),
        6 => finish::<6>(sized(parents), mask, settings),
        7 => finish::<7>(sized(parents), mask, settings),
        other => unreachable!("{other} parents: x, norm, output, one or three maps, memory or bias or neither"),
    })
}

/// Runs the tracked forward pass; the parents are x, the norm, the output map, the input maps, the memory and the bias.
fn finish<const N: usize>(parents: [Tracked; N], mask: Option<FlexTensor>, settings: Settings) -> Tracked {
    let nodes = parents.each_ref().map(|parent| parent.node.clone());
    let parts = parents.map(|parent| contiguous(parent.primitive));
    let mut state = State::new(&parts, mask, settings);
    let (out, kept) = state.forward();
    let prepared = <AttentionLayer as Backward<Flex, N>>::prepare::<NoCheckpointing>(AttentionLayer, nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            state.kept = Some(Arc::new(kept));
            step.finish(state, out)
        }
        OpsKind::UnTracked(step) => step.finish(out),
    }
}

#[derive(Debug)]
struct AttentionLayer;

#[derive(Debug, Clone, Copy)]
struct Settings {
    shape: Heads,
    b: usize,
    eps: f32,
    /// Input maps: three, or one with a memory.
    maps: usize,
    memory: bool,
    biased: bool,
}

#[derive(Debug, Clone)]
struct State {
    settings: Settings,
    x: FlexTensor,
    norm: FlexTensor,
    output: FlexTensor,
    input: Arc<Weights>,
    memory: Option<FlexTensor>,
    bias: Option<FlexTensor>,
    mask: Option<FlexTensor>,
    kept: Option<Arc<Kept>>,
}

/// Of every row: the normed input `[n, d]`, one number of the norm, the projections `[n, maps·h·c]`, the context
/// `[n, h·c]` and the softmax of each head.
#[derive(Debug)]
struct Kept {
    normed: Buffer,
    inverse: Buffer,
    projected: Buffer,
    context: Buffer,
    softmax: Vec<Softmax>,
}

/// A few batch rows on their way through.
struct Task<'a> {
    first: usize,
    x: &'a [f32],
    out: &'a mut [f32],
    normed: &'a mut [f32],
    inverse: &'a mut [f32],
    projected: &'a mut [f32],
    context: &'a mut [f32],
    softmax: &'a mut [Softmax],
}

/// The same on the way back; `projected` receives the projections' gradient.
struct BackwardTask<'a> {
    first: usize,
    out: &'a mut [f32],
    projected: &'a mut [f32],
    norm: &'a mut [f32],
    memory: &'a mut [f32],
    bias: &'a mut [f32],
}

impl State {
    fn new(parts: &[FlexTensor], mask: Option<FlexTensor>, settings: Settings) -> Self {
        let [x, norm, output, rest @ ..] = parts else {
            unreachable!("x, the norm and the output map are always there")
        };
        let (inputs, rest) = rest.split_at(settings.maps);
        let mut rest = rest.iter();
        Self {
            settings,
            x: x.clone(),
            norm: norm.clone(),
            output: output.clone(),
            input: Arc::new(Weights::new(&inputs.iter().collect::<Vec<_>>())),
            memory: rest.next_if_set(settings.memory),
            bias: rest.next_if_set(settings.biased),
            mask,
            kept: None,
        }
    }

    fn d(&self) -> usize {
        elements(&self.norm).len()
    }

    /// Batch rows a task.
    fn units(&self) -> usize {
        units_a_task(self.settings.b, self.settings.shape.q)
    }

    fn work(&self) -> usize {
        let Settings { shape, b, .. } = self.settings;
        b * shape.q * (self.d() * (self.input.columns() + shape.inner()) + 2 * shape.k * shape.inner())
    }

    /// What batch row `i` attends with; `projected` are its projections.
    fn row<'a>(&'a self, i: usize, projected: &'a [f32]) -> Row<'a> {
        let Heads { k, .. } = self.settings.shape;
        let (inner, wide) = (self.settings.shape.inner(), self.input.columns());
        let own = |start| Side {
            values: projected,
            start,
            stride: wide,
        };
        let (key, value) = match &self.memory {
            Some(memory) => {
                let values = &elements(memory)[i * k * 2 * inner..][..k * 2 * inner];
                let side = |start| Side {
                    values,
                    start,
                    stride: 2 * inner,
                };
                (side(0), side(inner))
            }
            None => (own(inner), own(2 * inner)),
        };
        Row {
            query: own(0),
            key,
            value,
            bias: self.bias.as_ref().map(elements),
            mask: self.mask.as_ref().map(|mask| &elements(mask)[i * k..][..k]),
        }
    }

    fn forward(&self) -> (FlexTensor, Kept) {
        let Settings { shape, b, eps, .. } = self.settings;
        let (d, inner, wide, units) = (self.d(), shape.inner(), self.input.columns(), self.units());
        let (n, rows) = (b * shape.q, units * shape.q);
        // The residual: the product is added to it.
        let mut out = elements(&self.x).to_vec();
        let mut kept = Kept {
            normed: buffer(n * d),
            inverse: buffer(n),
            projected: buffer(n * wide),
            context: buffer(n * inner),
            softmax: vec![Softmax::default(); n * shape.heads],
        };
        let tasks: Vec<_> = out
            .chunks_mut(rows * d)
            .zip(elements(&self.x).chunks(rows * d))
            .zip(kept.normed.chunks_mut(rows * d))
            .zip(kept.inverse.chunks_mut(rows))
            .zip(kept.projected.chunks_mut(rows * wide))
            .zip(kept.context.chunks_mut(rows * inner))
            .zip(kept.softmax.chunks_mut(rows * shape.heads))
            .enumerate()
            .map(
                |(i, ((((((out, x), normed), inverse), projected), context), softmax))| Task {
                    first: i * units,
                    x,
                    out,
                    normed,
                    inverse,
                    projected,
                    context,
                    softmax,
                },
            )
            .collect();
        let (norm, output) = (elements(&self.norm), elements(&self.output));
        blocks::run(tasks, self.work(), |task| {
            let n = task.inverse.len();
            fast(
                #[inline(always)]
                || norm_rows(task.x, norm, eps, task.normed, task.inverse),
            );
            let weights = (self.input.values(), self.input.view());
            multiply(
                task.projected,
                matrix(n, wide),
                task.normed,
                matrix(n, d),
                weights.0,
                weights.1,
                false,
            );
            let mut scratch = buffer(shape.scratch());
            let contexts = task.context.chunks_exact_mut(shape.q * inner);
            let softmax = task.softmax.chunks_exact_mut(shape.q * shape.heads);
            let projected = task.projected.chunks_exact(shape.q * wide);
            for (i, ((context, softmax), projected)) in contexts.zip(softmax).zip(projected).enumerate() {
                self.row(task.first + i, projected)
                    .forward(shape, context, softmax, &mut scratch);
            }
            multiply(
                task.out,
                matrix(n, d),
                task.context,
                matrix(n, inner),
                output,
                matrix(inner, d),
                true,
            );
        });
        (tensor(out, self.x.layout().shape().clone()), kept)
    }

    fn backward(&self, grad: FlexTensor, parents: &[Option<NodeId>], grads: &mut Gradients) {
        let Settings { shape, b, maps, .. } = self.settings;
        let Heads { q, k, heads, .. } = shape;
        let (d, inner, wide, units) = (self.d(), shape.inner(), self.input.columns(), self.units());
        let (n, rows) = (b * q, units * q);
        let kept = self
            .kept
            .as_ref()
            .expect("a tracked pass keeps what its backward pass reads");
        let [x_node, norm_node, output_node, rest @ ..] = parents else {
            unreachable!("x, the norm and the output map are always there")
        };
        let (input_nodes, rest) = rest.split_at(maps);
        let mut rest = rest.iter().copied();
        let memory_node = if self.settings.memory {
            rest.next().flatten()
        } else {
            None
        };
        let bias_node = if self.settings.biased {
            rest.next().flatten()
        } else {
            None
        };

        let count = b.div_ceil(units);
        let mut projected_grad = buffer(n * wide);
        let mut norm_grad = buffer(count * d);
        let mut memory_grad = vec![0.0; if memory_node.is_some() { b * k * 2 * inner } else { 0 }];
        let mut bias_grad = buffer(if bias_node.is_some() { count * heads * q * k } else { 0 });
        // The residual: the sublayer's own gradient is added to it.
        let mut out = tensor(elements(&grad).to_vec(), self.x.layout().shape().clone());
        let tasks: Vec<_> = elements_mut(&mut out)
            .chunks_mut(rows * d)
            .zip(projected_grad.chunks_mut(rows * wide))
            .zip(norm_grad.chunks_mut(d))
            .zip(pieces(&mut memory_grad, units * k * 2 * inner, count))
            .zip(pieces(&mut bias_grad, heads * q * k, count))
            .enumerate()
            .map(|(i, ((((out, projected), norm), memory), bias))| BackwardTask {
                first: i * units,
                out,
                projected,
                norm,
                memory,
                bias,
            })
            .collect();
        let (norm, whole_grad) = (elements(&self.norm), elements(&grad));
        let (input, output) = (self.input.transposed(), transposed(elements(&self.output), inner, d));
        blocks::run(tasks, 2 * self.work(), |task| {
            let here = task.first * q..(task.first * q + task.out.len() / d);
            let n = here.len();
            let part = |width: usize| here.start * width..here.end * width;
            let grad = &whole_grad[part(d)];
            let mut context_grad = buffer(n * inner);
            let (values, view) = (output.values(), output.view());
            multiply(
                &mut context_grad,
                matrix(n, inner),
                grad,
                matrix(n, d),
                values,
                view,
                false,
            );
            task.bias.fill(0.0);
            let (mut weights, mut slopes) = (buffer(shape.scratch()), buffer(shape.scratch()));
            let context = &kept.context[part(inner)];
            let projected = &kept.projected[part(wide)];
            let softmax = &kept.softmax[part(heads)];
            for (i, projected_grad) in task.projected.chunks_exact_mut(q * wide).enumerate() {
                let row = self.row(task.first + i, &projected[i * q * wide..][..q * wide]);
                let side = |values| Side {
                    values,
                    start: i * q * inner,
                    stride: inner,
                };
                let scores = shape.scores();
                for head in 0..heads {
                    row.weights(head, shape, &softmax[(i * heads + head) * q..][..q], &mut weights);
                    row.slopes(head, shape, &weights, [side(&context_grad), side(context)], &mut slopes);
                    let (queries, keys) = (row.queries(head, shape), row.keys(head, shape));
                    let context_view = View::rows(i * q * inner + head * shape.channels, q, shape.channels, inner);
                    multiply(projected_grad, queries, &slopes, scores, row.key.values, keys, false);
                    // Keys and values have the same places in their gradient as in what was projected or given.
                    let values_view = View {
                        start: keys.start + inner,
                        ..keys
                    };
                    let target: &mut [f32] = match &self.memory {
                        None => projected_grad,
                        Some(_) if task.memory.is_empty() => continue,
                        Some(_) => &mut task.memory[i * k * 2 * inner..][..k * 2 * inner],
                    };
                    let turned = scores.transposed();
                    multiply(target, keys, &slopes, turned, row.query.values, queries, false);
                    multiply(
                        target,
                        values_view,
                        &weights,
                        turned,
                        &context_grad,
                        context_view,
                        false,
                    );
                    if !task.bias.is_empty() {
                        let total = &mut task.bias[head * q * k..][..q * k];
                        fast(
                            #[inline(always)]
                            || {
                                total
                                    .iter_mut()
                                    .zip(slopes.iter())
                                    .for_each(|(total, slope)| *total += slope)
                            },
                        );
                    }
                }
            }
            let mut normed_grad = buffer(n * d);
            let (values, view) = (input.values(), input.view());
            multiply(
                &mut normed_grad,
                matrix(n, d),
                task.projected,
                matrix(n, wide),
                values,
                view,
                false,
            );
            let x = &elements(&self.x)[part(d)];
            let inverse = &kept.inverse[here.clone()];
            fast(
                #[inline(always)]
                || {
                    if norm_node.is_some() {
                        task.norm.fill(0.0);
                        add_weight_gradient(x, inverse, &normed_grad, task.norm);
                    }
                    norm_rows_backward(x, norm, inverse, &mut normed_grad);
                    for (out, own) in task.out.iter_mut().zip(normed_grad.iter()) {
                        *out += own;
                    }
                },
            );
        });

        let mut list = Vec::new();
        if output_node.is_some() {
            list.push(Product {
                left: &kept.context,
                l: matrix(n, inner),
                right: whole_grad,
                r: matrix(n, d),
            });
        }
        for (i, _) in input_nodes.iter().enumerate().filter(|(_, node)| node.is_some()) {
            let r = View::rows(i * inner, n, inner, wide);
            list.push(Product {
                left: &kept.normed,
                l: matrix(n, d),
                right: &projected_grad,
                r,
            });
        }
        let mut made = products(&list).into_iter();
        if output_node.is_some() {
            let values = made.next().expect("it was the first in the list");
            register(grads, *output_node, values, &[inner, d]);
        }
        for node in input_nodes.iter().filter(|node| node.is_some()) {
            register(grads, *node, made.next().expect("one a tracked map"), &[d, inner]);
        }
        if norm_node.is_some() {
            register(grads, *norm_node, summed(&norm_grad, d), &[d]);
        }
        if memory_node.is_some() {
            register(grads, memory_node, memory_grad, &[b, k, 2 * inner]);
        }
        if bias_node.is_some() {
            register(grads, bias_node, summed(&bias_grad, heads * q * k), &[1, heads, q, k]);
        }
        if let Some(id) = x_node {
            grads.register::<Flex>(*id, out);
        }
    }
}

/// The next part where the settings say that it is there.
trait NextIfSet {
    fn next_if_set(&mut self, set: bool) -> Option<FlexTensor>;
}

impl<'a, I: Iterator<Item = &'a FlexTensor>> NextIfSet for I {
    fn next_if_set(&mut self, set: bool) -> Option<FlexTensor> {
        if set { self.next().cloned() } else { None }
    }
}

impl<const N: usize> Backward<Flex, N> for AttentionLayer {
    type State = State;

    fn backward(self, ops: Ops<State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        ops.state.backward(grad, &parents, grads);
    }
}
