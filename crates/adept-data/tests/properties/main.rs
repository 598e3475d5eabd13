//! What holds of every reader and every input: no bytes make it panic, an error names file, line and field, and rows that
//! were written come back as they were. Cards and splits are tried in the same way.
//!
//! Cases are generated from a fixed seed, so that a run repeats the one before. `PROPTEST_CASES` sets how many there are,
//! as a share of 256: 2560 is ten times as many in every test. `PROPTEST_RNG_SEED` sets another seed.

mod any_bytes;
mod cards;
mod faults;
mod feed;
mod formats;
mod round_trip;
mod splits;

use proptest::test_runner::{Config, RngSeed};

/// Cases that [`config`]'s numbers are meant for.
const DEFAULT_CASES: u32 = 256;

/// The configuration of a property with so many cases by default.
fn config(cases: u32) -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    config.cases = (config.cases.saturating_mul(cases) / DEFAULT_CASES).max(1);
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}
