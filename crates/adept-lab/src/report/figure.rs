//! What the figures of a table are: scores, or times.

use serde::{Deserialize, Serialize};

use super::summary::RunSummary;

/// Figures of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// The score on the test split that is on the task's card, times 100.
    #[default]
    Score,
    /// Exact match on the test split, times 100; for tasks of labels their score.
    ExactMatch,
    /// Hours of training, without evaluation.
    TrainingHours,
}

impl Figure {
    /// The figure of a run.
    #[must_use]
    pub fn of(self, run: &RunSummary) -> f64 {
        match self {
            Self::Score => run.test,
            Self::ExactMatch => {
                let exact = ["em", "em_max"].iter().find_map(|metric| run.test_metrics.get(*metric));
                exact.copied().unwrap_or(run.test)
            }
            Self::TrainingHours => run.seconds / 3600.0,
        }
    }

    /// Whether figures are scores, which have a metric, a majority label and a mean over tasks.
    #[must_use]
    pub fn is_score(self) -> bool {
        self != Self::TrainingHours
    }

    /// Whether `figure` is better than `other`.
    #[must_use]
    pub fn is_better(self, figure: f64, other: f64) -> bool {
        if self.is_score() {
            figure > other
        } else {
            figure < other
        }
    }

    /// What stands above the table.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Score => "Test scores, times 100",
            Self::ExactMatch => "Exact match on the test split, times 100",
            Self::TrainingHours => "Hours of training",
        }
    }

    /// Digits after the decimal point.
    #[must_use]
    pub fn digits(self) -> usize {
        if self.is_score() { 1 } else { 3 }
    }
}
