//! Batches of labelled rows from several tasks.
//!
//! Rows are sampled one by one: first the task according to its rate, then the next row in the task's own random order,
//! which changes with each of its epochs. So every row of a task occurs once before any occurs twice, whatever the
//! rates.
//!
//! Eight batches are sampled together, sorted by length and split, so that the rows of a batch have similar lengths and
//! need little padding; the eight are then shuffled. All of it is a pure function of (seed, index).

use std::sync::{Arc, Mutex, PoisonError};

use super::draws::{Draws, Purpose};
use super::{MixtureTask, PretrainError};
use crate::batch::padded;
use crate::{Batch, DataError, Encoded};

/// Batches sampled together.
const GROUP: usize = 8;

/// How rows of tasks are batched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOptions {
    /// Rows per batch.
    pub batch_size: usize,
    /// Permitted batch widths, ascending; longer sources are truncated to the last, keeping their last token at the
    /// end.
    pub buckets: Vec<usize>,
    /// Padding id.
    pub pad: u32,
}

/// Batches sampled from a mixture of tasks.
#[derive(Debug)]
pub struct TaskBatches {
    tasks: Vec<MixtureTask>,
    /// Cumulative rates.
    bounds: Vec<f64>,
    options: TaskOptions,
    target_width: usize,
    state: Mutex<State>,
}

/// Cached state of the last request, so that requesting batches in order computes everything once.
#[derive(Debug, Default)]
struct State {
    seed: u64,
    /// Rows of each task drawn before `next_group`.
    drawn: Vec<u64>,
    next_group: u64,
    /// Row order of each task in its most recent epoch.
    orders: Vec<Option<(u64, Vec<u32>)>>,
    group: Option<(u64, Arc<Vec<Vec<Drawn>>>)>,
}

/// A row, as (task, index in the task).
type Drawn = (usize, usize);

impl TaskBatches {
    /// Batches of `tasks`, sampled at `rates` (see [`mixing_rates`](super::mixing_rates)), which need not sum to 1.
    ///
    /// # Errors
    /// [`PretrainError::EmptyTask`], [`PretrainError::Rates`]; [`DataError::NoRows`] if there is no task,
    /// [`DataError::ZeroOption`], [`DataError::Buckets`], [`DataError::TokenId`].
    pub fn new(tasks: Vec<MixtureTask>, rates: &[f64], options: TaskOptions) -> Result<Self, DataError> {
        if tasks.is_empty() {
            return Err(DataError::NoRows);
        }
        if options.batch_size == 0 {
            return Err(DataError::ZeroOption { option: "batch_size" });
        }
        let longest = options.buckets.last().copied().unwrap_or_default();
        let ascending = options.buckets.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || options.buckets.first().is_none_or(|&width| width == 0) {
            return Err(DataError::Buckets {
                expected: longest,
                found: options.buckets,
            });
        }
        let usable = rates.iter().all(|rate| rate.is_finite() && *rate >= 0.0);
        let total: f64 = rates.iter().sum();
        if rates.len() != tasks.len() || !usable || total <= 0.0 {
            return Err(PretrainError::Rates {
                expected: tasks.len(),
                found: rates.to_vec(),
            }
            .into());
        }
        let mut target_width = 1;
        for task in &tasks {
            if task.rows.is_empty() {
                return Err(PretrainError::EmptyTask {
                    task: task.name.clone(),
                }
                .into());
            }
            for (row, encoded) in task.rows.iter().enumerate() {
                let ids = encoded.source.iter().chain(&encoded.target).chain([&options.pad]);
                if let Some(&found) = ids.into_iter().find(|&&id| i32::try_from(id).is_err()) {
                    return Err(DataError::TokenId { row, found });
                }
                target_width = target_width.max(encoded.target.len());
            }
        }
        let mut sum = 0.0;
        let bounds = rates.iter().map(|rate| {
            sum += rate / total;
            sum
        });
        Ok(Self {
            bounds: bounds.collect(),
            tasks,
            options,
            target_width,
            state: Mutex::default(),
        })
    }

    /// Labels per row: the longest target of all tasks.
    pub fn target_width(&self) -> usize {
        self.target_width
    }

    /// The tasks, in the order given.
    pub fn tasks(&self) -> &[MixtureTask] {
        &self.tasks
    }

    /// The task (as an index into the given list) of a row number in [`Batch::rows`], which counts through all rows of
    /// all tasks.
    pub fn task_of(&self, row: usize) -> usize {
        let mut first = 0;
        let after = self.tasks.iter().position(|task| {
            first += task.rows.len();
            row < first
        });
        after.unwrap_or(self.tasks.len())
    }

    /// The batch of a task micro-step, counted from 0: a pure function of (seed, index). In order, each batch is cheap;
    /// out of order, all earlier draws are repeated, about a millisecond per hundred batches.
    pub fn train_batch(&self, seed: u64, index: usize) -> Batch {
        let group = self.group(seed, (index / GROUP) as u64);
        let drawn = &group[index % GROUP];
        let row = |&(task, row): &Drawn| self.tasks[..task].iter().map(|task| task.rows.len()).sum::<usize>() + row;
        let encoded = |&(task, row): &Drawn| -> &Encoded { &self.tasks[task].rows[row] };
        let longest = drawn
            .iter()
            .map(|drawn| encoded(drawn).source.len())
            .max()
            .unwrap_or_default();
        let last = self.options.buckets.len() - 1;
        let bucket = self.options.buckets.partition_point(|&width| width < longest).min(last);
        let widths = (self.options.buckets[bucket], self.target_width);
        padded(
            drawn.iter().map(row).collect(),
            drawn.iter().map(encoded),
            widths,
            self.options.pad,
        )
    }

    fn group(&self, seed: u64, group: u64) -> Arc<Vec<Vec<Drawn>>> {
        // State left by a panicking thread is either validated by its seed and numbers or overwritten.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, drawn)) = &state.group
            && (state.seed, *known) == (seed, group)
        {
            return Arc::clone(drawn);
        }
        if state.drawn.is_empty() || state.seed != seed || state.next_group > group {
            *state = State {
                seed,
                drawn: vec![0; self.tasks.len()],
                orders: vec![None; self.tasks.len()],
                ..State::default()
            };
        }
        while state.next_group < group {
            for task in self.draw_tasks(&mut Draws::of(Purpose::Tasks, seed, state.next_group)) {
                state.drawn[task] += 1;
            }
            state.next_group += 1;
        }
        let drawn = Arc::new(self.draw(&mut state));
        state.next_group += 1;
        state.group = Some((group, Arc::clone(&drawn)));
        drawn
    }

    /// Samples the tasks of a group's rows.
    fn draw_tasks(&self, draws: &mut Draws) -> Vec<usize> {
        // Rounding can leave the last bound below 1, and the remainder must not go to a task with rate 0.
        let last = self
            .bounds
            .partition_point(|&bound| bound < self.bounds[self.bounds.len() - 1]);
        (0..GROUP * self.options.batch_size)
            .map(|_| {
                let place = draws.unit();
                self.bounds.partition_point(|&bound| bound <= place).min(last)
            })
            .collect()
    }

    /// Samples the rows of group `state.next_group` and forms its batches.
    fn draw(&self, state: &mut State) -> Vec<Vec<Drawn>> {
        let mut draws = Draws::of(Purpose::Tasks, state.seed, state.next_group);
        let mut rows: Vec<Drawn> = Vec::with_capacity(GROUP * self.options.batch_size);
        for task in self.draw_tasks(&mut draws) {
            let count = self.tasks[task].rows.len();
            let (epoch, place) = (state.drawn[task] / count as u64, state.drawn[task] % count as u64);
            state.drawn[task] += 1;
            let order = match &mut state.orders[task] {
                Some((known, order)) if *known == epoch => order,
                other => &mut other.insert((epoch, order(state.seed, task, epoch, count))).1,
            };
            rows.push((task, order[place as usize] as usize));
        }
        rows.sort_by_key(|&(task, row)| self.tasks[task].rows[row].source.len());
        let mut batches: Vec<Vec<Drawn>> = rows.chunks(self.options.batch_size).map(<[Drawn]>::to_vec).collect();
        draws.shuffle(&mut batches);
        batches
    }
}

/// Shuffled row order of a task in one epoch.
fn order(seed: u64, task: usize, epoch: u64, count: usize) -> Vec<u32> {
    // No training run reaches 2^32 epochs of a task.
    let key = (task as u64) << 32 | (epoch & u64::from(u32::MAX));
    let mut order: Vec<u32> = (0..count as u32).collect();
    Draws::of(Purpose::Rows, seed, key).shuffle(&mut order);
    order
}
