//! Estimates how long a plan will take on this machine, by timing a few seconds of the actual work.
//!
//! Every task is timed with the first unfinished row, as long as the time allowed for it lasts; the other rows
//! are timed on the first task, and their ratio is applied to all tasks. Tasks that were not timed (large ones, whose
//! files take long to read) count as the mean of the others. Data read for the estimate are kept for the runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use adept_data::Task;
use adept_train::TrainError;
use burn::tensor::backend::AutodiffBackend;

use super::{Cell, Plan, Prepared, State};
use crate::run::{ProbeOptions, RunTime, probe};

/// Tasks with more training rows than this in the paper take long to read.
const LARGE: usize = 70_000;

/// Time limit of the measurement, after which the remaining tasks are extrapolated.
const PATIENCE: Duration = Duration::from_secs(4);

/// The first measurement includes one-time costs: memory, kernels, tuning.
const FIRST: ProbeOptions = ProbeOptions {
    warmup: 2,
    steps: 3,
    longest_pass: 0.5,
};
const LATER: ProbeOptions = ProbeOptions {
    warmup: 0,
    steps: 2,
    longest_pass: 0.25,
};

/// Expected seconds of one run, excluding completed work.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CellTime {
    /// Training.
    pub training: f64,
    /// All evaluations, including that of the test split.
    pub evaluation: f64,
}

impl CellTime {
    /// Total of both.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.training + self.evaluation
    }
}

/// Estimated time of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Times of the unfinished runs, in the plan's order.
    pub cells: Vec<CellTime>,
    /// Number of tasks that were timed.
    pub measured: usize,
    /// Number of tasks with unfinished runs.
    pub tasks: usize,
    /// Seconds spent on the measurement, including reading the data.
    pub spent: f64,
}

impl Estimate {
    /// Expected seconds of all runs.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.cells.iter().map(CellTime::seconds).sum()
    }
}

/// Estimates the time of all unfinished runs.
///
/// # Errors
/// Data or settings that would prevent a timed run from starting.
pub fn estimate<AB: AutodiffBackend>(
    plan: &Plan,
    prepared: &mut Prepared<AB::InnerBackend>,
    device: &AB::Device,
) -> Result<Estimate, TrainError> {
    let began = Instant::now();
    let all: Vec<&Cell> = plan.waiting().collect();
    // What starts from a run that is not there yet cannot be timed, nor what several tasks share.
    let can_be_timed = |cell: &&Cell| !cell.together && cell.can_start();
    let waiting: Vec<&Cell> = all.iter().copied().filter(can_be_timed).collect();
    let mut first_of_tasks: Vec<&Cell> = Vec::new();
    for cell in &waiting {
        if first_of_tasks.iter().all(|known| known.task != cell.task) {
            first_of_tasks.push(cell);
        }
    }
    let tasks = first_of_tasks.len();
    // Reading the largest files takes longer than all measurements together: they come last and may be extrapolated.
    first_of_tasks.sort_by_key(|cell| is_large(&cell.task));

    let mut by_task: BTreeMap<Task, (String, RunTime)> = BTreeMap::new();
    let mut by_row: BTreeMap<String, RunTime> = BTreeMap::new();
    let mut measure = |cell: &Cell, options| -> Result<RunTime, TrainError> {
        let config = &cell.resolved.config;
        prepared.read(config)?;
        let task = prepared.task(config).expect("it was read in the line above");
        probe::<AB>(config, &prepared.backbone, task, device, options)
    };
    if let Some(first) = first_of_tasks.first() {
        for cell in waiting.iter().filter(|cell| cell.task == first.task) {
            if !by_row.contains_key(&cell.variant) {
                let options = if by_row.is_empty() { FIRST } else { LATER };
                by_row.insert(cell.variant.clone(), measure(cell, options)?);
            }
        }
        by_task.insert(first.task.clone(), (first.variant.clone(), by_row[&first.variant]));
    }
    for cell in first_of_tasks.iter().skip(1) {
        if began.elapsed() > PATIENCE {
            break;
        }
        by_task.insert(cell.task.clone(), (cell.variant.clone(), measure(cell, LATER)?));
    }
    let cells = all.iter().map(|cell| expected(cell, &by_task, &by_row)).collect();
    Ok(Estimate {
        cells,
        measured: by_task.len(),
        tasks,
        spent: began.elapsed().as_secs_f64(),
    })
}

/// Tasks with many training rows in the paper.
fn is_large(task: &Task) -> bool {
    let rows = task.card().counts.get("train");
    rows.is_some_and(|rows| *rows > LARGE)
}

/// The expected time of one run, from the measured ones.
fn expected(cell: &Cell, by_task: &BTreeMap<Task, (String, RunTime)>, by_row: &BTreeMap<String, RunTime>) -> CellTime {
    let of_row = |row: &String, part: fn(&RunTime) -> f64| {
        let known = by_row.get(row).map(part);
        // A row without an unfinished run on the first task counts as the mean of the others.
        known.unwrap_or_else(|| mean(by_row.values().map(part)))
    };
    let time = |part: fn(&RunTime) -> f64| {
        let under_own = |(row, measured): &(String, RunTime)| {
            part(measured) * of_row(&cell.variant, part) / of_row(row, part).max(f64::MIN_POSITIVE)
        };
        let known = by_task.get(&cell.task).map(under_own);
        known.unwrap_or_else(|| mean(by_task.values().map(under_own)))
    };
    let config = &cell.resolved.config;
    let (steps, every) = (config.train.steps, config.evaluation.every);
    let done = match cell.state {
        State::New => 0,
        State::Begun { step } => step,
        State::Done => return CellTime::default(),
    };
    let evaluations = steps.div_ceil(every) - done / every;
    CellTime {
        training: steps.saturating_sub(done) as f64 * time(|run| run.step),
        evaluation: evaluations as f64 * time(|run| run.validation) + time(|run| run.test),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use adept_train::config::{TrainMethod, resolve};

    fn named(task: &str) -> Task {
        Task::named(task).expect("it is built in")
    }

    fn cell(task: Task, method: TrainMethod, state: State) -> Cell {
        let set = ["train.steps=100", "evaluation.every=30"].map(str::to_owned);
        Cell {
            task,
            variant: method.to_string(),
            method,
            seed: 1,
            folder: PathBuf::new(),
            resolved: resolve(None, &set).expect("the settings are well formed"),
            state,
            together: false,
            tasks: Vec::new(),
            needs: Vec::new(),
        }
    }

    #[test]
    fn a_run_that_was_not_measured_is_put_together_from_those_that_were() {
        let [adept, pt] = [adept_core::Method::Adept, adept_core::Method::Pt].map(TrainMethod::Adapter);
        let time = |step| RunTime {
            step,
            validation: 10.0 * step,
            test: step,
        };
        let by_row = [(pt.to_string(), time(1.0)), (adept.to_string(), time(3.0))].into();
        let by_task = [("rte", 1.0), ("cola", 2.0)]
            .map(|(task, step)| (named(task), (pt.to_string(), time(step))))
            .into();
        let check = |task: &str, method, state, training, evaluation| {
            let found = expected(&cell(named(task), method, state), &by_task, &by_row);
            assert_eq!(
                (found.training, found.evaluation),
                (training, evaluation),
                "{task} {method} {state:?}"
            );
        };
        // Evaluations after 30, 60, 90 and 100 steps, and the test split.
        check("rte", pt, State::New, 100.0, 41.0);
        check("cola", adept, State::New, 600.0, 246.0);
        check("sst2", pt, State::New, 150.0, 61.5);
        check("rte", pt, State::Begun { step: 60 }, 40.0, 21.0);
        check("rte", pt, State::Done, 0.0, 0.0);
    }
}
