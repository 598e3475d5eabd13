//! The record of a search, `<task>/<row>/search.json`: what was tried, what it scored on the validation split, and what
//! was chosen.

use serde::{Deserialize, Serialize};

/// The search of one method's settings on one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchRecord {
    /// Reference name of the task.
    pub task: String,
    /// The row that the chosen settings are for.
    pub row: String,
    /// Reference name of the method.
    pub method: String,
    /// The metric that chooses, on the validation split.
    pub metric: String,
    /// The seed of its runs.
    pub seed: u64,
    /// Settings that were searched.
    pub keys: Vec<String>,
    /// Its rounds; each but the first tries the best candidates of the one before.
    pub rounds: Vec<Round>,
    /// Name of the chosen candidate.
    pub chosen: String,
}

/// One round of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Optimiser steps of its runs.
    pub steps: usize,
    /// What was tried, in the order of the candidates.
    pub tried: Vec<Tried>,
}

/// One candidate in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Its name.
    pub name: String,
    /// Its values, one for each of the search's settings.
    pub values: Vec<String>,
    /// The best validation score of its run, times 100; `None` if the run failed.
    pub validation: Option<f64>,
}

impl SearchRecord {
    /// The chosen candidate as it was tried last.
    #[must_use]
    pub fn winner(&self) -> Option<&Tried> {
        let last = self.rounds.last()?;
        last.tried.iter().find(|tried| tried.name == self.chosen)
    }

    /// Number of runs.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.rounds.iter().map(|round| round.tried.len()).sum()
    }

    /// `key=value` of the chosen candidate, without the settings that have one value only.
    #[must_use]
    pub fn settings(&self) -> Vec<String> {
        let Some(winner) = self.winner() else {
            return Vec::new();
        };
        let pairs = self.keys.iter().zip(&winner.values).enumerate();
        pairs
            .filter(|(place, _)| self.varies(*place))
            .map(|(_, (key, value))| format!("{key}={value}"))
            .collect()
    }

    /// Whether the setting at `place` has more than one value among all candidates.
    #[must_use]
    pub fn varies(&self, place: usize) -> bool {
        let mut values = self
            .rounds
            .iter()
            .flat_map(|round| &round.tried)
            .map(|tried| tried.values.get(place));
        let first = values.next();
        values.any(|value| Some(value) != first)
    }
}
