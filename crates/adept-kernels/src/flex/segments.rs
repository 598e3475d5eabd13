//! Moves rows between a padded batch and its visible slots ([`crate::Segments`]).

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::bridge::{Route, contiguous, elements, from_plain, from_tracked, plain, tensor, tracked};
use crate::Segments;

/// `[b, n, d]` to `[1, t, d]` (`compact`), or back.
pub(crate) fn move_rows<B: Backend>(route: Route, x: Tensor<B, 3>, segments: &Segments, compact: bool) -> Tensor<B, 3> {
    if route == Route::Plain {
        return from_plain(moved(&contiguous(plain(x)), segments, compact));
    }
    let x = tracked(x);
    let nodes = [x.node.clone()];
    let out = moved(&contiguous(x.primitive), segments, compact);
    let prepared = MoveRows.prepare::<NoCheckpointing>(nodes).compute_bound();
    from_tracked(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish((segments.clone(), compact), out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

fn moved(x: &FlexTensor, segments: &Segments, compact: bool) -> FlexTensor {
    let d = x.layout().shape()[2];
    let shape = match compact {
        true => [1, segments.total(), d],
        false => [segments.lengths().count(), segments.width(), d],
    };
    let (values, mut out) = (elements(x), vec![0.0; shape.iter().product()]);
    for (wide, narrow, length) in segments.places() {
        let (from, to) = if compact { (wide, narrow) } else { (narrow, wide) };
        out[to * d..][..length * d].copy_from_slice(&values[from * d..][..length * d]);
    }
    tensor(out, shape)
}

#[derive(Debug)]
struct MoveRows;

impl Backward<Flex, 1> for MoveRows {
    type State = (Segments, bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [node] = ops.parents.map(|parent| parent.map(|node| node.id));
        let (segments, compact) = ops.state;
        if let Some(id) = node {
            grads.register::<Flex>(id, moved(&grad, &segments, !compact));
        }
    }
}
