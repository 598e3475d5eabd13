//! The attention sublayer in one pass over the batch: norm, projections, attention, output map and residual for a few
//! batch rows at a time. Self-attention projects queries, keys and values with one product; cross-attention projects
//! queries and reads concatenated keys and values from the memory.

mod backward;

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{Tensor, backend::Backend};
use burn_flex::{Flex, FlexTensor};

use super::blocks::{self, Weights, matrix, units_a_task};
use super::bridge::{Route, Tracked, contiguous, elements, from_plain, from_tracked, plain, tensor, tracked};
use super::heads::{Bias, Heads, Row, Side, Softmax};
use super::matmul::multiply;
use super::norm::norm_rows;
use super::pool::{Buffer, buffer};
use super::rows::fast;
use crate::AttentionBias;
use crate::sublayer::AttentionWeights;

/// Self-attention over `x` `[b, n, d]` or, given a memory `[b, k, 2·h·c]`, cross-attention, where `x` may have several
/// rows per memory row. `weights.inputs` are the query, key and value maps, or only the query map.
pub(crate) fn attention_layer<B: Backend>(
    route: Route,
    x: Tensor<B, 3>,
    weights: AttentionWeights<B>,
    memory: Option<Tensor<B, 3>>,
    heads: usize,
    bias: &AttentionBias<B>,
    eps: f32,
) -> Tensor<B, 3> {
    let [rows, n, _] = x.dims();
    let inner = weights.output.dims()[0];
    let [b, k] = memory
        .as_ref()
        .map_or([rows, n], |memory| [memory.dims()[0], memory.dims()[1]]);
    let shape = Heads {
        q: rows * n / b,
        k,
        heads,
        groups: heads,
        channels: inner / heads,
    };
    let (position, mask) = (bias.bias.clone(), bias.mask.clone());
    if let Some(position) = &position {
        assert_eq!(
            position.dims(),
            [1, heads, shape.q, k],
            "attention: the position bias has the wrong shape"
        );
    }
    if let Some(mask) = &mask {
        assert_eq!(mask.dims(), [b, k], "attention: the key mask has the wrong shape");
    }
    assert_eq!(
        bias.past, None,
        "attention: a layer's causal mask is part of its position bias"
    );
    let AttentionWeights { norm, inputs, output } = weights;
    let settings = Settings {
        shape,
        b,
        eps,
        maps: inputs.len(),
        memory: memory.is_some(),
        biased: position.is_some(),
    };
    if route == Route::Plain {
        let mask = mask.map(|mask| contiguous(plain(mask)));
        let parts: Vec<FlexTensor> = [plain(x), plain(norm), plain(output)]
            .into_iter()
            .chain(inputs.into_iter().map(plain))
            .chain(memory.map(plain))
            .chain(position.map(plain))
            .map(contiguous)
            .collect();
        return from_plain(State::new(&parts, mask, settings).forward().0);
    }
    let mask = mask.map(|mask| contiguous(tracked(mask).primitive));
    let parents: Vec<Tracked> = [tracked(x), tracked(norm), tracked(output)]
        .into_iter()
        .chain(inputs.into_iter().map(tracked))
        .chain(memory.map(tracked))
        .chain(position.map(tracked))
        .collect();
    fn sized<const N: usize>(parents: Vec<Tracked>) -> [Tracked; N] {
        <[Tracked; N]>::try_from(parents).expect("the length was just matched")
    }
    from_tracked(match parents.len() {
        5 => finish::<5>(sized(parents), mask, settings),
        6 => finish::<6>(sized(parents), mask, settings),
        7 => finish::<7>(sized(parents), mask, settings),
        other => unreachable!("{other} parents: x, norm, output, one or three maps, memory or bias or neither"),
    })
}

/// Runs the tracked forward pass; the parents are x, the norm, the output map, the input maps, the memory and the bias.
fn finish<const N: usize>(parents: [Tracked; N], mask: Option<FlexTensor>, settings: Settings) -> Tracked {
    let nodes = parents.each_ref().map(|parent| parent.node.clone());
    let parts = parents.map(|parent| contiguous(parent.primitive));
    let mut state = State::new(&parts, mask, settings);
    let (out, kept) = state.forward();
    let prepared = <AttentionLayer as Backward<Flex, N>>::prepare::<NoCheckpointing>(AttentionLayer, nodes);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            state.kept = Some(Arc::new(kept));
            step.finish(state, out)
        }
        OpsKind::UnTracked(step) => step.finish(out),
    }
}

#[derive(Debug)]
struct AttentionLayer;

#[derive(Debug, Clone, Copy)]
struct Settings {
    shape: Heads,
    b: usize,
    eps: f32,
    /// Number of input maps: three, or one with a memory.
    maps: usize,
    memory: bool,
    biased: bool,
}

#[derive(Debug, Clone)]
struct State {
    settings: Settings,
    x: FlexTensor,
    norm: FlexTensor,
    output: FlexTensor,
    input: Arc<Weights>,
    memory: Option<FlexTensor>,
    bias: Option<FlexTensor>,
    mask: Option<FlexTensor>,
    kept: Option<Arc<Kept>>,
}

/// Saved for every row: the normed input `[n, d]`, the norm's scale factor, the projections `[n, maps·h·c]`, the
/// context `[n, h·c]` and the softmax parameters of each head.
#[derive(Debug)]
struct Kept {
    normed: Buffer,
    inverse: Buffer,
    projected: Buffer,
    context: Buffer,
    softmax: Vec<Softmax>,
}

/// The batch rows of one task.
struct Task<'a> {
    first: usize,
    x: &'a [f32],
    out: &'a mut [f32],
    normed: &'a mut [f32],
    inverse: &'a mut [f32],
    projected: &'a mut [f32],
    context: &'a mut [f32],
    softmax: &'a mut [Softmax],
}

impl State {
    fn new(parts: &[FlexTensor], mask: Option<FlexTensor>, settings: Settings) -> Self {
        let [x, norm, output, rest @ ..] = parts else {
            unreachable!("x, the norm and the output map are always there")
        };
        let (inputs, rest) = rest.split_at(settings.maps);
        let mut rest = rest.iter();
        Self {
            settings,
            x: x.clone(),
            norm: norm.clone(),
            output: output.clone(),
            input: Arc::new(Weights::new(&inputs.iter().collect::<Vec<_>>())),
            memory: rest.next_if_set(settings.memory),
            bias: rest.next_if_set(settings.biased),
            mask,
            kept: None,
        }
    }

    fn d(&self) -> usize {
        elements(&self.norm).len()
    }

    /// Batch rows per task.
    fn units(&self) -> usize {
        units_a_task(self.settings.b, self.settings.shape.q)
    }

    fn work(&self) -> usize {
        let Settings { shape, b, .. } = self.settings;
        b * shape.q * (self.d() * (self.input.columns() + shape.inner()) + 2 * shape.k * shape.inner())
    }

    /// The attention inputs of batch row `i`, given its projections.
    fn row<'a>(&'a self, i: usize, projected: &'a [f32]) -> Row<'a> {
        let Heads { k, .. } = self.settings.shape;
        let (inner, wide) = (self.settings.shape.inner(), self.input.columns());
        let own = |start| Side {
            values: projected,
            start,
            stride: wide,
        };
        let (key, value) = match &self.memory {
            Some(memory) => {
                let values = &elements(memory)[i * k * 2 * inner..][..k * 2 * inner];
                let side = |start| Side {
                    values,
                    start,
                    stride: 2 * inner,
                };
                (side(0), side(inner))
            }
            None => (own(inner), own(2 * inner)),
        };
        Row {
            query: own(0),
            key,
            value,
            bias: self.bias.as_ref().map(|bias| Bias {
                values: elements(bias),
                queries: self.settings.shape.q,
                keys: k,
            }),
            mask: self.mask.as_ref().map(|mask| &elements(mask)[i * k..][..k]),
            past: None,
        }
    }

    fn forward(&self) -> (FlexTensor, Kept) {
        let Settings { shape, b, eps, .. } = self.settings;
        let (d, inner, wide, units) = (self.d(), shape.inner(), self.input.columns(), self.units());
        let (n, rows) = (b * shape.q, units * shape.q);
        // Residual connection: the product is accumulated onto it.
        let mut out = elements(&self.x).to_vec();
        let mut kept = Kept {
            normed: buffer(n * d),
            inverse: buffer(n),
            projected: buffer(n * wide),
            context: buffer(n * inner),
            softmax: vec![Softmax::default(); n * shape.heads],
        };
        let tasks: Vec<_> = out
            .chunks_mut(rows * d)
            .zip(elements(&self.x).chunks(rows * d))
            .zip(kept.normed.chunks_mut(rows * d))
            .zip(kept.inverse.chunks_mut(rows))
            .zip(kept.projected.chunks_mut(rows * wide))
            .zip(kept.context.chunks_mut(rows * inner))
            .zip(kept.softmax.chunks_mut(rows * shape.heads))
            .enumerate()
            .map(
                |(i, ((((((out, x), normed), inverse), projected), context), softmax))| Task {
                    first: i * units,
                    x,
                    out,
                    normed,
                    inverse,
                    projected,
                    context,
                    softmax,
                },
            )
            .collect();
        let (norm, output) = (elements(&self.norm), elements(&self.output));
        blocks::run(tasks, self.work(), |task| {
            let n = task.inverse.len();
            fast(
                #[inline(always)]
                || norm_rows(task.x, norm, eps, task.normed, task.inverse),
            );
            let weights = (self.input.values(), self.input.view());
            multiply(
                task.projected,
                matrix(n, wide),
                task.normed,
                matrix(n, d),
                weights.0,
                weights.1,
                false,
            );
            let contexts = task.context.chunks_exact_mut(shape.q * inner);
            let softmax = task.softmax.chunks_exact_mut(shape.q * shape.heads);
            let projected = task.projected.chunks_exact(shape.q * wide);
            for (i, ((context, softmax), projected)) in contexts.zip(softmax).zip(projected).enumerate() {
                self.row(task.first + i, projected).forward(shape, context, softmax);
            }
            multiply(
                task.out,
                matrix(n, d),
                task.context,
                matrix(n, inner),
                output,
                matrix(inner, d),
                true,
            );
        });
        (tensor(out, self.x.layout().shape().clone()), kept)
    }
}

/// Takes the next part if the settings include it.
trait NextIfSet {
    fn next_if_set(&mut self, set: bool) -> Option<FlexTensor>;
}

impl<'a, I: Iterator<Item = &'a FlexTensor>> NextIfSet for I {
    fn next_if_set(&mut self, set: bool) -> Option<FlexTensor> {
        if set { self.next().cloned() } else { None }
    }
}

impl<const N: usize> Backward<Flex, N> for AttentionLayer {
    type State = State;

    fn backward(self, ops: Ops<State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        ops.state.backward(grad, &parents, grads);
    }
}
