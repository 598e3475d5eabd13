//! Benchmarks the building blocks of decoder-only models, fused and composed of burn's operations, on the flex backend.
//!
//! `cargo run --release -p adept-kernels --features flex --example decoder_kernels [WORD]` prints, for each case whose
//! name contains WORD, the median time of several runs in milliseconds: first forward only, then forward and backward
//! with only the input tracked, as when adapting a frozen model. The two forms alternate, so that both are exposed to
//! the same noise.
#![allow(clippy::print_stdout, missing_docs)]

use std::time::Instant;

use adept_kernels::{
    AttentionBias, RotaryAngles, RotaryPairs, attention, gated_silu, gelu_tanh, layer_norm, rotary, sublayer,
};
use burn::backend::Autodiff;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Bool, Distribution, Tensor, backend::Backend};
use burn_flex::Flex;

type Tracked = Autodiff<Flex>;

fn random<B: Backend, const D: usize>(shape: [usize; D]) -> Tensor<B, D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Default::default())
}

mod composed {
    use super::*;

    pub fn gelu_tanh<B: Backend>(x: Tensor<B, 3>) -> Tensor<B, 3> {
        let inner = (x.clone() * x.clone()).mul_scalar(0.044715).add_scalar(1.0) * x.clone();
        x * sigmoid(inner.mul_scalar(1.595_769_121_605_730_7))
    }

    pub fn gated_silu<B: Backend>(gate: Tensor<B, 3>, up: Tensor<B, 3>) -> Tensor<B, 3> {
        gate.clone() * sigmoid(gate) * up
    }

    pub fn layer_norm<B: Backend>(x: Tensor<B, 3>, weight: Tensor<B, 1>, bias: Tensor<B, 1>) -> Tensor<B, 3> {
        let centred = x.clone() - x.mean_dim(2);
        let variance = (centred.clone() * centred.clone()).mean_dim(2);
        centred * variance.add_scalar(1e-5).sqrt().recip() * weight.unsqueeze() + bias.unsqueeze()
    }

    pub fn rotary<B: Backend>(
        x: Tensor<B, 3>,
        heads: usize,
        angles: &RotaryAngles<B>,
        pairs: RotaryPairs,
    ) -> Tensor<B, 3> {
        let [b, n, inner] = x.dims();
        let (c, p) = (inner / heads, angles.cos.dims()[2]);
        let x = x.reshape([b, n, heads, c]);
        let turned = x.clone().slice([0..b, 0..n, 0..heads, 0..2 * p]);
        let (shape, axis) = match pairs {
            RotaryPairs::Halves => ([b, n, heads, 2, p], 3),
            RotaryPairs::Neighbours => ([b, n, heads, p, 2], 4),
        };
        let paired = turned.reshape(shape);
        let [first, second] = [0, 1].map(|place| paired.clone().narrow(axis, place, 1).reshape([b, n, heads, p]));
        let [cos, sin] = [&angles.cos, &angles.sin].map(|part| part.clone().reshape([b, n, 1, p]));
        let left = first.clone() * cos.clone() - second.clone() * sin.clone();
        let right = second * cos + first * sin;
        let turned = Tensor::stack::<5>(vec![left, right], axis).reshape([b, n, heads, 2 * p]);
        Tensor::cat(vec![turned, x.slice([0..b, 0..n, 0..heads, 2 * p..c])], 3).reshape([b, n, inner])
    }

    /// `added` is `[b, 1, q, k]`.
    pub fn attention<B: Backend>(
        [query, key, value]: [Tensor<B, 3>; 3],
        heads: usize,
        added: Tensor<B, 4>,
    ) -> Tensor<B, 3> {
        let [b, q, inner] = query.dims();
        let [_, k, narrow] = key.dims();
        let (c, groups) = (inner / heads, narrow * heads / inner);
        let every = |x: Tensor<B, 3>| match groups == heads {
            true => x,
            false => x
                .reshape([b, k, groups, 1, c])
                .repeat_dim(3, heads / groups)
                .reshape([b, k, inner]),
        };
        let split = |x: Tensor<B, 3>| {
            let [b, n, _] = x.dims();
            x.reshape([b, n, heads, c]).swap_dims(1, 2)
        };
        let scores = split(query).matmul(split(every(key)).swap_dims(2, 3)) + added;
        softmax(scores, 3)
            .matmul(split(every(value)))
            .swap_dims(1, 2)
            .reshape([b, q, inner])
    }
}

/// Median times of several alternating runs of both forms.
fn medians(mut forms: [&mut dyn FnMut(); 2]) -> [f64; 2] {
    forms.iter_mut().for_each(|form| form());
    let mut times = [Vec::new(), Vec::new()];
    let start = Instant::now();
    while times[0].len() < 5 || (start.elapsed().as_secs_f64() < 2.0 && times[0].len() < 201) {
        for (times, form) in times.iter_mut().zip(&mut forms) {
            let start = Instant::now();
            form();
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

type Form<'a, B, const N: usize> = &'a dyn Fn([Tensor<B, 3>; N]) -> Tensor<B, 3>;

/// Runs one case in both forms. Inputs are recomputed for each run as `x + 0`, like the products that precede a kernel
/// in a model; that time is measured and subtracted.
fn case<const N: usize>(
    name: &str,
    shapes: [[usize; 3]; N],
    fused: Form<'_, Flex, N>,
    composed: Form<'_, Flex, N>,
    tracked: Option<[Form<'_, Tracked, N>; 2]>,
) {
    if !std::env::args().nth(1).is_none_or(|word| name.contains(&word)) {
        return;
    }
    let inputs = shapes.map(random::<Flex, 3>);
    let made = || inputs.clone().map(|x| x.add_scalar(0.0));
    let [own, _] = medians([&mut || drop(made()), &mut || ()]);
    let [f, c] = medians([&mut || drop(fused(made())), &mut || drop(composed(made()))]);
    print!(
        "{name:44} forward {:9.3} composed {:9.3} ({:5.1}x)",
        f - own,
        c - own,
        (c - own) / (f - own)
    );
    if let Some([fused, composed]) = tracked {
        let inputs = shapes.map(|shape| random::<Tracked, 3>(shape).require_grad());
        let made = || inputs.clone().map(|x| x.add_scalar(0.0));
        let sum = |out: Tensor<Tracked, 3>| drop(out.sum().backward());
        let [own, _] = medians([&mut || made().into_iter().for_each(sum), &mut || ()]);
        let [f, c] = medians([&mut || sum(fused(made())), &mut || sum(composed(made()))]);
        print!(
            "   with backward {:9.3} composed {:9.3} ({:5.1}x)",
            f - own,
            c - own,
            (c - own) / (f - own)
        );
    }
    println!();
}

fn row_by_row() {
    for [b, n, f] in [[4, 512, 4096], [8, 1, 4096]] {
        let shape = [b, n, f];
        case(
            &format!("gelu {shape:?}"),
            [shape],
            &|[x]| gelu_tanh(x),
            &|[x]| composed::gelu_tanh(x),
            Some([&|[x]| gelu_tanh(x), &|[x]| composed::gelu_tanh(x)]),
        );
        case(
            &format!("gated silu {shape:?}"),
            [shape; 2],
            &|[gate, up]| gated_silu(gate, up),
            &|[gate, up]| composed::gated_silu(gate, up),
            Some([&|[gate, up]| gated_silu(gate, up), &|[gate, up]| {
                composed::gated_silu(gate, up)
            }]),
        );
    }
    for shape in [[4, 512, 1024], [8, 1, 1024]] {
        let [weight, bias] = [(); 2].map(|()| random::<Flex, 1>([1024]));
        let [w, v] = [&weight, &bias].map(|x| Tensor::<Tracked, 1>::from_inner(x.clone()));
        case(
            &format!("layer norm {shape:?}"),
            [shape],
            &|[x]| layer_norm(x, weight.clone(), bias.clone(), 1e-5),
            &|[x]| composed::layer_norm(x, weight.clone(), bias.clone()),
            Some([&|[x]| layer_norm(x, w.clone(), v.clone(), 1e-5), &|[x]| {
                composed::layer_norm(x, w.clone(), v.clone())
            }]),
        );
        for (pairs, p) in [(RotaryPairs::Halves, 32), (RotaryPairs::Neighbours, 16)] {
            let [b, n, _] = shape;
            let angles = RotaryAngles {
                cos: random::<Flex, 3>([b, n, p]),
                sin: random([b, n, p]),
            };
            let tracked = RotaryAngles {
                cos: Tensor::<Tracked, 3>::from_inner(angles.cos.clone()),
                sin: Tensor::from_inner(angles.sin.clone()),
            };
            case(
                &format!("rotary {pairs:?} {shape:?}"),
                [shape],
                &|[x]| rotary(x, 16, &angles, pairs),
                &|[x]| composed::rotary(x, 16, &angles, pairs),
                Some([&|[x]| rotary(x, 16, &tracked, pairs), &|[x]| {
                    composed::rotary(x, 16, &tracked, pairs)
                }]),
            );
        }
    }
}

/// A mask that hides nothing.
fn all<B: Backend>(b: usize, k: usize) -> Tensor<B, 2, Bool> {
    Tensor::<B, 2>::ones([b, k], &Default::default()).bool()
}

fn attentions() {
    let sizes = [
        (4, 512, 0, 16, 16),
        (4, 512, 0, 16, 4),
        (4, 128, 0, 16, 16),
        (1, 128, 0, 16, 16),
        (1, 128, 896, 16, 16),
        (1, 1, 1023, 16, 16),
        (8, 1, 1023, 16, 16),
        (8, 1, 1023, 32, 8),
        (8, 1, 127, 16, 16),
    ];
    for (b, q, past, heads, groups) in sizes {
        let (c, k) = (64, past + q);
        let keys = [b, k, groups * c];
        let bias = AttentionBias::<Flex>::causal(past, q, all(b, k));
        let tracked = AttentionBias::<Tracked>::causal(past, q, all(b, k));
        let hidden = Tensor::<Flex, 2, Bool>::tril_mask([q, k], past as i64, &Default::default());
        let added = Tensor::<Flex, 2>::zeros([q, k], &Default::default())
            .mask_fill(hidden, f32::MIN)
            .reshape([1, 1, q, k]);
        let tracked_added = Tensor::<Tracked, 4>::from_inner(added.clone());
        case(
            &format!("attention b={b} q={q} k={k} h={heads} g={groups} c={c}"),
            [[b, q, heads * c], keys, keys],
            &|[query, key, value]| attention(query, key, value, heads, &bias, 0.0),
            &|inputs| composed::attention(inputs, heads, added.clone()),
            (q > 1).then_some([
                &|[query, key, value]| attention(query, key, value, heads, &tracked, 0.0),
                &|inputs| composed::attention(inputs, heads, tracked_added.clone()),
            ]),
        );
    }
}

fn linear() {
    for [inputs, outputs] in [[1024, 1024], [1024, 4096], [4096, 1024], [2048, 8192], [1024, 51200]] {
        for n in [1, 2, 4, 8, 16, 32, 64] {
            let weight = random::<Flex, 2>([inputs, outputs]);
            case(
                &format!("linear [{n}, {inputs}] x [{inputs}, {outputs}]"),
                [[n, 1, inputs]],
                &|[x]| sublayer::linear(x, weight.clone()),
                &|[x]| x.reshape([n, inputs]).matmul(weight.clone()).reshape([n, 1, outputs]),
                None,
            );
        }
    }
}

fn main() {
    row_by_row();
    attentions();
    linear();
}
