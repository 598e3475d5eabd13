//! `config.json` and `generation_config.json`, as every family's.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::backbone::ConfigFeed;
use adept_fuzz::{Allowance, measured};

/// Bytes held whatever the input.
const ALLOWANCE: Allowance = Allowance::base(16 << 10);

static FEED: LazyLock<ConfigFeed> = LazyLock::new(ConfigFeed::new);

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = FEED.check(b"");
    },
    |bytes: &[u8]| measured(bytes, ALLOWANCE, || FEED.check(bytes))
);
