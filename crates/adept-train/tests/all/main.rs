//! Tests of the public API: training, resuming and pretraining.

mod adamw;
mod common;
#[path = "../../../adept-data/tests/all/properties/damage.rs"]
mod damage;
mod feed;
mod folded;
mod hostile;
#[path = "../../../adept-data/tests/all/properties/input.rs"]
mod input;
mod judge;
mod learner;
mod outputs;
mod pretrain;
mod resume;
#[path = "../../../adept-data/tests/all/thorough.rs"]
mod thorough;
