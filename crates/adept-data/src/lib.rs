//! Task cards and readers, exact splits, tokenisation, length-bucketed batches and metrics; corpora and batches for
//! pretraining.
//!
//! Data flows in one direction: [`load_task`] reads a [`Task`]'s files as described by its card and returns
//! [`Example`]s (source and target text) in the paper's splits; a [`RowEncoder`] turns them into [`Encoded`] ids;
//! [`Batcher`] groups those by length into a few fixed shapes; [`score`] compares decoded predictions with targets.
//! Pretraining (plain text, tokenizer training, span corruption, task mixtures) is in [`pretrain`]. This crate does not
//! know tensors, and nothing in it is random: every order is a pure function of a seed and a step.
//!
//! Shape legend: a [`Batch`] holds row-major `[batch, source_width]` ids and mask and `[batch, target_width]` labels.

mod answer;
mod batch;
mod conversation;
mod encoder;
mod error;
mod example;
mod file;
mod loss;
mod metric;
mod mt19937;
pub mod path_text;
pub mod pretrain;
mod read;
mod rows;
mod split;
mod table;
pub mod task;
mod template;
pub mod text;
mod tokenizer;

pub use batch::{Batch, BatchOptions, BatchRows, Batcher, IGNORED_LABEL, Layout, Positions, default_buckets};
pub use conversation::{
    Conversation, ConversationFault, ConversationPlace, EndsWith, FieldFault, Message, RawMessages, Role,
    template_variables,
};
pub use encoder::{JoinedText, RowEncoder};
pub use error::DataError;
pub use example::{DataFile, Encoded, Example, TaskData};
pub use loss::{Loss, LossCounter, LossExample, LossKind, LossyText, SplitLosses, split_losses};
pub use metric::{Metric, PASSED, Right, number, score, unit_scores};
pub use read::{
    FewShot, LoadOptions, ScoreRounding, TextLines, check_task, find_task, load_task, map_task, own_task, score_target,
};
pub use rows::{Lengths, RowsOrigin, StoredRows, TaskRows, open_task};
pub use split::{SplitRule, torch_permutation};
pub use table::TableFault;
pub use task::{TargetLength, Task};
pub use template::{ChatError, ChatTemplate, ConversationText, RowTemplate, TemplateError, TrainedAnswers};
pub use tokenizer::{BpeError, TextStream, TextTokenizer};

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
