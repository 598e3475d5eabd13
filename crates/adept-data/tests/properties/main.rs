//! What holds of every reader and every input: no bytes make it panic, an error names file, line and field, and rows that
//! were written come back as they were. Cards, splits and tokenizers are tried in the same way.
//!
//! Cases are generated from a fixed seed, so that a run repeats the one before. `PROPTEST_CASES` sets how many there are,
//! as a share of 256: 2560 is ten times as many in every test. `PROPTEST_RNG_SEED` sets another seed.

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
