//! Search of settings: each method's candidates on each task, chosen by the validation split alone, then the chosen ones
//! with every seed.
//!
//! A full search trains every candidate for all steps. Successive halving (Karnin et al., 2013; Jamieson and Talwalkar,
//! 2016), here with a factor of [`FACTOR`], trains all of them for few steps and the best third of each round for three
//! times as many, up to all steps. Runs of a search use the grid's first seed and lie in
//! `OUT/<task>/<row>/search/<candidate>/seed-<n>/`, those of a shorter round in `search/steps-<n>/`.

mod run;
mod space;

use adept_train::config::{ConfigError, TrainMethod};

use super::{Grid, GridError, Planner, Variant};

pub use run::{Found, SearchObserver, run_search, with_earlier};
pub use space::{Axis, Candidate, Candidates, Space, SpaceName};

/// Successive halving keeps one of so many candidates in a round, and trains them so many times as long in the next.
pub const FACTOR: usize = 3;

/// A search of settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// What is tried.
    pub space: Space,
    /// How.
    pub strategy: Strategy,
}

/// How a search uses its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Every candidate is trained for all steps.
    Full,
    /// Successive halving.
    Halving,
}

/// A planned round: how many candidates, and for how many steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedRound {
    /// Number of candidates.
    pub candidates: usize,
    /// Divisor of a whole run's steps.
    pub divisor: usize,
}

impl Strategy {
    /// The rounds for `count` candidates; the last one has all steps.
    #[must_use]
    pub fn rounds(self, count: usize) -> Vec<PlannedRound> {
        let mut candidates = vec![count];
        if self == Self::Halving {
            while let Some(last) = candidates.last().copied().filter(|last| *last > FACTOR) {
                candidates.push(last.div_ceil(FACTOR));
            }
        }
        let last = candidates.len() - 1;
        let round = |(place, candidates)| PlannedRound {
            candidates,
            divisor: FACTOR.pow((last - place) as u32),
        };
        candidates.into_iter().enumerate().map(round).collect()
    }
}

impl Search {
    /// Checks the search for every row of a grid and returns how many candidates each has: every candidate must resolve
    /// on every task.
    ///
    /// # Errors
    /// A method without candidates, or settings that do not fit together.
    pub fn check(&self, grid: &Grid, planner: &Planner) -> Result<Vec<(String, Candidates)>, GridError> {
        let seed = grid.seeds.first().copied().ok_or(SearchError::NoSeed)?;
        let mut found = Vec::new();
        for variant in &grid.variants {
            let mut candidates = self.space.candidates(variant.method)?;
            if variant.together.is_some() {
                // A search chooses for each task; rows on several tasks keep their settings.
                candidates.all.clear();
            }
            for task in &grid.tasks {
                for candidate in &candidates.all {
                    planner
                        .check_settings(grid, task, &with(variant, candidate), seed)
                        .map_err(|cause| SearchError::Candidate {
                            row: variant.name.clone(),
                            values: assignments(&candidates.keys, candidate),
                            cause: Box::new(cause),
                        })?;
                }
            }
            found.push((variant.name.clone(), candidates));
        }
        if found.iter().all(|(_, candidates)| candidates.all.len() < 2) {
            return Err(SearchError::Nothing.into());
        }
        Ok(found)
    }
}

/// A row with a candidate's settings.
fn with(variant: &Variant, candidate: &Candidate) -> Variant {
    let mut with = variant.clone();
    with.settings.extend(candidate.settings.clone());
    // What an earlier search has found is not what is tried.
    with.tasks.clear();
    with
}

/// `key=value, …`.
fn assignments(keys: &[String], candidate: &Candidate) -> String {
    let pairs = keys.iter().zip(&candidate.values);
    pairs
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Why a search cannot be made or has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Neither a named search nor a list.
    #[error(
        "`{found}` is not a search: expected {}, `halving`, or KEY=VALUE,VALUE such as \
             optimizer.prompt.learning_rate=0.1,0.3",
        named()
    )]
    Word {
        /// The text.
        found: String,
    },
    /// A list without a value.
    #[error("`{key}` has no value to try: expected {key}=VALUE,VALUE")]
    NoValue {
        /// The setting.
        key: String,
    },
    /// A setting or a value that a run cannot have.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// A named search beside the user's lists.
    #[error("a search is either `{named}` or lists of your own, not both")]
    Both {
        /// The named search.
        named: &'static str,
    },
    /// A named search has nothing for a method.
    #[error("the search `{}` has no settings for {method}: give lists of your own, KEY=VALUE,VALUE", space.name())]
    NoSpace {
        /// The method.
        method: TrainMethod,
        /// The search.
        space: SpaceName,
    },
    /// Two candidates that are the same.
    #[error("the search of {method} has the same candidate twice: name every value of a list once")]
    Twice {
        /// The method.
        method: TrainMethod,
    },
    /// No row has more than one candidate.
    #[error("nothing to search: none of the methods has two values of the settings given")]
    Nothing,
    /// No seed for the runs of a search.
    #[error("a search needs a seed for its runs, found none")]
    NoSeed,
    /// A candidate whose settings do not fit together.
    #[error("the candidate {values} of {row}: {cause}")]
    Candidate {
        /// The row.
        row: String,
        /// The candidate's values.
        values: String,
        /// The cause.
        cause: Box<GridError>,
    },
    /// A task without a validation split.
    #[error("{run} has no score on a validation split, by which a search chooses: leave its task out of the search")]
    NoValidation {
        /// The run.
        run: String,
    },
    /// Every run of a round failed.
    #[error("no run of the search of {row} on {task} has a result: every candidate failed")]
    AllFailed {
        /// The row.
        row: String,
        /// The task.
        task: String,
    },
}

fn named() -> String {
    let names: Vec<String> = SpaceName::ALL.iter().map(|name| format!("`{}`", name.name())).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_ends_with_a_round_of_all_steps() {
        let rounds = |strategy: Strategy, count| -> Vec<(usize, usize)> {
            let rounds = strategy.rounds(count);
            rounds.iter().map(|round| (round.candidates, round.divisor)).collect()
        };
        assert_eq!(rounds(Strategy::Full, 24), [(24, 1)]);
        assert_eq!(rounds(Strategy::Halving, 24), [(24, 9), (8, 3), (3, 1)]);
        assert_eq!(rounds(Strategy::Halving, 3), [(3, 1)]);
        assert_eq!(rounds(Strategy::Halving, 4), [(4, 3), (2, 1)]);
        assert_eq!(rounds(Strategy::Halving, 1), [(1, 1)]);
    }
}
