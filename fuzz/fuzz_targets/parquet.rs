//! Parquet files: texts, numbers, flags and lists.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::feed::Shape;
use adept_fuzz::{Feeds, let_libraries_panic};

static FEEDS: LazyLock<Feeds> = LazyLock::new(|| {
    Feeds::new(
        &[Shape::Parquet],
        &[
            ("rte", "hub"),
            ("stsb", "hub"),
            ("cola", "hub"),
            ("newsqa", "hub"),
            ("squad", "hub"),
        ],
    )
});

libfuzzer_sys::fuzz_target!(init: let_libraries_panic(), |bytes: &[u8]| FEEDS.check(bytes));
