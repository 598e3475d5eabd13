//! Metrics of weighted rows.

use std::collections::HashMap;

use adept_data::Metric;
use adept_train::test_answers::TestAnswers;

/// The answers of several runs to the same rows, as a metric needs them. The first runs are those of one method, the
/// others those of another; a difference is the mean over the former minus the mean over the latter.
#[derive(Debug, Clone)]
pub enum Measure {
    /// A mean: the difference of each row.
    Mean(Vec<f64>),
    /// A metric of classes.
    Classes(Runs<u32>, Metric),
    /// Pearson's correlation.
    Numbers(Runs<f64>),
    /// Spearman's correlation: the place of each number among the distinct ones, from 0.
    Places(Runs<u32>),
}

/// Right answers and those of each run, by row.
#[derive(Debug, Clone)]
pub struct Runs<T> {
    right: Vec<T>,
    answers: Vec<Vec<T>>,
    /// Number of runs of the first method.
    above: usize,
}

impl Measure {
    /// `None` if the answers of a run lack what the metric needs, or if right answers differ between runs.
    pub fn of(metric: Metric, above: &[&TestAnswers], below: &[&TestAnswers]) -> Option<Self> {
        let all: Vec<&TestAnswers> = above.iter().chain(below).copied().collect();
        let first = all.first()?;
        if all
            .iter()
            .any(|one| one.examples != first.examples || one.groups != first.groups)
        {
            return None;
        }
        match metric {
            Metric::Pearson | Metric::Spearman => {
                let numbers: Option<Vec<_>> = all.iter().map(|one| one.numbers.as_ref()).collect();
                let numbers = numbers?;
                let right = numbers.first()?.right.clone();
                if numbers.iter().any(|one| one.right != right) {
                    return None;
                }
                let answers = numbers.iter().map(|one| &one.answers);
                let above = above.len();
                Some(match metric {
                    Metric::Spearman => Self::Places(Runs {
                        right: places(&right),
                        answers: answers.map(|answers| places(answers)).collect(),
                        above,
                    }),
                    _ => Self::Numbers(Runs {
                        right: squarable(&right),
                        answers: answers.map(|answers| squarable(answers)).collect(),
                        above,
                    }),
                })
            }
            Metric::F1 | Metric::F1Multiclass | Metric::Matthews => {
                let runs = texts(&all, above.len())?;
                Some(Self::Classes(runs.classes(metric), metric))
            }
            _ => {
                let scores: Option<Vec<Vec<f64>>> = all.iter().map(|one| scores(metric, one)).collect();
                let scores = scores?;
                // Where the answers are labels the right ones are known.
                if first.labels.is_some() {
                    texts(&all, above.len())?;
                }
                let rows = scores.first()?.len();
                if scores.iter().any(|one| one.len() != rows) {
                    return None;
                }
                let mean = |runs: &[Vec<f64>], row: usize| {
                    runs.iter().map(|run| run[row]).sum::<f64>() / runs.len().max(1) as f64
                };
                let (above, below) = scores.split_at(above.len());
                let difference = |row| mean(above, row) - mean(below, row);
                Some(Self::Mean((0..rows).map(difference).collect()))
            }
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Mean(differences) => differences.len(),
            Self::Classes(runs, _) => runs.right.len(),
            Self::Numbers(runs) => runs.right.len(),
            Self::Places(runs) => runs.right.len(),
        }
    }

    /// Times that a difference goes through the rows.
    pub fn passes(&self) -> usize {
        match self {
            Self::Mean(_) => 1,
            Self::Classes(runs, _) => runs.answers.len(),
            Self::Numbers(runs) => 2 * runs.answers.len(),
            Self::Places(runs) => 4 * runs.answers.len(),
        }
    }

    /// What tells rows apart.
    pub fn key(&self, row: usize) -> Vec<u64> {
        match self {
            Self::Mean(differences) => vec![differences[row].to_bits()],
            Self::Classes(runs, _) | Self::Places(runs) => runs.row(row).map(|class| u64::from(*class)).collect(),
            Self::Numbers(runs) => runs.row(row).map(|number| number.to_bits()).collect(),
        }
    }

    /// The rows at these places.
    #[must_use]
    pub fn at(&self, rows: &[usize]) -> Self {
        match self {
            Self::Mean(differences) => Self::Mean(rows.iter().map(|row| differences[*row]).collect()),
            Self::Classes(runs, metric) => Self::Classes(runs.at(rows), *metric),
            Self::Numbers(runs) => Self::Numbers(runs.at(rows)),
            Self::Places(runs) => Self::Places(runs.at(rows)),
        }
    }

    /// The difference, times 100, where row `i` occurs `counts[i]` times; 0 without any rows.
    pub fn difference(&self, counts: &[u32]) -> f64 {
        let all: f64 = counts.iter().copied().map(f64::from).sum();
        if all == 0.0 {
            return 0.0;
        }
        let value = match self {
            Self::Mean(differences) => weighted(counts, differences) / all,
            Self::Classes(runs, metric) => runs.mean_difference(|answers| {
                let tallies = Tallies::of(counts, &runs.right, answers);
                tallies.score(*metric)
            }),
            Self::Numbers(runs) => runs.mean_difference(|answers| correlation(counts, &runs.right, answers, all)),
            Self::Places(runs) => {
                let right = mean_ranks(counts, &runs.right);
                runs.mean_difference(|answers| correlation(counts, &right, &mean_ranks(counts, answers), all))
            }
        };
        100.0 * value
    }
}

impl<T: Clone> Runs<T> {
    fn row(&self, row: usize) -> impl Iterator<Item = &T> {
        [&self.right[row]]
            .into_iter()
            .chain(self.answers.iter().map(move |answers| &answers[row]))
    }

    fn at(&self, rows: &[usize]) -> Self {
        let of = |values: &Vec<T>| rows.iter().map(|row| values[*row].clone()).collect();
        Self {
            right: of(&self.right),
            answers: self.answers.iter().map(of).collect(),
            above: self.above,
        }
    }

    fn mean_difference(&self, score: impl Fn(&[T]) -> f64) -> f64 {
        let (above, below) = self.answers.split_at(self.above);
        let mean = |runs: &[Vec<T>]| runs.iter().map(|answers| score(answers)).sum::<f64>() / runs.len().max(1) as f64;
        mean(above) - mean(below)
    }
}

/// Scores whose mean is the metric.
fn scores(metric: Metric, answers: &TestAnswers) -> Option<Vec<f64>> {
    match (&answers.labels, metric) {
        (Some(labels), Metric::Accuracy) => {
            let pairs = labels.right.iter().zip(&labels.answers);
            Some(
                pairs
                    .map(|(right, answer)| f64::from(u8::from(right == answer)))
                    .collect(),
            )
        }
        _ => answers.scores.get(&metric).cloned(),
    }
}

/// Texts of all runs, which have lists of their own.
fn texts<'a>(all: &[&'a TestAnswers], above: usize) -> Option<Runs<&'a str>> {
    let labels: Option<Vec<_>> = all.iter().map(|one| one.labels.as_ref()).collect();
    let labels = labels?;
    let (mut rights, mut answers) = (Vec::new(), Vec::new());
    for one in labels {
        let texts = |places: &[usize]| -> Vec<&str> { places.iter().map(|place| one.texts[*place].as_str()).collect() };
        rights.push(texts(&one.right));
        answers.push(texts(&one.answers));
    }
    let right = rights.pop()?;
    rights
        .iter()
        .all(|other| *other == right)
        .then_some(Runs { right, answers, above })
}

impl Runs<&str> {
    /// Classes as the metric tells them apart, from 0.
    fn classes(&self, metric: Metric) -> Runs<u32> {
        let mut places: HashMap<&str, u32> = HashMap::new();
        for text in self.right.iter().chain(self.answers.iter().flatten()) {
            let next = places.len() as u32;
            places.entry(text).or_insert(next);
        }
        let class = |text: &&str, right: &&str| match metric {
            // Any other answer counts as the wrong class.
            Metric::F1 => match *text {
                "0" => 0,
                "1" => 1,
                _ => u32::from(*right != "1"),
            },
            // Classes of which the mean is taken, and all others.
            Metric::F1Multiclass => ["0", "1", "2"].iter().position(|known| known == text).unwrap_or(3) as u32,
            _ => places[text],
        };
        let column = |texts: &Vec<&str>| -> Vec<u32> {
            texts
                .iter()
                .zip(&self.right)
                .map(|(text, right)| class(text, right))
                .collect()
        };
        Runs {
            right: column(&self.right),
            answers: self.answers.iter().map(column).collect(),
            above: self.above,
        }
    }
}

/// Rows of each class: right, answered, and both.
#[derive(Default)]
struct Tallies {
    right: Vec<f64>,
    answered: Vec<f64>,
    both: Vec<f64>,
}

impl Tallies {
    fn of(counts: &[u32], right: &[u32], answers: &[u32]) -> Self {
        let mut tallies = Self::default();
        for ((count, right), answer) in counts.iter().zip(right).zip(answers) {
            let (right, answer, count) = (*right as usize, *answer as usize, f64::from(*count));
            let classes = right.max(answer) + 1;
            if classes > tallies.right.len() {
                for tally in [&mut tallies.right, &mut tallies.answered, &mut tallies.both] {
                    tally.resize(classes, 0.0);
                }
            }
            tallies.right[right] += count;
            tallies.answered[answer] += count;
            if right == answer {
                tallies.both[right] += count;
            }
        }
        tallies
    }

    /// F1 of a class; 0 if it occurs nowhere.
    fn f1(&self, class: usize) -> f64 {
        let of = |tally: &[f64]| tally.get(class).copied().unwrap_or(0.0);
        let all = of(&self.right) + of(&self.answered);
        if all == 0.0 { 0.0 } else { 2.0 * of(&self.both) / all }
    }

    /// See [`Metric`].
    fn score(&self, metric: Metric) -> f64 {
        match metric {
            Metric::F1 => self.f1(1),
            Metric::F1Multiclass => (0..3).map(|class| self.f1(class)).sum::<f64>() / 3.0,
            _ => {
                let n: f64 = self.right.iter().sum();
                let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let agree: f64 = self.both.iter().sum();
                let spread = (
                    n * n - product(&self.answered, &self.answered),
                    n * n - product(&self.right, &self.right),
                );
                if spread.0 == 0.0 || spread.1 == 0.0 {
                    return 0.0;
                }
                (agree * n - product(&self.answered, &self.right)) / (spread.0.sqrt() * spread.1.sqrt())
            }
        }
    }
}

fn weighted(counts: &[u32], values: &[f64]) -> f64 {
    counts
        .iter()
        .zip(values)
        .map(|(count, value)| f64::from(*count) * value)
        .sum()
}

/// Pearson's correlation of weighted rows, 0 where it is undefined.
fn correlation(counts: &[u32], x: &[f64], y: &[f64], all: f64) -> f64 {
    let (mean_x, mean_y) = (weighted(counts, x) / all, weighted(counts, y) / all);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    let mut first = None;
    let (mut x_varies, mut y_varies) = (false, false);
    for ((count, x), y) in counts.iter().zip(x).zip(y) {
        if *count == 0 {
            continue;
        }
        let (first_x, first_y) = *first.get_or_insert((*x, *y));
        x_varies |= *x != first_x;
        y_varies |= *y != first_y;
        let (x, y, count) = (x - mean_x, y - mean_y, f64::from(*count));
        xy += count * x * y;
        xx += count * x * x;
        yy += count * y * y;
    }
    // Rounding can leave a constant column with a tiny variance.
    let value = xy / (xx.sqrt() * yy.sqrt());
    if x_varies && y_varies && value.is_finite() {
        value.clamp(-1.0, 1.0)
    } else {
        0.0
    }
}

/// The place of each value among the distinct ones in ascending order.
fn places(values: &[f64]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut places = vec![0; values.len()];
    for pair in order.windows(2) {
        // `!=` rather than `total_cmp`, so that -0 and 0 are a tie.
        places[pair[1]] = places[pair[0]] + u32::from(values[pair[0]] != values[pair[1]]);
    }
    places
}

/// Ranks of weighted rows from 1, from their places; equal values, among them copies of a row, share their mean rank.
fn mean_ranks(counts: &[u32], places: &[u32]) -> Vec<f64> {
    let last = places.iter().max().map_or(0, |last| *last as usize);
    let mut ranks = vec![0.0; last + 1];
    for (count, place) in counts.iter().zip(places) {
        ranks[*place as usize] += f64::from(*count);
    }
    let mut before = 0.0;
    for rank in &mut ranks {
        let tied = *rank;
        *rank = before + (tied + 1.0) / 2.0;
        before += tied;
    }
    places.iter().map(|place| ranks[*place as usize]).collect()
}

/// Values scaled so that their squares are finite; correlations do not change.
fn squarable(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if largest == 0.0 || (1e-150..=1e150).contains(&largest) {
        return values.to_vec();
    }
    values.iter().map(|value| value / largest).collect()
}
