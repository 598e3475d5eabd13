//! GPT-2's tokenizer files, and texts for the tokenizer that comes of them.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::tokenizer::TokenizerFeed;
use adept_fuzz::{let_libraries_panic, measured};

/// Bytes held whatever the input.
const BASE: usize = 1 << 20;

static FEED: LazyLock<TokenizerFeed> = LazyLock::new(TokenizerFeed::byte_pairs);

libfuzzer_sys::fuzz_target!(
    init: {
        let_libraries_panic();
        let _ = FEED.check(b"");
    },
    |bytes: &[u8]| measured(bytes, BASE, || FEED.check(bytes))
);
