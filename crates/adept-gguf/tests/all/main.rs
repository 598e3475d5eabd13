//! Whole imports of files that tests/generators/gguf_fixtures.py wrote, and of damaged ones.

mod common;
mod damaged;
mod feed;
mod models;
mod target;
mod tokenizers;
