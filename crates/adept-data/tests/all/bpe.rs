//! Byte-level BPE as transformers has it. `fixtures/bpe` is made by `tests/generators/bpe_reference.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::common::{real, sha256};
use adept_data::TextTokenizer;
use proptest::prelude::*;
use serde::Deserialize;
use tempfile::TempDir;

#[derive(Deserialize)]
struct Cases {
    texts: Vec<String>,
    #[serde(flatten)]
    by_tokenizer: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    vocab_size: usize,
    /// What the texts of `right` and `left` are cut to.
    cut: usize,
    ids: Vec<Vec<u32>>,
    right: Vec<Vec<u32>>,
    left: Vec<Vec<u32>>,
    /// Text of the ids.
    decoded: Vec<String>,
    /// The same without special tokens.
    plain: Vec<String>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/bpe")
        .join(name)
}

fn cases() -> Cases {
    let bytes = fs::read(fixture("cases.json")).expect("the fixture");
    serde_json::from_slice(&bytes).expect("cases")
}

/// A folder of the small vocabulary, its merges, and what the fixture of that name has beside them.
fn folder_of(name: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for part in ["gpt2", name] {
        for entry in fs::read_dir(fixture(part)).expect("the fixture") {
            let entry = entry.expect("a file");
            fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("a copy");
        }
    }
    folder
}

fn tokenizer(name: &str) -> TextTokenizer {
    TextTokenizer::from_dir(folder_of(name).path()).expect("a tokenizer")
}

/// Every text with one tokenizer against what transformers says.
#[track_caller]
fn check(tokenizer: &TextTokenizer, name: &str) {
    let Cases { texts, by_tokenizer } = cases();
    let expected = &by_tokenizer[name];
    assert_eq!(tokenizer.vocab_size(), expected.vocab_size, "{name}");
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(tokenizer.encode_batch(&all, usize::MAX).expect("ids"), expected.ids);
    for (place, text) in texts.iter().enumerate() {
        let ids = tokenizer.encode(text, usize::MAX).expect("ids");
        assert_eq!(ids, expected.ids[place], "{name}: {text:?}");
        let right = tokenizer.encode(text, expected.cut).expect("ids");
        assert_eq!(right, expected.right[place], "{name}: {text:?}, cut");
        assert_eq!(
            tokenizer.cut_left(&ids, expected.cut),
            expected.left[place],
            "{name}: {text:?}, cut from the left"
        );
        let decoded = tokenizer.decode(&ids, false).expect("text");
        assert_eq!(decoded, expected.decoded[place], "{name}: {text:?}, decoded");
        let plain = tokenizer.decode(&ids, true).expect("text");
        assert_eq!(
            plain, expected.plain[place],
            "{name}: {text:?}, decoded without special tokens"
        );
        for skip in [false, true] {
            let streamed = streamed(tokenizer, &ids, skip);
            assert_eq!(
                streamed,
                tokenizer.decode(&ids, skip).expect("text"),
                "{name}: {text:?}, streamed"
            );
        }
    }
}

/// The text of ids as it comes out token by token. Nothing that has come out is ever taken back.
fn streamed(tokenizer: &TextTokenizer, ids: &[u32], skip_special: bool) -> String {
    let mut stream = tokenizer.stream(skip_special);
    let mut before = String::new();
    for &id in ids {
        let text = stream.push(id).expect("text").to_owned();
        assert!(text.starts_with(&before), "{text:?} after {before:?}");
        assert_eq!(stream.text(), text);
        before = text;
    }
    stream.finish().expect("text")
}

#[test]
fn two_files_are_read_as_transformers_reads_them() {
    check(&tokenizer("gpt2"), "gpt2");
    check(&tokenizer("codegen"), "codegen");
    check(&tokenizer("named"), "named");
    check(&tokenizer("listed"), "listed");
}

#[test]
fn one_file_is_read_as_transformers_reads_it() {
    check(&tokenizer("llama"), "llama");
}

#[test]
fn gpt2_is_read_as_transformers_reads_it() {
    if let Some(folder) = real("tokenizers/gpt2") {
        let tokenizer = TextTokenizer::from_dir(&folder).expect("GPT-2's tokenizer");
        check(&tokenizer, "real_gpt2");
        assert_eq!(tokenizer.special_ids(), [50_256]);
        assert_eq!(tokenizer.token_id("<|endoftext|>"), Some(50_256));
    }
}

#[test]
fn what_is_added_is_special_or_behind_the_vocabulary() {
    assert_eq!(tokenizer("gpt2").special_ids(), [640]);
    // The end of the text, and 38 runs of blanks.
    assert_eq!(tokenizer("codegen").special_ids(), (640..679).collect::<Vec<u32>>());
    assert_eq!(tokenizer("named").special_ids(), [640, 641, 642]);
    assert_eq!(tokenizer("listed").special_ids(), [640, 641, 642]);
    assert_eq!(tokenizer("llama").special_ids(), [700, 701, 702]);
    if let Some(folder) = real("tokenizers/t5") {
        let tokenizer = TextTokenizer::from_dir(&folder).expect("T5's tokenizer");
        assert_eq!(tokenizer.special_ids(), [0, 1, 2]);
    }
}

#[test]
fn cutting_keeps_what_is_added_around_a_text() {
    let llama = tokenizer("llama");
    let ids = llama.encode("a pot of tea", usize::MAX).expect("ids");
    let begin = llama.token_id("<|begin_of_text|>").expect("a token");
    assert_eq!(ids[0], begin);
    let end = ids.len();
    for most in 1..=end + 1 {
        let left = llama.cut_left(&ids, most);
        assert_eq!(left.len(), most.min(end));
        assert_eq!(left[0], begin);
        assert!(ids.ends_with(&left[1..]), "{left:?} of {ids:?}");
    }
    assert!(llama.cut_left(&ids, 0).is_empty());
    let going_on = llama.encode_continuation("a pot of tea").expect("ids");
    assert_eq!(going_on, ids[1..]);
}

#[test]
fn the_checksum_is_of_all_files_and_their_names() {
    let (from, folder) = (folder_of("codegen"), tempfile::tempdir().expect("a folder"));
    let lines = |names: &[&str]| -> String {
        let checksum = |name: &&str| sha256(&fs::read(folder.path().join(name)).expect("a file"));
        let lines = names.iter().map(|name| format!("{name} {}\n", checksum(name)));
        sha256(lines.collect::<String>().as_bytes())
    };
    let copy = |name: &str| fs::copy(from.path().join(name), folder.path().join(name)).expect("a copy");
    let checksum = || {
        let tokenizer = TextTokenizer::from_dir(folder.path()).expect("a tokenizer");
        tokenizer.sha256().to_owned()
    };
    copy("vocab.json");
    copy("merges.txt");
    assert_eq!(checksum(), lines(&["vocab.json", "merges.txt"]));
    copy("added_tokens.json");
    copy("tokenizer_config.json");
    copy("special_tokens_map.json");
    let all = [
        "vocab.json",
        "merges.txt",
        "added_tokens.json",
        "special_tokens_map.json",
        "tokenizer_config.json",
    ];
    assert_eq!(checksum(), lines(&all));
    // A tokenizer.json is read alone.
    fs::copy(fixture("llama/tokenizer.json"), folder.path().join("tokenizer.json")).expect("a copy");
    assert_eq!(
        checksum(),
        sha256(&fs::read(fixture("llama/tokenizer.json")).expect("a file"))
    );
}

#[test]
fn characters_of_several_tokens_come_when_they_are_whole() {
    let tokenizer = tokenizer("gpt2");
    // Bytes of an emoji that the small vocabulary has no merge for, then of one that is cut off.
    let byte = |byte: char| tokenizer.token_id(&byte.to_string()).expect("a byte's token");
    let [f0, x9f, xa7, x84] = ['ð', 'Ł', '§', 'Ħ'].map(byte);
    let mut stream = tokenizer.stream(true);
    let a = byte('a');
    let mut seen = Vec::new();
    for id in [a, f0, x9f, xa7, x84, a, f0, x9f] {
        seen.push(stream.push(id).expect("text").to_owned());
    }
    assert_eq!(seen, ["a", "a", "a", "a", "a🧄", "a🧄a", "a🧄a", "a🧄a"]);
    assert_eq!(stream.finish().expect("text"), "a🧄a\u{fffd}");
    // A byte that can never become a character comes with the next whole one.
    let mut stream = tokenizer.stream(true);
    stream.push(x9f).expect("text");
    assert_eq!(stream.push(a).expect("text"), "\u{fffd}a");
}

/// All small tokenizers, read once.
fn small() -> &'static [(&'static str, TextTokenizer)] {
    static SMALL: LazyLock<Vec<(&str, TextTokenizer)>> = LazyLock::new(|| {
        let names = ["gpt2", "codegen", "named", "listed", "llama"];
        names.map(|name| (name, tokenizer(name))).into()
    });
    &SMALL
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_stream_ends_with_the_text_of_all_ids(ids in prop::collection::vec(0_u32..700, 0..60), skip: bool) {
        for (_, tokenizer) in small() {
            prop_assert_eq!(streamed(tokenizer, &ids, skip), tokenizer.decode(&ids, skip).expect("text"));
        }
    }

    /// T5's words bring the space before them along, the first one none.
    #[test]
    fn a_stream_of_t5_ends_with_the_text_of_all_ids(ids in prop::collection::vec(0_u32..8000, 0..40), skip: bool) {
        static T5: LazyLock<TextTokenizer> = LazyLock::new(|| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/backbones/t5-nano");
            TextTokenizer::from_dir(&folder).expect("the project's own tokenizer")
        });
        // Many of them special, which have no text where they are skipped.
        let ids: Vec<u32> = ids.into_iter().map(|id| if id % 3 == 0 { id % 4 } else { id }).collect();
        prop_assert_eq!(streamed(&T5, &ids, skip), T5.decode(&ids, skip).expect("text"));
    }

    #[test]
    fn texts_come_back(text in any::<String>()) {
        for (name, tokenizer) in small() {
            // A prefix of a space is not taken back, and blanks may go with a pad.
            if *name == "named" {
                continue;
            }
            let ids = tokenizer.encode_continuation(&text).expect("ids");
            prop_assert_eq!(tokenizer.decode(&ids, false).expect("text"), text.clone());
        }
    }
}

/// Reads the small vocabulary and merges with one of their files changed, and returns what is said of it.
fn fault(name: &str, change: impl FnOnce(String) -> Option<String>) -> String {
    let folder = folder_of("gpt2");
    let path = folder.path().join(name);
    match change(fs::read_to_string(&path).unwrap_or_default()) {
        Some(text) => fs::write(&path, text).expect("a writable folder"),
        None => fs::remove_file(&path).expect("a file"),
    }
    let error = TextTokenizer::from_dir(folder.path()).expect_err("a fault").to_string();
    error
        .replace(&format!("{}/", folder.path().display()), "")
        .replace(&folder.path().display().to_string(), "FOLDER")
}

#[track_caller]
fn faulty(name: &str, change: impl FnOnce(String) -> Option<String>, expected: &str) {
    assert_eq!(fault(name, change), expected);
}

#[test]
fn faults_are_named_with_file_and_line() {
    faulty("merges.txt", |_| None, "FOLDER: expected merges.txt beside vocab.json");
    faulty("vocab.json", |_| None, "FOLDER: expected vocab.json beside merges.txt");
    let line = |found: &'static str| {
        move |text: String| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines[7] = found;
            Some(lines.join("\n"))
        }
    };
    let pair = "expected two tokens with one space between them, found";
    for found in ["", "ab", "a b c", "a  b", " a", "a "] {
        faulty("merges.txt", line(found), &format!("merges.txt:8: {pair} `{found}`"));
    }
    faulty(
        "merges.txt",
        line("a 猫"),
        "merges.txt:8: the vocabulary has no token `猫`",
    );
    faulty(
        "merges.txt",
        line("q q"),
        "merges.txt:8: the vocabulary has no token `qq`",
    );
    let entry = |new: &'static str| move |text: String| Some(text.replacen("{\n", &format!("{{\n{new},\n"), 1));
    faulty(
        "vocab.json",
        entry("\"twice\": 5"),
        "vocab.json: expected an id of its own for every token, found id 5 for `twice` and `&`",
    );
    faulty(
        "vocab.json",
        entry("\"&\": 5000"),
        "vocab.json: expected every token once, found `&` with ids 5000 and 5",
    );
    for entry in [
        entry("\"new\": \"5\""),
        entry("\"new\": -1"),
        entry("\"new\": 1.5"),
        entry("\"new\""),
    ] {
        let error = fault("vocab.json", entry);
        assert!(error.starts_with("vocab.json: expected one JSON document: "), "{error}");
        assert!(error.contains("line 2"), "{error}");
    }
    faulty(
        "vocab.json",
        |text| Some(text.replace("\"Ā\"", "\"ĀĀ\"")),
        "vocab.json: expected a token for each of the 256 bytes, found 255; the first that is missing is `Ā`",
    );
    let written = |text: &'static str| move |_: String| Some(text.to_owned());
    faulty(
        "added_tokens.json",
        written(r#"{"  ": 641, "   ": 650}"#),
        "added_tokens.json: expected id 642 for `   `, as added tokens follow the vocabulary, found 650",
    );
    faulty(
        "tokenizer_config.json",
        written(r#"{"add_bos_token": true}"#),
        "tokenizer_config.json: add_bos_token is true: a tokenizer.json is needed, in which it is part of the tokenizer",
    );
    faulty(
        "tokenizer_config.json",
        written(r#"{"add_prefix_space": "yes"}"#),
        "tokenizer_config.json: field `add_prefix_space`: expected true or false",
    );
    faulty(
        "special_tokens_map.json",
        written(r#"{"pad_token": 5}"#),
        "special_tokens_map.json: field `pad_token`: expected a token, as a string or as an object with its content",
    );
    for name in ["added_tokens.json", "special_tokens_map.json", "tokenizer_config.json"] {
        let error = fault(name, written("[1"));
        assert!(
            error.starts_with(&format!("{name}: expected one JSON document: ")),
            "{error}"
        );
    }
}

#[test]
fn a_version_line_and_line_ends_do_not_matter() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(fixture("gpt2/vocab.json"), folder.path().join("vocab.json")).expect("a copy");
    let merges = fs::read_to_string(fixture("gpt2/merges.txt")).expect("the merges");
    let (_, bare) = merges.split_once('\n').expect("a version line");
    for text in [
        bare.to_owned(),
        merges.replace('\n', "\r\n"),
        merges.trim_end().to_owned(),
        format!("{merges}\n\n"),
    ] {
        fs::write(folder.path().join("merges.txt"), text).expect("a writable folder");
        check(&TextTokenizer::from_dir(folder.path()).expect("a tokenizer"), "gpt2");
    }
}
