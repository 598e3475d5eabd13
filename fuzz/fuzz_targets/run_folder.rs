//! Folders of runs, which a report is made of.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::report::ReportFeed;
use adept_fuzz::{Allowance, measured};

/// Bytes held whatever the input: mostly the paper's figures, which a report sets beside the measured ones.
const ALLOWANCE: Allowance = Allowance::base(64 << 10);

static FEED: LazyLock<ReportFeed> = LazyLock::new(ReportFeed::new);

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = FEED.check(b"");
    },
    |bytes: &[u8]| measured(bytes, ALLOWANCE, || FEED.check(bytes))
);
