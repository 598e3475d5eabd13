//! Damaged and unsupported files: each is refused for what is wrong with it, and no bytes make an import panic.

use std::fs;

use crate::common::{fixture, imported};
use crate::feed::ImportFeed;

/// GGUF's value types.
const U32: u32 = 4;
const TEXT: u32 = 8;
const LIST: u32 = 9;

/// A file that is written by hand, independently of the reader.
#[derive(Clone)]
struct File {
    version: u32,
    keys: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: usize,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn key(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [text(name), kind.to_le_bytes().to_vec(), value.to_vec()].concat()
}

fn tensor(name: &str, shape: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let sizes = shape.iter().flat_map(|size| size.to_le_bytes()).collect();
    let dimensions = (shape.len() as u32).to_le_bytes().to_vec();
    [
        text(name),
        dimensions,
        sizes,
        kind.to_le_bytes().to_vec(),
        offset.to_le_bytes().to_vec(),
    ]
    .concat()
}

impl File {
    /// Two tensors of 8 floats.
    fn new() -> Self {
        Self {
            version: 3,
            keys: vec![key("general.architecture", TEXT, &text("llama"))],
            tensors: vec![tensor("one", &[8], 0, 0), tensor("two", &[8], 0, 32)],
            data: 64,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.keys.len() as u64).to_le_bytes());
        bytes.extend(self.keys.concat());
        bytes.extend(self.tensors.concat());
        bytes.resize(bytes.len().next_multiple_of(32) + self.data, 0);
        bytes
    }
}

#[track_caller]
fn refused(bytes: &[u8], what: &str) {
    let message = ImportFeed::new().check(bytes).unwrap_err();
    assert!(message.contains(what), "expected `{what}` in: {message}");
}

#[track_caller]
fn refused_with(change: impl FnOnce(&mut File), what: &str) {
    let mut file = File::new();
    change(&mut file);
    refused(&file.bytes(), what);
}

#[test]
fn headers() {
    // The container is sound: what is missing is the model.
    refused(&File::new().bytes(), "`llama.embedding_length` is missing");
    refused(b"GGML....", "begins with `GGUF`, found \"GGML\"");
    refused_with(|file| file.version = 1, "version 2 or 3, found 1");
    refused_with(|file| file.version = 3u32.swap_bytes(), "big-endian");
    let mut bytes = File::new().bytes();
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    refused(&bytes, "18446744073709551615 tensors");
    let mut bytes = File::new().bytes();
    bytes[16..24].copy_from_slice(&(1u64 << 60).to_le_bytes());
    refused(&bytes, "1152921504606846976 metadata keys");
}

#[test]
fn metadata() {
    let with = |added: Vec<u8>, what: &str| refused_with(|file| file.keys.push(added), what);
    with(
        key("general.architecture", TEXT, &text("llama")),
        "`general.architecture` occurs twice",
    );
    with(
        key("odd", 13, &[]),
        "`odd`: expected a value type from 0 to 12, found 13",
    );
    with(key("flag", 7, &[2]), "`flag`: expected 0 or 1, as a Boolean, found 2");
    with(
        key("general.alignment", U32, &3u32.to_le_bytes()),
        "`general.alignment`: expected a power of two",
    );
    with(
        key("\u{fffd}", TEXT, &[1, 0, 0, 0, 0, 0, 0, 0, 0xff]),
        "expected UTF-8, found 0xff at byte 0",
    );
    let list = |kind: u32, length: u64| [kind.to_le_bytes().to_vec(), length.to_le_bytes().to_vec()].concat();
    with(
        key("long", LIST, &list(TEXT, 1 << 40)),
        "the value of `long` has 1099511627776 elements",
    );
    with(key("nested", LIST, &list(LIST, 1)), "`nested` is a list of lists");
    with(
        key("odd", LIST, &list(99, 1)),
        "`odd`: expected a value type from 0 to 12, found 99",
    );
    let long = (1u64 << 50).to_le_bytes();
    with(
        key("text", TEXT, &long),
        "the file ends within the value of `text`: expected 1125899906842624 bytes",
    );
}

#[test]
fn tensors() {
    let with = |tensor: Vec<u8>, what: &str| refused_with(|file| file.tensors[1] = tensor, what);
    with(tensor("one", &[8], 0, 32), "`one` occurs twice");
    with(tensor("two", &[], 0, 32), "two: expected 1 to 4 dimensions, found 0");
    with(
        tensor("two", &[1; 5], 0, 32),
        "two: expected 1 to 4 dimensions, found 5",
    );
    with(tensor("two", &[8], 16, 32), "two: expected one of the types F32, ");
    with(tensor("two", &[8], 16, 32), "found IQ2_XXS");
    with(tensor("two", &[8], 99, 32), "found number 99");
    with(
        tensor("two", &[8], 2, 32),
        "two: expected rows of a multiple of 32 values, the block of Q4_0, found 8",
    );
    with(tensor("two", &[0], 0, 32), "two: expected 1 to 2^63 values");
    with(
        tensor("two", &[1 << 40, 1 << 40], 0, 32),
        "two: expected 1 to 2^63 values",
    );
    with(tensor("two", &[1 << 62], 0, 32), "two: expected a file of at least");
    with(
        tensor("two", &[8], 0, 33),
        "two: expected an offset that is a multiple of 32, found 33",
    );
    with(tensor("two", &[8], 0, 64), "two: expected a file of at least");
    with(
        tensor("two", &[8], 0, u64::MAX - 31),
        "two: expected a file of at least",
    );
    with(tensor("two", &[8], 0, 0), "within one, which ends at byte");
    refused_with(|file| file.data = 60, "it may be an incomplete download");
}

/// A valid model with some bytes replaced by as many others.
fn replaced(name: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(fixture(name)).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("{from} is not in {name}"));
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[test]
fn models() {
    let llama = "models/llama.gguf";
    for (from, to, what) in [
        // The name of the architecture, behind its length.
        (
            "\u{5}\0\0\0\0\0\0\0llama",
            "\u{5}\0\0\0\0\0\0\0lamma",
            "found `lamma`, which is most like `llama`",
        ),
        (
            "llama-bpe",
            "llama-bqe",
            "found `llama-bqe`, which is most like `llama-bpe`",
        ),
        (
            "\u{4}\0\0\0\0\0\0\0gpt2",
            "\u{4}\0\0\0\0\0\0\0bert",
            "one of gpt2, llama, found `bert`",
        ),
        (
            "tokenizer.ggml.pre",
            "tokenizer.ggml.per",
            "`tokenizer.ggml.pre`, which names the pre-tokenizer, is missing",
        ),
        (
            "llama.block_count",
            "llama.block_tnuoc",
            "`llama.block_count` is missing",
        ),
        (
            "blk.1.ffn_up.weight",
            "blk.2.ffn_up.weight",
            "a tensor blk.1.ffn_up.weight of shape [48, 32], found none",
        ),
        (
            "blk.1.ffn_up.weight",
            "blk.1.ffn_gate_weig",
            "a tensor blk.1.ffn_up.weight of shape",
        ),
        (
            "tokenizer.ggml.merges",
            "tokenizer.ggml.segrem",
            "`tokenizer.ggml.merges` is missing",
        ),
        ("tokenizer.ggml.token_type", "tokenizer.ggml.token_typo", "is token"),
        ("<|eot_id|>", "<|eot_id>>", ""),
    ] {
        let result = ImportFeed::new().check(&replaced(llama, from, to));
        match (what, result) {
            // Without types every token is normal, which is a model like others; so is one with other texts.
            ("" | "is token", result) => drop(result.unwrap()),
            (_, Err(message)) => assert!(message.contains(what), "{from}: expected `{what}` in: {message}"),
            (_, Ok(_)) => panic!("{from}"),
        }
    }
}

#[test]
fn a_missing_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("split-00001-of-00002.gguf");
    fs::copy(fixture("split-00001-of-00002.gguf"), &part).unwrap();
    let message = imported(&part, &Default::default()).unwrap_err().to_string();
    assert!(message.contains("split-00002-of-00002.gguf is missing"), "{message}");
    let renamed = folder.path().join("model.gguf");
    fs::rename(&part, &renamed).unwrap();
    let message = imported(&renamed, &Default::default()).unwrap_err().to_string();
    assert!(message.contains("one of 2 parts"), "{message}");
}

/// Cut anywhere, a file is refused as one that is too short.
#[test]
fn every_cut_is_noticed() {
    let bytes = fs::read(fixture("models/gpt2.gguf")).unwrap();
    let feed = ImportFeed::new();
    // Every place up to the first tokens, then many more.
    let places = (1..600).chain((600..bytes.len()).step_by(997));
    for length in places {
        let message = feed.check(&bytes[..length]).unwrap_err();
        assert!(
            ["ends within", "holds at most", "a file of at least"]
                .iter()
                .any(|what| message.contains(what)),
            "{length} bytes: {message}"
        );
    }
}

/// Changed bytes are noticed or are other values: nothing else comes of them.
#[test]
fn no_bytes_make_an_import_panic() {
    let feed = ImportFeed::new();
    let rounds = if std::env::var_os("ADEPT_THOROUGH").is_some() {
        500
    } else {
        40
    };
    for name in [
        "models/llama.gguf",
        "models/phi3.gguf",
        "models/gpt_neox.gguf",
        "pieces.gguf",
    ] {
        let valid = fs::read(fixture(name)).unwrap();
        // Knuth's linear congruential generator: the same changes everywhere.
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..rounds {
            let mut bytes = valid.clone();
            for _ in 0..=random(3) {
                let at = random(bytes.len().min(20_000));
                bytes[at] = [0, 1, 0x7f, 0xff, b' ', random(256) as u8][random(6)];
            }
            let _ = feed.check(&bytes);
        }
    }
}
