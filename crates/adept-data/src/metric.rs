//! Metrics over decoded strings (tasks.md, "Metrics"), as the published reference computes them with
//! scikit-learn and scipy. Every score is in hundredths: 100 is perfect.
//!
//! Where a metric is undefined (a constant column, no rows) the score is 0 and never NaN. A prediction such as `nan`,
//! `-inf` or `1e999` is no number, whatever Python's `float` makes of it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::Example;
use crate::answer::{exact_match, token_f1};

/// What stands for a program that passes its tests, among the predictions of [`Metric::PassAt1`].
pub const PASSED: &str = "pass";

/// A way to compare predictions with targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of predictions that equal their target, white space at both ends removed.
    Accuracy,
    /// Binary F1 of class "1". A prediction that is neither "0" nor "1" counts as the wrong class.
    F1,
    /// Macro F1 over the classes "0", "1" and "2" (CB); other predictions only lower the recall of their row's class.
    F1Multiclass,
    /// Matthews correlation over label strings (Gorodkin's form for many classes, which is scikit-learn's): a
    /// prediction that is no label is a class of its own.
    #[serde(rename = "matthews_correlation")]
    Matthews,
    /// Pearson's correlation; a prediction that is no number counts as -1.
    Pearson,
    /// Spearman's rank correlation with average ranks for ties; a prediction that is no number counts as -1.
    #[serde(rename = "spearmanr")]
    Spearman,
    /// Share of predictions that are the row's target after SQuAD's normalisation, as the reference scores answers.
    Em,
    /// F1 over the words of prediction and target after SQuAD's normalisation, as the reference scores answers.
    TokenF1,
    /// SQuAD's official score: exact match with the best of all right answers, each question once.
    EmMax,
    /// SQuAD's official score: F1 with the best of all right answers, each question once.
    TokenF1Max,
    /// MultiRC's official score: share of groups (questions) all of whose rows are right.
    EmGroups,
    /// Share of programs that pass their tests, one program a row (MBPP). What is scored is what running them has found,
    /// [`PASSED`] or another word.
    #[serde(rename = "pass_at_1")]
    PassAt1,
}

impl Metric {
    /// The reference's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::F1Multiclass => "f1_multiclass",
            Self::Matthews => "matthews_correlation",
            Self::Pearson => "pearson",
            Self::Spearman => "spearmanr",
            Self::Em => "em",
            Self::TokenF1 => "token_f1",
            Self::EmMax => "em_max",
            Self::TokenF1Max => "token_f1_max",
            Self::EmGroups => "em_groups",
            Self::PassAt1 => "pass_at_1",
        }
    }
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What predictions are compared with, row by row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Right {
    /// The target of each row.
    pub targets: Vec<String>,
    /// Every right answer of each row, where targets are answers.
    pub golds: Vec<Vec<String>>,
    /// The group of each row.
    pub groups: Vec<usize>,
}

impl Right {
    /// Of targets alone: every row is a group of its own, and its target the one right answer.
    pub fn of_targets(targets: Vec<String>) -> Self {
        Self {
            golds: targets.iter().map(|target| vec![target.clone()]).collect(),
            groups: (0..targets.len()).collect(),
            targets,
        }
    }

    /// Of examples, in their order.
    pub fn of_examples(examples: &[Example]) -> Self {
        Self {
            targets: examples.iter().map(|example| example.target.clone()).collect(),
            golds: examples.iter().map(|example| example.golds.clone()).collect(),
            groups: examples.iter().map(|example| example.group).collect(),
        }
    }

    /// Those of some rows.
    #[must_use]
    pub fn at(&self, rows: &[usize]) -> Self {
        Self {
            targets: rows.iter().map(|&row| self.targets[row].clone()).collect(),
            golds: rows.iter().map(|&row| self.golds[row].clone()).collect(),
            groups: rows.iter().map(|&row| self.groups[row]).collect(),
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The first row of each group, in their order.
    fn first_of_groups(&self) -> Vec<usize> {
        let mut seen = HashSet::new();
        (0..self.len()).filter(|&row| seen.insert(self.groups[row])).collect()
    }
}

/// The metric times 100. White space at both ends of a string does not count.
///
/// # Panics
/// Where `predictions` and the targets differ in number, which is a slip of the caller and not of the data.
pub fn score(metric: Metric, predictions: &[String], right: &Right) -> f64 {
    assert_eq!(predictions.len(), right.len(), "one prediction a target");
    let predictions: Vec<&str> = predictions.iter().map(|text| text.trim()).collect();
    let targets: Vec<&str> = right.targets.iter().map(|text| text.trim()).collect();
    if targets.is_empty() {
        return 0.0;
    }
    let value = match metric {
        Metric::Accuracy => accuracy(&predictions, &targets),
        Metric::F1 => binary_f1(&predictions, &targets),
        Metric::F1Multiclass => macro_f1(&predictions, &targets, &["0", "1", "2"]),
        Metric::Matthews => matthews(&predictions, &targets),
        Metric::Pearson => pearson(&numbers(&predictions), &numbers(&targets)),
        Metric::Spearman => spearman(&numbers(&predictions), &numbers(&targets)),
        Metric::Em => mean(predictions.iter().zip(&targets).map(|(p, t)| exact_match(p, t))),
        Metric::TokenF1 => mean(predictions.iter().zip(&targets).map(|(p, t)| token_f1(p, t))),
        Metric::EmMax => best_of_golds(exact_match, &predictions, right),
        Metric::TokenF1Max => best_of_golds(token_f1, &predictions, right),
        Metric::PassAt1 => mean(predictions.iter().map(|found| f64::from(u8::from(*found == PASSED)))),
        Metric::EmGroups => groups_right(&predictions, &targets, &right.groups),
    };
    100.0 * value
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    values.sum::<f64>() / count as f64
}

fn best_of_golds(score: fn(&str, &str) -> f64, predictions: &[&str], right: &Right) -> f64 {
    let first = right.first_of_groups();
    let best = |&row: &usize| {
        let golds = right.golds[row].iter();
        golds.map(|gold| score(predictions[row], gold)).fold(0.0, f64::max)
    };
    mean(first.iter().map(best))
}

fn groups_right(predictions: &[&str], targets: &[&str], groups: &[usize]) -> f64 {
    let mut right: HashMap<usize, bool> = HashMap::new();
    for ((prediction, target), group) in predictions.iter().zip(targets).zip(groups) {
        *right.entry(*group).or_insert(true) &= prediction == target;
    }
    right.values().filter(|right| **right).count() as f64 / right.len() as f64
}

fn accuracy(predictions: &[&str], targets: &[&str]) -> f64 {
    let right = predictions.iter().zip(targets).filter(|(p, t)| p == t).count();
    right as f64 / targets.len() as f64
}

fn binary_f1(predictions: &[&str], targets: &[&str]) -> f64 {
    let wrong_class = |target: &str| if target == "1" { "0" } else { "1" };
    let repaired: Vec<&str> = predictions
        .iter()
        .zip(targets)
        .map(|(&p, &t)| if p == "0" || p == "1" { p } else { wrong_class(t) })
        .collect();
    class_f1(&repaired, targets, "1")
}

fn macro_f1(predictions: &[&str], targets: &[&str], classes: &[&str]) -> f64 {
    let sum: f64 = classes.iter().map(|class| class_f1(predictions, targets, class)).sum();
    sum / classes.len() as f64
}

/// F1 of one class: `2·tp / (predicted + actual)`, 0 where the class is neither predicted nor there.
fn class_f1(predictions: &[&str], targets: &[&str], class: &str) -> f64 {
    let both = predictions
        .iter()
        .zip(targets)
        .filter(|(p, t)| **p == class && **t == class)
        .count();
    let predicted = predictions.iter().filter(|p| **p == class).count();
    let actual = targets.iter().filter(|t| **t == class).count();
    if predicted + actual == 0 {
        0.0
    } else {
        2.0 * both as f64 / (predicted + actual) as f64
    }
}

/// `(c·n − Σ p_k·t_k) / sqrt((n² − Σ p_k²)(n² − Σ t_k²))`, with c the rows that agree, p_k and t_k the counts of class k.
/// All counts are whole numbers, so only the last division and root are rounded.
fn matthews(predictions: &[&str], targets: &[&str]) -> f64 {
    let mut counts: HashMap<&str, (i128, i128)> = HashMap::new();
    for (&p, &t) in predictions.iter().zip(targets) {
        counts.entry(p).or_default().0 += 1;
        counts.entry(t).or_default().1 += 1;
    }
    let n = targets.len() as i128;
    let agree = predictions.iter().zip(targets).filter(|(p, t)| p == t).count() as i128;
    let sum = |term: fn(&(i128, i128)) -> i128| counts.values().map(term).sum::<i128>();
    let covariance = agree * n - sum(|(p, t)| p * t);
    let spread = (n * n - sum(|(p, _)| p * p), n * n - sum(|(_, t)| t * t));
    if spread.0 == 0 || spread.1 == 0 {
        return 0.0;
    }
    covariance as f64 / ((spread.0 as f64).sqrt() * (spread.1 as f64).sqrt())
}

/// The number that a text is; none where it is a word that stands for no finite number (`nan`, `Infinity`) or a number
/// beyond all of them (`1e999`).
pub(crate) fn finite_number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Numbers as the reference reads them: what is none is -1.
fn numbers(texts: &[&str]) -> Vec<f64> {
    texts.iter().map(|text| finite_number(text).unwrap_or(-1.0)).collect()
}

/// Squares of numbers beyond this, or of their inverses, are no numbers or zero.
const SQUARABLE: f64 = 1e150;

/// Numbers so small that their squares are numbers; the correlation is the same.
fn squarable(values: &[f64]) -> Cow<'_, [f64]> {
    let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if largest == 0.0 || (SQUARABLE.recip()..=SQUARABLE).contains(&largest) {
        return Cow::Borrowed(values);
    }
    values.iter().map(|value| value / largest).collect()
}

/// Pearson's correlation, 0 where it is undefined (a constant column).
fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let (x, y) = (&*squarable(x), &*squarable(y));
    if is_constant(x) || is_constant(y) {
        return 0.0;
    }
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        let (a, b) = (a - mean_x, b - mean_y);
        xy += a * b;
        xx += a * a;
        yy += b * b;
    }
    let value = xy / (xx.sqrt() * yy.sqrt());
    if value.is_finite() { value.clamp(-1.0, 1.0) } else { 0.0 }
}

/// Rounding can leave a constant column with a spread that is not quite zero, so equality is asked for directly.
fn is_constant(values: &[f64]) -> bool {
    values.iter().all(|value| *value == values[0])
}

fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&average_ranks(x), &average_ranks(y))
}

/// Ranks from 1; equal values share the mean of their ranks.
fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let value = values[order[first]];
        // `==` rather than `total_cmp`, so that -0 and 0 are a tie.
        let end = first + order[first..].iter().take_while(|&&row| values[row] == value).count();
        for &row in &order[first..end] {
            ranks[row] = (first + 1 + end) as f64 / 2.0;
        }
        first = end;
    }
    ranks
}
