//! Kernels of decoder-only models: layer norm, rotary positions, GELU and gated activations, causal attention, with
//! shared key heads and over a cache.

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Bool, Tensor, TensorData};
use burn_flex::Flex;

use super::{Composed, Figures, Fused, check, leaf, values, weighed};
use crate::{AttentionBias, RotaryAngles, RotaryPairs, attention, gated_silu, gelu_tanh, layer_norm, rotary, sublayer};

/// Dimensions of one attention; the queries are the last of `past + q` keys.
#[derive(Debug, Clone, Copy)]
struct Case {
    b: usize,
    q: usize,
    past: usize,
    heads: usize,
    groups: usize,
    c: usize,
}

const fn case(b: usize, q: usize, past: usize, [heads, groups, c]: [usize; 3]) -> Case {
    Case {
        b,
        q,
        past,
        heads,
        groups,
        c,
    }
}

/// A mask `[b, k]` whose rows cycle through the first `kinds` of: nothing hidden, every third key, the last two, the
/// first two and the last, everything.
fn mask<B: AutodiffBackend>(b: usize, k: usize, kinds: usize) -> Tensor<B, 2, Bool> {
    let shown = |i: usize| {
        let key = i % k;
        [true, key % 3 != 2, key + 2 < k, key > 1 && key + 1 < k, false][i / k % kinds]
    };
    let shown: Vec<bool> = (0..b * k).map(shown).collect();
    Tensor::from_data(TensorData::new(shown, [b, k]), &B::Device::default())
}

fn attention_figures<B: AutodiffBackend>(case: Case, causal: bool) -> Figures {
    let Case {
        b,
        q,
        past,
        heads,
        groups,
        c,
    } = case;
    let k = past + q;
    let query = leaf::<B, 3>([b, q, heads * c], 1);
    let key = leaf::<B, 3>([b, k, groups * c], 2);
    let value = leaf::<B, 3>([b, k, groups * c], 3);
    // In a causal mask whose first keys are hidden, some queries see nothing, for which implementations differ.
    let bias = match causal {
        true => AttentionBias::causal(past, q, mask::<B>(b, k, 3)),
        false => AttentionBias::new(None, Some(mask::<B>(b, k, 5))),
    };
    let out = attention(query.clone(), key.clone(), value.clone(), heads, &bias, 0.0);
    let grads = weighed(out.clone()).backward();
    vec![
        ("output", values(out)),
        ("query", values(query.grad(&grads).expect("tracked"))),
        ("key", values(key.grad(&grads).expect("tracked"))),
        ("value", values(value.grad(&grads).expect("tracked"))),
    ]
}

fn layer_norm_figures<B: AutodiffBackend>(shape: [usize; 3]) -> Figures {
    let x = leaf::<B, 3>(shape, 1);
    let (weight, bias) = (leaf::<B, 1>([shape[2]], 2), leaf::<B, 1>([shape[2]], 3));
    // Far from zero, as channels of a residual stream may be.
    let out = layer_norm(x.clone() + 3.0, weight.clone(), bias.clone(), 1e-5);
    let grads = weighed(out.clone()).backward();
    vec![
        ("output", values(out)),
        ("x", values(x.grad(&grads).expect("tracked"))),
        ("weight", values(weight.grad(&grads).expect("tracked"))),
        ("bias", values(bias.grad(&grads).expect("tracked"))),
    ]
}

fn rotary_figures<B: AutodiffBackend>([b, n, heads, c, p]: [usize; 5], pairs: RotaryPairs) -> Figures {
    let x = leaf::<B, 3>([b, n, heads * c], 1);
    let angles = Tensor::<B, 3>::from_inner(leaf::<B, 3>([b, n, p], 2).inner());
    let angles = RotaryAngles {
        cos: angles.clone().cos(),
        sin: angles.sin(),
    };
    // Once with shared storage, once without.
    let out = rotary(rotary(x.clone(), heads, &angles, pairs), heads, &angles, pairs);
    let grads = weighed(out.clone()).backward();
    vec![
        ("output", values(out)),
        ("x", values(x.grad(&grads).expect("tracked"))),
        ("x itself", values(x)),
    ]
}

fn activation_figures<B: AutodiffBackend>(shape: [usize; 3]) -> Figures {
    let [x, gate, up] = [1, 2, 3].map(|seed| leaf::<B, 3>(shape, seed));
    // Wide enough to reach both ends of the curves.
    let out = gelu_tanh(x.clone() * 4.0) + gated_silu(gate.clone() * 8.0, up.clone()) + gelu_tanh(x.clone());
    let grads = weighed(out.clone()).backward();
    vec![
        ("output", values(out)),
        ("x", values(x.grad(&grads).expect("tracked"))),
        ("gate", values(gate.grad(&grads).expect("tracked"))),
        ("up", values(up.grad(&grads).expect("tracked"))),
        ("x itself", values(x)),
    ]
}

#[test]
fn causal_attention() {
    // One block of queries, or several and a remainder, with and without a past; separate and shared key heads.
    for case in [
        case(3, 7, 0, [2, 2, 5]),
        case(3, 7, 20, [6, 2, 5]),
        case(4, 130, 0, [2, 1, 8]),
        case(3, 150, 37, [4, 4, 6]),
        case(2, 64, 64, [4, 2, 16]),
    ] {
        check(
            attention_figures::<Fused>(case, true),
            attention_figures::<Composed>(case, true),
        );
    }
}

#[test]
fn attention_of_shared_heads_to_all_keys() {
    for case in [
        case(5, 9, 12, [6, 3, 5]),
        case(5, 130, 3, [4, 1, 6]),
        case(5, 1, 77, [6, 2, 5]),
        case(5, 1, 300, [2, 2, 64]),
    ] {
        check(
            attention_figures::<Fused>(case, false),
            attention_figures::<Composed>(case, false),
        );
    }
}

#[test]
fn a_causal_query_that_sees_nothing_disturbs_no_other() {
    let (b, n, heads, c) = (1, 90, 2, 4);
    let figures = |hidden: usize| {
        let [query, key, value] = [1, 2, 3].map(|seed| leaf::<Fused, 3>([b, n, heads * c], seed));
        let shown: Vec<bool> = (0..n).map(|key| key >= hidden).collect();
        let mask = Tensor::from_data(TensorData::new(shown, [b, n]), &Default::default());
        let out = attention(
            query.clone(),
            key,
            value,
            heads,
            &AttentionBias::causal(0, n, mask),
            0.0,
        );
        let seen = out.narrow(1, hidden, n - hidden);
        let grads = weighed(seen.clone()).backward();
        (values(seen), values(query.grad(&grads).expect("tracked")))
    };
    // The same rows with the hidden keys removed instead.
    let hidden = 70;
    let cut = || {
        let [query, key, value] =
            [1, 2, 3].map(|seed| leaf::<Composed, 3>([b, n, heads * c], seed).narrow(1, hidden, n - hidden));
        let mask = Tensor::from_data(
            TensorData::new(vec![true; n - hidden], [b, n - hidden]),
            &Default::default(),
        );
        let bias = AttentionBias::causal(0, n - hidden, mask);
        values(attention(query, key, value, heads, &bias, 0.0))
    };
    let (out, slopes) = figures(hidden);
    check(vec![("output", out)], vec![("output", cut())]);
    assert!(slopes.iter().all(|slope| slope.is_finite()));
    assert!(slopes[..hidden * heads * c].iter().all(|&slope| slope == 0.0));
}

#[test]
fn keys_are_read_where_they_lie() {
    let (b, room, k, heads, c) = (3, 50, 41, 2, 8);
    let cache = |seed| leaf::<Fused, 3>([b, room, heads * c], seed).inner();
    let copied = |x: Tensor<Flex, 3>| Tensor::<Flex, 3>::from_data(x.into_data(), &Default::default());
    for q in [1, 5] {
        let query = leaf::<Fused, 3>([b, q, 3 * heads * c], 1)
            .inner()
            .narrow(2, heads * c, heads * c);
        let [key, value] = [cache(2), cache(3)].map(|all| all.narrow(1, 4, k));
        let bias = AttentionBias::new(None, Some(mask::<Fused>(b, k, 5).inner()));
        let apart = attention(query.clone(), key.clone(), value.clone(), heads, &bias, 0.0);
        let together = attention(copied(query), copied(key), copied(value), heads, &bias, 0.0);
        assert_eq!(values(apart), values(together));
    }
    // One row of keys for all, broadcast to the number of rows.
    let one = leaf::<Fused, 3>([1, k, heads * c], 2).inner();
    let query = leaf::<Fused, 3>([b, 1, heads * c], 1).inner();
    let bias = AttentionBias::none();
    let [expanded, repeated] = [one.clone().expand([b, k, heads * c]), one.repeat_dim(0, b)]
        .map(|keys| values(attention(query.clone(), keys.clone(), keys, heads, &bias, 0.0)));
    assert_eq!(expanded, repeated);
}

#[test]
fn layer_norms() {
    for shape in [[3, 27, 18], [1, 1, 5], [2, 40, 67]] {
        check(
            layer_norm_figures::<Fused>(shape),
            layer_norm_figures::<Composed>(shape),
        );
    }
}

#[test]
fn rotary_positions() {
    for pairs in [RotaryPairs::Halves, RotaryPairs::Neighbours] {
        // All channels of a head, or only some; more slots than fit into a task.
        for sizes in [[2, 7, 3, 6, 3], [3, 5, 2, 9, 2], [2, 300, 4, 64, 16], [2, 9, 2, 80, 33]] {
            check(
                rotary_figures::<Fused>(sizes, pairs),
                rotary_figures::<Composed>(sizes, pairs),
            );
        }
    }
}

#[test]
fn activations() {
    for shape in [[2, 3, 5], [3, 70, 101]] {
        check(
            activation_figures::<Fused>(shape),
            activation_figures::<Composed>(shape),
        );
    }
}

/// The product in burn's operations; not differentiable for few rows.
fn linear_figures(n: usize, inputs: usize, outputs: usize) -> [Figures; 2] {
    let (x, weight) = (
        leaf::<Fused, 3>([n, 1, inputs], 1),
        leaf::<Fused, 2>([inputs, outputs], 2),
    );
    let product = values(x.clone().reshape([n, inputs]).matmul(weight.clone()));
    let few = values(sublayer::linear(x.inner(), weight.inner()));
    [vec![("product", few)], vec![("product", product)]]
}

#[test]
fn linear_maps_of_few_rows() {
    // Part of a task's columns, several tasks; a number of inputs that is not a multiple of four; one row more than
    // few.
    for (n, inputs, outputs) in [
        (1, 7, 5),
        (3, 64, 512),
        (5, 129, 1030),
        (2, 9, 4200),
        (8, 1024, 700),
        (16, 33, 513),
        (17, 33, 513),
    ] {
        let [few, product] = linear_figures(n, inputs, outputs);
        check(few, product);
    }
}

#[test]
fn what_is_held_elsewhere_is_not_written_to() {
    let x = leaf::<Fused, 3>([2, 5, 12], 1).inner();
    let before = values(x.clone());
    let ones = Tensor::<Flex, 3>::ones([2, 5, 3], &Default::default());
    let angles = RotaryAngles {
        cos: ones.clone(),
        sin: ones,
    };
    let copy = || Tensor::<Flex, 3>::from_data(TensorData::new(before.clone(), [2, 5, 12]), &Default::default());
    // Unshared storage is modified in place, which must yield the same numbers.
    assert_eq!(values(gelu_tanh(x.clone())), values(gelu_tanh(copy())));
    for pairs in [RotaryPairs::Halves, RotaryPairs::Neighbours] {
        assert_eq!(
            values(rotary(x.clone(), 2, &angles, pairs)),
            values(rotary(copy(), 2, &angles, pairs))
        );
    }
    assert_eq!(values(x), before);
    // A range of columns of a wider product, read without copying.
    let wide = leaf::<Fused, 3>([2, 5, 30], 3).inner();
    let narrow = || wide.clone().narrow(2, 7, 12);
    let copy = || Tensor::<Flex, 3>::from_data(narrow().into_data(), &Default::default());
    for pairs in [RotaryPairs::Halves, RotaryPairs::Neighbours] {
        assert_eq!(
            values(rotary(narrow(), 2, &angles, pairs)),
            values(rotary(copy(), 2, &angles, pairs))
        );
    }
}

#[test]
fn not_a_number_is_never_hidden() {
    let bad = || {
        let mut data = vec![0.5; 24];
        data[3] = f32::NAN;
        Tensor::<Flex, 3>::from_data(TensorData::new(data, [1, 3, 8]), &Default::default())
    };
    let vector = || Tensor::<Flex, 1>::ones([8], &Default::default());
    let angle = Tensor::<Flex, 3>::ones([1, 3, 2], &Default::default());
    let angles = RotaryAngles {
        cos: angle.clone(),
        sin: angle,
    };
    let causal = AttentionBias::causal(0, 3, mask::<Fused>(1, 3, 1).inner());
    for out in [
        gelu_tanh(bad()),
        sublayer::linear(bad(), Tensor::ones([8, 4], &Default::default())),
        gated_silu(bad(), bad()),
        layer_norm(bad(), vector(), vector(), 1e-5),
        rotary(bad(), 2, &angles, RotaryPairs::Halves),
        rotary(bad(), 2, &angles, RotaryPairs::Neighbours),
        attention(bad(), bad(), bad(), 2, &causal, 0.0),
        attention(bad().narrow(1, 0, 1), bad(), bad(), 2, &AttentionBias::none(), 0.0),
    ] {
        assert!(values(out)[3].is_nan());
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // Large enough to be distributed over threads.
    let figures = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads can be made").install(|| {
            [
                attention_figures::<Fused>(case(2, 200, 0, [4, 4, 16]), true),
                attention_figures::<Fused>(case(2, 150, 9, [6, 2, 16]), true),
                attention_figures::<Fused>(case(1, 1, 5000, [16, 8, 64]), false),
                layer_norm_figures::<Fused>([8, 100, 515]),
                rotary_figures::<Fused>([4, 200, 8, 64, 32], RotaryPairs::Halves),
                rotary_figures::<Fused>([4, 200, 8, 64, 16], RotaryPairs::Neighbours),
                activation_figures::<Fused>([4, 100, 515]),
                linear_figures(8, 515, 2050)[0].clone(),
            ]
        })
    };
    let alone = figures(1);
    for threads in [2, 3, 7] {
        assert_eq!(figures(threads), alone);
    }
}
