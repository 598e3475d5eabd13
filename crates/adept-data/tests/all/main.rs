//! Readers, tasks, splits, batches and metrics from outside the crate.

mod answers;
mod batches;
mod bpe;
mod common;
mod faults;
mod formats;
mod forms;
mod losses;
mod metrics;
mod own_tasks;
mod real_files;
mod real_tasks;
mod rows;
mod splits;
