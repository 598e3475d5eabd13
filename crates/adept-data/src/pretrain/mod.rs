//! Data for pretraining a small T5: a text corpus, a tokenizer trained on it, its tokens on disk, span corruption, and
//! the supervised mixture (Raffel et al. 2020, sections 3.1.4 and 3.5.2).
//!
//! Data flows in one direction: [`CorpusFiles`] streams paragraphs from plain or gzip files; [`train_unigram`] trains a
//! tokenizer in T5's layout on them; [`TokenStore`] keeps their ids on disk; [`TextBatches`] reads windows of it,
//! corrupts spans ([`noise_mask`], [`corrupt`]) and yields [`Batch`](crate::Batch)es. [`TaskBatches`] samples labelled
//! rows of several tasks at their [`mixing_rates`]. Memory is independent of the size of the corpus, and every order
//! and every mask is a pure function of (seed, index).

mod charsmap;
mod corpus;
mod denoise;
mod draws;
mod encode;
mod error;
mod layout;
mod mixture;
mod paragraphs;
mod sample;
mod store;
mod tasks;
mod text;
mod unigram;
mod words;

pub use corpus::{CorpusFiles, CorpusLines, CorpusOptions};
pub use denoise::{DenoiseOptions, Sentinels, corrupt, noise_mask, window_length};
pub use draws::Draws;
pub use error::PretrainError;
pub use layout::TrainedTokenizer;
pub use mixture::{MixtureTask, mixing_rates};
pub use sample::sample_texts;
pub use store::{StoreOrigin, StoreProgress, TokenStore};
pub use tasks::{TaskBatches, TaskOptions};
pub use text::{TextBatches, TextOptions};
pub use unigram::{UnigramOptions, UnigramProgress, train_unigram};
