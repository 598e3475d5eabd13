//! The feed-forward sublayer in one pass over the rows: norm, product, activation, product, residual for a few dozen
//! rows at a time, so that only the input, the hidden values and the output go through memory.

use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::activation::{Gelu, gated_part, gated_part_backward};
use super::blocks::{self, Weights, matrix, register, summed, transposed, units_a_task};
use super::bridge::{
    Route, Tracked, contiguous, elements, elements_mut, from_plain, from_tracked, plain, tensor, tracked,
};
use super::matmul::{Product, View, multiply, products};
use super::norm::{add_weight_gradient, norm_rows, norm_rows_backward};
use super::pool::{Buffer, buffer};
use super::rows::fast;
use crate::sublayer::FeedForwardWeights;

pub(crate) fn feed_forward<B: Backend>(
    route: Route,
    x: Tensor<B, 3>,
    weights: FeedForwardWeights<B>,
    eps: f32,
) -> Tensor<B, 3> {
    let FeedForwardWeights { norm, wi, gate, wo } = weights;
    // The activated map precedes the gate, as `wi_0` and `wi_1` in checkpoints.
    let inputs: Vec<_> = std::iter::once(wi).chain(gate).collect();
    if route == Route::Plain {
        let inputs: Vec<_> = inputs.into_iter().map(|wi| contiguous(plain(wi))).collect();
        let weights = State::new(
            contiguous(plain(x)),
            contiguous(plain(norm)),
            &inputs,
            contiguous(plain(wo)),
            eps,
        );
        return from_plain(weights.forward().0);
    }
    let parents: Vec<Tracked> = [tracked(x), tracked(norm), tracked(wo)]
        .into_iter()
        .chain(inputs.into_iter().map(tracked))
        .collect();
    from_tracked(match <[Tracked; 4]>::try_from(parents) {
        Ok(parents) => finish(parents, eps),
        Err(parents) => finish(
            <[Tracked; 5]>::try_from(parents).expect("three, the input map and the gate"),
            eps,
        ),
    })
}

/// Runs the tracked forward pass; the parents are x, the norm, the output map and the input maps.
fn finish<const N: usize>(parents: [Tracked; N], eps: f32) -> Tracked {
    let nodes = parents.each_ref().map(|parent| parent.node.clone());
    let parts = parents.map(|parent| contiguous(parent.primitive));
    let [x, norm, wo, inputs @ ..] = parts.as_slice() else {
        unreachable!("there are at least four parents")
    };
    let mut state = State::new(x.clone(), norm.clone(), inputs, wo.clone(), eps);
    let (out, kept) = state.forward();
    let prepared = <FeedForward as Backward<Flex, N>>::prepare::<NoCheckpointing>(FeedForward, nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            state.kept = Some(Arc::new(kept));
            step.finish(state, out)
        }
        OpsKind::UnTracked(step) => step.finish(out),
    }
}

#[derive(Debug)]
struct FeedForward;

#[derive(Debug, Clone)]
struct State {
    x: FlexTensor,
    norm: FlexTensor,
    input: Arc<Weights>,
    gated: bool,
    output: FlexTensor,
    eps: f32,
    kept: Option<Arc<Kept>>,
}

/// Saved for every row: the normed input `[n, d]`, the norm's scale factor, and the activation's input `[n, f]` (gated
/// `[n, 2f]`), or its output for ReLU.
#[derive(Debug)]
struct Kept {
    normed: Buffer,
    inverse: Buffer,
    hidden: Buffer,
}

/// The rows of one task.
struct Task<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    normed: &'a mut [f32],
    inverse: &'a mut [f32],
    hidden: &'a mut [f32],
}

/// The rows of one backward task: `grad` is the output's gradient, `slopes` receives the gradient of `hidden`.
struct BackwardTask<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    inverse: &'a [f32],
    hidden: &'a [f32],
    slopes: &'a mut [f32],
    /// The activated hidden values, written if a gated layer needs them for the output weight's gradient.
    activated: &'a mut [f32],
    out: &'a mut [f32],
    norm: &'a mut [f32],
}

impl State {
    fn new(x: FlexTensor, norm: FlexTensor, inputs: &[FlexTensor], output: FlexTensor, eps: f32) -> Self {
        let gated = inputs.len() == 2;
        let input = Arc::new(Weights::new(&inputs.iter().collect::<Vec<_>>()));
        Self {
            x,
            norm,
            input,
            gated,
            output,
            eps,
            kept: None,
        }
    }

    /// Number of rows, d_model, hidden columns after the activation, rows per task.
    fn sizes(&self) -> [usize; 4] {
        let shape = self.output.layout().shape();
        let (f, d) = (shape[0], shape[1]);
        let n = elements(&self.x).len() / d;
        [n, d, f, units_a_task(n, 1)]
    }

    fn work(&self) -> usize {
        let [n, d, f, _] = self.sizes();
        n * d * (f + self.input.columns())
    }

    fn forward(&self) -> (FlexTensor, Kept) {
        let [n, d, f, rows] = self.sizes();
        let wide = self.input.columns();
        // Residual connection: the product is accumulated onto it.
        let mut out = elements(&self.x).to_vec();
        let mut kept = Kept {
            normed: buffer(n * d),
            inverse: buffer(n),
            hidden: buffer(n * wide),
        };
        let tasks: Vec<_> = out
            .chunks_mut(rows * d)
            .zip(elements(&self.x).chunks(rows * d))
            .zip(kept.normed.chunks_mut(rows * d))
            .zip(kept.inverse.chunks_mut(rows))
            .zip(kept.hidden.chunks_mut(rows * wide))
            .map(|((((out, x), normed), inverse), hidden)| Task {
                x,
                out,
                normed,
                inverse,
                hidden,
            })
            .collect();
        let (norm, output) = (elements(&self.norm), elements(&self.output));
        blocks::run(tasks, self.work(), |task| {
            let Task {
                x,
                out,
                normed,
                inverse,
                hidden,
            } = task;
            let n = inverse.len();
            fast(
                #[inline(always)]
                || norm_rows(x, norm, self.eps, normed, inverse),
            );
            multiply(
                hidden,
                matrix(n, wide),
                normed,
                matrix(n, d),
                self.input.values(),
                self.input.view(),
                false,
            );
            let mut scratch = buffer(if self.gated { n * f } else { 0 });
            let activated: &[f32] = if self.gated {
                for (out, row) in scratch.chunks_exact_mut(f).zip(hidden.chunks_exact(wide)) {
                    fast(
                        #[inline(always)]
                        || gated_part::<Gelu>(out, &row[..f], &row[f..]),
                    );
                }
                &scratch
            } else {
                fast(
                    #[inline(always)]
                    || {
                        for x in hidden.iter_mut() {
                            // This comparison propagates NaN.
                            *x = if *x < 0.0 { 0.0 } else { *x };
                        }
                    },
                );
                hidden
            };
            multiply(out, matrix(n, d), activated, matrix(n, f), output, matrix(f, d), true);
        });
        (tensor(out, self.x.layout().shape().clone()), kept)
    }

    /// The gradients of x, the norm, the output map and the input maps.
    fn backward(
        &self,
        grad: FlexTensor,
        parents: [Option<NodeId>; 3],
        input_nodes: &[Option<NodeId>],
        grads: &mut Gradients,
    ) {
        let [n, d, f, rows] = self.sizes();
        let wide = self.input.columns();
        let kept = self
            .kept
            .as_ref()
            .expect("a tracked pass keeps what its backward pass reads");
        let [x_node, norm_node, output_node] = parents;
        let mut slopes = buffer(n * wide);
        let mut activated = buffer(if self.gated { n * f } else { 0 });
        let mut norm_grad = buffer(n.div_ceil(rows) * d);
        // Residual connection: the sublayer's own gradient is added to it.
        let mut out = tensor(elements(&grad).to_vec(), self.x.layout().shape().clone());
        let mut nothing: Vec<&mut [f32]> = (0..n.div_ceil(rows)).map(|_| Default::default()).collect();
        let activated_parts: Vec<&mut [f32]> = if self.gated {
            activated.chunks_mut(rows * f).collect()
        } else {
            std::mem::take(&mut nothing)
        };
        let tasks: Vec<_> = elements_mut(&mut out)
            .chunks_mut(rows * d)
            .zip(elements(&self.x).chunks(rows * d))
            .zip(elements(&grad).chunks(rows * d))
            .zip(kept.inverse.chunks(rows))
            .zip(kept.hidden.chunks(rows * wide))
            .zip(slopes.chunks_mut(rows * wide))
            .zip(activated_parts)
            .zip(norm_grad.chunks_mut(d))
            .map(
                |(((((((out, x), grad), inverse), hidden), slopes), activated), norm)| BackwardTask {
                    x,
                    grad,
                    inverse,
                    hidden,
                    slopes,
                    activated,
                    out,
                    norm,
                },
            )
            .collect();
        let norm = elements(&self.norm);
        let (input, output) = (self.input.transposed(), transposed(elements(&self.output), f, d));
        blocks::run(tasks, self.work(), |task| {
            let n = task.inverse.len();
            if self.gated {
                let mut scratch = buffer(n * f);
                multiply(
                    &mut scratch,
                    matrix(n, f),
                    task.grad,
                    matrix(n, d),
                    output.values(),
                    output.view(),
                    false,
                );
                let rows = task.slopes.chunks_exact_mut(wide).zip(task.hidden.chunks_exact(wide));
                let rows = rows
                    .zip(scratch.chunks_exact(f))
                    .zip(task.activated.chunks_exact_mut(f));
                for (((slopes, hidden), grad), activated) in rows {
                    let ((gate, up), (gate_grad, up_grad)) = (hidden.split_at(f), slopes.split_at_mut(f));
                    fast(
                        #[inline(always)]
                        || {
                            gated_part::<Gelu>(activated, gate, up);
                            gated_part_backward::<Gelu>(gate, up, grad, gate_grad, up_grad);
                        },
                    );
                }
            } else {
                let (values, view) = (output.values(), output.view());
                multiply(task.slopes, matrix(n, f), task.grad, matrix(n, d), values, view, false);
                fast(
                    #[inline(always)]
                    || {
                        for (slope, hidden) in task.slopes.iter_mut().zip(task.hidden) {
                            *slope = if *hidden > 0.0 { *slope } else { 0.0 };
                        }
                    },
                );
            }
            let mut normed_grad = buffer(n * d);
            let (values, view) = (input.values(), input.view());
            multiply(
                &mut normed_grad,
                matrix(n, d),
                task.slopes,
                matrix(n, wide),
                values,
                view,
                false,
            );
            fast(
                #[inline(always)]
                || {
                    if norm_node.is_some() {
                        task.norm.fill(0.0);
                        add_weight_gradient(task.x, task.inverse, &normed_grad, task.norm);
                    }
                    norm_rows_backward(task.x, norm, task.inverse, &mut normed_grad);
                    for (out, own) in task.out.iter_mut().zip(normed_grad.iter()) {
                        *out += own;
                    }
                },
            );
        });
        let mut list = Vec::new();
        if output_node.is_some() {
            let left: &[f32] = if self.gated { &activated } else { &kept.hidden };
            list.push(Product {
                left,
                l: matrix(n, f),
                right: elements(&grad),
                r: matrix(n, d),
            });
        }
        for (i, _) in input_nodes.iter().enumerate().filter(|(_, node)| node.is_some()) {
            let r = View::rows(i * f, n, f, wide);
            list.push(Product {
                left: &kept.normed,
                l: matrix(n, d),
                right: &slopes,
                r,
            });
        }
        let mut made = products(&list).into_iter();
        if output_node.is_some() {
            let values = made.next().expect("it was the first in the list");
            register(grads, output_node, values, &[f, d]);
        }
        for node in input_nodes.iter().filter(|node| node.is_some()) {
            register(grads, *node, made.next().expect("one a tracked map"), &[d, f]);
        }
        if norm_node.is_some() {
            register(grads, norm_node, summed(&norm_grad, d), &[d]);
        }
        if let Some(id) = x_node {
            grads.register::<Flex>(id, out);
        }
    }
}

impl<const N: usize> Backward<Flex, N> for FeedForward {
    type State = State;

    fn backward(self, ops: Ops<State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        ops.state
            .backward(grad, [parents[0], parents[1], parents[2]], &parents[3..], grads);
    }
}
