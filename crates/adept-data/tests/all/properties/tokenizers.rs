//! Tokenizers: no bytes make the loader panic, nor a tokenizer that was loaded. Checks are in [`TokenizerFeed`]; valid
//! inputs are the fuzz targets' seeds.

use adept_data::DataError;
use proptest::prelude::*;

use crate::properties::config;
use crate::properties::damage::{damaged, seeds};
use crate::properties::tokenizer_feed::TokenizerFeed;

/// Fragments that the files consist of.
const PIECES: [&[u8]; 20] = [
    b"\"type\":\"BPE\"",
    b"\"type\":\"Unigram\"",
    b"\"type\":\"Precompiled\"",
    b"\"precompiled_charsmap\":\"AAAA\"",
    b"\"unk_id\":7",
    b"\"content\":\"\"",
    b"{\"Regex\":\"(a*)*b\"}",
    b"4294967295",
    b"1e999",
    b"null",
    b"true",
    b"\"\"",
    b"[",
    b"{",
    b"}",
    b",",
    b"\n",
    b" ",
    b"\xff",
    b"\xef\xbb\xbf",
];

fn inputs(target: &str) -> Vec<Vec<u8>> {
    seeds(target).into_iter().map(|(_, bytes)| bytes).collect()
}

#[test]
fn every_seed_is_a_tokenizer() {
    let (json, pairs) = (TokenizerFeed::json(), TokenizerFeed::byte_pairs());
    for (name, bytes) in seeds("tokenizer") {
        json.check(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, bytes) in seeds("byte_pairs") {
        pairs.check(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn damaged_tokenizers_are_read_or_refused() {
    let feed = TokenizerFeed::json();
    proptest!(config(600), |(input in damaged(inputs("tokenizer"), &PIECES))| {
        let _ = feed.check(&input);
    });
}

#[test]
fn damaged_byte_pairs_are_read_or_refused() {
    let feed = TokenizerFeed::byte_pairs();
    proptest!(config(600), |(input in damaged(inputs("byte_pairs"), &PIECES))| {
        let _ = feed.check(&input);
    });
}

/// The library would compile each to 14 MB.
#[test]
fn patterns_that_take_much_memory_are_refused() {
    let load = |pattern: &str, steps: usize| {
        let step =
            format!(r#"{{"type":"Split","pattern":{{"Regex":"{pattern}"}},"behavior":"Isolated","invert":false}}"#);
        let steps = vec![step; steps].join(",");
        let json = format!(
            r#"==> tokenizer.json
{{"pre_tokenizer":{{"type":"Sequence","pretokenizers":[{steps}]}},"model":{{"type":"WordLevel","vocab":{{"a":0}},"unk_token":"a"}}}}"#
        );
        TokenizerFeed::json().check(json.as_bytes())
    };
    load(r"\\w{30}", 4).expect("a pattern within the limit");
    for (pattern, steps, found) in [(r"\\w{30}", 5, 150), (r"\\w{200}", 1, 200)] {
        let error = load(pattern, steps).expect_err("a pattern beyond the limit");
        assert!(
            matches!(error, DataError::TokenizerPatterns { classes, most: 128, .. } if classes == found),
            "{error}"
        );
    }
}

/// The library reads its table of characters without checking the length.
#[test]
fn a_table_of_characters_that_is_cut_short_is_an_error() {
    let (_, unigram) = seeds("tokenizer")
        .into_iter()
        .find(|(name, _)| name == "unigram.txt")
        .expect("a seed");
    let text = String::from_utf8(unigram).expect("JSON");
    let normalizer = "{\"type\":\"NFKC\"}";
    assert!(text.contains(normalizer));
    for table in ["BAAAAAAAAABhAA==", "AAAAAA==", "BAAAAP////8=", "AAAA", ""] {
        let precompiled = format!("{{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"{table}\"}}");
        let changed = text.replace(normalizer, &precompiled);
        if let Err(error) = TokenizerFeed::json().check(changed.as_bytes()) {
            assert!(error.to_string().contains("tokenizer.json"), "{error}");
        }
    }
}
