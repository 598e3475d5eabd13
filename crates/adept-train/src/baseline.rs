//! The majority baseline: what a program that has only counted the training labels scores.
//!
//! It always gives the most frequent label of the training split; where targets are numbers, their mean. A
//! constant answer correlates with nothing, so that its Pearson, Spearman and Matthews correlations are 0.

use std::collections::BTreeMap;

use adept_data::task::TargetCard;
use adept_data::{Example, Right, Task};
use serde::{Deserialize, Serialize};

use crate::evaluate;
use crate::record::Scores;

/// The constant answer of a task and what it scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Majority {
    /// The answer.
    pub answer: String,
    /// The task's metrics of that answer on the test split, times 100.
    pub test: Scores,
}

impl Majority {
    /// Counts the training split and scores the answer on the test split.
    #[must_use]
    pub fn of(task: &Task, train: &[Example], test: &[Example]) -> Self {
        let answer = match &task.card().target {
            TargetCard::Score { .. } => mean(train),
            TargetCard::Class { .. } | TargetCard::Answer { .. } => most_frequent(train),
        };
        let right = Right::of_examples(test);
        let predictions = vec![answer.clone(); right.len()];
        Self {
            test: evaluate::scores(task.metrics(), &predictions, &right),
            answer,
        }
    }
}

/// The most frequent target; among equally frequent ones the first by value.
fn most_frequent(train: &[Example]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for example in train {
        *counts.entry(&example.target).or_default() += 1;
    }
    let mut best = ("", 0);
    for (target, count) in counts {
        if count > best.1 {
            best = (target, count);
        }
    }
    best.0.to_owned()
}

/// The mean of numeric targets.
fn mean(train: &[Example]) -> String {
    let numbers: Vec<f64> = train.iter().filter_map(|example| example.target.parse().ok()).collect();
    format!("{:.4}", numbers.iter().sum::<f64>() / numbers.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(targets: &[&str]) -> Vec<Example> {
        let row = |(id, target): (usize, &&str)| Example {
            id,
            group: id,
            source: "text".to_owned(),
            target: (*target).to_owned(),
            golds: Vec::new(),
        };
        targets.iter().enumerate().map(row).collect()
    }

    #[track_caller]
    fn check(task: &str, train: &[&str], test: &[&str], answer: &str, expected: &[(&str, f64)]) {
        let task = Task::named(task).expect("a task");
        let found = Majority::of(&task, &rows(train), &rows(test));
        assert_eq!(found.answer, answer);
        assert_eq!(found.test.len(), expected.len(), "{:?}", found.test);
        for (metric, score) in expected {
            assert!((found.test[*metric] - score).abs() < 1e-9, "{metric}: {:?}", found.test);
        }
    }

    #[test]
    fn figures_by_hand() {
        let accuracy = |score| [("accuracy", score)];
        // Two of three training rows say 0, and so do three of four test rows.
        check("rte", &["1", "0", "0"], &["0", "0", "1", "0"], "0", &accuracy(75.0));
        // The training split decides, not the test split.
        check("rte", &["1", "1", "0"], &["0", "0", "0", "1"], "1", &accuracy(25.0));
        check(
            "mnli",
            &["2", "1", "2", "0"],
            &["2", "0", "1"],
            "2",
            &accuracy(100.0 / 3.0),
        );
        // A tie goes to the first label.
        check("rte", &["1", "0"], &["0"], "0", &accuracy(100.0));
        // Class 1 everywhere: precision 2/3, recall 1, F1 = 2·2 / (3 + 2).
        check(
            "mrpc",
            &["1", "1", "0"],
            &["1", "1", "0"],
            "1",
            &[("accuracy", 200.0 / 3.0), ("f1", 80.0)],
        );
        check(
            "cola",
            &["1", "1", "0"],
            &["1", "0"],
            "1",
            &[("matthews_correlation", 0.0)],
        );
        check(
            "stsb",
            &["1.0", "4.0", "5.0"],
            &["2.0", "3.4"],
            "3.3333",
            &[("pearson", 0.0), ("spearmanr", 0.0)],
        );
    }
}
