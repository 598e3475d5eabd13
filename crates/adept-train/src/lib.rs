//! What training is: configuration, the loop, optimisers, schedules, checkpoints, records and answers.
//!
//! The way through this crate: [`config`] turns a preset, a file and command-line overrides into one resolved
//! [`config::RunConfig`]; [`initial`] makes the adapter that a run starts from; [`target`] says what is trained (an
//! adapter on a frozen backbone, or all of the backbone); [`rows`] how a task's rows enter a backbone; [`learner`] runs the
//! training loop on a task; [`answering`] turns batches into texts. [`optim`] holds AdamW with
//! PyTorch's semantics and Adafactor, [`checkpoint`] makes a run resumable bit for bit, [`record`] writes what happened.
//!
//! [`pretrain`] is another way through the same parts: from plain text and labelled tasks to a backbone. Whole runs,
//! grids of them and their reports are `adept-lab`'s.
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
pub mod learner;
pub mod merge;
pub mod model;
pub mod observer;
pub mod optim;
pub mod preset;
pub mod pretrain;
pub mod program;
pub mod record;
pub mod rows;
pub mod schedule;
pub mod target;
pub mod task;
pub mod trained;
mod training_loop;
pub mod upload;

pub use error::TrainError;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
