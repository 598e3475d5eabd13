//! Which tokens are drawn from given logits, and how often.

use proptest::prelude::*;

use super::super::{Draw, Sampling};

fn draws(sampling: Sampling, logits: &[f32], count: u64) -> Vec<usize> {
    let mut counts = vec![0; logits.len()];
    for token in 0..count {
        // Varies all three numbers, so that each is shown to matter.
        let draw = Draw {
            row: token % 7,
            sample: token / 7 % 5,
            token: token / 35,
        };
        counts[sampling.draw(logits, draw).unwrap() as usize] += 1;
    }
    counts
}

fn sampling(temperature: f64, top_k: usize, top_p: f64) -> Sampling {
    Sampling {
        temperature,
        top_k,
        top_p,
        seed: 11,
    }
}

/// transformers' procedure: sort ascending, then remove by cumulative sum.
fn by_definition(logits: &[f32], sampling: Sampling) -> Vec<f64> {
    let mut scores: Vec<f64> = logits.iter().map(|&x| f64::from(x) / sampling.temperature).collect();
    if sampling.top_k > 0 {
        let mut sorted = scores.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let smallest = sorted[sampling.top_k.min(sorted.len()) - 1];
        scores
            .iter_mut()
            .filter(|x| **x < smallest)
            .for_each(|x| *x = f64::NEG_INFINITY);
    }
    let softmax = |scores: &[f64]| -> Vec<f64> {
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|x| (x - largest).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|x| x / total).collect()
    };
    if sampling.top_p < 1.0 {
        let probabilities = softmax(&scores);
        let mut upwards: Vec<usize> = (0..scores.len()).collect();
        upwards.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]).then(b.cmp(&a)));
        let mut below = 0.0;
        for &id in &upwards[..upwards.len() - 1] {
            below += probabilities[id];
            if below <= 1.0 - sampling.top_p {
                scores[id] = f64::NEG_INFINITY;
            }
        }
    }
    softmax(&scores)
}

#[test]
fn tokens_come_as_often_as_they_are_probable() {
    let logits = [1.0, 3.0, -2.0, 2.5, 0.0, 2.9, -9.0];
    const COUNT: u64 = 40_000;
    for sampling in [
        sampling(1.0, 0, 1.0),
        sampling(0.6, 0, 0.95),
        sampling(2.0, 4, 1.0),
        sampling(1.3, 5, 0.8),
    ] {
        let expected = by_definition(&logits, sampling);
        for (id, count) in draws(sampling, &logits, COUNT).into_iter().enumerate() {
            let p = expected[id];
            let found = count as f64 / COUNT as f64;
            // A frequency has standard deviation sqrt(p·(1 - p) / n); five times that is exceeded once in two million.
            let limit = 5.0 * (p * (1.0 - p) / COUNT as f64).sqrt();
            assert!((found - p).abs() <= limit, "{sampling:?}: {id}: {found} for {p}");
        }
    }
}

#[test]
fn the_smallest_set_that_reaches_top_p_is_kept() {
    // Probabilities 1/2, 1/4, 1/8, 1/8.
    let logits: Vec<f32> = [0.5_f32, 0.25, 0.125, 0.125].map(f32::ln).to_vec();
    let kept = |top_p: f64| -> Vec<u32> {
        let kept = sampling(1.0, 0, top_p).probabilities(&logits).unwrap();
        kept.into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(kept(0.0), [0]);
    assert_eq!(kept(0.49), [0]);
    assert_eq!(kept(0.51), [0, 1]);
    assert_eq!(kept(0.74), [0, 1]);
    assert_eq!(kept(0.76), [0, 1, 2]);
    assert_eq!(kept(0.9), [0, 1, 2, 3]);
    assert_eq!(kept(1.0), [0, 1, 2, 3]);
    // All equal: the first ones.
    let alike = sampling(1.0, 0, 0.5).probabilities(&[0.3; 10]).unwrap();
    assert_eq!(alike, (0..5).map(|id| (id, 0.2)).collect::<Vec<_>>());
    // Ties with the last of the top k are kept, as in transformers.
    let tied = sampling(1.0, 2, 1.0).probabilities(&[1.0, 5.0, 1.0, 0.0, 1.0]).unwrap();
    assert_eq!(tied.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0, 1, 2, 4]);
}

#[test]
fn logits_at_their_limits() {
    let plain = sampling(0.5, 0, 0.9);
    let draw = Draw {
        row: 0,
        sample: 0,
        token: 0,
    };
    assert_eq!(plain.draw(&[f32::NEG_INFINITY, -1.0, f32::NEG_INFINITY], draw), Some(1));
    assert_eq!(plain.draw(&[f32::MIN, f32::MAX], draw), Some(1));
    assert_eq!(plain.draw(&[0.0, f32::NAN], draw), None);
    assert_eq!(plain.draw(&[0.0, f32::INFINITY], draw), None);
    assert_eq!(plain.draw(&[f32::NEG_INFINITY; 3], draw), None);
    assert_eq!(plain.draw(&[], draw), None);
    for (temperature, top_p) in [
        (f64::NAN, 1.0),
        (f64::INFINITY, 1.0),
        (-0.1, 1.0),
        (1.0, 1.1),
        (1.0, -0.1),
        (1.0, f64::NAN),
    ] {
        assert!(sampling(temperature, 0, top_p).validate().is_err());
    }
    for (temperature, top_p) in [(0.0, 1.0), (0.2, 0.0), (9.0, 0.95)] {
        assert_eq!(sampling(temperature, 0, top_p).validate(), Ok(()));
    }
}

#[test]
fn a_draw_is_the_same_on_every_machine() {
    let logits: Vec<f32> = (0..1000).map(|i| (i * 7919 % 1000) as f32 / 400.0).collect();
    let plain = sampling(0.8, 0, 0.95);
    let drawn: Vec<u32> = (0..10)
        .map(|token| {
            let draw = Draw {
                row: 601,
                sample: 2,
                token,
            };
            plain.draw(&logits, draw).unwrap()
        })
        .collect();
    // Also the result of `tests/generators/draws_reference.py`, which has its own ChaCha8.
    assert_eq!(drawn, [353, 164, 470, 13, 422, 559, 371, 386, 75, 372]);
}

proptest! {
    #[test]
    fn what_is_drawn_is_what_the_definition_keeps(
        logits in proptest::collection::vec(-30.0_f32..30.0, 1..60),
        temperature in 0.05_f64..4.0,
        top_k in 0_usize..70,
        top_p in 0.0_f64..1.0,
        seed: u64,
        row: u64,
    ) {
        let sampling = Sampling { temperature, top_k, top_p, seed };
        let expected = by_definition(&logits, sampling);
        let kept = sampling.probabilities(&logits).unwrap();
        let total: f64 = kept.iter().map(|(_, p)| p).sum();
        prop_assert!((total - 1.0).abs() < 1e-9);
        let allowed: Vec<u32> = kept.iter().map(|(id, _)| *id).collect();
        for (id, &p) in expected.iter().enumerate() {
            let found = kept.iter().find(|(kept, _)| *kept as usize == id).map_or(0.0, |(_, p)| *p);
            prop_assert!((found - p).abs() < 1e-9, "{}: {} for {}", id, found, p);
        }
        for token in 0..20 {
            let drawn = sampling.draw(&logits, Draw { row, sample: 1, token }).unwrap();
            prop_assert!(allowed.contains(&drawn));
        }
    }
}
