//! Tests that cross crates: the golden folders on two backends, and pretraining against PyTorch.

mod goldens;
mod pretrain;
mod verify;
mod verify_causal;
