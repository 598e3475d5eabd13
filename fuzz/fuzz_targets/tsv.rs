//! Tab-separated files, with and without a header line; gzip where the bytes say so.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::Feeds;
use adept_fuzz::feed::Shape;

static FEEDS: LazyLock<Feeds> = LazyLock::new(|| {
    Feeds::new(
        &[Shape::Tsv, Shape::TsvWithoutHeader],
        &[("qqp", "official"), ("stsb", "official"), ("cola", "official")],
    )
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| FEEDS.check(bytes));
