//! Moves rows between a padded batch and its visible slots ([`crate::Segments`]).

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::bridge::{Route, Rows, contiguous, elements, from_plain, from_tracked, plain, tensor, tracked};
use super::pool::{Buffer, buffer};
use crate::Segments;
use crate::segments::Part;

/// A move, or the way back of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// `[b, n, d]` to `[1, t, d]`; shared slots are taken from the first row.
    Compact,
    /// The way back of `Compact`: zeros wherever nothing was taken.
    Scatter,
    /// `[1, t, d]` to `[b, n, d]`; shared slots go to every row.
    Pad,
    /// The way back of `Pad`: shared slots are summed over the rows, in their order.
    Gather,
}

impl Move {
    fn back(self) -> Self {
        match self {
            Self::Compact => Self::Scatter,
            Self::Scatter => Self::Compact,
            Self::Pad => Self::Gather,
            Self::Gather => Self::Pad,
        }
    }

    fn of(self, x: &FlexTensor, segments: &Segments) -> FlexTensor {
        let d = x.layout().shape()[2];
        let narrows = matches!(self, Self::Compact | Self::Gather);
        let shape = match narrows {
            true => [1, segments.total(), d],
            false => [segments.batch(), segments.width(), d],
        };
        let (values, mut out) = (elements(x), vec![0.0; shape.iter().product()]);
        for (wide, narrow, length) in segments.runs(matches!(self, Self::Pad | Self::Gather)) {
            let (from, to) = if narrows { (wide, narrow) } else { (narrow, wide) };
            let (from, to) = (&values[from * d..][..length * d], &mut out[to * d..][..length * d]);
            match self {
                Self::Gather => add(to, from),
                _ => to.copy_from_slice(from),
            }
        }
        tensor(out, shape)
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

pub(crate) fn move_rows<B: Backend>(route: Route, x: Tensor<B, 3>, segments: &Segments, how: Move) -> Tensor<B, 3> {
    if route == Route::Plain {
        return from_plain(how.of(&contiguous(plain(x)), segments));
    }
    let x = tracked(x);
    let nodes = [x.node.clone()];
    let out = how.of(&contiguous(x.primitive), segments);
    let prepared = MoveRows.prepare::<NoCheckpointing>(nodes).compute_bound();
    from_tracked(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish((segments.clone(), how), out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

#[derive(Debug)]
struct MoveRows;

impl Backward<Flex, 1> for MoveRows {
    type State = (Segments, Move);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let [node] = ops.parents.map(|parent| parent.map(|node| node.id));
        let (segments, how) = ops.state;
        if let Some(id) = node {
            grads.register::<Flex>(id, how.back().of(&grad, &segments));
        }
    }
}

/// Keys or values `[1, t, w]`, with rows at any stride, such that each part of the segments has all of its own: the
/// shared ones are copied in front of every row's.
pub(super) fn spread(x: &FlexTensor, parts: &[Part]) -> Buffer {
    let (rows, w) = (Rows::of(x), x.layout().shape()[2]);
    let mut out = buffer(parts.iter().map(|part| part.keys).sum::<usize>() * w);
    let mut places = out.chunks_exact_mut(w);
    let slot = |slot: usize| &rows.values[rows.start + slot * rows.row..][..w];
    for part in parts {
        let own = part.query..part.query + part.queries;
        let slots = (0..part.keys - part.queries).chain(own);
        // Slots first: a zip whose first part has ended takes nothing of the second.
        for (from, place) in slots.zip(places.by_ref()) {
            place.copy_from_slice(slot(from));
        }
    }
    out
}

/// The way back of [`spread`] for `[Σ keys, w]`: `[t, w]`, shared slots summed over the parts, in their order.
pub(super) fn gathered(spread: &[f32], parts: &[Part], slots: usize, w: usize) -> Vec<f32> {
    let mut out = vec![0.0; slots * w];
    for part in parts {
        let (shared, own) = (part.keys - part.queries, &spread[part.key * w..]);
        add(&mut out[..shared * w], &own[..shared * w]);
        add(
            &mut out[part.query * w..][..part.queries * w],
            &own[shared * w..][..part.queries * w],
        );
    }
    out
}
