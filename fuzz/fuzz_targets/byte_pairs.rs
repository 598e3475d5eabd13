//! GPT-2's tokenizer files, and texts for the tokenizer that comes of them.
#![no_main]

use std::sync::LazyLock;

use adept_fuzz::tokenizer::TokenizerFeed;
use adept_fuzz::{Allowance, built_once, let_libraries_panic, measured, on_a_thread};

/// Bytes held whatever the input: mostly the 256 tokens that stand in for a vocabulary that is left out, and
/// the least room of an automaton of added tokens (52 KB).
///
/// In sum the library holds more than elsewhere: its automaton takes up to 100 bytes for each byte of an added token.
const ALLOWANCE: Allowance = Allowance::base(192 << 10).times(160);

/// Tokens of every kind, so that the library has built its patterns for them.
const TOKENS: &[u8] = br#"==> tokenizer_config.json
{"added_tokens_decoder":{"256":{"content":"<|endoftext|>","lstrip":true,"rstrip":true,"single_word":true},"257":{"content":"  ","rstrip":true,"normalized":true}}}"#;

static FEED: LazyLock<TokenizerFeed> = LazyLock::new(TokenizerFeed::byte_pairs);

libfuzzer_sys::fuzz_target!(
    init: {
        let_libraries_panic();
        built_once(|| drop(FEED.check(TOKENS).expect("a tokenizer")));
    },
    |bytes: &[u8]| measured(bytes, ALLOWANCE, || on_a_thread(|| drop(FEED.check(bytes))))
);
