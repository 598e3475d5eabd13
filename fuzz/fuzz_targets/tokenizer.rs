//! `tokenizer.json`, and texts for the tokenizer that comes of it.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::tokenizer::TokenizerFeed;
use adept_fuzz::{Allowance, built_once, let_libraries_panic, measured, on_a_thread};

/// The library's cache of a unigram model: a table of 10,000 entries of 48 bytes, whatever the input.
const CACHE: usize = 16_384 * 49 + 16;

/// Whatever the input, an automaton of added tokens takes 52 KB, and there may be two. For each byte of an input the
/// library holds more than elsewhere: a node of a unigram model's trie takes 280 bytes for each byte of
/// a piece, and a part that fits no step of the library is kept as JSON values in several copies.
const PLAIN: Allowance = Allowance::base(128 << 10).times(320);

/// Patterns, as many as are let through, are compiled to up to 190 KB for each of their characters.
const PATTERNS: Allowance = Allowance::base(24 << 20).times(320);

/// A tokenizer that splits words by a pattern of the library's own, and each of the steps that do.
const WORDS: &str = include_str!("../seeds/tokenizer/word_level.txt");
const STEPS: [&str; 2] = [
    r#""Whitespace""#,
    r#""ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true"#,
];

/// One with an added token of every kind.
const TOKENS: &[u8] = include_bytes!("../seeds/tokenizer/word_piece.txt");

static FEED: LazyLock<TokenizerFeed> = LazyLock::new(TokenizerFeed::json);

fn check(bytes: &[u8]) {
    let has_pattern = bytes.windows(5).any(|window| window == b"Regex");
    let allowance = if has_pattern { PATTERNS } else { PLAIN };
    measured(bytes, allowance, || on_a_thread(|| drop(FEED.check(bytes))));
}

libfuzzer_sys::fuzz_target!(
    init: {
        let_libraries_panic();
        Allowance::except_block(CACHE);
        for step in STEPS {
            let tokenizer = WORDS.replace(STEPS[0], step);
            built_once(|| drop(FEED.check(tokenizer.as_bytes()).expect("a tokenizer")));
        }
        built_once(|| drop(FEED.check(TOKENS).expect("a tokenizer")));
    },
    |bytes: &[u8]| check(bytes)
);
