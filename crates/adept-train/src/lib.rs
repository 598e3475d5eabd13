//! Training: configuration, the loop, optimisers, schedules, checkpoints, records and prediction.
//!
//! Overview: [`config`] turns a preset, a file and command-line overrides into a resolved [`config::RunConfig`];
//! [`initial`] builds the adapter that a run starts from; [`target`] defines what is trained (an adapter on a frozen
//! backbone, or the whole backbone); [`rows`] how a task's rows are laid out for a backbone; [`learner`] runs the
//! training loop on a task; [`answering`] turns batches into texts. [`optim`] contains AdamW with PyTorch's semantics
//! and Adafactor, [`checkpoint`] makes a run resumable bit for bit, [`record`] logs its events.
//!
//! [`pretrain`] uses the same parts to train a backbone on plain text and labelled tasks. Complete runs, grids of runs
//! and their reports are in `adept-lab`.
//!
//! Everything is generic over burn's autodiff backend; nothing here prints or exits.

pub mod answering;
pub mod checkpoint;
pub mod config;
pub mod error;
pub mod evaluate;
pub mod folder;
pub mod gradient;
pub mod initial;
#[cfg(all(feature = "flex", debug_assertions, not(test)))]
#[doc(hidden)]
pub mod instances;
pub mod learner;
pub mod merge;
pub mod model;
pub mod model_card;
pub mod observer;
pub mod optim;
mod preset;
pub mod pretrain;
pub mod program;
pub mod record;
pub mod rows;
pub mod schedule;
pub mod target;
pub mod task;
pub mod tensorboard;
pub mod test_answers;
pub mod trained;
mod training_loop;
pub mod upload;

pub use error::TrainError;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
