//! The fused kernels against the composed operations on an independent backend: outputs and all gradients.
//!
//! Tolerance: both sides sum in float32 in different orders; with a few hundred terms of order one the difference stays
//! below 2e-5 relative to the largest element.

mod decoder;
mod dropout;
mod layers;
mod precision;
mod segments;

use burn::backend::Autodiff;
use burn::tensor::{Bool, Int, Tensor, TensorData, backend::AutodiffBackend};
use burn_ndarray::NdArray;

use crate::optimizer::{AdamWStep, adamw, adamw_composed, scale, sum_of_squares};
use crate::{AttentionBias, attention, cross_entropy, gated_gelu, relu, rms_norm};

type Composed = Autodiff<NdArray>;
type Fused = Autodiff<burn_flex::Flex>;

/// Reproducible numbers in about [-2, 2] (from a small linear congruential generator).
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 4.0
        })
        .collect()
}

fn leaf<B: AutodiffBackend, const D: usize>(shape: [usize; D], seed: u64) -> Tensor<B, D> {
    let data = TensorData::new(numbers(shape.iter().product(), seed), shape);
    Tensor::from_data(data, &B::Device::default()).require_grad()
}

/// Weights the output with fixed numbers, so that every element has its own gradient.
fn weighed<B: AutodiffBackend, const D: usize>(out: Tensor<B, D>) -> Tensor<B, 1> {
    let weights = TensorData::new(numbers(out.shape().num_elements(), 99), out.shape());
    (out.clone() * Tensor::from_data(weights, &out.device())).sum()
}

/// Held by a test that seeds or draws the device's random numbers, of which there is one stream in a process.
fn draws_alone() -> std::sync::MutexGuard<'static, ()> {
    static STREAM: std::sync::Mutex<()> = std::sync::Mutex::new(());
    STREAM.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

type Figures = Vec<(&'static str, Vec<f32>)>;

fn values<B: burn::tensor::backend::Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn attention_figures<B: AutodiffBackend>(q: usize, k: usize, biased: bool) -> Figures {
    let (b, heads, c) = (3, 2, 5);
    let device = B::Device::default();
    let query = leaf::<B, 3>([b, q, heads * c], 1);
    let key = leaf::<B, 3>([b, k, heads * c], 2);
    let value = leaf::<B, 3>([b, k, heads * c], 3);
    let position = leaf::<B, 4>([1, heads, q, k], 4);
    // Row 0 sees everything, row 1 all but the last two keys, row 2 nothing.
    let seen = (0..b * k)
        .map(|i| [true, i % k + 2 < k, false][i / k])
        .collect::<Vec<_>>();
    let mask = Tensor::<B, 2, Bool>::from_data(TensorData::new(seen, [b, k]), &device);
    let bias = AttentionBias::new(biased.then(|| position.clone()), Some(mask));
    let out = attention(query.clone(), key.clone(), value.clone(), heads, &bias, 0.0);
    let grads = weighed(out.clone()).backward();
    let mut figures = vec![
        ("output", values(out)),
        ("query", values(query.grad(&grads).expect("query is tracked"))),
        ("key", values(key.grad(&grads).expect("key is tracked"))),
        ("value", values(value.grad(&grads).expect("value is tracked"))),
    ];
    if biased {
        figures.push(("bias", values(position.grad(&grads).expect("the bias is tracked"))));
    }
    figures
}

fn norm_figures<B: AutodiffBackend>() -> Figures {
    let (x, weight) = (leaf::<B, 3>([3, 27, 18], 5), leaf::<B, 1>([18], 6));
    let out = rms_norm(x.clone(), weight.clone(), 1e-6);
    let grads = weighed(out.clone()).backward();
    vec![
        ("output", values(out)),
        ("x", values(x.grad(&grads).expect("x is tracked"))),
        ("weight", values(weight.grad(&grads).expect("the weight is tracked"))),
    ]
}

fn activation_figures<B: AutodiffBackend>() -> Figures {
    let (gate, up) = (leaf::<B, 2>([130, 150], 7), leaf::<B, 2>([130, 150], 8));
    let out = gated_gelu(gate.clone(), up.clone()) + relu(gate.clone());
    let grads = weighed(out.clone()).backward();
    vec![
        ("output", values(out)),
        ("gate", values(gate.grad(&grads).expect("the gate is tracked"))),
        ("up", values(up.grad(&grads).expect("up is tracked"))),
    ]
}

fn loss_figures<B: AutodiffBackend>(labels: [i64; 4]) -> Figures {
    let logits = leaf::<B, 2>([4, 5000], 9);
    let labels = Tensor::<B, 1, Int>::from_data(TensorData::from(labels), &B::Device::default());
    let loss = cross_entropy(logits.clone(), labels);
    let grads = (loss.clone() * 3.0).backward();
    vec![
        ("loss", values(loss)),
        ("logits", values(logits.grad(&grads).expect("the logits are tracked"))),
    ]
}

#[track_caller]
fn check(found: Figures, expected: Figures) {
    assert_eq!(found.len(), expected.len());
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        assert_eq!(found.len(), expected.len(), "{name}: element count");
        let scale = expected.iter().fold(1e-3f32, |top, x| top.max(x.abs()));
        for (i, (f, e)) in found.iter().zip(expected).enumerate() {
            assert!(
                (f - e).abs() <= 2e-5 * scale,
                "{name}[{i}]: {f}, expected {e} (scale {scale})"
            );
        }
    }
}

mod fused {
    use super::*;
    use burn_flex::Flex;

    #[test]
    fn attention_with_bias_and_mask() {
        // A single block of queries, and several.
        for (q, k) in [(7, 21), (140, 90)] {
            check(
                attention_figures::<Fused>(q, k, true),
                attention_figures::<Composed>(q, k, true),
            );
        }
    }

    #[test]
    fn attention_without_bias() {
        check(
            attention_figures::<Fused>(1, 33, false),
            attention_figures::<Composed>(1, 33, false),
        );
    }

    #[test]
    fn norm() {
        check(norm_figures::<Fused>(), norm_figures::<Composed>());
    }

    #[test]
    fn activations() {
        check(activation_figures::<Fused>(), activation_figures::<Composed>());
    }

    #[test]
    fn loss_with_ignored_rows() {
        let labels = [4999, -100, 0, 17];
        check(loss_figures::<Fused>(labels), loss_figures::<Composed>(labels));
    }

    #[test]
    fn adamw_steps() {
        // Longer than one part, and not a multiple of it.
        let count = 40_007;
        let start = || leaf::<Fused, 1>([count], 1).inner();
        let mut fused = (start(), None);
        let mut composed = (start(), None);
        let kept = fused.0.clone();
        for (t, step_size) in [0.1, 0.05, 0.0, 0.02].into_iter().enumerate() {
            let step = AdamWStep {
                beta1: 0.9,
                beta2: 0.98,
                epsilon: 1e-6,
                shrink: 1.0 - 0.1 * step_size,
                step_size,
                correction: (1.0 - 0.98f64.powi(t as i32 + 1)).sqrt(),
            };
            let gradient = leaf::<Fused, 1>([count], 10 + t as u64).inner();
            let (value, moments) = adamw(fused.0, gradient.clone(), fused.1, step);
            fused = (value, Some(moments));
            let (value, moments) = adamw_composed(composed.0, gradient, composed.1, step);
            composed = (value, Some(moments));
        }
        let figures = |(value, moments): (Tensor<Flex, 1>, Option<[Tensor<Flex, 1>; 2]>)| {
            let [first, second] = moments.expect("four steps were taken");
            vec![
                ("value", values(value)),
                ("first", values(first)),
                ("second", values(second)),
            ]
        };
        check(figures(fused), figures(composed));
        // In place only if the tensor's storage is not shared.
        assert_eq!(values(kept), numbers(count, 1));
    }

    #[test]
    fn squares_and_scale() {
        let tensors = [leaf::<Fused, 1>([33_000], 1), leaf::<Fused, 1>([7], 2)].map(Tensor::inner);
        let exact: f64 = tensors
            .iter()
            .flat_map(|t| values(t.clone()))
            .map(|x| f64::from(x).powi(2))
            .sum();
        let found = values(sum_of_squares(tensors.iter()).expect("there are two"))[0];
        assert!(
            (f64::from(found) - exact).abs() < 1e-6 * exact,
            "{found}, expected {exact}"
        );
        assert!(sum_of_squares::<Flex>([].into_iter()).is_none());
        for factor in [1.0, 0.3] {
            let scaled = scale(tensors[0].clone(), &Tensor::from_data([factor], &Default::default()));
            let expected: Vec<f32> = numbers(33_000, 1).into_iter().map(|x| x * factor).collect();
            assert_eq!(values(scaled), expected);
        }
    }

    #[test]
    fn plain_backend_gives_what_the_tracked_one_gives() {
        let (gate, up) = (leaf::<Fused, 2>([9, 40], 1), leaf::<Fused, 2>([9, 40], 2));
        let tracked = gated_gelu(gate.clone(), up.clone()).inner();
        assert_eq!(values(tracked), values(gated_gelu::<Flex, 2>(gate.inner(), up.inner())));
        let (x, weight) = (leaf::<Fused, 3>([2, 3, 8], 1), leaf::<Fused, 1>([8], 2));
        let tracked = rms_norm(x.clone(), weight.clone(), 1e-6).inner();
        assert_eq!(
            values(tracked),
            values(rms_norm::<Flex>(x.inner(), weight.inner(), 1e-6))
        );
    }

    #[test]
    fn only_tracked_parents_get_a_gradient() {
        let (b, n, heads, c) = (2, 4, 2, 3);
        let query = leaf::<Fused, 3>([b, n, heads * c], 1);
        let frozen = Tensor::<Fused, 3>::from_inner(leaf::<Fused, 3>([b, n, heads * c], 2).inner());
        let out = attention(
            query.clone(),
            frozen.clone(),
            frozen.clone(),
            heads,
            &AttentionBias::none(),
            0.0,
        );
        let grads = out.sum().backward();
        assert!(query.grad(&grads).is_some());
        assert!(frozen.grad(&grads).is_none());
    }

    #[test]
    fn a_permuted_input_is_read_in_its_logical_order() {
        let x = leaf::<Fused, 3>([2, 5, 8], 3).inner();
        let weight = leaf::<Fused, 1>([8], 4).inner();
        let straight = rms_norm::<Flex>(x.clone(), weight.clone(), 1e-6);
        let permuted = x.swap_dims(0, 1).reshape([10, 8]).reshape([5, 2, 8]).swap_dims(0, 1);
        assert_eq!(values(rms_norm::<Flex>(permuted, weight, 1e-6)), values(straight));
    }

    #[test]
    fn not_a_number_is_never_hidden() {
        let device = Default::default();
        let bad = |shape: [usize; 2]| {
            let mut data = numbers(shape[0] * shape[1], 1);
            data[3] = f32::NAN;
            Tensor::<Flex, 2>::from_data(TensorData::new(data, shape), &device)
        };
        assert!(values(relu(bad([1, 8])))[3].is_nan());
        assert!(values(gated_gelu(bad([1, 8]), bad([1, 8])))[3].is_nan());
        let labels = Tensor::<Flex, 1, Int>::from_data([1i64, 1], &device);
        assert!(values(cross_entropy(bad([2, 40]), labels))[0].is_nan());
        let x = bad([2, 8]).reshape([1, 2, 8]);
        assert!(
            values(attention(x.clone(), x.clone(), x, 2, &AttentionBias::none(), 0.0))
                .iter()
                .any(|x| x.is_nan())
        );
    }
}

#[test]
fn loss_is_zero_where_every_label_is_ignored() {
    let figures = loss_figures::<Composed>([-100; 4]);
    assert_eq!(figures[0].1, [0.0]);
    assert!(figures[1].1.iter().all(|&g| g == 0.0));
    assert_eq!(loss_figures::<Fused>([-100; 4]), figures);
}

#[test]
fn rms_norm_by_hand() {
    let device = Default::default();
    let x = Tensor::<NdArray, 3>::from_data([[[3.0f32, 4.0]]], &device);
    let weight = Tensor::<NdArray, 1>::from_data([1.0f32, 2.0], &device);
    let root = 12.5f32.sqrt();
    let found = values(rms_norm(x, weight, 0.0));
    assert!(
        (found[0] - 3.0 / root).abs() < 1e-6 && (found[1] - 8.0 / root).abs() < 1e-6,
        "{found:?}"
    );
}

#[test]
fn a_single_row_is_multiplied_like_any_other() {
    let device = Default::default();
    let weight = Tensor::<NdArray, 2>::from_data([[1.0f32, -2.0], [0.5, 4.0], [3.0, 0.25]], &device);
    let rows = Tensor::<NdArray, 2>::from_data([[2.0f32, -1.0, 0.5], [1.0, 0.0, 8.0]], &device);
    let both = crate::product(rows.clone(), weight.clone());
    assert_eq!(values(both.clone()), [3.0, -7.875, 25.0, 0.0]);
    for row in 0..2 {
        let single = crate::product(rows.clone().narrow(0, row, 1), weight.clone());
        assert_eq!(single.dims(), [1, 2]);
        assert_eq!(values(single), values(both.clone().narrow(0, row, 1)));
    }
}
