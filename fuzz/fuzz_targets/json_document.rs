//! JSON documents: an object with lists of rows, a list of rows.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::Feeds;
use adept_fuzz::feed::Shape;

static FEEDS: LazyLock<Feeds> =
    LazyLock::new(|| Feeds::new(&[Shape::JsonDocument, Shape::JsonList], &[("squad", "squad")]));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| FEEDS.check(bytes));
