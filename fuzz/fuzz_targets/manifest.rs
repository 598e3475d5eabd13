//! A run's checkpoint: its state, and the header of its tensors.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::run::ManifestFeed;
use adept_fuzz::{Allowance, measured};

/// Bytes held whatever the input: mostly the buffer that files are hashed through.
const ALLOWANCE: Allowance = Allowance::base(128 << 10);

static FEED: LazyLock<ManifestFeed> = LazyLock::new(ManifestFeed::new);

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = FEED.check(b"");
    },
    |bytes: &[u8]| measured(bytes, ALLOWANCE, || FEED.check(bytes))
);
