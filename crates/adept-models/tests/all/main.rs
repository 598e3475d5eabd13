//! Tests of the public API: checkpoints and forward passes.

mod common;
#[path = "../../../adept-data/tests/all/properties/damage.rs"]
mod damage;
mod decoders;
mod feed;
mod files;
mod folder;
mod frozen;
mod hostile;
#[path = "../../../adept-data/tests/all/properties/input.rs"]
mod input;
mod ladder;
mod methods;
mod parity;
mod shared;
mod tape;
mod wanted;
