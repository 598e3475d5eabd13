//! Products of rows and a weight `[in, out]` with a backward pass of their own.
//!
//! The gradient of the rows is their product with the transposed weight, of which no copy is made in float32.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::blocks::{matrix, register};
use super::bridge::{Route, contiguous, elements, from_plain, from_tracked, plain, tensor, tracked};
use super::many_rows::{Matrix, many_rows};
use super::matmul::{Product, products};
use super::packed::{Kernel, PackedWeight};

/// Packs a weight `[in, out]` in one part or two an element.
pub(crate) fn packed_weight<B: Backend>(
    route: Route,
    weight: Tensor<B, 2>,
    kernel: Kernel,
    parts: usize,
) -> PackedWeight {
    let shape = weight.dims();
    PackedWeight::new(kernel, parts, elements(&whole(route, weight)), shape)
}

/// A weight `[in, out]` for float32 products, if two bytes hold each of its numbers.
pub(crate) fn exact_weight<B: Backend>(route: Route, weight: Tensor<B, 2>) -> Option<PackedWeight> {
    let shape = weight.dims();
    PackedWeight::exact(elements(&whole(route, weight)), shape)
}

fn whole<B: Backend>(route: Route, weight: Tensor<B, 2>) -> FlexTensor {
    contiguous(match route {
        Route::Plain => plain(weight),
        Route::Tracked => tracked(weight).primitive,
    })
}

/// `x` `[n, in]` times `weight` `[in, out]`, differentiated.
pub(crate) fn product<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
    let [x, weight] = [tracked(x), tracked(weight)];
    let nodes = [x.node.clone(), weight.node.clone()];
    let [x, weight] = [x, weight].map(|parent| contiguous(parent.primitive));
    let sizes = Sizes::of(&x, &weight);
    let Sizes { n, inputs, outputs } = sizes;
    let out = many_rows(elements(&x), Matrix::new(elements(&weight), [inputs, outputs]));
    // The rows are read for the weight's gradient alone: those of a frozen one are not kept.
    let x = (!nodes[1].requirement.is_none()).then_some(x);
    let state = State { x, weight, sizes };
    let prepared = Full.prepare::<NoCheckpointing>(nodes).compute_bound();
    let out = tensor(out, [n, outputs]);
    from_tracked(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(state, out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

/// `x` `[n, in]` times a packed weight, which gets no gradient.
pub(crate) fn packed_product<B: Backend>(route: Route, x: Tensor<B, 2>, packed: &Arc<PackedWeight>) -> Tensor<B, 2> {
    let ([n, _], [_, outputs]) = (x.dims(), packed.shape());
    if route == Route::Plain {
        let x = contiguous(plain(x));
        return from_plain(tensor(packed.product(elements(&x), route), [n, outputs]));
    }
    let x = tracked(x);
    let nodes = [x.node.clone()];
    let x = contiguous(x.primitive);
    let out = tensor(packed.product(elements(&x), route), [n, outputs]);
    let state = PackedState {
        packed: Arc::clone(packed),
        n,
    };
    let prepared = Packed.prepare::<NoCheckpointing>(nodes).compute_bound();
    from_tracked(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(state, out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    n: usize,
    inputs: usize,
    outputs: usize,
}

impl Sizes {
    fn of(x: &FlexTensor, weight: &FlexTensor) -> Self {
        let (rows, shape) = (x.layout().shape(), weight.layout().shape());
        Self {
            n: rows[0],
            inputs: shape[0],
            outputs: shape[1],
        }
    }
}

#[derive(Debug)]
struct Full;

#[derive(Debug, Clone)]
struct State {
    /// Kept if the weight is tracked.
    x: Option<FlexTensor>,
    weight: FlexTensor,
    sizes: Sizes,
}

impl Backward<Flex, 2> for Full {
    type State = State;

    fn backward(self, ops: Ops<State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [x_node, weight_node] = ops.parents.map(|parent| parent.map(|node| node.id));
        let State { x, weight, sizes } = ops.state;
        let Sizes { n, inputs, outputs } = sizes;
        if x_node.is_some() {
            let weight = Matrix::new(elements(&weight), [inputs, outputs]);
            let out = many_rows(elements(&grad), weight.turned());
            register(grads, x_node, out, &[n, inputs]);
        }
        if let (Some(x), true) = (x, weight_node.is_some()) {
            let made = products(&[Product {
                left: elements(&x),
                l: matrix(n, inputs),
                right: elements(&grad),
                r: matrix(n, outputs),
            }]);
            for made in made {
                register(grads, weight_node, made, &[inputs, outputs]);
            }
        }
    }
}

#[derive(Debug)]
struct Packed;

#[derive(Debug, Clone)]
struct PackedState {
    packed: Arc<PackedWeight>,
    n: usize,
}

impl Backward<Flex, 1> for Packed {
    type State = PackedState;

    fn backward(self, ops: Ops<PackedState, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [node] = ops.parents.map(|parent| parent.map(|node| node.id));
        let PackedState { packed, n } = ops.state;
        if node.is_some() {
            let [inputs, _] = packed.shape();
            register(grads, node, packed.transposed_product(elements(&grad)), &[n, inputs]);
        }
    }
}
