//! The pickle in an adapter's `adapter_model.bin`, in an archive that is whole.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::adapter::AdapterFeed;
use adept_fuzz::{Allowance, measured};

/// Bytes held whatever the input: mostly the decompressor's window and tables.
const ALLOWANCE: Allowance = Allowance::base(64 << 10);

static FEED: LazyLock<AdapterFeed> = LazyLock::new(AdapterFeed::pickled);

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = FEED.check_pickle(b"");
    },
    |bytes: &[u8]| measured(bytes, ALLOWANCE, || FEED.check_pickle(bytes))
);
