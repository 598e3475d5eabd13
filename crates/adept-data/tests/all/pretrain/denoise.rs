//! Span corruption: hand-computed examples, and the statistics of the mask.

use std::collections::BTreeMap;

use adept_data::DataError;
use adept_data::pretrain::{DenoiseOptions, Draws, PretrainError, Sentinels, corrupt, noise_mask, window_length};

const T5: DenoiseOptions = DenoiseOptions {
    noise_density: 0.15,
    mean_span_length: 3.0,
};

fn noise(noise_density: f64, mean_span_length: f64) -> DenoiseOptions {
    DenoiseOptions {
        noise_density,
        mean_span_length,
    }
}

/// `x` marks noise. Tokens are 10, 11, 12 …, sentinels 99, 98, 97, and `</s>` is 1.
#[track_caller]
fn check_corrupt(mask: &str, source: &[u32], target: &[u32]) {
    let mask: Vec<bool> = mask.chars().map(|sign| sign == 'x').collect();
    let tokens: Vec<u32> = (10..10 + mask.len() as u32).collect();
    let encoded = corrupt(&tokens, &mask, &Sentinels::new(vec![99, 98, 97]), 1).expect("three sentinels are enough");
    assert_eq!((&encoded.source[..], &encoded.target[..]), (source, target), "{mask:?}");
}

#[test]
fn spans_become_sentinels() {
    check_corrupt("..xx...x", &[10, 11, 99, 14, 15, 16, 98, 1], &[99, 12, 13, 98, 17, 1]);
    check_corrupt(".x", &[10, 99, 1], &[99, 11, 1]);
    check_corrupt(".x.x.x", &[10, 99, 12, 98, 14, 97, 1], &[99, 11, 98, 13, 97, 15, 1]);
    check_corrupt(".xxxx", &[10, 99, 1], &[99, 11, 12, 13, 14, 1]);
    // Masks that `noise_mask` never produces: noise first, noise not last, no noise, only noise.
    check_corrupt("xx.x", &[99, 12, 98, 1], &[99, 10, 11, 98, 13, 1]);
    check_corrupt(".xx..", &[10, 99, 13, 14, 1], &[99, 11, 12, 1]);
    check_corrupt("...", &[10, 11, 12, 1], &[1]);
    check_corrupt("xxx", &[99, 1], &[99, 10, 11, 12, 1]);
    check_corrupt("", &[1], &[1]);
}

#[test]
fn more_spans_than_sentinels_are_refused() {
    let sentinels = Sentinels::new(vec![99, 98]);
    let mask = [false, true, false, true, false, true];
    let fault = corrupt(&[2; 6], &mask, &sentinels, 1);
    assert!(matches!(
        fault,
        Err(DataError::Pretrain(PretrainError::TooFewSentinels {
            expected: 3,
            found: 2
        }))
    ));
    let fault = corrupt(&[2; 5], &mask, &sentinels, 1);
    assert!(matches!(
        fault,
        Err(DataError::Pretrain(PretrainError::MaskLength { expected: 5, found: 6 }))
    ));
}

/// The first line is T5's own; the others follow from n = round(L · density), s = round(n / mean) and L - n + s + 1 ≤
/// input length. For example 141: n = 21, s = 7, input 141 - 21 + 7 + 1 = 128, target 21 + 7 + 1 = 29, while 142 tokens
/// would make an input of 129.
#[test]
fn windows_are_as_long_as_fits() {
    for (input_length, options, expected) in [
        (512, T5, (568, 114)),
        (256, T5, (284, 58)),
        (128, T5, (141, 29)),
        (64, T5, (70, 14)),
        // 3.75 rounds to 4 noise tokens in one span; 26 tokens would have 3.9, also 4, and one more input token.
        (23, T5, (25, 6)),
        (3, T5, (2, 3)),
        // Halves round to even: 2.5 noise tokens of 5 become 2, 9.5 of 19 become 10, and 2.5 spans of 10 become 2.
        (5, noise(0.5, 1.0), (4, 5)),
        (12, noise(0.5, 4.0), (19, 13)),
    ] {
        let found = window_length(input_length, &options).expect("options without a fault");
        assert_eq!(found, expected, "{input_length} {options:?}");
    }
}

/// The lengths from [`window_length`] hold for every mask: all inputs and all targets have one length.
#[test]
fn corrupted_windows_have_the_promised_lengths() {
    let sentinels = Sentinels::new((0..200).rev().collect());
    for options in [
        T5,
        noise(0.5, 3.0),
        noise(0.15, 1.0),
        noise(0.9, 2.0),
        noise(0.02, 10.0),
    ] {
        for input_length in 3..150 {
            let (window, target) = window_length(input_length, &options).expect("options without a fault");
            for index in 0..3 {
                let mask = noise_mask(window, &options, &mut Draws::new(1, index));
                let encoded = corrupt(&vec![7; window], &mask, &sentinels, 1).expect("enough sentinels");
                assert_eq!(encoded.target.len(), target, "{input_length} {options:?}");
                let source = encoded.source.len();
                assert!(source <= input_length, "{source} > {input_length} {options:?}");
                assert!(
                    source + 1 >= input_length || window > input_length,
                    "{source} is far from {input_length}"
                );
            }
        }
    }
}

#[test]
fn options_out_of_range_are_refused() {
    for (options, name) in [
        (noise(0.0, 3.0), "noise_density"),
        (noise(1.0, 3.0), "noise_density"),
        (noise(f64::NAN, 3.0), "noise_density"),
        (noise(0.15, 0.5), "mean_span_length"),
        (noise(0.15, f64::INFINITY), "mean_span_length"),
    ] {
        let fault = window_length(128, &options).expect_err("an option out of range");
        assert!(
            matches!(&fault, DataError::Pretrain(PretrainError::Option { option, .. }) if *option == name),
            "{fault}"
        );
    }
    let fault = window_length(2, &T5);
    assert!(matches!(
        fault,
        Err(DataError::Pretrain(PretrainError::InputTooShort {
            expected: 3,
            found: 2
        }))
    ));
}

/// Lengths of the runs of noise and of non-noise.
fn runs(mask: &[bool]) -> (Vec<usize>, Vec<usize>) {
    let (mut noise, mut rest) = (Vec::new(), Vec::new());
    for run in mask.chunk_by(|a, b| a == b) {
        if run[0] { &mut noise } else { &mut rest }.push(run.len());
    }
    (noise, rest)
}

#[test]
fn masks_have_the_published_statistics() {
    const DRAWS: usize = 4000;
    let mut noisy = vec![0_usize; 568];
    let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
    for index in 0..DRAWS as u64 {
        let mask = noise_mask(568, &T5, &mut Draws::new(9, index));
        let (noise, rest) = runs(&mask);
        // 568 · 0.15 = 85.2 noise tokens, 85 / 3 = 28.3 spans.
        assert_eq!(mask.iter().filter(|&&noise| noise).count(), 85);
        assert_eq!((noise.len(), rest.len()), (28, 28));
        assert!(!mask[0] && mask[567]);
        for (count, &noise) in noisy.iter_mut().zip(&mask) {
            *count += usize::from(noise);
        }
        for length in noise {
            *lengths.entry(length).or_default() += 1;
        }
    }
    let spans = DRAWS * 28;
    let mean = lengths.iter().map(|(length, count)| length * count).sum::<usize>() as f64 / spans as f64;
    assert!((mean - 85.0 / 28.0).abs() < 1e-9, "{mean}");
    // The first of 28 spans that partition 85 tokens is longer than k with probability C(84-k, 27) / C(84, 27): a span
    // has length one in 27/84 of cases, and at least three in (57 · 56) / (84 · 83).
    let share = |count: usize| count as f64 / spans as f64;
    let single = share(lengths[&1]);
    assert!((single - 27.0 / 84.0).abs() < 0.01, "{single}");
    let long = share(lengths.range(3..).map(|(_, count)| count).sum());
    assert!((long - 57.0 * 56.0 / (84.0 * 83.0)).abs() < 0.01, "{long}");
    // Away from the ends a position is noise in 15 % of draws; 5 standard deviations are 5 · √(0.15 · 0.85 / 4000) ≈
    // 0.028.
    for (place, &count) in noisy.iter().enumerate().take(508).skip(60) {
        let density = count as f64 / DRAWS as f64;
        assert!((density - 0.15).abs() < 0.03, "{density} at {place}");
    }
}

/// 8 tokens, 4 of them noise in 2 spans: both kinds are partitioned as 1 + 3, 2 + 2 or 3 + 1, giving nine equally
/// likely masks.
#[test]
fn all_ways_to_cut_are_equally_likely() {
    let mut seen: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
    for index in 0..9000 {
        *seen
            .entry(noise_mask(8, &noise(0.5, 2.0), &mut Draws::new(3, index)))
            .or_default() += 1;
    }
    assert_eq!(seen.len(), 9);
    // 1000 of each are expected; 5 standard deviations are 5 · √(1000 · 8/9) ≈ 149.
    assert!(seen.values().all(|count| (851..=1149).contains(count)), "{seen:?}");
}

#[test]
fn short_texts_have_little_noise_or_none() {
    let mask = |length| noise_mask(length, &T5, &mut Draws::new(0, 0));
    assert!(mask(0).is_empty());
    assert_eq!(mask(1), [false]);
    assert_eq!(mask(2), [false, true]);
    for length in 2..40 {
        let (noise, rest) = runs(&mask(length));
        assert_eq!(noise.len(), rest.len(), "{length}");
        assert_eq!(T5.spans(length), noise.len(), "{length}");
    }
    // The number of spans is limited by the tokens available to separate them.
    let (noise_spans, rest) = runs(&noise_mask(10, &noise(0.9, 1.0), &mut Draws::new(0, 0)));
    assert_eq!((noise_spans, rest), (vec![9], vec![1]));
}

#[test]
fn masks_are_a_pure_function_of_seed_and_index() {
    let mask = |seed, index| noise_mask(141, &T5, &mut Draws::new(seed, index));
    assert_eq!(mask(1, 2), mask(1, 2));
    assert_ne!(mask(1, 2), mask(1, 3));
    assert_ne!(mask(1, 2), mask(2, 2));
    assert_ne!(mask(1, 2), mask(1 + (1 << 40), 2));
    assert_ne!(mask(1, 2), mask(1, 2 + (1 << 40)));
}
