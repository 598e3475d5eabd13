//! A run's checkpoint: its state, and the header of its tensors.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::measured;
use adept_fuzz::run::ManifestFeed;

/// Bytes held whatever the input.
const BASE: usize = 2 << 20;

static FEED: LazyLock<ManifestFeed> = LazyLock::new(ManifestFeed::new);

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = FEED.check(b"");
    },
    |bytes: &[u8]| measured(bytes, BASE, || FEED.check(bytes))
);
