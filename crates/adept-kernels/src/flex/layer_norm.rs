//! Layer norm: saves its input and two numbers per row for the backward pass.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::blocks::{self, column_sums, over_rows};
use super::bridge::{Route, contiguous, elements, elements_mut, from_plain, from_tracked, plain, tensor, tracked};
use super::rows::{centred_dot, centred_squares, fast, sum};

/// Rows per task.
const ROWS: usize = 32;
/// Cost of an element, in multiplications.
const COST: usize = 4;

pub(crate) fn layer_norm<B: Backend>(
    route: Route,
    x: Tensor<B, 3>,
    weight: Tensor<B, 1>,
    bias: Tensor<B, 1>,
    eps: f32,
) -> Tensor<B, 3> {
    if route == Route::Plain {
        let [weight, bias] = [weight, bias].map(|vector| contiguous(plain(vector)));
        return from_plain(forward(&contiguous(plain(x)), &weight, &bias, eps).0);
    }
    let (x, weight, bias) = (tracked(x), tracked(weight), tracked(bias));
    let nodes = [x.node, weight.node, bias.node];
    let (input, scale) = (contiguous(x.primitive), contiguous(weight.primitive));
    let (out, moments) = forward(&input, &scale, &contiguous(bias.primitive), eps);
    let prepared = LayerNorm.prepare::<NoCheckpointing>(nodes).compute_bound();
    from_tracked::<B, 3>(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(State { input, scale, moments }, out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

#[derive(Debug)]
struct LayerNorm;

/// Statistics of one row: the mean m and the inverse standard deviation r = `1 / sqrt(variance + eps)`.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    mean: f32,
    inverse: f32,
}

#[derive(Debug, Clone)]
struct State {
    input: FlexTensor,
    scale: FlexTensor,
    moments: Vec<Moments>,
}

impl Backward<Flex, 3> for LayerNorm {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [x, weight, bias] = ops.parents;
        let state = ops.state;
        let d = elements(&state.scale).len();
        if let Some(node) = weight {
            grads.register::<Flex>(node.id, tensor(state.weight_gradient(elements(&grad)), [d]));
        }
        if let Some(node) = bias {
            grads.register::<Flex>(node.id, tensor(column_sums(elements(&grad), d), [d]));
        }
        if let Some(node) = x {
            grads.register::<Flex>(node.id, state.input_gradient(grad));
        }
    }
}

/// The normed rows and the statistics of each.
fn forward(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor, eps: f32) -> (FlexTensor, Vec<Moments>) {
    let (values, weight, bias) = (elements(x), elements(weight), elements(bias));
    let d = weight.len();
    let mut out = vec![0.0; values.len()];
    let mut moments = vec![Moments::default(); values.len() / d];
    let tasks = out
        .chunks_mut(ROWS * d)
        .zip(values.chunks(ROWS * d))
        .zip(moments.chunks_mut(ROWS))
        .collect();
    blocks::run(
        tasks,
        values.len() * COST,
        |((out, x), moments): ((&mut [f32], &[f32]), &mut [Moments])| {
            fast(
                #[inline(always)]
                || {
                    let rows = out.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(moments);
                    for ((out, x), moments) in rows {
                        let mean = sum(x) / d as f32;
                        let inverse = 1.0 / (centred_squares(x, mean) / d as f32 + eps).sqrt();
                        *moments = Moments { mean, inverse };
                        for (((out, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                            *out = (x - mean) * inverse * w + b;
                        }
                    }
                },
            );
        },
    );
    (tensor(out, x.layout().shape().clone()), moments)
}

impl State {
    /// With h the gradient times the weight, `r·(h − mean(h)) − (x − m)·r³·mean(h·(x − m))`; overwrites the output's
    /// gradient if its storage is not shared.
    fn input_gradient(&self, mut grad: FlexTensor) -> FlexTensor {
        let (values, weight) = (elements(&self.input), elements(&self.scale));
        let d = weight.len();
        let tasks = elements_mut(&mut grad)
            .chunks_mut(ROWS * d)
            .zip(values.chunks(ROWS * d))
            .zip(self.moments.chunks(ROWS))
            .collect();
        blocks::run(
            tasks,
            values.len() * COST,
            |((grad, x), moments): ((&mut [f32], &[f32]), &[Moments])| {
                fast(
                    #[inline(always)]
                    || {
                        let rows = grad.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(moments);
                        for ((grad, x), &Moments { mean, inverse }) in rows {
                            for (g, w) in grad.iter_mut().zip(weight) {
                                *g *= w;
                            }
                            let shift = sum(grad) / d as f32;
                            let slope = centred_dot(grad, x, mean) / d as f32 * inverse * inverse;
                            for (g, x) in grad.iter_mut().zip(x) {
                                *g = inverse * (*g - shift - (x - mean) * slope);
                            }
                        }
                    },
                );
            },
        );
        grad
    }

    /// `Σ g·(x − m)·r` over the rows.
    fn weight_gradient(&self, grad: &[f32]) -> Vec<f32> {
        let (x, d) = (elements(&self.input), elements(&self.scale).len());
        over_rows(
            self.moments.len(),
            d,
            #[inline(always)]
            |row, total| {
                let Moments { mean, inverse } = self.moments[row];
                let place = row * d..(row + 1) * d;
                for ((total, x), g) in total.iter_mut().zip(&x[place.clone()]).zip(&grad[place]) {
                    *total += (x - mean) * inverse * g;
                }
            },
        )
    }
}
