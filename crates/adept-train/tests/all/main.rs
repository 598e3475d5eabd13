//! Training, resuming, pretraining and analyses from outside the crate.

mod adamw;
mod analysis;
mod common;
#[path = "../../../adept-data/tests/properties/damage.rs"]
mod damage;
mod edges;
mod feed;
mod folders;
mod hostile;
#[path = "../../../adept-data/tests/properties/input.rs"]
mod input;
mod learner;
mod pretrain;
mod resume;
mod run;
