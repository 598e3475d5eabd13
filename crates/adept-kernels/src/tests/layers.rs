//! Whole sublayers, the head and the embedding, fused and composed.

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Bool, Int, Tensor, TensorData};

use super::{Composed, Figures, Fused, check, leaf, values, weighed};
use crate::sublayer::{
    AttentionWeights, FeedForwardWeights, KeysValues, Settings, cross_attention, feed_forward, linear, self_attention,
};
use crate::{AttentionBias, Map, embedding, head_log_probabilities, head_loss};

const SETTINGS: Settings = Settings {
    heads: 2,
    epsilon: 1e-6,
    dropout: 0.0,
};

/// Row 0 sees everything, row 1 all but the last two keys, row 2 nothing, and so on.
fn key_mask<B: AutodiffBackend>(b: usize, k: usize) -> Tensor<B, 2, Bool> {
    let seen = (0..b * k)
        .map(|i| [true, i % k + 2 < k, false][i / k % 3])
        .collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(seen, [b, k]), &B::Device::default())
}

/// A weight of order `d^-0.5`, as in models.
fn weight<B: AutodiffBackend>(shape: [usize; 2], seed: u64) -> Tensor<B, 2> {
    let factor = (shape[0] as f32).powf(-0.5);
    Tensor::from_inner(leaf::<B, 2>(shape, seed).inner().mul_scalar(factor)).require_grad()
}

fn gradients<B: AutodiffBackend>(
    grads: &B::Gradients,
    vectors: &[(&'static str, &Tensor<B, 1>)],
    matrices: &[(&'static str, &Tensor<B, 2>)],
    others: &[(&'static str, &Tensor<B, 3>)],
) -> Figures {
    let mut figures = Figures::new();
    for (name, tensor) in vectors {
        figures.push((name, values(tensor.grad(grads).expect("tracked"))));
    }
    for (name, tensor) in matrices {
        figures.push((name, values(tensor.grad(grads).expect("tracked"))));
    }
    for (name, tensor) in others {
        figures.push((name, values(tensor.grad(grads).expect("tracked"))));
    }
    figures
}

fn self_attention_figures<B: AutodiffBackend>(b: usize, n: usize) -> Figures {
    let (d, inner) = (14, 10);
    let x = leaf::<B, 3>([b, n, d], 1);
    let norm = leaf::<B, 1>([d], 2);
    let maps: [Tensor<B, 2>; 3] = std::array::from_fn(|i| weight([d, inner], 3 + i as u64));
    let output = weight::<B>([inner, d], 6);
    let position = leaf::<B, 4>([1, SETTINGS.heads, n, n], 7);
    let bias = AttentionBias::new(Some(position.clone()), Some(key_mask::<B>(b, n)));
    let weights = AttentionWeights {
        norm: norm.clone(),
        inputs: maps.to_vec(),
        output: output.clone(),
    };
    let out = self_attention(x.clone(), weights, &bias, SETTINGS);
    let grads = weighed(out.clone()).backward();
    let [query, key, value] = &maps;
    let mut figures = gradients(
        &grads,
        &[("norm", &norm)],
        &[("query", query), ("key", key), ("value", value), ("map", &output)],
        &[("x", &x)],
    );
    figures.push(("bias", values(position.grad(&grads).expect("tracked"))));
    figures.push(("output", values(out)));
    figures
}

fn cross_attention_figures<B: AutodiffBackend>(b: usize, candidates: usize, n: usize, k: usize) -> Figures {
    let (d, inner) = (14, 10);
    let x = leaf::<B, 3>([b * candidates, n, d], 1);
    let states = leaf::<B, 3>([b, k, d], 2);
    let norm = leaf::<B, 1>([d], 3);
    let maps: [Tensor<B, 2>; 3] = std::array::from_fn(|i| weight([d, inner], 4 + i as u64));
    let output = weight::<B>([inner, d], 7);
    let bias = AttentionBias::new(None, Some(key_mask::<B>(b, k)));
    let [query, key, value] = &maps;
    let memory = KeysValues::new(states.clone(), key.clone(), value.clone(), SETTINGS);
    let weights = AttentionWeights {
        norm: norm.clone(),
        inputs: vec![query.clone()],
        output: output.clone(),
    };
    let out = cross_attention(x.clone(), weights, &memory, &bias, SETTINGS);
    let grads = weighed(out.clone()).backward();
    let mut figures = gradients(
        &grads,
        &[("norm", &norm)],
        &[("query", query), ("key", key), ("value", value), ("map", &output)],
        &[("x", &x), ("states", &states)],
    );
    figures.push(("output", values(out)));
    figures
}

fn plain_map<B: AutodiffBackend>(weight: &Tensor<B, 2>) -> Map<B> {
    Map {
        kept: weight.clone(),
        prepared: None,
    }
}

/// Keys and values that are made, or absorbed into the queries and the context.
fn memory_figures<B: AutodiffBackend>(absorbed: bool, [b, q, k]: [usize; 3]) -> Figures {
    let (d, inner) = (14, 10);
    let (query, states) = (leaf::<B, 3>([b, q, inner], 1), leaf::<B, 3>([b, k, d], 2));
    let [key, value] = [3, 4].map(|seed| weight::<B>([d, inner], seed));
    let bias = AttentionBias::new(None, Some(key_mask::<B>(b, k)));
    let memory = match absorbed {
        true => KeysValues::absorbed(&states, [&key, &value].map(plain_map), q, SETTINGS).expect("it is cheaper"),
        false => KeysValues::new(states.clone(), key.clone(), value.clone(), SETTINGS),
    };
    let out = memory.attend(query.clone(), &bias, SETTINGS);
    let grads = weighed(out.clone()).backward();
    let mut figures = gradients(
        &grads,
        &[],
        &[("key", &key), ("value", &value)],
        &[("query", &query), ("states", &states)],
    );
    figures.push(("output", values(out)));
    figures
}

fn feed_forward_figures<B: AutodiffBackend>(b: usize, n: usize, gated: bool) -> Figures {
    let (d, f) = (14, 110);
    let x = leaf::<B, 3>([b, n, d], 1);
    let norm = leaf::<B, 1>([d], 2);
    let (wi, gate, wo) = (weight::<B>([d, f], 3), weight::<B>([d, f], 4), weight::<B>([f, d], 5));
    let weights = FeedForwardWeights {
        norm: norm.clone(),
        wi: wi.clone(),
        gate: gated.then(|| gate.clone()),
        wo: wo.clone(),
    };
    let out = feed_forward(x.clone(), weights, SETTINGS);
    let grads = weighed(out.clone()).backward();
    let mut maps = vec![("wi", &wi), ("wo", &wo)];
    if gated {
        maps.push(("gate", &gate));
    }
    let mut figures = gradients(&grads, &[("norm", &norm)], &maps, &[("x", &x)]);
    figures.push(("output", values(out)));
    figures
}

fn head_figures<B: AutodiffBackend>(labels: &[i64], v: usize) -> Figures {
    let n = labels.len();
    let (states, weight) = (leaf::<B, 2>([n, 12], 1), leaf::<B, 2>([v, 12], 2));
    let labels = Tensor::<B, 1, Int>::from_data(TensorData::from(labels), &B::Device::default());
    let loss = head_loss(states.clone(), weight.clone(), 0.3, labels.clone());
    let grads = (loss.clone() * 3.0).backward();
    let inner = |tensor: &Tensor<B, 2>| tensor.clone().inner();
    let scores = head_log_probabilities(inner(&states), inner(&weight), 0.3, labels.inner());
    vec![
        ("loss", values(loss)),
        ("states", values(states.grad(&grads).expect("tracked"))),
        ("weight", values(weight.grad(&grads).expect("tracked"))),
        ("log-probabilities", values(scores)),
    ]
}

/// A table that is looked up twice and is also the head.
fn embedding_figures<B: AutodiffBackend>() -> Figures {
    let table = leaf::<B, 2>([50, 6], 1);
    let ids = |ids: [[i64; 4]; 2]| Tensor::<B, 2, Int>::from_data(ids, &B::Device::default());
    let first = embedding(table.clone(), ids([[3, 49, 3, 0], [1, 2, 3, 4]]));
    let second = embedding(table.clone(), ids([[3, 3, 3, 3], [7, 0, 49, 8]]));
    let states = (first.clone() * second).reshape([8, 6]);
    let labels = Tensor::<B, 1, Int>::from_data([0i64, 1, 2, 3, -100, 5, 6, 49], &B::Device::default());
    let loss = head_loss(states, table.clone(), 1.0, labels);
    let grads = loss.clone().backward();
    vec![
        ("rows", values(first)),
        ("loss", values(loss)),
        ("table", values(table.grad(&grads).expect("tracked"))),
    ]
}

#[test]
fn self_attention_sublayers() {
    // One batch row per task, several, and a remainder in the last task; several blocks of queries.
    for (b, n) in [(3, 40), (5, 7), (35, 3), (2, 150)] {
        check(
            self_attention_figures::<Fused>(b, n),
            self_attention_figures::<Composed>(b, n),
        );
    }
}

#[test]
fn cross_attention_sublayers() {
    for (b, candidates, n, k) in [(3, 1, 33, 17), (35, 1, 2, 9), (4, 3, 2, 50), (2, 1, 70, 31)] {
        check(
            cross_attention_figures::<Fused>(b, candidates, n, k),
            cross_attention_figures::<Composed>(b, candidates, n, k),
        );
    }
}

/// A product of rows and a weight, both tracked.
#[test]
fn linear_maps_and_both_their_gradients() {
    fn figures<B: AutodiffBackend>([b, n, d, out]: [usize; 4]) -> Figures {
        let (x, weight) = (leaf::<B, 3>([b, n, d], 1), weight::<B>([d, out], 2));
        let y = linear(x.clone(), weight.clone());
        let grads = weighed(y.clone()).backward();
        let mut figures = gradients(&grads, &[], &[("weight", &weight)], &[("x", &x)]);
        figures.push(("output", values(y)));
        figures
    }
    // Within one thread and shared; the transposed weight in several tasks.
    for sizes in [[1, 1, 3, 5], [2, 17, 40, 70], [4, 60, 150, 300]] {
        check(figures::<Fused>(sizes), figures::<Composed>(sizes));
    }
}

#[test]
fn absorbed_attention_equals_attention_to_keys_and_values() {
    // Fewer and more queries than a task's rows; products above and below the size of plain loops.
    for sizes in [[3, 1, 17], [7, 2, 40], [19, 2, 9], [4, 3, 300]] {
        let expected = memory_figures::<Composed>(false, sizes);
        check(memory_figures::<Fused>(true, sizes), expected.clone());
        check(memory_figures::<Composed>(true, sizes), expected);
    }
}

#[test]
fn feed_forward_sublayers() {
    for (b, n, gated) in [(3, 40, false), (7, 61, true), (1, 1, true), (1, 1, false)] {
        check(
            feed_forward_figures::<Fused>(b, n, gated),
            feed_forward_figures::<Composed>(b, n, gated),
        );
    }
}

#[test]
fn heads_with_ignored_rows() {
    // One tile and a remainder, many tiles with several per share, no row that counts.
    let many: Vec<i64> = (0..300)
        .map(|i| if i % 7 == 3 { -100 } else { i * 31 % 9000 })
        .collect();
    for (labels, v) in [(&[1029, -100, 0, 17][..], 1030), (&many, 9000), (&[-100, -100], 70)] {
        check(head_figures::<Fused>(labels, v), head_figures::<Composed>(labels, v));
    }
}

#[test]
fn embeddings_and_a_tied_head_share_one_gradient() {
    check(embedding_figures::<Fused>(), embedding_figures::<Composed>());
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // Large enough to be distributed over threads.
    let many: Vec<i64> = (0..300).map(|i| i * 31 % 9000).collect();
    let figures = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads can be made").install(|| {
            [
                self_attention_figures::<Fused>(20, 100),
                cross_attention_figures::<Fused>(20, 1, 60, 80),
                memory_figures::<Fused>(true, [40, 2, 800]),
                feed_forward_figures::<Fused>(20, 50, true),
                head_figures::<Fused>(&many, 9000),
            ]
        })
    };
    assert_eq!(figures(1), figures(3));
}
