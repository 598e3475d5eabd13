//! The majority baseline: the score reached by only counting the training labels.
//!
//! The prediction is always the most frequent label of the training split or, for numeric targets, their mean. A
//! constant prediction has no correlation, so its Pearson, Spearman and Matthews correlations are 0.

use adept_data::task::TargetCard;
use adept_data::{DataError, Right, StoredRows, Task};
use adept_train::evaluate;
use adept_train::record::Majority;

/// Determines the constant answer from the training split and scores it on the test split's references.
///
/// # Errors
/// Training rows that can no longer be read.
pub fn majority(task: &Task, train: &StoredRows, test: &Right) -> Result<Majority, DataError> {
    let answer = match &task.card().target {
        TargetCard::Score { .. } => train.mean_target()?.map(|mean| format!("{mean:.4}")),
        TargetCard::Class { .. }
        | TargetCard::Answer { .. }
        | TargetCard::Program { .. }
        | TargetCard::Conversation { .. } => train.most_frequent_target()?,
    };
    Ok(scored(task, answer.unwrap_or_default(), test))
}

fn scored(task: &Task, answer: String, test: &Right) -> Majority {
    let predictions = vec![answer.clone(); test.len()];
    Majority {
        test: evaluate::scores(task.metrics(), &predictions, test),
        answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(task: &str, answer: &str, test: &[&str], expected: &[(&str, f64)]) {
        let task = Task::named(task).expect("a task");
        let right = Right::of_targets(test.iter().map(|target| (*target).to_owned()).collect());
        let found = scored(&task, answer.to_owned(), &right);
        assert_eq!(found.answer, answer);
        assert_eq!(found.test.len(), expected.len(), "{:?}", found.test);
        for (metric, score) in expected {
            assert!((found.test[*metric] - score).abs() < 1e-9, "{metric}: {:?}", found.test);
        }
    }

    #[test]
    fn figures_by_hand() {
        let accuracy = |score| [("accuracy", score)];
        check("rte", "0", &["0", "0", "1", "0"], &accuracy(75.0));
        check("mnli", "2", &["2", "0", "1"], &accuracy(100.0 / 3.0));
        // Class 1 everywhere: precision 2/3, recall 1, F1 = 2·2 / (3 + 2).
        check(
            "mrpc",
            "1",
            &["1", "1", "0"],
            &[("accuracy", 200.0 / 3.0), ("f1", 80.0)],
        );
        check("cola", "1", &["1", "0"], &[("matthews_correlation", 0.0)]);
        check(
            "stsb",
            "3.3333",
            &["2.0", "3.4"],
            &[("pearson", 0.0), ("spearmanr", 0.0)],
        );
    }
}
