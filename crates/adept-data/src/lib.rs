//! GLUE readers, exact splits, tokenisation, length-bucketed batches and metrics; corpora and batches for pretraining.
//!
//! Text goes one way through this crate: [`load_glue`] reads a task's official files and makes [`Example`]s (source and
//! target text) in the paper's splits; [`TextTokenizer`] turns them into [`Encoded`] ids; [`Batcher`] groups those by
//! length into a few fixed shapes; [`score`] compares decoded predictions with targets. What pretraining reads (plain text,
//! a tokenizer trained on it, corrupted spans, mixtures of tasks) is in [`pretrain`]. Nothing here knows a tensor, and
//! nothing here is random: every order is a pure function of a seed and a step.
//!
//! Shape legend: a [`Batch`] holds row-major `[batch, source_width]` ids and mask and `[batch, target_width]` labels.

mod batch;
mod error;
mod example;
mod glue;
mod metric;
mod mt19937;
pub mod pretrain;
mod split;
mod tokenizer;

pub use batch::{Batch, BatchOptions, Batcher, IGNORED_LABEL, default_buckets};
pub use error::DataError;
pub use example::{DataFile, Encoded, Example, TaskData};
pub use glue::{GlueTask, LoadOptions, StsbRounding, check_glue, load_glue, stsb_target};
pub use metric::{Metric, score};
pub use split::{SplitRule, torch_permutation};
pub use tokenizer::{DEFAULT_TARGET_LENGTH, TextTokenizer};
