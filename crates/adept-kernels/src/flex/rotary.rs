//! Rotary positions: one pass over queries or keys, in place if their storage is not shared. The backward pass rotates
//! the gradient the other way, and needs only the angles.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::blocks;
use super::bridge::{
    Route, Rows, contiguous, elements, elements_mut, from_plain, from_tracked, in_rows, plain, tensor, tracked,
};
use super::rows::fast;
use crate::{RotaryAngles, RotaryPairs};

/// Approximate number of elements per task.
const PART: usize = 16 * 1024;
/// Cost of an element, in multiplications.
const COST: usize = 2;

pub(crate) fn rotary<B: Backend>(
    route: Route,
    x: Tensor<B, 3>,
    heads: usize,
    angles: &RotaryAngles<B>,
    pairs: RotaryPairs,
) -> Tensor<B, 3> {
    let [cos, sin] = [angles.cos.clone(), angles.sin.clone()];
    assert_eq!(cos.dims(), sin.dims(), "rotary: cosines and sines differ in shape");
    assert_eq!(
        cos.dims()[..2],
        x.dims()[..2],
        "rotary: the angles are not those of the slots"
    );
    if route == Route::Plain {
        let [cos, sin] = [cos, sin].map(|part| contiguous(plain(part)));
        return from_plain(Turn { cos, sin, heads, pairs }.apply(plain(x), 1.0));
    }
    let [cos, sin] = [cos, sin].map(|part| contiguous(tracked(part).primitive));
    let (turn, x) = (Turn { cos, sin, heads, pairs }, tracked(x));
    let prepared = Rotary.prepare::<NoCheckpointing>([x.node]).compute_bound();
    let out = turn.apply(x.primitive, 1.0);
    from_tracked::<B, 3>(match prepared.stateful() {
        OpsKind::Tracked(step) => step.finish(turn, out),
        OpsKind::UnTracked(step) => step.finish(out),
    })
}

#[derive(Debug)]
struct Rotary;

/// Angles `[b, n, p]`, and the channels that they rotate.
#[derive(Debug, Clone)]
struct Turn {
    cos: FlexTensor,
    sin: FlexTensor,
    heads: usize,
    pairs: RotaryPairs,
}

impl Backward<Flex, 1> for Rotary {
    type State = Turn;

    fn backward(self, ops: Ops<Turn, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let [parent] = ops.parents;
        if let Some(node) = parent {
            grads.register::<Flex>(node.id, ops.state.apply(grad, -1.0));
        }
    }
}

impl Turn {
    /// Rotates `x` `[b, n, h·c]`, by the negative angles if `sign` is −1.
    fn apply(&self, mut x: FlexTensor, sign: f32) -> FlexTensor {
        let shape = x.layout().shape();
        let [b, n, inner] = [shape[0], shape[1], shape[2]];
        if x.is_unique() && x.is_contiguous() {
            self.run(elements_mut(&mut x), None, [b, n, inner], sign);
            return x;
        }
        let x = in_rows(x);
        let mut out = vec![0.0; b * n * inner];
        self.run(&mut out, Some(Rows::of(&x)), [b, n, inner], sign);
        tensor(out, [b, n, inner])
    }

    /// Rotates the slots of `out`, after copying them from `source`, if given.
    fn run(&self, out: &mut [f32], source: Option<Rows<'_>>, [b, n, inner]: [usize; 3], sign: f32) {
        let (cos, sin) = (elements(&self.cos), elements(&self.sin));
        let p = cos.len() / (b * n).max(1);
        let rows = (PART / inner).max(1);
        let tasks = out.chunks_mut(rows * inner).enumerate().collect();
        blocks::run(tasks, b * n * inner * COST, |(part, out): (usize, &mut [f32])| {
            if let Some(source) = source {
                for (i, slot) in out.chunks_exact_mut(inner).enumerate() {
                    let (row, at) = ((part * rows + i) / n, (part * rows + i) % n);
                    let start = source.start + row * source.batch + at * source.row;
                    slot.copy_from_slice(&source.values[start..][..inner]);
                }
            }
            let angles = part * rows * p..;
            let (cos, sin) = (&cos[angles.clone()], &sin[angles]);
            fast(
                #[inline(always)]
                || {
                    for (i, slot) in out.chunks_exact_mut(inner).enumerate() {
                        let (cos, sin) = (&cos[i * p..][..p], &sin[i * p..][..p]);
                        for head in slot.chunks_exact_mut(inner / self.heads) {
                            match self.pairs {
                                RotaryPairs::Halves => halves(&mut head[..2 * p], cos, sin, sign),
                                RotaryPairs::Neighbours => neighbours(&mut head[..2 * p], cos, sin, sign),
                            }
                        }
                    }
                },
            );
        });
    }
}

#[inline(always)]
fn halves(channels: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    let (first, second) = channels.split_at_mut(cos.len());
    for ((x, y), (cos, sin)) in first.iter_mut().zip(second).zip(cos.iter().zip(sin)) {
        let sin = sign * sin;
        (*x, *y) = (*x * cos - *y * sin, *y * cos + *x * sin);
    }
}

#[inline(always)]
fn neighbours(channels: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
    for (pair, (cos, sin)) in channels.chunks_exact_mut(2).zip(cos.iter().zip(sin)) {
        let (x, y, sin) = (pair[0], pair[1], sign * sin);
        pair[0] = x * cos - y * sin;
        pair[1] = y * cos + x * sin;
    }
}
