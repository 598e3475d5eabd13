//! Scores of answers: the first line is the prediction, the second the right answer.
#![no_main]

use adept_data::{Metric, Right, score};

/// The score of one prediction.
fn of(metric: Metric, prediction: &str, gold: &str) -> f64 {
    let found = score(
        metric,
        &[prediction.to_owned()],
        &Right::of_targets(vec![gold.to_owned()]),
    );
    assert!(
        (0.0..=100.0).contains(&found),
        "{metric} of {prediction:?} and {gold:?}: {found}"
    );
    found
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (prediction, gold) = text.split_once('\n').unwrap_or((&text, ""));
    let em = of(Metric::Em, prediction, gold);
    let f1 = of(Metric::TokenF1, prediction, gold);
    assert_eq!(em, of(Metric::Em, gold, prediction));
    assert_eq!(em, of(Metric::EmMax, prediction, gold));
    assert_eq!(f1, of(Metric::TokenF1Max, prediction, gold));
    assert!((f1 - of(Metric::TokenF1, gold, prediction)).abs() < 1e-9);
    assert_eq!(of(Metric::Em, prediction, prediction), 100.0);
    // The same words, or none on either side.
    assert!(
        em == 0.0 || f1 == 100.0 || f1 == 0.0,
        "{prediction:?} and {gold:?}: {f1}"
    );
});
