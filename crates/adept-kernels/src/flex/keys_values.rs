//! Keys and values of a memory, concatenated as `[b, k, 2·h·c]`: one product for both, and one for their gradients.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::blocks::{self, Weights, matrix, register, units_a_task};
use super::bridge::{Route, contiguous, elements, from_plain, from_tracked, plain, tensor, tracked};
use super::matmul::{Product, View, multiply, products};

pub(crate) fn keys_values<B: Backend>(
    route: Route,
    states: Tensor<B, 3>,
    key: Tensor<B, 2>,
    value: Tensor<B, 2>,
) -> Tensor<B, 3> {
    if route == Route::Plain {
        let [key, value] = [key, value].map(|weight| contiguous(plain(weight)));
        return from_plain(State::new(contiguous(plain(states)), [&key, &value]).forward());
    }
    let parents = [tracked(states), tracked(key), tracked(value)];
    let nodes = parents.each_ref().map(|parent| parent.node.clone());
    let [states, key, value] = parents.map(|parent| contiguous(parent.primitive));
    let state = State::new(states, [&key, &value]);
    let out = state.forward();
    let prepared = KeysValues.prepare::<NoCheckpointing>(nodes).compute_bound();
    from_tracked(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(state, out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

#[derive(Debug)]
struct KeysValues;

#[derive(Debug, Clone)]
struct State {
    states: FlexTensor,
    weights: Arc<Weights>,
}

impl State {
    fn new(states: FlexTensor, weights: [&FlexTensor; 2]) -> Self {
        Self {
            states,
            weights: Arc::new(Weights::new(&weights)),
        }
    }

    /// Number of rows, their width, columns of both maps, rows per task.
    fn sizes(&self) -> [usize; 4] {
        let shape = self.states.layout().shape();
        let n = shape[0] * shape[1];
        [n, shape[2], self.weights.columns(), units_a_task(n, 1)]
    }

    fn forward(&self) -> FlexTensor {
        let [n, d, wide, rows] = self.sizes();
        let mut out = vec![0.0; n * wide];
        let tasks = out
            .chunks_mut(rows * wide)
            .zip(elements(&self.states).chunks(rows * d))
            .collect();
        blocks::run(tasks, n * d * wide, |(out, states)| {
            let n = states.len() / d;
            multiply(
                out,
                matrix(n, wide),
                states,
                matrix(n, d),
                self.weights.values(),
                self.weights.view(),
                false,
            );
        });
        let shape = self.states.layout().shape();
        tensor(out, [shape[0], shape[1], wide])
    }
}

impl Backward<Flex, 3> for KeysValues {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [states_node, maps @ ..] = ops.parents.map(|parent| parent.map(|node| node.id));
        let state = ops.state;
        let [n, d, wide, rows] = state.sizes();
        let values = elements(&grad);
        if let Some(id) = states_node {
            let mut out = vec![0.0; n * d];
            let weights = state.weights.transposed();
            let tasks = out.chunks_mut(rows * d).zip(values.chunks(rows * wide)).collect();
            blocks::run(tasks, n * d * wide, |(out, grad)| {
                let n = out.len() / d;
                let (values, view) = (weights.values(), weights.view());
                multiply(out, matrix(n, d), grad, matrix(n, wide), values, view, false);
            });
            grads.register::<Flex>(id, tensor(out, state.states.layout().shape().clone()));
        }
        let half = wide / 2;
        let list: Vec<_> = maps
            .iter()
            .enumerate()
            .filter(|(_, map)| map.is_some())
            .map(|(i, _)| Product {
                left: elements(&state.states),
                l: matrix(n, d),
                right: values,
                r: View::rows(i * half, n, half, wide),
            })
            .collect();
        for (map, made) in maps.into_iter().filter(Option::is_some).zip(products(&list)) {
            register(grads, map, made, &[d, half]);
        }
    }
}
