//! Training, evaluation, checkpoints, records and reports for prompt-style adapters.
//!
//! The way through this crate: [`config`] turns a preset, a file and command-line overrides into one resolved
//! [`config::RunConfig`]; [`run`] loads data and backbone, builds the adapter and hands everything to [`learner`], the
//! one training loop. [`target`] says what is trained (an adapter on a frozen backbone, or all of the backbone),
//! [`optim`] holds AdamW with PyTorch's semantics and Adafactor, [`checkpoint`] makes a run resumable bit for bit, [`record`] writes
//! what happened.
//!
//! [`pretrain`] is another way through the same parts: from plain text and labelled tasks to a backbone.
//!
//! [`analysis`] looks at trained adapters from outside: the paper's Tables 1 and 2.
//!
//! Everything is generic over burn's autodiff backend; nothing here prints or exits.

pub mod analysis;
pub mod baseline;
pub mod bench;
pub mod checkpoint;
pub mod config;
pub mod error;
pub mod evaluate;
pub mod folder;
pub mod gradient;
pub mod learner;
pub mod model;
pub mod observer;
pub mod optim;
pub mod preset;
pub mod pretrain;
pub mod program;
pub mod record;
pub mod report;
pub mod reproduce;
pub mod run;
pub mod schedule;
pub mod target;
pub mod trained;
pub mod verify;

pub use error::TrainError;
