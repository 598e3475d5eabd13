//! Byte-order marks are dropped and other encodings are rejected by name wherever text is read.

use std::fs;
use std::path::Path;

use adept_data::pretrain::{CorpusFiles, CorpusOptions};
use adept_data::{Example, LoadOptions, Task, TextTokenizer, load_task};
use flate2::{Compression, write::GzEncoder};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory")
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn load(name: &str, bytes: &[u8]) -> Result<Vec<Example>, String> {
    let root = tempfile::tempdir().expect("a temporary folder");
    for split in ["train", "validation", "test"] {
        fs::write(root.path().join(name.replace("train", split)), bytes).expect("a writable folder");
    }
    let task = Task::named("text").expect("a task's name");
    let loaded = load_task(&task, root.path(), &LoadOptions::default());
    let folder = format!("{}/", root.path().display());
    loaded
        .map(|data| data.train)
        .map_err(|error| error.to_string().replace(&folder, ""))
}

const FILES: [(&str, &str); 5] = [
    ("train.csv", "source,target\na,b\nc,d\n"),
    ("train.csv", "\"source\",\"target\"\na,b\nc,d\n"),
    ("train.tsv", "source\ttarget\na\tb\nc\td\n"),
    (
        "train.jsonl",
        "{\"source\": \"a\", \"target\": \"b\"}\n{\"source\": \"c\", \"target\": \"d\"}\n",
    ),
    (
        "train.json",
        "[{\"source\": \"a\", \"target\": \"b\"}, {\"source\": \"c\", \"target\": \"d\"}]",
    ),
];

#[test]
fn data_files() {
    for (name, text) in FILES {
        let plain = load(name, text.as_bytes()).expect("rows");
        assert_eq!(plain.len(), 2);
        let marked = format!("\u{feff}{text}");
        assert_eq!(load(name, marked.as_bytes()).as_ref(), Ok(&plain), "{name}");
        assert_eq!(
            load(&format!("{name}.gz"), &gzip(marked.as_bytes())).as_ref(),
            Ok(&plain),
            "{name}.gz"
        );
        for (bytes, encoding) in [
            (
                utf16(&marked),
                "UTF-16 (little-endian); `iconv -f UTF-16 -t UTF-8 FILE > NEW` converts it",
            ),
            (
                utf16(text),
                "UTF-16LE (without a mark); `iconv -f UTF-16LE -t UTF-8 FILE > NEW` converts it",
            ),
        ] {
            let expected = Err(format!("{name}: expected UTF-8, found {encoding}"));
            assert_eq!(load(name, &bytes), expected);
            let name = format!("{name}.gz");
            let expected = Err(format!("{name}: expected UTF-8, found {encoding}"));
            assert_eq!(load(&name, &gzip(&bytes)), expected);
        }
    }
}

#[test]
fn cards() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let card = root.path().join("card.toml");
    let text = "name = \"own\"\n[source]\npieces = [{ field = \"a\" }]\n[target]\nkind = \"answer\"\nfield = \"b\"\n\
                [metrics]\nall = [\"em\"]\n";
    let read = |bytes: &[u8]| {
        fs::write(&card, bytes).expect("a writable folder");
        Task::from_file(&card).map_err(|error| error.to_string().replace(&card.display().to_string(), "CARD"))
    };
    let plain = read(text.as_bytes()).expect("a card");
    let marked = read(format!("\u{feff}{text}").as_bytes()).expect("a card");
    assert_eq!(plain.card(), marked.card());
    let message = read(&utf16(&format!("\u{feff}{text}"))).expect_err("UTF-16");
    assert!(
        message.starts_with("CARD: expected UTF-8, found UTF-16 (little-endian)"),
        "{message}"
    );
    let message = read(b"name = \"own\"\nabout = \"caf\xe9\"\n").expect_err("Latin-1");
    assert_eq!(
        message,
        "CARD:2: expected UTF-8, found byte 0xe9 at byte 13 of the line"
    );
}

#[test]
fn corpora() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let text = "A first paragraph, which is long enough.\nA second paragraph, which is as long.\n";
    let file = |name: &str, bytes: &[u8]| {
        let path = root.path().join(name);
        fs::write(&path, bytes).expect("a writable folder");
        let options = CorpusOptions {
            min_characters: 1,
            drop_headings: false,
        };
        let corpus = CorpusFiles::open(&[path], options).map_err(|error| error.to_string())?;
        let lines: Result<Vec<String>, _> = corpus.lines().collect();
        lines.map_err(|error| error.to_string())
    };
    let marked = format!("\u{feff}{text}");
    let plain = file("plain.txt", text.as_bytes()).expect("paragraphs");
    assert_eq!(plain.len(), 2);
    assert_eq!(file("marked.txt", marked.as_bytes()).as_ref(), Ok(&plain));
    assert_eq!(file("marked.txt.gz", &gzip(marked.as_bytes())).as_ref(), Ok(&plain));
    for (bytes, words) in [
        (utf16(&marked), "found UTF-16 (little-endian)"),
        (b"\xfd7zXZ\0\0".to_vec(), "found xz"),
    ] {
        let message = file("other.txt", &bytes).expect_err("no UTF-8");
        assert!(message.contains(words), "{message}");
    }
}

/// Writes a byte-level tokenizer as GPT-2's two files, and as a single tokenizers file.
fn write_tokenizer(folder: &Path, mark: &str) {
    let bytes = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
    let mut letters: Vec<char> = bytes.into_iter().collect();
    letters.sort_unstable();
    let mut vocabulary = serde_json::Map::new();
    for (id, letter) in letters.iter().enumerate() {
        vocabulary.insert(letter.to_string(), id.into());
    }
    vocabulary.insert("he".to_owned(), letters.len().into());
    vocabulary.insert("<|endoftext|>".to_owned(), (letters.len() + 1).into());
    let files = [
        ("vocab.json", serde_json::Value::Object(vocabulary).to_string()),
        ("merges.txt", "#version: 0.2\nh e\n".to_owned()),
        (
            "special_tokens_map.json",
            "{\"eos_token\": \"<|endoftext|>\"}".to_owned(),
        ),
        ("tokenizer_config.json", "{\"add_prefix_space\": false}".to_owned()),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), format!("{mark}{text}")).expect("a writable folder");
    }
}

#[test]
fn tokenizer_files() {
    let folders = ["", "\u{feff}"].map(|mark| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_tokenizer(folder.path(), mark);
        folder
    });
    let ids = folders.each_ref().map(|folder| {
        let tokenizer = TextTokenizer::from_dir(folder.path()).expect("a tokenizer");
        tokenizer.encode("hello the end", 100).expect("ids")
    });
    assert_eq!(ids[0], ids[1]);
    let file = folders[0].path().join("merges.txt");
    fs::write(&file, utf16("\u{feff}#version: 0.2\nh e\n")).expect("a writable folder");
    let message = TextTokenizer::from_dir(folders[0].path())
        .map(drop)
        .expect_err("UTF-16")
        .to_string();
    assert!(
        message.contains("merges.txt: expected UTF-8, found UTF-16 (little-endian)"),
        "{message}"
    );

    // The same in a single file.
    let whole = "{\"version\": \"1.0\", \"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0, \"b\": 1}, \"unk_token\": \"a\"}}";
    let file = folders[1].path().join("tokenizer.json");
    let mut loaded = Vec::new();
    for mark in ["", "\u{feff}"] {
        fs::write(&file, format!("{mark}{whole}")).expect("a writable folder");
        loaded.push(
            TextTokenizer::from_file(&file)
                .expect("a tokenizer")
                .encode("b", 9)
                .expect("ids"),
        );
    }
    assert_eq!(loaded[0], loaded[1]);
    fs::write(&file, utf16(&format!("\u{feff}{whole}"))).expect("a writable folder");
    let message = TextTokenizer::from_file(&file)
        .map(drop)
        .expect_err("UTF-16")
        .to_string();
    assert!(
        message.contains("tokenizer.json: expected UTF-8, found UTF-16"),
        "{message}"
    );
}
