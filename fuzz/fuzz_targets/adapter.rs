//! Adapter folders: `adapter_config.json` with tensors of either kind.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::adapter::AdapterFeed;
use adept_fuzz::{Allowance, measured};

/// Bytes held whatever the input: mostly the decompressor's window and tables.
const ALLOWANCE: Allowance = Allowance::base(64 << 10);

static FEED: LazyLock<AdapterFeed> = LazyLock::new(AdapterFeed::folders);

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = FEED.check(b"");
    },
    |bytes: &[u8]| measured(bytes, ALLOWANCE, || FEED.check(bytes))
);
