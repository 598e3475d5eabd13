//! Pretraining of a small T5: span corruption on plain text mixed with supervised tasks (Raffel et al. 2020, sections
//! 3.1.4 and 3.5.2).
//!
//! Overview: [`config`] resolves a TOML file, `prepare` reads corpus and tasks and builds tokenizer and token store,
//! `feed` determines the passes of a step and prepares their batches in a separate thread, [`learner`] is the loop,
//! `evaluate` evaluates the model, [`record`] logs events. [`run`] does all of this in one folder:
//!
//! | entry | what |
//! |---|---|
//! | `config.toml` | resolved configuration |
//! | `record.jsonl` | one event per line ([`record::PretrainLine`]) |
//! | `events.out.tfevents.adept` | the record as TensorBoard reads it ([`crate::tensorboard`]) |
//! | `tokenizer/`, `tokens.bin` | built once, reused if they match |
//! | `checkpoint/step-<n>/` | what is needed to resume; kept at the end, so that a run can be extended |
//! | `model/` | the model in Hugging Face's layout, bf16, with tokenizer: written at every evaluation |
//!
//! Adapters are not involved; the backbone is any [`TrainBackbone`](crate::target::TrainBackbone) in the loop, and a T5
//! in [`run`].

pub mod config;
mod document;
mod evaluate;
mod feed;
pub mod learner;
mod model;
mod observer;
mod prepare;
pub mod record;
mod run;
pub mod sections;

pub use config::{ResolvedPretrain, resolve};
pub use document::page;
pub use observer::{Phase, PretrainEvent, PretrainObserver};
pub use prepare::Roots;
pub use run::{Outcome, Plan, plan, run};
pub use sections::PretrainConfig;
