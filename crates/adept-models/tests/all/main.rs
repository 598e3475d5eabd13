//! Checkpoints and forward passes from outside the crate.

mod common;
mod files;
mod folder;
mod parity;
