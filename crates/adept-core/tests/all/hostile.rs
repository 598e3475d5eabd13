//! The adapter reader neither panics nor allocates more than a small multiple of its input: damaged folders, archives
//! and pickles give adapters or errors that name a file. [`AdapterFeed`] judges; the valid inputs are the fuzz targets'
//! seeds.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use crate::damage::{config, damaged, seeds};
use crate::feed::AdapterFeed;

/// Fragments of adapter files.
const PIECES: [&[u8]; 22] = [
    b"\"r\":2",
    b"\"adept\":{",
    b"PROMPT_TUNING_LORA",
    b"18446744073709551615",
    b"1e999",
    b"null",
    b"[",
    b"{",
    b"}",
    b",",
    b"\xff",
    b"\0\0\0\0\0\0\0\0",
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"ctorch\nFloatStorage\n",
    b"(K\x02K\x03\x86",
    b"q\x00h\x00",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"}(",
    b"R",
];

fn inputs(target: &str) -> Vec<Vec<u8>> {
    seeds(target).into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn every_seed_is_an_adapter() {
    let (folders, pickled) = (AdapterFeed::folders(), AdapterFeed::pickled());
    for (name, bytes) in seeds("adapter") {
        folders.check(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, bytes) in seeds("torch_file") {
        pickled
            .check_file(&bytes)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, bytes) in seeds("pickle") {
        pickled
            .check_pickle(&bytes)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn damaged_folders_are_adapters_or_errors() {
    let feed = AdapterFeed::folders();
    proptest!(config(1500), |(input in damaged(inputs("adapter"), &PIECES))| {
        let _ = feed.check(&input);
    });
}

#[test]
fn damaged_archives_and_pickles_are_adapters_or_errors() {
    let feed = AdapterFeed::pickled();
    proptest!(config(1000), |(input in damaged(inputs("torch_file"), &PIECES))| {
        let _ = feed.check_file(&input);
    });
    proptest!(config(1500), |(input in damaged(inputs("pickle"), &PIECES))| {
        let _ = feed.check_pickle(&input);
    });
}
