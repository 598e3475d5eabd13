//! Exact match and token F1 of answers against Python: the cases come from `tests/fixtures/answers.py`, written from
//! the definition of Rajpurkar et al. 2016 with Python's own lower-casing, word boundaries and white space.
//!
//! Both sides divide the same integers and round alike; the tolerance of 1e-9 (out of 100) allows for the order of a
//! product and is far below what any report shows.

use adept_data::{Metric, Right, score};

/// A prediction, its gold answers, the scores against the first of them and against the best.
#[derive(serde::Deserialize)]
struct Case(String, Vec<String>, f64, f64, f64, f64);

#[test]
fn scores_equal_the_definition_s() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/answers.json")).expect("a whole fixture");
    assert!(cases.len() >= 300, "{} cases", cases.len());
    for Case(prediction, golds, em, f1, em_max, f1_max) in cases {
        let right = Right {
            targets: vec![golds[0].clone()],
            groups: vec![0],
            golds: vec![golds.clone()],
        };
        for (metric, expected) in [
            (Metric::Em, em),
            (Metric::TokenF1, f1),
            (Metric::EmMax, em_max),
            (Metric::TokenF1Max, f1_max),
        ] {
            let found = score(metric, std::slice::from_ref(&prediction), &right);
            let expected = 100.0 * expected;
            assert!(
                (found - expected).abs() <= 1e-9,
                "{metric} of {prediction:?} against {golds:?}: expected {expected}, found {found}"
            );
        }
    }
}
