//! GGUF files: container, architecture, tokenizer, weights.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::gguf::ImportFeed;
use adept_fuzz::{Allowance, measured};

/// Bytes held whatever the input: buffers of files, and a piece of a tensor in each of its forms.
const ALLOWANCE: Allowance = Allowance::base(12 << 20);

static FEED: LazyLock<ImportFeed> = LazyLock::new(ImportFeed::new);

libfuzzer_sys::fuzz_target!(
    init: {
        let _ = FEED.check(b"");
    },
    |bytes: &[u8]| measured(bytes, ALLOWANCE, || FEED.check(bytes))
);
