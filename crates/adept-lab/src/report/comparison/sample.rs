//! Answers of paired runs to the same examples: the difference of their scores in any resample of the examples.
//!
//! Rows that all runs answered alike are one pattern, so that a resample is a count of each pattern: a handful of
//! binomial draws for labels, however many rows there are. Rows of one group are resampled together.

use std::collections::HashMap;

use adept_data::Metric;
use adept_train::test_answers::TestAnswers;

use super::measure::Measure;
use super::random::Random;

/// Most draws of a bootstrap.
const DRAWS: usize = 10_000;
/// Fewest, for large splits of numbers or of scores of texts.
const FEWEST: usize = 1_000;
/// Operations after which draws are saved, about a tenth of a second.
const WORK: usize = 40_000_000;
/// Rows for each pattern from which counts are drawn instead of rows: a binomial draw costs about as much as eight.
const ROWS_A_COUNT: usize = 8;

/// Rows of a test split, with the answers of the runs under comparison.
#[derive(Debug, Clone)]
pub struct Sample {
    measure: Measure,
    /// Number of rows of each pattern.
    counts: Vec<u32>,
    /// Pattern of each row, rows of a group side by side.
    patterns: Vec<u32>,
    /// Where each group's rows begin, and their end; `None` if each row is its own group.
    starts: Option<Vec<usize>>,
}

impl Sample {
    /// Runs of one method and, paired with them, of another. `None` if the answers of one lack what the metric needs,
    /// or if they are not about the same examples.
    #[must_use]
    pub fn of(metric: Metric, above: &[&TestAnswers], below: &[&TestAnswers]) -> Option<Self> {
        let rows = Measure::of(metric, above, below)?;
        let count = rows.len();
        let first = above.first()?;
        let mut places: HashMap<Vec<u64>, u32> = HashMap::new();
        let (mut kept, mut counts, mut of_row) = (Vec::new(), Vec::new(), Vec::with_capacity(count));
        for row in 0..count {
            let next = u32::try_from(kept.len()).ok()?;
            let place = *places.entry(rows.key(row)).or_insert(next);
            if place == next {
                kept.push(row);
                counts.push(0);
            }
            counts[place as usize] += 1;
            of_row.push(place);
        }
        // A metric that counts groups has one row for each of them.
        let is_grouped = count == first.examples && first.groups.len() == count;
        let (patterns, starts) = if is_grouped {
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by_key(|row| first.groups[*row]);
            let is_first =
                |place: &usize| *place == 0 || first.groups[order[*place]] != first.groups[order[*place - 1]];
            let mut starts: Vec<usize> = (0..count).filter(is_first).collect();
            starts.push(count);
            (order.iter().map(|row| of_row[*row]).collect(), Some(starts))
        } else {
            (of_row, None)
        };
        Some(Self {
            measure: rows.at(&kept),
            counts,
            patterns,
            starts,
        })
    }

    /// The difference of the mean scores, times 100, on the examples themselves.
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.measure.difference(&self.counts)
    }

    /// The differences in resamples of as many examples (groups) as there are, drawn with replacement. Their number
    /// depends on the size of the split alone.
    #[must_use]
    pub fn resampled(&self, random: &mut Random) -> Vec<f64> {
        let mut counts = vec![0; self.counts.len()];
        let draws = (WORK / self.work().max(1)).clamp(FEWEST, DRAWS);
        let draw = |_| {
            self.draw(random, &mut counts);
            self.measure.difference(&counts)
        };
        (0..draws).map(draw).collect()
    }

    fn draws_counts(&self) -> bool {
        self.starts.is_none() && self.counts.len() * ROWS_A_COUNT <= self.patterns.len()
    }

    /// Operations of a draw, roughly.
    fn work(&self) -> usize {
        let drawing = if self.draws_counts() {
            self.counts.len() * ROWS_A_COUNT
        } else {
            self.patterns.len()
        };
        drawing + self.counts.len() * self.measure.passes()
    }

    /// One resample, as a count of each pattern.
    fn draw(&self, random: &mut Random, counts: &mut [u32]) {
        if self.draws_counts() {
            // A multinomial count is a chain of binomial ones.
            let total = self.patterns.len() as u32;
            let (mut left, mut rows) = (total, total);
            for (drawn, count) in counts.iter_mut().zip(&self.counts) {
                *drawn = random.binomial(left, f64::from(*count) / f64::from(rows));
                left -= *drawn;
                rows -= count;
            }
            return;
        }
        counts.fill(0);
        match &self.starts {
            None => {
                for _ in 0..self.patterns.len() {
                    let row = random.below(self.patterns.len());
                    counts[self.patterns[row] as usize] += 1;
                }
            }
            Some(starts) => {
                for _ in 1..starts.len() {
                    let group = random.below(starts.len() - 1);
                    for pattern in &self.patterns[starts[group]..starts[group + 1]] {
                        counts[*pattern as usize] += 1;
                    }
                }
            }
        }
    }
}

/// A run's score in a metric, times 100, from its answers; `None` if they lack what the metric needs.
#[must_use]
pub fn score(metric: Metric, answers: &TestAnswers) -> Option<f64> {
    Sample::of(metric, &[answers], &[]).map(|sample| sample.difference())
}
