//! Tests that cross crates: the golden folders on two backends, and pretraining compared with PyTorch.
#![allow(clippy::unwrap_used)]

mod goldens;
mod labels;
mod packages;
mod peft_files;
mod prefixes;
mod pretrain;
#[path = "../../../crates/adept-data/tests/all/thorough.rs"]
mod thorough;
mod verify;
mod verify_causal;
mod verify_decoders;
mod verify_methods;
mod verify_networks;
mod verify_precision;
mod verify_weights;
