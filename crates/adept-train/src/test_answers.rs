//! The test split's answers of a run, kept beside its result so that two runs can be compared example by example.
//!
//! Answers are kept as the task's metrics need them: places in a list of texts for label metrics, numbers for
//! correlations, and scores for metrics that are means over examples. Examples are in the order of the test split,
//! which a task's files and card determine.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use adept_data::{Metric, PASSED, Right, number, unit_scores};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::folder::{read_json, write_atomic};
use crate::program::Judged;

/// File with the test split's answers in a run's folder.
pub const TEST_ANSWERS: &str = "test-answers.json";

/// Answers to the test split.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestAnswers {
    /// Number of examples.
    pub examples: usize,
    /// Group of each example, numbered by first appearance; empty if each example is its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<usize>,
    /// Answers among labels, for accuracy, F1 and the Matthews correlation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelAnswers>,
    /// Answers as numbers, for correlations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<NumberAnswers>,
    /// Scores from 0 to 1 of the other metrics ([`unit_scores`]): one for each example, or for each group if the
    /// metric counts groups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<Metric, Vec<f64>>,
}

/// Answers as places in a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelAnswers {
    /// The task's labels, then other texts that were answered, without surrounding white space.
    pub texts: Vec<String>,
    /// The right text of each example.
    pub right: Vec<usize>,
    /// The answered text of each example.
    pub answers: Vec<usize>,
}

/// Answers as numbers; one that is no finite number is -1, as the metrics read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberAnswers {
    /// The right number of each example.
    pub right: Vec<f64>,
    /// The answered number of each example.
    pub answers: Vec<f64>,
}

impl TestAnswers {
    /// The answers of a task with these metrics and, if it chooses among fixed ones, these labels.
    ///
    /// # Panics
    /// If predictions and right answers differ in number, which is a bug of the caller.
    #[must_use]
    pub fn of(metrics: &[Metric], labels: Option<&[String]>, predictions: &[String], right: &Right) -> Self {
        let groups = dense(&right.groups);
        let mut answers = Self {
            examples: right.len(),
            groups: if has_groups(&groups) { groups } else { Vec::new() },
            ..Self::default()
        };
        for &metric in metrics {
            match metric {
                Metric::Accuracy if labels.is_none() => {}
                Metric::Accuracy | Metric::F1 | Metric::F1Multiclass | Metric::Matthews => {
                    let places = || LabelAnswers::of(labels.unwrap_or_default(), predictions, &right.targets);
                    answers.labels.get_or_insert_with(places);
                    continue;
                }
                Metric::Pearson | Metric::Spearman => {
                    answers.numbers.get_or_insert_with(|| NumberAnswers {
                        right: right.targets.iter().map(|text| number(text)).collect(),
                        answers: predictions.iter().map(|text| number(text)).collect(),
                    });
                    continue;
                }
                _ => {}
            }
            if let Some(scores) = unit_scores(metric, predictions, right) {
                answers.scores.insert(metric, scores);
            }
        }
        answers
    }

    /// Verdicts on programs: the share of each problem's programs that passed, in the order of the problems.
    #[must_use]
    pub fn of_programs(judged: &[Judged]) -> Self {
        let mut by_problem: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for one in judged {
            let (samples, passed) = by_problem.entry(one.problem).or_default();
            *samples += 1;
            *passed += usize::from(one.outcome == PASSED);
        }
        let share = |&(samples, passed): &(usize, usize)| passed as f64 / samples as f64;
        Self {
            examples: by_problem.len(),
            scores: [(Metric::PassAt1, by_problem.values().map(share).collect())].into(),
            ..Self::default()
        }
    }

    /// Number of groups; that of the examples if each is its own.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.iter().max().map_or(self.examples, |last| last + 1)
    }

    /// Writes the file, whole and on one line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let mut text = serde_json::to_vec(self).map_err(|source| TrainError::Json {
            path: path.to_owned(),
            line: 1,
            source,
        })?;
        text.push(b'\n');
        write_atomic(path, &text)
    }

    /// Reads and checks the file.
    ///
    /// # Errors
    /// It cannot be read, or lists that belong together have different lengths, or a place lies outside of its list.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let answers: Self = read_json(path)?;
        match answers.fault() {
            Some((expected, found)) => Err(TrainError::Answers {
                path: path.to_owned(),
                expected,
                found,
            }),
            None => Ok(answers),
        }
    }

    /// What is wrong: what was expected, and what was found.
    fn fault(&self) -> Option<(String, String)> {
        let examples = self.examples;
        let mut lists = Vec::new();
        if !self.groups.is_empty() {
            lists.push(("groups".to_owned(), self.groups.len(), examples));
            if dense(&self.groups) != self.groups {
                return Some((
                    "`groups` numbered by first appearance".to_owned(),
                    "another order".to_owned(),
                ));
            }
        }
        if let Some(labels) = &self.labels {
            lists.push(("labels.right".to_owned(), labels.right.len(), examples));
            lists.push(("labels.answers".to_owned(), labels.answers.len(), examples));
            let texts = labels.texts.len();
            if let Some(place) = labels
                .right
                .iter()
                .chain(&labels.answers)
                .find(|place| **place >= texts)
            {
                return Some((format!("places below {texts}, the number of texts"), place.to_string()));
            }
        }
        if let Some(numbers) = &self.numbers {
            lists.push(("numbers.right".to_owned(), numbers.right.len(), examples));
            lists.push(("numbers.answers".to_owned(), numbers.answers.len(), examples));
        }
        for (metric, scores) in &self.scores {
            let units = if counts_groups(*metric) {
                self.group_count()
            } else {
                examples
            };
            lists.push((format!("scores.{metric}"), scores.len(), units));
            if let Some(score) = scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
                return Some((format!("scores of {metric} from 0 to 1"), score.to_string()));
            }
        }
        let wrong = lists.into_iter().find(|(_, found, expected)| found != expected)?;
        let (name, found, expected) = wrong;
        Some((format!("{expected} values in `{name}`"), found.to_string()))
    }
}

impl LabelAnswers {
    fn of(labels: &[String], predictions: &[String], targets: &[String]) -> Self {
        let mut texts: Vec<String> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut place = |text: &String| {
            let text = text.trim();
            if let Some(&place) = places.get(text) {
                return place;
            }
            texts.push(text.to_owned());
            places.insert(text.to_owned(), texts.len() - 1);
            texts.len() - 1
        };
        labels.iter().for_each(|label| {
            place(label);
        });
        let right = targets.iter().map(&mut place).collect();
        let answers = predictions.iter().map(&mut place).collect();
        Self { texts, right, answers }
    }
}

/// Whether a metric has one score for each group.
fn counts_groups(metric: Metric) -> bool {
    matches!(metric, Metric::EmMax | Metric::TokenF1Max | Metric::EmGroups)
}

/// Groups renumbered by first appearance.
fn dense(groups: &[usize]) -> Vec<usize> {
    let mut places: HashMap<usize, usize> = HashMap::new();
    let place = |group: &usize| {
        let next = places.len();
        *places.entry(*group).or_insert(next)
    };
    groups.iter().map(place).collect()
}

/// Whether a dense group has more than one example.
fn has_groups(groups: &[usize]) -> bool {
    groups.iter().enumerate().any(|(row, group)| row != *group)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn answers_are_kept_as_the_metrics_need_them() {
        let (labels, targets) = (owned(&["0", "1"]), owned(&["1", "0", "1"]));
        let right = Right {
            groups: vec![5, 5, 7],
            ..Right::of_targets(targets)
        };
        let found = TestAnswers::of(
            &[Metric::F1, Metric::Accuracy, Metric::EmGroups],
            Some(&labels),
            &owned(&["1", " 0 ", "maybe"]),
            &right,
        );
        let expected = LabelAnswers {
            texts: owned(&["0", "1", "maybe"]),
            right: vec![1, 0, 1],
            answers: vec![1, 0, 2],
        };
        assert_eq!(found.labels, Some(expected));
        assert_eq!((found.groups.as_slice(), found.group_count()), (&[0, 0, 1][..], 2));
        assert_eq!(found.scores, [(Metric::EmGroups, vec![1.0, 0.0])].into());
        assert_eq!(found.numbers, None);

        let right = Right::of_targets(owned(&["1.5", "2"]));
        let found = TestAnswers::of(
            &[Metric::Pearson, Metric::Spearman],
            None,
            &owned(&["0.5 ", "x"]),
            &right,
        );
        let numbers = found.numbers.unwrap();
        assert_eq!((numbers.right, numbers.answers), (vec![1.5, 2.0], vec![0.5, -1.0]));
        assert!(found.groups.is_empty() && found.labels.is_none() && found.scores.is_empty());

        let found = TestAnswers::of(
            &[Metric::Accuracy, Metric::TokenF1],
            None,
            &owned(&["a red box", "no"]),
            &Right::of_targets(owned(&["red hat", "no"])),
        );
        assert_eq!(found.scores[&Metric::Accuracy], [0.0, 1.0]);
        assert_eq!(found.scores[&Metric::TokenF1], [0.5, 1.0]);
        assert!(found.labels.is_none());
    }

    #[test]
    fn a_problem_has_the_share_of_its_programs_that_passed() {
        let judged = |problem, sample, outcome: &str| Judged {
            problem,
            sample,
            outcome: outcome.to_owned(),
            message: String::new(),
            seconds: 0.0,
        };
        let all = [judged(3, 0, "pass"), judged(3, 1, "fail"), judged(1, 0, "pass")];
        let found = TestAnswers::of_programs(&all);
        assert_eq!((found.examples, &found.scores[&Metric::PassAt1]), (2, &vec![1.0, 0.5]));
    }

    #[test]
    fn the_file_reads_back_and_what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TEST_ANSWERS);
        let right = Right::of_targets(owned(&["1", "0"]));
        let answers = TestAnswers::of(
            &[Metric::Accuracy],
            Some(&owned(&["0", "1"])),
            &owned(&["1", "1"]),
            &right,
        );
        answers.write(&path).unwrap();
        assert_eq!(TestAnswers::read(&path).unwrap(), answers);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"examples\":2,\"labels\":{\"texts\":[\"0\",\"1\"],\"right\":[1,0],\"answers\":[1,1]}}\n"
        );
        for (wrong, cause) in [
            (
                text.replace("[1,0]", "[1,2]"),
                "places below 2, the number of texts, found 2",
            ),
            (text.replace("[1,0]", "[1]"), "2 values in `labels.right`, found 1"),
            (
                text.replace("2,", "2,\"groups\":[1,0],"),
                "numbered by first appearance, found another order",
            ),
            (
                text.replace("2,", "2,\"scores\":{\"em\":[1,7]},"),
                "scores of em from 0 to 1, found 7",
            ),
            (
                text.replace("2,", "2,\"scores\":{\"em_groups\":[1]},"),
                "2 values in `scores.em_groups`, found 1",
            ),
            (text.replace("examples", "rows"), "unknown field `rows`"),
        ] {
            std::fs::write(&path, wrong).unwrap();
            let error = TestAnswers::read(&path).unwrap_err().to_string();
            assert!(error.contains(TEST_ANSWERS) && error.contains(cause), "{error}");
        }
    }
}
