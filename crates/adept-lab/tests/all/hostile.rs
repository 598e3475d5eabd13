//! The reader of run folders never panics: arbitrary bytes are reported, or refused with the file's name. The feed
//! judges; the valid inputs are the fuzz target's seeds.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use crate::damage::{config, damaged, seeds};
use crate::feed::ReportFeed;

/// Fragments of the files.
const PIECES: [&[u8]; 11] = [
    b"\"event\":\"step\"",
    b"18446744073709551615",
    b"1e308",
    b"1e999",
    b"-1",
    b"null",
    b"{",
    b"}",
    b",",
    b"\n",
    b"\xff",
];

fn inputs() -> Vec<Vec<u8>> {
    seeds("run_folder").into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn every_seed_is_reported() {
    let reports = ReportFeed::new();
    for (name, bytes) in seeds("run_folder") {
        let report = reports.check(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!report.runs.is_empty(), "{name}");
    }
}

#[test]
fn damaged_folders_of_runs_are_reported_or_refused() {
    let feed = ReportFeed::new();
    proptest!(config(600), |(input in damaged(inputs(), &PIECES))| {
        let _ = feed.check(&input);
    });
}

/// Parameter counts are read from a file and may be arbitrary.
#[test]
fn counts_of_any_size_are_reported() {
    let (name, seed) = seeds("run_folder").into_iter().next().unwrap();
    let text = String::from_utf8(seed).unwrap();
    let count = text.split("\"backbone_parameters\":").nth(1).unwrap();
    let count = &count[..count.find(',').unwrap()];
    let huge = text.replace(
        &format!("\"backbone_parameters\":{count}"),
        &format!("\"backbone_parameters\":{}", usize::MAX),
    );
    assert_ne!(huge, text, "{name}");
    let report = ReportFeed::new().check(huge.as_bytes()).unwrap();
    assert_eq!(report.runs[0].backbone_parameters, usize::MAX);
    assert!(report.runs[0].share() < 1e-9);
}
