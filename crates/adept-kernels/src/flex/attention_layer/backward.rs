//! Backward pass of the attention sublayer, with the same tasks as the forward pass; the gradients of weights are
//! computed at the end, from all rows.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::grads::Gradients;
use burn_flex::{Flex, FlexTensor};

use super::super::blocks::{self, matrix, pieces, register, summed, transposed};
use super::super::bridge::{elements, elements_mut, tensor};
use super::super::heads::{Heads, Side};
use super::super::matmul::{Product, View, multiply, products};
use super::super::norm::{add_weight_gradient, norm_rows_backward};
use super::super::pool::buffer;
use super::super::rows::fast;
use super::{Settings, State};

/// The batch rows of one backward task; `projected` receives the gradient of the projections.
struct BackwardTask<'a> {
    first: usize,
    out: &'a mut [f32],
    projected: &'a mut [f32],
    norm: &'a mut [f32],
    memory: &'a mut [f32],
    bias: &'a mut [f32],
}

impl State {
    /// Registers the gradients of the tracked parents, given in the order of the forward pass.
    pub(super) fn backward(&self, grad: FlexTensor, parents: &[Option<NodeId>], grads: &mut Gradients) {
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
        // Residual connection: the sublayer's own gradient is added to it.
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
            let (mut weights, mut slopes) = (buffer(shape.scores()), buffer(shape.scores()));
            let projected = &kept.projected[part(wide)];
            let softmax = &kept.softmax[part(heads)];
            for (i, projected_grad) in task.projected.chunks_exact_mut(q * wide).enumerate() {
                let row = self.row(task.first + i, &projected[i * q * wide..][..q * wide]);
                let side = |values| Side {
                    values,
                    start: i * q * inner,
                    stride: inner,
                };
                for head in 0..heads {
                    let softmax = &softmax[(i * heads + head) * q..][..q];
                    let turned = (row.turned_keys(head, shape), row.turned_values(head, shape));
                    let (queries, keys) = (row.queries(head, shape), row.keys(head, shape));
                    // Keys and values have the same layout in their gradient as in the projections or the memory.
                    let values = View {
                        start: keys.start + inner,
                        ..keys
                    };
                    let contexts = side(&context_grad).head(q, head, shape.channels);
                    for (nth, block) in shape.blocks(head, None).enumerate() {
                        row.weights(shape, block, &turned.0, softmax, &mut weights);
                        row.slopes(shape, block, &turned.1, &weights, side(&context_grad), &mut slopes);
                        let (place, scores) = (block.queries(queries), block.scores());
                        multiply(projected_grad, place, &slopes, scores, row.key.values, keys, false);
                        if !task.bias.is_empty() {
                            let total = &mut task.bias[(head * q + block.first) * k..][..block.rows * k];
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
                        let target: &mut [f32] = match &self.memory {
                            None => projected_grad,
                            Some(_) if task.memory.is_empty() => continue,
                            Some(_) => &mut task.memory[i * k * 2 * inner..][..k * 2 * inner],
                        };
                        let (turned, more) = (scores.transposed(), nth > 0);
                        multiply(target, keys, &slopes, turned, row.query.values, place, more);
                        let right = block.queries(contexts);
                        multiply(target, values, &weights, turned, &context_grad, right, more);
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
