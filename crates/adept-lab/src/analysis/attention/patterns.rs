//! Sums over sources, in f64 on the host: the layer is small, and differences near rounding must be seen as such.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::groups::Changes;
use super::{Attention, ByHead, Decomposition, Example, Pattern, ScoreChange};
use crate::analysis::Moments;

/// Changes below this fraction of the largest score are rounding: f32 has 24 bits, and a score is a sum of some
/// hundred products.
const ROUNDING: f64 = 1e-5;

/// Values of a tensor `[1, heads, rows, columns]`.
#[derive(Debug, Clone)]
pub(super) struct Host {
    values: Vec<f32>,
    heads: usize,
    rows: usize,
    columns: usize,
}

impl Host {
    pub(super) fn of<B: Backend>(tensor: Tensor<B, 4>) -> Self {
        let [_, heads, rows, columns] = tensor.dims();
        let values = tensor.into_data().convert::<f32>().into_vec();
        Self {
            values: values.expect("the data was just converted to f32"),
            heads,
            rows,
            columns,
        }
    }

    fn row(&self, head: usize, row: usize) -> &[f32] {
        let start = (head * self.rows + row) * self.columns;
        &self.values[start..start + self.columns]
    }
}

/// The layer's scores and outputs for one source of n content tokens behind m virtual ones; h heads of c channels.
#[derive(Debug, Clone)]
pub(super) struct RowPatterns {
    /// Scores of the bare backbone, `[h, n, n]`.
    pub bare: Host,
    /// Outputs for the offset content without the prompt, `[h, n, c]`.
    pub content_outputs: Host,
    /// Scores with the method, `[h, m + n, m + n]`.
    pub whole: Host,
    /// Outputs with the method, `[h, m + n, c]`.
    pub outputs: Host,
    /// Values with the method, `[h, m + n, c]`.
    pub values: Host,
}

/// Sums over sources.
#[derive(Debug)]
pub(super) struct Sums {
    rows: usize,
    tokens: u64,
    virtual_tokens: usize,
    distance: Vec<Moments>,
    farthest: f64,
    mass: Vec<Moments>,
    most_mass: f64,
    largest_difference: f64,
    change: Moments,
    largest_change: f64,
    largest_score: f64,
    changes: Changes,
    decomposition: Decomposition,
    /// Ids of the example and its patterns: bare and the method's, `[h][n][n]`.
    example: Option<(Vec<u32>, ByQuery, ByQuery)>,
}

/// Patterns by head and query.
type ByQuery = Vec<Vec<Vec<f64>>>;

impl Sums {
    pub(super) fn new(rows: &[adept_data::Encoded]) -> Self {
        Self {
            rows: 0,
            tokens: 0,
            virtual_tokens: 0,
            distance: Vec::new(),
            farthest: 0.0,
            mass: Vec::new(),
            most_mass: 0.0,
            largest_difference: 0.0,
            change: Moments::default(),
            largest_change: 0.0,
            largest_score: 0.0,
            changes: Changes::new(rows),
            decomposition: Decomposition {
                largest_difference: 0.0,
                largest_output: 0.0,
            },
            example: None,
        }
    }

    /// Adds a source; its patterns are kept if it is the example.
    pub(super) fn add(&mut self, ids: &[u32], patterns: &RowPatterns, is_example: bool) {
        let (heads, n) = (patterns.bare.heads, ids.len());
        let m = patterns.whole.columns - n;
        self.rows += 1;
        self.tokens += n as u64;
        self.virtual_tokens = m;
        self.distance.resize(heads, Moments::default());
        self.mass.resize(heads, Moments::default());
        let mut kept: (ByQuery, ByQuery) = (vec![Vec::new(); heads], vec![Vec::new(); heads]);
        for head in 0..heads {
            for query in 0..n {
                let scores = patterns.bare.row(head, query);
                let with = patterns.whole.row(head, m + query);
                self.add_scores(head, query, ids, scores, &with[m..]);
                let (bare, restricted) = (softmax(scores), softmax(&with[m..]));
                let distance = total_variation(&bare, &restricted);
                self.distance[head].push(distance);
                self.farthest = self.farthest.max(distance);
                for (a, b) in bare.iter().zip(&restricted) {
                    self.largest_difference = self.largest_difference.max((a - b).abs());
                }
                let whole = softmax(with);
                let mass: f64 = whole[..m].iter().sum();
                self.mass[head].push(mass);
                self.most_mass = self.most_mass.max(mass);
                self.check(head, query, patterns, &whole[..m], mass);
                if is_example {
                    kept.0[head].push(bare);
                    kept.1[head].push(restricted);
                }
            }
        }
        if is_example {
            self.example = Some((ids.to_vec(), kept.0, kept.1));
        }
    }

    fn add_scores(&mut self, head: usize, query: usize, ids: &[u32], bare: &[f32], with: &[f32]) {
        for (key, (bare, with)) in bare.iter().zip(with).enumerate() {
            let (bare, with) = (f64::from(*bare), f64::from(*with));
            let change = with - bare;
            self.change.push(change.abs());
            self.largest_change = self.largest_change.max(change.abs());
            self.largest_score = self.largest_score.max(bare.abs());
            self.changes.add(head, (query, key), ids, change);
        }
    }

    /// Compares a query's output with its decomposition; `attention` is what it gives to each virtual token.
    fn check(&mut self, head: usize, query: usize, patterns: &RowPatterns, attention: &[f64], mass: f64) {
        let output = patterns.outputs.row(head, attention.len() + query);
        let content = patterns.content_outputs.row(head, query);
        for (channel, (output, content)) in output.iter().zip(content).enumerate() {
            let value = |k: usize| f64::from(patterns.values.row(head, k)[channel]);
            let bias: f64 = attention.iter().enumerate().map(|(k, share)| share * value(k)).sum();
            let sum = bias + (1.0 - mass) * f64::from(*content);
            let check = &mut self.decomposition;
            check.largest_difference = check.largest_difference.max((sum - f64::from(*output)).abs());
            check.largest_output = check.largest_output.max(f64::from(output.abs()));
        }
    }

    /// The result; `None` if the example was never added.
    pub(super) fn finish(self, row: usize) -> Option<Attention> {
        let distance = by_head(&self.distance, self.farthest);
        let (ids, bare, with) = self.example?;
        let head = (0..distance.heads.len()).max_by(|a, b| distance.heads[*a].total_cmp(&distance.heads[*b]))?;
        let example = Example {
            row,
            ids,
            head,
            mean: pattern(&mean(&bare), &mean(&with)),
            most: pattern(&bare[head], &with[head]),
        };
        let is_changed = self.largest_change > ROUNDING * self.largest_score;
        Some(Attention {
            rows: self.rows,
            tokens: self.tokens,
            virtual_tokens: self.virtual_tokens,
            prompt_mass: by_head(&self.mass, self.most_mass),
            distance,
            largest_difference: self.largest_difference,
            scores: ScoreChange {
                mean: self.change.mean(),
                largest: self.largest_change,
                largest_score: self.largest_score,
                by_position: is_changed.then(|| self.changes.by_position()),
                by_tokens: is_changed.then(|| self.changes.by_tokens()),
            },
            decomposition: self.decomposition,
            example,
        })
    }
}

fn by_head(heads: &[Moments], largest: f64) -> ByHead {
    let mut all = Moments::default();
    for head in heads {
        all.merge(*head);
    }
    ByHead {
        mean: all.mean(),
        largest,
        heads: heads.iter().map(Moments::mean).collect(),
    }
}

/// The mean of patterns over heads.
fn mean(patterns: &[Vec<Vec<f64>>]) -> Vec<Vec<f64>> {
    let Some(first) = patterns.first() else {
        return Vec::new();
    };
    let of = |i: usize, j: usize| patterns.iter().map(|head| head[i][j]).sum::<f64>() / patterns.len() as f64;
    (0..first.len())
        .map(|i| (0..first[i].len()).map(|j| of(i, j)).collect())
        .collect()
}

fn pattern(bare: &[Vec<f64>], with: &[Vec<f64>]) -> Pattern {
    // Adding zero turns a negative zero into a positive one.
    let rounded = |value: f64| (value * 1e5).round() / 1e5 + 0.0;
    let rows = bare.iter().zip(with);
    let change = rows.map(|(bare, with)| bare.iter().zip(with).map(|(bare, with)| rounded(with - bare)).collect());
    Pattern {
        bare: bare
            .iter()
            .map(|row| row.iter().map(|value| rounded(*value)).collect())
            .collect(),
        change: change.collect(),
    }
}

fn softmax(scores: &[f32]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = scores
        .iter()
        .map(|score| (f64::from(*score) - f64::from(largest)).exp())
        .collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Half the sum of absolute differences: the largest difference between the probabilities of any set of keys.
fn total_variation(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_worked_out_by_hand() {
        let third = softmax(&[0.0, 0.0, 0.0]);
        assert!(third.iter().all(|share| (share - 1.0 / 3.0).abs() < 1e-15));
        let two = softmax(&[2.0_f32.ln(), 0.0]);
        assert!((two[0] - 2.0 / 3.0).abs() < 1e-7 && (two[1] - 1.0 / 3.0).abs() < 1e-7);
        assert_eq!(total_variation(&[1.0, 0.0], &[0.0, 1.0]), 1.0);
        assert_eq!(total_variation(&[0.5, 0.25, 0.25], &[0.25, 0.5, 0.25]), 0.25);
        // Large scores do not overflow.
        assert_eq!(softmax(&[1000.0, 0.0]), [1.0, 0.0]);
    }

    #[test]
    fn patterns_are_averaged_and_rounded() {
        let heads = vec![vec![vec![0.2, 0.8]], vec![vec![0.4, 0.6]]];
        let found = pattern(&mean(&heads), &[vec![0.300_000_1, 0.6]]);
        assert_eq!(found.bare, [[0.3, 0.7]]);
        assert_eq!(found.change, [[0.0, -0.1]]);
    }
}
