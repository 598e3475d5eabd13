//! Metrics against scikit-learn and scipy: ties, a single class, invalid predictions, constant predictions, random
//! ones.
//!
//! The cases come from `tests/generators/metrics_reference.py`. The tolerance of 1e-9 (out of 100) is far below what
//! any report shows and far above the differences caused by another order of summation.

use std::collections::BTreeMap;

use adept_data::{Metric, Right, score};

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    predictions: Vec<String>,
    targets: Vec<String>,
    scores: BTreeMap<Metric, f64>,
}

#[test]
fn scores_equal_scikit_learn_and_scipy() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/metrics.json")).expect("a whole fixture");
    let mut compared: BTreeMap<Metric, usize> = BTreeMap::new();
    for case in &cases {
        for (&metric, &expected) in &case.scores {
            let found = score(metric, &case.predictions, &Right::of_targets(case.targets.clone()));
            assert!(
                (found - expected).abs() <= 1e-9,
                "{metric} of {}: {found} is not {expected}",
                case.name
            );
            *compared.entry(metric).or_default() += 1;
        }
    }
    assert_eq!(compared.len(), 6, "every metric is compared");
    assert!(compared.values().all(|&count| count >= 50), "{compared:?}");
}

#[track_caller]
fn check(metric: Metric, predictions: &[&str], targets: &[&str], expected: f64) {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let found = score(metric, &owned(predictions), &Right::of_targets(owned(targets)));
    assert!((found - expected).abs() <= 1e-12, "{found} is not {expected}");
}

#[test]
fn white_space_at_the_ends_does_not_count() {
    check(Metric::Accuracy, &[" 1", "0\n"], &["1", "1"], 50.0);
    check(Metric::F1, &[" 1 ", "1"], &["1", "1"], 100.0);
    check(Metric::Pearson, &[" 1.0", "2.0 ", "3"], &["2", "4", "6"], 100.0);
}

#[test]
fn what_is_undefined_is_zero() {
    for metric in [
        Metric::Accuracy,
        Metric::F1,
        Metric::F1Multiclass,
        Metric::Matthews,
        Metric::Pearson,
    ] {
        check(metric, &[], &[], 0.0);
    }
    check(Metric::Spearman, &["1.0"], &["1.0"], 0.0);
    check(Metric::Pearson, &["nan", "nan"], &["1.0", "2.0"], 0.0);
    check(Metric::Pearson, &["3", "3"], &["1.0", "2.0"], 0.0);
    check(Metric::Pearson, &["1e-300", "2e-300"], &["4", "4"], 0.0);
}

/// Words that Python's `float` parses as numbers are non-numeric predictions, like `n/a`, and so are numbers that
/// overflow.
#[test]
fn words_are_no_numbers() {
    let targets = ["0.0", "1.0", "2.0", "3.0"];
    let words = [
        "nan",
        "NaN",
        "-nan",
        "inf",
        "-inf",
        "+Inf",
        "Infinity",
        "-INFINITY",
        "1e999",
        "-1e999",
    ];
    for metric in [Metric::Pearson, Metric::Spearman] {
        let with = |word: &str| {
            let predictions = ["0.0", word, "2.5", "1.5"].map(str::to_owned);
            score(
                metric,
                &predictions,
                &Right::of_targets(targets.map(str::to_owned).into()),
            )
        };
        let expected = with("n/a");
        assert!(expected.is_finite() && expected != 0.0);
        for word in words {
            assert_eq!(with(word), expected, "{metric} of {word}");
        }
    }
}

/// Squares of these are infinite or zero; the correlation is that of the same numbers on another scale.
#[test]
fn numbers_of_any_size_have_a_correlation() {
    for scale in ["e300", "e-300", "e160", "e-170"] {
        let scaled = ["1", "3", "2"].map(|number| format!("{number}{scale}"));
        let targets = Right::of_targets(["1", "2", "3"].map(str::to_owned).into());
        let found = score(Metric::Pearson, &scaled, &targets);
        assert!((found - 50.0).abs() <= 1e-9, "{found} with {scale}");
    }
    check(Metric::Pearson, &["1e308", "-1e308", "1e308"], &["1", "0", "1"], 100.0);
}
