//! The program, used as a user would: a single binary, so that shared fixtures are built and trained once.
#![cfg(feature = "flex")]

mod analysis;
mod bad_input;
mod cli;
mod common;
mod conversations;
mod decoders;
mod fetch;
mod folders;
#[cfg(target_os = "linux")]
mod full_disk;
mod hub;
mod import;
#[cfg(unix)]
mod kill;
#[cfg(target_os = "linux")]
mod memory;
mod model_folder;
mod own_data;
#[cfg(unix)]
mod paths;
#[cfg(unix)]
mod pretrain;
mod programs;
mod reproduce;
mod search;
#[cfg(unix)]
mod slurm;
#[path = "../../../adept-data/tests/all/thorough.rs"]
mod thorough;
mod trained_with;
mod weights;
