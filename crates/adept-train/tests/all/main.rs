//! Training, resuming, pretraining and analyses from outside the crate.

mod adamw;
mod analysis;
mod common;
mod edges;
mod folders;
mod learner;
mod pretrain;
mod resume;
mod run;
