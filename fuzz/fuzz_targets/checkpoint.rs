//! A backbone's weights: safetensors headers, and the index of shards.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::backbone::CheckpointFeed;
use adept_fuzz::{Allowance, measured};

/// Bytes held whatever the input.
const ALLOWANCE: Allowance = Allowance::base(16 << 10);

static FEED: LazyLock<CheckpointFeed> = LazyLock::new(CheckpointFeed::new);

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = FEED.check(b"");
    },
    |bytes: &[u8]| measured(bytes, ALLOWANCE, || FEED.check(bytes))
);
