//! What a run writes: `record.jsonl`, `result.json`, `selection.json`.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::measured;
use adept_fuzz::run::RecordFeed;

/// Bytes held whatever the input.
const BASE: usize = 2 << 20;

static FEED: LazyLock<RecordFeed> = LazyLock::new(RecordFeed::new);

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = FEED.check(b"");
    },
    |bytes: &[u8]| measured(bytes, BASE, || FEED.check(bytes))
);
