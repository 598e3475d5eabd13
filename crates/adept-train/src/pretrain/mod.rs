//! Pretraining of a small T5: span corruption on plain text mixed with supervised tasks (Raffel et al. 2020, sections
//! 3.1.4 and 3.5.2).
//!
//! The way through: [`config`] resolves a TOML file, [`prepare`] reads corpus and tasks and makes tokenizer and token
//! store, [`feed`] says which passes a step is made of and prepares their batches on a thread of its own, [`learner`] is
//! the loop, [`evaluate`] scores it, [`record`] writes what happened. [`run`] does all of it in one folder:
//!
//! | entry | what |
//! |---|---|
//! | `config.toml` | resolved configuration |
//! | `record.jsonl` | one event a line ([`record::PretrainLine`]) |
//! | `tokenizer/`, `tokens.bin` | made once, used again where they fit |
//! | `checkpoint/step-<n>/` | what is needed to go on; kept at the end, so that a run can be made longer |
//! | `model/` | the model in Hugging Face's layout, bf16, with tokenizer: written at every evaluation |
//!
//! Adapters have no part in this; the backbone is any [`TrainBackbone`](crate::target::TrainBackbone) to the loop, and a
//! T5 to [`run`].

pub mod config;
mod document;
pub mod evaluate;
pub mod feed;
pub mod learner;
mod model;
pub mod observer;
pub mod prepare;
pub mod record;
mod run;

pub use config::{PretrainConfig, ResolvedPretrain, resolve};
pub use document::page;
pub use observer::{Phase, PretrainEvent, PretrainObserver};
pub use prepare::Roots;
pub use run::{Outcome, Plan, plan, run};
