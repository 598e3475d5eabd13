//! Folders of runs, which a report is made of.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::measured;
use adept_fuzz::report::ReportFeed;

/// Bytes held whatever the input.
const BASE: usize = 1 << 20;

static FEED: LazyLock<ReportFeed> = LazyLock::new(ReportFeed::new);

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = FEED.check(b"");
    },
    |bytes: &[u8]| measured(bytes, BASE, || FEED.check(bytes))
);
