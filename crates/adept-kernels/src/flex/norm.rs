//! RMS norm: saves its input and one number per row for the backward pass.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::blocks::over_rows;
use super::bridge::{Route, contiguous, elements, elements_mut, from_plain, from_tracked, plain, tensor, tracked};
use super::rows::{dot, fast, sum_of_squares};

/// Rows per task.
const ROWS: usize = 32;

pub(crate) fn rms_norm<B: Backend>(route: Route, x: Tensor<B, 3>, weight: Tensor<B, 1>, eps: f32) -> Tensor<B, 3> {
    if route == Route::Plain {
        let (out, _) = forward(&contiguous(plain(x)), &contiguous(plain(weight)), eps);
        return from_plain(out);
    }
    let (x, weight) = (tracked(x), tracked(weight));
    let (input, scale) = (contiguous(x.primitive), contiguous(weight.primitive));
    let (out, inverse) = forward(&input, &scale, eps);
    let prepared =
        <RmsNorm as Backward<Flex, 2>>::prepare::<NoCheckpointing>(RmsNorm, [x.node, weight.node]).compute_bound();
    from_tracked::<B, 3>(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(State { input, scale, inverse }, out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

#[derive(Debug)]
struct RmsNorm;

#[derive(Debug, Clone)]
struct State {
    input: FlexTensor,
    scale: FlexTensor,
    inverse: FlexTensor,
}

impl Backward<Flex, 2> for RmsNorm {
    type State = State;

    fn backward(self, ops: Ops<State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [x, weight] = ops.parents;
        let State { input, scale, inverse } = ops.state;
        if let Some(node) = weight {
            grads.register::<Flex>(node.id, weight_gradient(&input, &inverse, &grad));
        }
        if let Some(node) = x {
            grads.register::<Flex>(node.id, input_gradient(&input, &scale, &inverse, grad));
        }
    }
}

/// Norms rows of `weight.len()` elements and stores `1 / sqrt(mean(x²) + eps)` of each.
#[inline(always)]
pub(super) fn norm_rows(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32], inverse: &mut [f32]) {
    let d = weight.len();
    for ((out, inverse), x) in out.chunks_exact_mut(d).zip(inverse).zip(x.chunks_exact(d)) {
        let factor = 1.0 / (sum_of_squares(x) / d as f32 + eps).sqrt();
        *inverse = factor;
        for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
            *out = x * factor * w;
        }
    }
}

/// Replaces the gradient g of the normed rows with that of the rows, `r·w·g − x·r³/d·Σ(w·g·x)`, where r is the row's
/// inverse root mean square.
#[inline(always)]
pub(super) fn norm_rows_backward(x: &[f32], weight: &[f32], inverse: &[f32], grad: &mut [f32]) {
    let d = weight.len();
    let rows = grad.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(inverse);
    for ((grad, x), &r) in rows {
        for (g, w) in grad.iter_mut().zip(weight) {
            *g *= w;
        }
        let shift = dot(grad, x) * r * r * r / d as f32;
        for (g, x) in grad.iter_mut().zip(x) {
            *g = *g * r - x * shift;
        }
    }
}

/// Adds `Σ x·r·g` over the rows to the weight's gradient.
#[inline(always)]
pub(super) fn add_weight_gradient(x: &[f32], inverse: &[f32], grad: &[f32], total: &mut [f32]) {
    let d = total.len();
    for ((x, grad), r) in x.chunks_exact(d).zip(grad.chunks_exact(d)).zip(inverse) {
        for ((total, x), g) in total.iter_mut().zip(x).zip(grad) {
            *total += x * r * g;
        }
    }
}

/// The normed rows and `1 / sqrt(mean(x²) + eps)` of each.
fn forward(x: &FlexTensor, weight: &FlexTensor, eps: f32) -> (FlexTensor, FlexTensor) {
    let (values, weight) = (elements(x), elements(weight));
    let d = weight.len();
    let n = values.len() / d;
    let mut out = vec![0.0; values.len()];
    let mut inverse = vec![0.0; n];
    out.par_chunks_mut(ROWS * d)
        .zip(inverse.par_chunks_mut(ROWS))
        .zip(values.par_chunks(ROWS * d))
        .for_each(|((out, inverse), x)| {
            fast(
                #[inline(always)]
                || norm_rows(x, weight, eps, out, inverse),
            )
        });
    (tensor(out, x.layout().shape().clone()), tensor(inverse, [n]))
}

/// The gradient of the rows; overwrites that of the output if its storage is not shared.
fn input_gradient(x: &FlexTensor, weight: &FlexTensor, inverse: &FlexTensor, mut grad: FlexTensor) -> FlexTensor {
    let (values, weight, inverse) = (elements(x), elements(weight), elements(inverse));
    let d = weight.len();
    elements_mut(&mut grad)
        .par_chunks_mut(ROWS * d)
        .zip(values.par_chunks(ROWS * d))
        .zip(inverse.par_chunks(ROWS))
        .for_each(|((grad, x), inverse)| {
            fast(
                #[inline(always)]
                || norm_rows_backward(x, weight, inverse, grad),
            )
        });
    grad
}

/// `Σ x·r·g` over the rows.
fn weight_gradient(x: &FlexTensor, inverse: &FlexTensor, grad: &FlexTensor) -> FlexTensor {
    let (values, inverse, grad) = (elements(x), elements(inverse), elements(grad));
    let d = values.len() / inverse.len();
    let total = over_rows(
        inverse.len(),
        d,
        #[inline(always)]
        |row, total| {
            let place = row * d..(row + 1) * d;
            add_weight_gradient(&values[place.clone()], &inverse[row..=row], &grad[place], total);
        },
    );
    tensor(total, [d])
}
