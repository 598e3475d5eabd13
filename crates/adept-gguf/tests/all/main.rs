//! Whole imports of files that tests/generators/gguf_fixtures.py wrote, and of damaged ones.

// Tests may unwrap: a panic is the failure.
#![allow(clippy::unwrap_used)]

mod common;
mod damaged;
mod feed;
mod models;
mod target;
mod tokenizers;
