//! Properties of all readers and inputs: no bytes cause a panic, an error states file, line and field, and rows survive
//! a round trip. Cards, splits and tokenizers are tested likewise.
//!
//! Cases are generated from a fixed seed, so that runs are reproducible. `PROPTEST_CASES` sets their number, as a share
//! of 256: 2560 runs ten times as many in every test. `PROPTEST_RNG_SEED` sets another seed.

mod any_bytes;
mod cards;
mod damage;
mod faults;
mod feed;
mod formats;
mod input;
mod round_trip;
mod splits;
mod tokenizer_feed;
mod tokenizers;

use damage::config;
