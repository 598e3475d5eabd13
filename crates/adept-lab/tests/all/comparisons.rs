//! Bootstrap and seed intervals against scipy. The cases come from `tests/generators/comparison_reference.py`.

use adept_data::Metric;
use adept_lab::report::comparison::{Bootstrap, Random, Sample, SeedInterval};
use adept_train::test_answers::{LabelAnswers, NumberAnswers, TestAnswers};

#[derive(serde::Deserialize)]
struct Reference {
    examples: Vec<Case>,
    seeds: Vec<Seeds>,
}

#[derive(serde::Deserialize)]
struct Case {
    metric: Metric,
    groups: Vec<usize>,
    right: Vec<f64>,
    above: Vec<Vec<f64>>,
    below: Vec<Vec<f64>>,
    difference: f64,
    interval: [f64; 2],
    deviation: f64,
    p: f64,
}

#[derive(serde::Deserialize)]
struct Seeds {
    differences: Vec<f64>,
    interval: [f64; 2],
    p: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../fixtures/comparisons.json")).expect("a whole fixture")
}

impl Case {
    fn answers(&self, answers: &[f64]) -> TestAnswers {
        let mut found = TestAnswers {
            examples: self.right.len(),
            groups: self.groups.clone(),
            ..TestAnswers::default()
        };
        let places = |values: &[f64]| values.iter().map(|value| *value as usize).collect();
        match self.metric {
            Metric::Pearson | Metric::Spearman => {
                found.numbers = Some(NumberAnswers {
                    right: self.right.clone(),
                    answers: answers.to_vec(),
                });
            }
            Metric::TokenF1 | Metric::EmGroups => {
                found.scores.insert(self.metric, answers.to_vec());
            }
            _ => {
                found.labels = Some(LabelAnswers {
                    texts: (0..4).map(|text| text.to_string()).collect(),
                    right: places(&self.right),
                    answers: places(answers),
                });
            }
        }
        found
    }
}

/// Both sides draw 10,000 resamples. An estimated percentile at 2.5 % of a normal distribution has a standard error of
/// sqrt(0.025 · 0.975 / 10,000) / 0.058 = 0.027 deviations, the difference of two 0.038; four of those are 0.15. A
/// difference of scores of few rows moves in steps, one of which is added: 100 out of the rows and runs. The share of
/// resamples below 0 has a standard error of at most 0.005; p is twice that share.
#[test]
fn bootstrap_intervals_are_those_of_scipy() {
    let cases = reference().examples;
    for (number, case) in cases.iter().enumerate() {
        let of = |runs: &[Vec<f64>]| -> Vec<TestAnswers> { runs.iter().map(|run| case.answers(run)).collect() };
        let (above, below) = (of(&case.above), of(&case.below));
        let sample = Sample::of(
            case.metric,
            &above.iter().collect::<Vec<_>>(),
            &below.iter().collect::<Vec<_>>(),
        );
        let sample = sample.expect("the answers have what the metric needs");
        let name = format!("case {number}, {}", case.metric);
        // Sums in another order.
        assert!((sample.difference() - case.difference).abs() < 1e-9, "{name}");
        let drawn = sample.resampled(&mut Random::of(&["reference"]));
        assert_eq!(drawn.len(), 10_000, "{name}");
        let found = Bootstrap::of(drawn).expect("there are draws");
        let step = match case.metric {
            Metric::Accuracy | Metric::EmGroups => 100.0 / (case.right.len() * case.above.len()) as f64,
            _ => 0.0,
        };
        let tolerance = 0.15 * case.deviation + step;
        for (found, expected) in found.interval.into_iter().zip(case.interval) {
            assert!(
                (found - expected).abs() <= tolerance,
                "{name}: {found} is not {expected} ± {tolerance}"
            );
        }
        let share = case.p / 2.0;
        let tolerance = 2.0 * 4.0 * (2.0 * share * (1.0 - share) / 1e4).sqrt() + 1e-3;
        assert!(
            (found.p - case.p).abs() <= tolerance,
            "{name}: {} is not {} ± {tolerance}",
            found.p,
            case.p
        );
    }
    let metrics: std::collections::BTreeSet<Metric> = cases.iter().map(|case| case.metric).collect();
    assert_eq!(metrics.len(), 8);
}

/// The distribution is computed in closed form; 1e-9 leaves room for scipy's own accuracy.
#[test]
fn intervals_over_seeds_are_those_of_scipy() {
    for case in reference().seeds {
        let found = SeedInterval::of(&case.differences).expect("several seeds");
        assert_eq!(found.n, case.differences.len());
        let figures = [found.interval[0], found.interval[1], found.p];
        for (found, expected) in figures.into_iter().zip([case.interval[0], case.interval[1], case.p]) {
            assert!(
                (found - expected).abs() < 1e-9,
                "{:?}: {found} is not {expected}",
                case.differences
            );
        }
    }
}

/// A large split of labels is drawn as counts, the same rows in random order of groups one by one.
#[test]
fn counts_and_rows_give_the_same_distribution() {
    let right: Vec<usize> = (0..3000).map(|row| row % 2).collect();
    let answers = |wrong: usize| -> Vec<usize> {
        right
            .iter()
            .enumerate()
            .map(|(row, right)| if row % wrong < 2 { 1 - right } else { *right })
            .collect()
    };
    let of = |wrong: usize, groups: &[usize]| TestAnswers {
        examples: right.len(),
        groups: groups.to_vec(),
        labels: Some(LabelAnswers {
            texts: ["0", "1"].map(str::to_owned).into(),
            right: right.clone(),
            answers: answers(wrong),
        }),
        ..TestAnswers::default()
    };
    // Every row is its own group, but listed.
    let rows: Vec<usize> = (0..right.len()).collect();
    for metric in [Metric::Accuracy, Metric::F1, Metric::Matthews] {
        let [counts, rows] = [&[][..], &rows[..]].map(|groups| {
            let (above, below) = (of(11, groups), of(7, groups));
            let sample = Sample::of(metric, &[&above], &[&below]).expect("labels");
            Bootstrap::of(sample.resampled(&mut Random::of(&["two ways"]))).expect("draws")
        });
        let width = counts.interval[1] - counts.interval[0];
        for (counts, rows) in counts.interval.into_iter().zip(rows.interval) {
            // As against scipy, 0.15 deviations, a quarter of the width each.
            assert!(
                (counts - rows).abs() < 0.04 * width + 100.0 / 3000.0,
                "{metric}: {counts} and {rows}"
            );
        }
    }
}
