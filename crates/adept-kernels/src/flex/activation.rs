//! Activations of the feed-forward layers, a single pass in each direction.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::blocks;
use super::bridge::{Route, contiguous, elements, elements_mut, from_plain, from_tracked, plain, tensor, tracked};
use super::rows::{fast, sigmoid};

/// Elements per task: 64 KiB, which stays in the first cache levels.
const PART: usize = 16 * 1024;
/// Cost of an element, in multiplications.
const COST: usize = 16;
/// 2·sqrt(2/π), see the crate's `activation` module.
const GELU_SCALE: f32 = 1.595_769;
const GELU_CUBE: f32 = 0.044_715;

/// `x · sigmoid(inner(x))`, the common form of tanh-GELU and SiLU.
pub(crate) trait Activation: Debug + Send + Sync + 'static {
    /// The argument of the sigmoid, and its derivative.
    fn inner(x: f32) -> (f32, f32);
}

/// The tanh form of GELU.
#[derive(Debug)]
pub(crate) struct Gelu;

/// `x · sigmoid(x)`.
#[derive(Debug)]
pub(crate) struct Silu;

impl Activation for Gelu {
    #[inline(always)]
    fn inner(x: f32) -> (f32, f32) {
        let inner = GELU_SCALE * (x + GELU_CUBE * x * x * x);
        (inner, GELU_SCALE * (1.0 + 3.0 * GELU_CUBE * x * x))
    }
}

impl Activation for Silu {
    #[inline(always)]
    fn inner(x: f32) -> (f32, f32) {
        (x, 1.0)
    }
}

#[inline(always)]
fn value<A: Activation>(x: f32) -> f32 {
    x * sigmoid(A::inner(x).0)
}

/// Value and derivative of the activation.
#[inline(always)]
fn value_and_slope<A: Activation>(x: f32) -> (f32, f32) {
    let (inner, slope) = A::inner(x);
    let s = sigmoid(inner);
    (x * s, s + x * s * (1.0 - s) * slope)
}

pub(crate) fn relu<B: Backend, const D: usize>(route: Route, x: Tensor<B, D>) -> Tensor<B, D> {
    if route == Route::Plain {
        // This comparison propagates NaN.
        return from_plain(mapped(
            contiguous(plain(x)),
            #[inline(always)]
            |x| if x < 0.0 { 0.0 } else { x },
        ));
    }
    let x = tracked(x);
    let prepared = Relu.prepare::<NoCheckpointing>([x.node]).compute_bound();
    let (out, positive) = relu_forward(contiguous(x.primitive));
    from_tracked::<B, D>(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(positive, out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

/// A bit for each of this many elements.
const BITS: usize = u32::BITS as usize;

/// Saves a bit an element: whether it is positive.
#[derive(Debug)]
struct Relu;

impl Backward<Flex, 1> for Relu {
    type State = Arc<[u32]>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let mut grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [parent] = ops.parents;
        let Some(node) = parent else { return };
        let work = elements(&grad).len() * COST;
        let parts = elements_mut(&mut grad).chunks_mut(PART);
        let tasks = parts.zip(ops.state.chunks(PART / BITS)).collect();
        blocks::run(tasks, work, |(grad, positive): (&mut [f32], &[u32])| {
            fast(
                #[inline(always)]
                || {
                    for (grad, bits) in grad.chunks_mut(BITS).zip(positive) {
                        for (place, g) in (0u32..).zip(grad) {
                            *g = if bits >> place & 1 == 1 { *g } else { 0.0 };
                        }
                    }
                },
            );
        });
        grads.register::<Flex>(node.id, grad);
    }
}

/// The result, in place if the storage is not shared, and bit by bit where it is positive.
fn relu_forward(mut x: FlexTensor) -> (FlexTensor, Arc<[u32]>) {
    let count = elements(&x).len();
    let mut positive = vec![0; count.div_ceil(BITS)];
    let parts = elements_mut(&mut x).chunks_mut(PART);
    let tasks = parts.zip(positive.chunks_mut(PART / BITS)).collect();
    blocks::run(tasks, count * COST, |(x, positive): (&mut [f32], &mut [u32])| {
        fast(
            #[inline(always)]
            || {
                for (bits, x) in positive.iter_mut().zip(x.chunks_mut(BITS)) {
                    for (place, x) in (0u32..).zip(x) {
                        *bits |= u32::from(*x > 0.0) << place;
                        // This comparison propagates NaN.
                        *x = if *x < 0.0 { 0.0 } else { *x };
                    }
                }
            },
        );
    });
    (x, positive.into())
}

/// Applies `change` to every element of a contiguous tensor, in place if its storage is not shared.
fn mapped(mut x: FlexTensor, change: impl Fn(f32) -> f32 + Sync) -> FlexTensor {
    let work = elements(&x).len() * COST;
    if x.is_unique() {
        let tasks = elements_mut(&mut x).chunks_mut(PART).collect();
        blocks::run(tasks, work, |part: &mut [f32]| {
            fast(
                #[inline(always)]
                || {
                    part.iter_mut().for_each(
                        #[inline(always)]
                        |x| *x = change(*x),
                    )
                },
            );
        });
        return x;
    }
    let mut out = vec![0.0; elements(&x).len()];
    let tasks = out.chunks_mut(PART).zip(elements(&x).chunks(PART)).collect();
    blocks::run(tasks, work, |(out, x): (&mut [f32], &[f32])| {
        fast(
            #[inline(always)]
            || {
                out.iter_mut().zip(x).for_each(
                    #[inline(always)]
                    |(out, x)| *out = change(*x),
                )
            },
        );
    });
    tensor(out, x.layout().shape().clone())
}

pub(crate) fn gelu<B: Backend, const D: usize>(route: Route, x: Tensor<B, D>) -> Tensor<B, D> {
    let forward = |x| mapped(x, value::<Gelu>);
    if route == Route::Plain {
        return from_plain(forward(contiguous(plain(x))));
    }
    let x = tracked(x);
    let prepared = Gelu.prepare::<NoCheckpointing>([x.node]).compute_bound();
    let x = contiguous(x.primitive);
    from_tracked::<B, D>(match prepared.stateful() {
        OpsKind::Tracked(step) => {
            let out = forward(x.clone());
            step.finish(x, out)
        }
        OpsKind::UnTracked(step) => step.finish(forward(x)),
    })
}

/// Saves its input.
impl Backward<Flex, 1> for Gelu {
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let mut grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [parent] = ops.parents;
        let Some(node) = parent else { return };
        let x = elements(&ops.state);
        let tasks = elements_mut(&mut grad).chunks_mut(PART).zip(x.chunks(PART)).collect();
        blocks::run(tasks, x.len() * COST, |(grad, x): (&mut [f32], &[f32])| {
            fast(
                #[inline(always)]
                || {
                    for (g, &x) in grad.iter_mut().zip(x) {
                        *g *= value_and_slope::<Gelu>(x).1;
                    }
                },
            );
        });
        grads.register::<Flex>(node.id, grad);
    }
}

/// `activation(gate) · up`.
pub(crate) fn gated<A: Activation, B: Backend, const D: usize>(
    route: Route,
    gate: Tensor<B, D>,
    up: Tensor<B, D>,
) -> Tensor<B, D> {
    if route == Route::Plain {
        return from_plain(gated_forward::<A>(&contiguous(plain(gate)), &contiguous(plain(up))));
    }
    let (gate, up) = (tracked(gate), tracked(up));
    let prepared = Gated::<A>(PhantomData)
        .prepare::<NoCheckpointing>([gate.node, up.node])
        .compute_bound();
    let kept = [contiguous(gate.primitive), contiguous(up.primitive)];
    let out = gated_forward::<A>(&kept[0], &kept[1]);
    from_tracked::<B, D>(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(kept, out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

#[derive(Debug)]
struct Gated<A>(PhantomData<A>);

impl<A: Activation> Backward<Flex, 2> for Gated<A> {
    type State = [FlexTensor; 2];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [gate, up] = &ops.state;
        let shape = gate.layout().shape().clone();
        let (gate, up, grad) = (elements(gate), elements(up), elements(&grad));
        let (mut gate_grad, mut up_grad) = (vec![0.0; grad.len()], vec![0.0; grad.len()]);
        gate_grad
            .par_chunks_mut(PART)
            .zip(up_grad.par_chunks_mut(PART))
            .zip(
                gate.par_chunks(PART)
                    .zip(up.par_chunks(PART))
                    .zip(grad.par_chunks(PART)),
            )
            .for_each(|((gate_grad, up_grad), ((gate, up), grad))| {
                fast(
                    #[inline(always)]
                    || gated_part_backward::<A>(gate, up, grad, gate_grad, up_grad),
                );
            });
        let [gate_node, up_node] = ops.parents;
        if let Some(node) = gate_node {
            grads.register::<Flex>(node.id, tensor(gate_grad, shape.clone()));
        }
        if let Some(node) = up_node {
            grads.register::<Flex>(node.id, tensor(up_grad, shape));
        }
    }
}

fn gated_forward<A: Activation>(gate: &FlexTensor, up: &FlexTensor) -> FlexTensor {
    let (x, y) = (elements(gate), elements(up));
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(PART)
        .zip(x.par_chunks(PART))
        .zip(y.par_chunks(PART))
        .for_each(|((out, x), y)| {
            fast(
                #[inline(always)]
                || gated_part::<A>(out, x, y),
            );
        });
    tensor(out, gate.layout().shape().clone())
}

/// `activation(gate) · up` on one part.
#[inline(always)]
pub(super) fn gated_part<A: Activation>(out: &mut [f32], gate: &[f32], up: &[f32]) {
    for ((out, &x), &y) in out.iter_mut().zip(gate).zip(up) {
        *out = value::<A>(x) * y;
    }
}

/// The gradients of gate and up on one part.
#[inline(always)]
pub(super) fn gated_part_backward<A: Activation>(
    gate: &[f32],
    up: &[f32],
    grad: &[f32],
    gate_grad: &mut [f32],
    up_grad: &mut [f32],
) {
    let outputs = gate_grad.iter_mut().zip(up_grad);
    for ((gate_grad, up_grad), ((&x, &up), &g)) in outputs.zip(gate.iter().zip(up).zip(grad)) {
        let (value, slope) = value_and_slope::<A>(x);
        *gate_grad = g * up * slope;
        *up_grad = g * value;
    }
}
