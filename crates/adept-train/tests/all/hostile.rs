//! The readers of run folders never panic: damaged checkpoints and records are read, or refused with the file's name.
//! The feeds judge; the valid inputs are the fuzz targets' seeds.
#![allow(clippy::unwrap_used)]

use std::fs;

use adept_train::folder::read_json;
use adept_train::record::Selection;
use proptest::prelude::*;

use crate::damage::{config, damaged, seeds};
use crate::feed::{ManifestFeed, RecordFeed};

/// Fragments of the files.
const PIECES: [&[u8]; 16] = [
    b"\"event\":\"step\"",
    b"\"data_offsets\":[0,18446744073709551615]",
    b"18446744073709551615",
    b"1e308",
    b"1e999",
    b"-1",
    b"null",
    b"\"files\":{\"/dev/zero\":\"\"}",
    b"[",
    b"{",
    b"}",
    b",",
    b"\n",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\0\0\0\0\0\0\0\0",
];

fn inputs(target: &str) -> Vec<Vec<u8>> {
    seeds(target).into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn every_seed_is_read() {
    let (manifests, records) = (ManifestFeed::new(), RecordFeed::new());
    for (name, bytes) in seeds("manifest") {
        let found = manifests
            .check(&bytes)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(found.is_some(), "{name}: no checkpoint");
    }
    for (name, bytes) in seeds("record") {
        let found = records.check(&bytes);
        assert!(found.lines.is_some() || found.pretrain_lines.is_some(), "{name}");
        assert_eq!(found.selection.is_some(), name == "run.txt", "{name}");
        assert!(found.result.is_some() || found.lines.is_none(), "{name}");
    }
}

#[test]
fn damaged_checkpoints_are_read_or_refused() {
    let feed = ManifestFeed::new();
    proptest!(config(1000), |(input in damaged(inputs("manifest"), &PIECES))| {
        let _ = feed.check(&input);
    });
}

#[test]
fn damaged_records_are_read_or_refused() {
    let feed = RecordFeed::new();
    proptest!(config(1000), |(input in damaged(inputs("record"), &PIECES))| {
        feed.check(&input);
    });
}

/// Files named by a selection are read to their end: devices have none, and other folders are out of bounds.
#[test]
fn a_selection_names_files_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("selection.json");
    let read = |name: &str| {
        let files = serde_json::json!({ name: "" });
        let text = serde_json::json!({"step": 1, "metric": "m", "score": 1, "scores": {}, "files": files}).to_string();
        fs::write(&path, text).unwrap();
        read_json::<Selection>(&path)
    };
    read("adapter_config.json").unwrap();
    for name in ["/dev/zero", "../result.json", "..", "", "best/weights", "weights/"] {
        let error = read(name).unwrap_err().to_string();
        let cause = format!("expected the name of a file beside this one, found `{name}`");
        assert!(error.contains("selection.json") && error.contains(&cause), "{error}");
    }
}

/// A checksum protects against accidents, not against crafted files: the tensors' header is checked against the file.
#[test]
fn a_header_that_claims_more_than_its_file_is_refused() {
    let (_, seed) = seeds("manifest").into_iter().next().unwrap();
    let mark = b"\n==> step-00000010/tensors.safetensors\n";
    let at = seed.windows(mark.len()).position(|window| window == mark).unwrap() + mark.len();
    let feed = ManifestFeed::new();
    feed.check(&seed).unwrap();
    let (whole, cut) = (&seed[..], &seed[..seed.len() - 4]);
    let claims = |length: u64| [&seed[..at], &length.to_le_bytes(), &seed[at + 8..]].concat();
    for (input, cause) in [
        (cut.to_vec(), "incomplete metadata"),
        ([whole, b"more"].concat(), "incomplete metadata"),
        (claims(u64::MAX), "invalid header length"),
        (claims(1 << 40), "invalid header length"),
    ] {
        let error = feed.check(&input).unwrap_err().to_string();
        assert!(
            error.contains("tensors.safetensors: ") && error.contains(cause),
            "{error}"
        );
    }
}
