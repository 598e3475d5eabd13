//! `--search`: from words to a search, its plan as text, and its progress.

use adept_data::Task;
use adept_lab::report::SearchRecord;
use adept_lab::reproduce::search::{Axis, Search, SearchError, SearchObserver, Space, SpaceName, Strategy};
use adept_lab::reproduce::{Grid, GridError, GridObserver, Plan, Planner};

use super::describe::entry;
use super::grid_failure;
use crate::failure::{Failure, remark};
use crate::grid_progress::GridProgress;
use crate::progress::Loudness;

/// The word for successive halving.
const HALVING: &str = "halving";

/// The search for the words; `None` without a word.
pub fn of(words: &[String], grid: &Grid, planner: &Planner) -> Result<Option<Search>, Failure> {
    let fail = |cause: SearchError| grid_failure(GridError::Search(cause));
    let (mut named, mut own, mut strategy) = (None, Vec::new(), Strategy::Full);
    for word in words {
        match SpaceName::ALL.into_iter().find(|name| name.name() == word) {
            Some(name) => named = Some(name),
            None if word == HALVING => strategy = Strategy::Halving,
            None => own.push(word.parse::<Axis>().map_err(fail)?),
        }
    }
    let space = match (named, own.is_empty()) {
        _ if words.is_empty() => return Ok(None),
        (Some(named), false) => return Err(fail(SearchError::Both { named: named.name() })),
        (None, false) => Space::Own(own),
        (Some(named), true) => Space::Named(named),
        (None, true) => Space::Named(grid.profile.search),
    };
    let search = Search { space, strategy };
    search.check(grid, planner).map_err(grid_failure)?;
    Ok(Some(search))
}

/// A search's part of a plan.
pub struct Described {
    /// Its lines.
    pub text: String,
    /// How many times as long as the plan without a search it takes, all in all.
    pub runs: f64,
}

/// Describes a search: candidates, rounds and runs.
pub fn describe(search: &Search, grid: &Grid, planner: &Planner, plan: &Plan) -> Result<Described, Failure> {
    let rows = search.check(grid, planner).map_err(grid_failure)?;
    let (mut lines, mut whole) = (Vec::new(), 0.0);
    for (name, candidates) in &rows {
        let count = candidates.all.len();
        if count < 2 {
            lines.push(format!("{name}: nothing to search"));
            continue;
        }
        let rounds = search.strategy.rounds(count);
        whole += rounds
            .iter()
            .map(|round| round.candidates as f64 / round.divisor as f64)
            .sum::<f64>();
        let rounds: Vec<String> = rounds
            .iter()
            .map(|round| match round.divisor {
                1 => format!("{} candidates for all steps", round.candidates),
                divisor => format!("{} for 1/{divisor} of the steps", round.candidates),
            })
            .collect();
        lines.push(format!(
            "{name}: {}; {}",
            candidates.keys.join(" × "),
            rounds.join(", then ")
        ));
    }
    let seeds = grid.seeds.len().max(1) as f64;
    let rows = (plan.parameters.len() as f64).max(1.0);
    let text = format!(
        "on each task, chosen by the validation split with seed {}, then run with every seed: {}",
        grid.seeds.first().copied().unwrap_or_default(),
        lines.join(". ")
    );
    Ok(Described {
        text: entry("search", &text),
        // The plan has a run for each row and seed; the searches' first seed is one of them.
        runs: (whole / rows + seeds - 1.0).max(seeds) / seeds,
    })
}

/// Shows the progress of a search: each round like a grid, and a line for each choice.
pub struct Watching {
    loudness: Loudness,
    /// Number of runs of all rounds so far.
    pub runs: usize,
}

impl Watching {
    /// Nothing has been run yet.
    pub fn new(loudness: Loudness) -> Self {
        Self { loudness, runs: 0 }
    }
}

impl SearchObserver for Watching {
    fn round(&mut self, task: &Task, row: &str, round: usize, rounds: usize, plan: &Plan) -> Box<dyn GridObserver> {
        self.runs += plan.cells.len();
        let waiting = plan.waiting().count();
        if self.loudness != Loudness::Quiet && waiting > 0 {
            let steps = plan.cells.first().map_or(0, |cell| cell.resolved.config.train.steps);
            let of = if rounds > 1 {
                format!(", round {round} of {rounds}")
            } else {
                String::new()
            };
            remark(format!(
                "search of {row} on {task}{of}: {waiting} runs of {steps} steps"
            ));
        }
        Box::new(GridProgress::new(self.loudness, plan, None))
    }

    fn chosen(&mut self, record: &SearchRecord) {
        if self.loudness == Loudness::Quiet {
            return;
        }
        let score = record.winner().and_then(|winner| winner.validation).unwrap_or_default();
        remark(format!(
            "chosen for {} on {}: {} ({} {score:.1} on the validation split)",
            record.row,
            record.task,
            record.settings().join(", "),
            record.metric
        ));
    }
}
