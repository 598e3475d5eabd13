//! Metrics against scikit-learn and scipy: ties, one class, invalid predictions, constant predictions, random ones.
//!
//! The cases come from `tests/generators/metrics_reference.py`. The limit of 1e-9 (of 100) is far below what any report
//! shows and far above the last bits in which sums in another order differ.

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
    check(Metric::Pearson, &["inf", "1.0"], &["1.0", "2.0"], 0.0);
    check(Metric::Spearman, &["nan", "1.0"], &["1.0", "2.0"], 0.0);
    check(Metric::Spearman, &["1.0"], &["1.0"], 0.0);
    check(Metric::Pearson, &["nan", "nan"], &["1.0", "2.0"], 0.0);
}
