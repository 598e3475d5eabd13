//! JSON lines: rows, rows within rows, parts of texts, spans.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::Feeds;
use adept_fuzz::feed::Shape;

static FEEDS: LazyLock<Feeds> = LazyLock::new(|| {
    Feeds::new(
        &[Shape::JsonLines],
        &[
            ("record", "official"),
            ("wsc", "official"),
            ("multirc", "official"),
            ("hotpotqa", "mrqa"),
            ("hotpotqa", "distractor"),
            ("stsb", "hub"),
        ],
    )
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| FEEDS.check(bytes));
