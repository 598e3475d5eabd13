//! Batches without padding against padded ones.

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Bool, Tensor, TensorData};

use super::{Composed, Figures, Fused, check, leaf, numbers, values};
use crate::{AttentionBias, Segments, attention};

/// The visible slots of each row.
const ROWS: [std::ops::Range<usize>; 4] = [0..90, 0..7, 5..6, 3..70];
const WIDTH: usize = 90;

fn mask<B: AutodiffBackend>() -> Tensor<B, 2, Bool> {
    let shown: Vec<bool> = ROWS
        .iter()
        .flat_map(|row| (0..WIDTH).map(|slot| row.contains(&slot)))
        .collect();
    Tensor::from_data(TensorData::new(shown, [ROWS.len(), WIDTH]), &B::Device::default())
}

/// Weights of the visible slots' outputs: hidden ones count nowhere.
fn visible_weights<B: AutodiffBackend>(d: usize) -> Tensor<B, 3> {
    let weights = TensorData::new(numbers(ROWS.len() * WIDTH * d, 99), [ROWS.len(), WIDTH, d]);
    let shown = mask::<B>().float().reshape([ROWS.len(), WIDTH, 1]);
    Tensor::<B, 3>::from_data(weights, &B::Device::default()) * shown
}

fn figures<B: AutodiffBackend>(segments: Option<Segments>) -> Figures {
    let (heads, inner) = (2, 10);
    let inputs = [1, 2, 3].map(|seed| leaf::<B, 3>([ROWS.len(), WIDTH, inner], seed));
    let position = relative::<B>(heads);
    let [query, key, value] = inputs.clone();
    let out = match segments {
        None => {
            let bias = AttentionBias::new(Some(position), Some(mask::<B>()));
            attention(query, key, value, heads, &bias, 0.0)
        }
        Some(segments) => {
            let [query, key, value] = [query, key, value].map(|x| segments.compact(x));
            let bias = AttentionBias::of_segments(position, segments.clone());
            segments.padded(attention(query, key, value, heads, &bias, 0.0))
        }
    };
    let weighed = out * visible_weights::<B>(inner);
    let grads = weighed.clone().sum().backward();
    let mut figures: Figures = vec![("output", values(weighed))];
    for (name, input) in ["query", "key", "value"].into_iter().zip(inputs) {
        figures.push((name, values(input.grad(&grads).expect("tracked"))));
    }
    figures
}

/// A position bias `[1, h, n, n]` that depends on the distance alone, as in models: a row may begin anywhere.
fn relative<B: AutodiffBackend>(heads: usize) -> Tensor<B, 4> {
    let table = numbers(heads * 2 * WIDTH, 4);
    let places = (0..heads * WIDTH * WIDTH).map(|at| (at / (WIDTH * WIDTH), at / WIDTH % WIDTH, at % WIDTH));
    let bias = places.map(|(head, query, key)| table[head * 2 * WIDTH + WIDTH + key - query]);
    let bias = TensorData::new(bias.collect::<Vec<_>>(), [1, heads, WIDTH, WIDTH]);
    Tensor::from_data(bias, &B::Device::default())
}

#[test]
fn attention_without_padding_equals_attention_with_a_mask() {
    let segments = Segments::of(&mask::<Fused>(), 0).expect("there is padding");
    assert_eq!((segments.total(), segments.width()), (90 + 7 + 1 + 67, WIDTH));
    check(figures::<Fused>(Some(segments)), figures::<Composed>(None));
    assert!(Segments::of(&mask::<Composed>(), 0).is_none(), "it has no kernel");
}

/// Slots that rows begin with, and the visible ones of each behind them.
const SHARED: usize = 20;
const OWN: [std::ops::Range<usize>; 3] = [0..70, 66..70, 30..61];
const BEHIND: usize = 70;

fn shared_mask<B: AutodiffBackend>() -> Tensor<B, 2, Bool> {
    let row = |own: &std::ops::Range<usize>| {
        let own = own.clone();
        (0..SHARED)
            .map(|_| true)
            .chain((0..BEHIND).map(move |slot| own.contains(&slot)))
    };
    let shown: Vec<bool> = OWN.iter().flat_map(row).collect();
    Tensor::from_data(
        TensorData::new(shown, [OWN.len(), SHARED + BEHIND]),
        &B::Device::default(),
    )
}

/// Outputs and gradients of rows that begin alike: shared once by segments, or as a padded batch.
fn sharing<B: AutodiffBackend>(segments: Option<Segments>) -> Figures {
    let (b, heads, channels) = (OWN.len(), 4, 6);
    // Two heads of keys for four of queries.
    let widths = [heads * channels, heads / 2 * channels, heads / 2 * channels];
    let leaves: Vec<_> = (0..3)
        .map(|i| {
            let [first, own] = [[1, SHARED, widths[i]], [b, BEHIND, widths[i]]];
            (leaf::<B, 3>(first, i as u64), leaf::<B, 3>(own, 10 + i as u64))
        })
        .collect();
    let inputs = leaves
        .iter()
        .map(|(first, own)| Tensor::cat(vec![first.clone().expand([b, SHARED, own.dims()[2]]), own.clone()], 1));
    let inputs: Vec<_> = inputs.collect();
    let [query, key, value] = [0, 1, 2].map(|i: usize| inputs[i].clone());
    let out = match segments {
        None => {
            let bias = AttentionBias::causal(0, SHARED + BEHIND, shared_mask::<B>());
            attention(query, key, value, heads, &bias, 0.0)
        }
        Some(segments) => {
            let [query, key, value] = [query, key, value].map(|x| segments.compact(x));
            let bias = AttentionBias::causal_segments(segments.clone());
            segments.padded(attention(query, key, value, heads, &bias, 0.0))
        }
    };
    let n = SHARED + BEHIND;
    let weights = TensorData::new(numbers(b * n * widths[0], 99), [b, n, widths[0]]);
    let shown = shared_mask::<B>().float().reshape([b, n, 1]);
    let weighed = out * Tensor::<B, 3>::from_data(weights, &B::Device::default()) * shown;
    let grads = weighed.clone().sum().backward();
    let mut figures: Figures = vec![("output", values(weighed))];
    for (name, (first, own)) in ["query", "key", "value"].into_iter().zip(leaves) {
        figures.push((name, values(first.grad(&grads).expect("tracked"))));
        figures.push((name, values(own.grad(&grads).expect("tracked"))));
    }
    figures
}

#[test]
fn shared_slots_attend_once_for_all_rows() {
    let segments = Segments::of(&shared_mask::<Fused>(), SHARED).expect("there is padding");
    assert_eq!(segments.total(), SHARED + 70 + 4 + 31);
    check(sharing::<Fused>(Some(segments)), sharing::<Composed>(None));
}
