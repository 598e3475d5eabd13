//! Metrics over decoded strings (tasks.md, "Metrics"), as the published reference computes them with scikit-learn and
//! scipy. Every score is multiplied by 100.
//!
//! Undefined metrics (a constant column, no rows) score 0, never NaN. A prediction such as `nan`, `-inf` or `1e999` is
//! not a number here, unlike in Python's `float`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::Example;
use crate::answer::{exact_match, token_f1};

/// Prediction that denotes a program passing its tests, for [`Metric::PassAt1`].
pub const PASSED: &str = "pass";

/// A metric of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of predictions equal to their target, ignoring surrounding white space.
    Accuracy,
    /// Binary F1 of class "1". A prediction that is neither "0" nor "1" counts as the wrong class.
    F1,
    /// Macro F1 over the classes "0", "1" and "2" (CB); any other prediction only lowers the recall of its row's class.
    F1Multiclass,
    /// Matthews correlation over label strings (Gorodkin's multi-class form, as in scikit-learn); a prediction that is
    /// not a label forms a class of its own.
    #[serde(rename = "matthews_correlation")]
    Matthews,
    /// Pearson correlation; a non-numeric prediction counts as -1.
    Pearson,
    /// Spearman rank correlation with average ranks for ties; a non-numeric prediction counts as -1.
    #[serde(rename = "spearmanr")]
    Spearman,
    /// Exact match with the row's target after SQuAD's normalisation, as the reference scores answers.
    Em,
    /// Token F1 between prediction and target after SQuAD's normalisation, as the reference scores answers.
    TokenF1,
    /// SQuAD's official score: maximum exact match over all gold answers, each question counted once.
    EmMax,
    /// SQuAD's official score: maximum F1 over all gold answers, each question counted once.
    TokenF1Max,
    /// MultiRC's official score: share of groups (questions) with all rows correct.
    EmGroups,
    /// Share of programs that pass their tests, one program per row (MBPP). Predictions are the results of running
    /// them, [`PASSED`] or another word.
    #[serde(rename = "pass_at_1")]
    PassAt1,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 12] = [
        Self::Accuracy,
        Self::F1,
        Self::F1Multiclass,
        Self::Matthews,
        Self::Pearson,
        Self::Spearman,
        Self::Em,
        Self::TokenF1,
        Self::EmMax,
        Self::TokenF1Max,
        Self::EmGroups,
        Self::PassAt1,
    ];

    /// Name used by the reference.
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

/// What predictions are scored against, row by row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Right {
    /// The target of each row.
    pub targets: Vec<String>,
    /// All gold answers of each row, for tasks with answers as targets.
    pub golds: Vec<Vec<String>>,
    /// Group of each row.
    pub groups: Vec<usize>,
}

impl Right {
    /// From targets only: each row is its own group with its target as the sole gold answer.
    pub fn of_targets(targets: Vec<String>) -> Self {
        Self {
            golds: targets.iter().map(|target| vec![target.clone()]).collect(),
            groups: (0..targets.len()).collect(),
            targets,
        }
    }

    /// From examples, in order.
    pub fn of_examples(examples: &[Example]) -> Self {
        Self {
            targets: examples.iter().map(|example| example.target.clone()).collect(),
            golds: examples.iter().map(|example| example.golds.clone()).collect(),
            groups: examples.iter().map(|example| example.group).collect(),
        }
    }

    /// The subset of these rows.
    #[must_use]
    pub fn at(&self, rows: &[usize]) -> Self {
        Self {
            targets: rows.iter().map(|&row| self.targets[row].clone()).collect(),
            golds: rows.iter().map(|&row| self.golds[row].clone()).collect(),
            groups: rows.iter().map(|&row| self.groups[row]).collect(),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// First row of each group, in order of appearance.
    fn first_of_groups(&self) -> Vec<usize> {
        let mut seen = HashSet::new();
        (0..self.len()).filter(|&row| seen.insert(self.groups[row])).collect()
    }
}

/// The metric times 100. Surrounding white space is ignored.
///
/// # Panics
/// If predictions and targets differ in number, which is a bug of the caller.
pub fn score(metric: Metric, predictions: &[String], right: &Right) -> f64 {
    assert_eq!(predictions.len(), right.len(), "one prediction a target");
    let predictions: Vec<&str> = predictions.iter().map(|text| text.trim()).collect();
    let targets: Vec<&str> = right.targets.iter().map(|text| text.trim()).collect();
    if targets.is_empty() {
        return 0.0;
    }
    let value = match metric {
        Metric::F1 => binary_f1(&predictions, &targets),
        Metric::F1Multiclass => macro_f1(&predictions, &targets, &["0", "1", "2"]),
        Metric::Matthews => matthews(&predictions, &targets),
        Metric::Pearson => pearson(&numbers(&predictions), &numbers(&targets)),
        Metric::Spearman => spearman(&numbers(&predictions), &numbers(&targets)),
        Metric::Accuracy
        | Metric::Em
        | Metric::TokenF1
        | Metric::EmMax
        | Metric::TokenF1Max
        | Metric::EmGroups
        | Metric::PassAt1 => mean(&scores_of_units(metric, &predictions, &targets, right)),
    };
    100.0 * value
}

/// The scores, from 0 to 1, whose mean times 100 is the metric: one for each row, or one for each group in order of
/// appearance where the metric counts groups once. `None` for a metric that is no mean (F1, correlations).
///
/// # Panics
/// If predictions and targets differ in number, which is a bug of the caller.
pub fn unit_scores(metric: Metric, predictions: &[String], right: &Right) -> Option<Vec<f64>> {
    assert_eq!(predictions.len(), right.len(), "one prediction a target");
    let predictions: Vec<&str> = predictions.iter().map(|text| text.trim()).collect();
    let targets: Vec<&str> = right.targets.iter().map(|text| text.trim()).collect();
    match metric {
        Metric::F1 | Metric::F1Multiclass | Metric::Matthews | Metric::Pearson | Metric::Spearman => None,
        _ => Some(scores_of_units(metric, &predictions, &targets, right)),
    }
}

/// See [`unit_scores`]; a metric that is no mean has none.
fn scores_of_units(metric: Metric, predictions: &[&str], targets: &[&str], right: &Right) -> Vec<f64> {
    let pairs = || predictions.iter().zip(targets);
    let is = |holds: bool| f64::from(u8::from(holds));
    match metric {
        Metric::Accuracy => pairs().map(|(p, t)| is(p == t)).collect(),
        Metric::Em => pairs().map(|(p, t)| exact_match(p, t)).collect(),
        Metric::TokenF1 => pairs().map(|(p, t)| token_f1(p, t)).collect(),
        Metric::EmMax => best_of_golds(exact_match, predictions, right),
        Metric::TokenF1Max => best_of_golds(token_f1, predictions, right),
        Metric::PassAt1 => predictions.iter().map(|found| is(*found == PASSED)).collect(),
        Metric::EmGroups => groups_right(predictions, targets, &right.groups),
        Metric::F1 | Metric::F1Multiclass | Metric::Matthews | Metric::Pearson | Metric::Spearman => Vec::new(),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn best_of_golds(score: fn(&str, &str) -> f64, predictions: &[&str], right: &Right) -> Vec<f64> {
    let best = |row: usize| {
        let golds = right.golds[row].iter();
        golds.map(|gold| score(predictions[row], gold)).fold(0.0, f64::max)
    };
    right.first_of_groups().into_iter().map(best).collect()
}

/// 1 for each group with all rows right, else 0, in order of appearance.
fn groups_right(predictions: &[&str], targets: &[&str], groups: &[usize]) -> Vec<f64> {
    let mut place: HashMap<usize, usize> = HashMap::new();
    let mut right: Vec<f64> = Vec::new();
    for ((prediction, target), group) in predictions.iter().zip(targets).zip(groups) {
        let place = *place.entry(*group).or_insert(right.len());
        if place == right.len() {
            right.push(1.0);
        }
        if prediction != target {
            right[place] = 0.0;
        }
    }
    right
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

/// F1 of one class: `2·tp / (predicted + actual)`, 0 if the class occurs in neither.
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

/// `(c·n − Σ p_k·t_k) / sqrt((n² − Σ p_k²)(n² − Σ t_k²))`, with c the number of rows that agree, p_k and t_k the counts
/// of class k. All counts are integers, so only the final root and division round.
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

/// Parses a finite number; `None` for words such as `nan` or `Infinity` and for overflowing numbers (`1e999`).
pub(crate) fn finite_number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A text as the reference reads it for the correlations: -1 for anything but a finite number. Surrounding white space
/// is ignored.
pub fn number(text: &str) -> f64 {
    finite_number(text.trim()).unwrap_or(-1.0)
}

fn numbers(texts: &[&str]) -> Vec<f64> {
    texts.iter().map(|text| number(text)).collect()
}

/// Beyond this magnitude (or below its reciprocal) squares overflow (or underflow to zero).
const SQUARABLE: f64 = 1e150;

/// Scales values so that their squares are finite; correlations do not change.
fn squarable(values: &[f64]) -> Cow<'_, [f64]> {
    let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if largest == 0.0 || (SQUARABLE.recip()..=SQUARABLE).contains(&largest) {
        return Cow::Borrowed(values);
    }
    values.iter().map(|value| value / largest).collect()
}

/// Pearson correlation, 0 if undefined (a constant column).
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

/// Compares values directly, since rounding can leave a constant column with a tiny non-zero variance.
fn is_constant(values: &[f64]) -> bool {
    values.iter().all(|value| *value == values[0])
}

fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&average_ranks(x), &average_ranks(y))
}

/// Ranks from 1; ties share their mean rank.
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
