//! Embedding look-up. The backward pass accumulates rows into a gradient that the weight already has — from a tied head
//! or another look-up in the same table — instead of creating a second matrix of zeros and adding the two.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Int, Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::bridge::{
    Route, Tracked, contiguous, elements, elements_mut, from_plain, from_tracked, plain, tensor, tracked,
};
use super::table::Table;
use crate::Map;

pub(crate) fn embedding<B: Backend>(route: Route, table: Map<B>, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
    let [b, n] = ids.dims();
    let ids: Vec<usize> = ids.into_data().iter::<i64>().map(|id| id as usize).collect();
    let packed = table.packed();
    if route == Route::Plain {
        return from_plain(look_up(&Table::of(plain(table.kept), packed), &ids, [b, n]));
    }
    let weight = tracked(table.kept);
    let out = look_up(&Table::of(weight.primitive.clone(), packed), &ids, [b, n]);
    let prepared = Embedding
        .prepare::<NoCheckpointing>([weight.node.clone()])
        .compute_bound();
    from_tracked::<B, 3>(match prepared.stateful() {
        OpsKind::Tracked(step) => {
            let shape = weight.primitive.layout().shape();
            let shape = [shape[0], shape[1]];
            // Only the gradient's id is needed: keeping the values would force the optimiser to copy them.
            let mut weight = weight;
            weight.primitive = tensor(Vec::new(), [0]);
            step.finish(State { weight, shape, ids }, out)
        }
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

#[derive(Debug)]
struct Embedding;

#[derive(Debug, Clone)]
struct State {
    weight: Tracked,
    shape: [usize; 2],
    ids: Vec<usize>,
}

fn look_up(table: &Table, ids: &[usize], [b, n]: [usize; 2]) -> FlexTensor {
    let [v, d] = table.shape();
    let mut room = None;
    let mut out = Vec::with_capacity(ids.len() * d);
    for &id in ids {
        assert!(id < v, "embedding: id {id} in a table of {v} rows");
        out.extend_from_slice(table.rows(id..id + 1, &mut room));
    }
    tensor(out, [b, n, d])
}

impl Backward<Flex, 1> for Embedding {
    type State = State;

    fn backward(self, ops: Ops<State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [parent] = ops.parents;
        let Some(node) = parent else { return };
        let State {
            weight,
            shape: [v, d],
            ids,
        } = ops.state;
        let mut total = match grads.remove::<Flex>(&weight) {
            Some(total) => contiguous(total),
            None => tensor(vec![0.0; v * d], [v, d]),
        };
        let rows = elements_mut(&mut total);
        for (&id, grad) in ids.iter().zip(elements(&grad).chunks_exact(d)) {
            let row = &mut rows[id * d..][..d];
            row.iter_mut().zip(grad).for_each(|(total, grad)| *total += grad);
        }
        grads.register::<Flex>(node.id, total);
    }
}
