//! Offsets, prompts and adapter files from outside the crate.

mod common;
mod files;
mod forward;
mod published;
mod shift;
