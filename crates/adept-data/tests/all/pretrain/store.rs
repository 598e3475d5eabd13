//! The token store holds the tokenizer's ids, and is rebuilt unless it is exactly what it should be.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use adept_data::pretrain::{CorpusFiles, CorpusOptions, PretrainError, StoreOrigin, StoreProgress, TokenStore};
use adept_data::{DataError, TextTokenizer};
use tempfile::TempDir;

use crate::pretrain::support::{ALL, folder, lines, open, sentence, tokenizer, tokenizer_folder, write};

/// Text that is hard to split: all kinds of spaces, accents on spaces, special tokens, unknown letters.
const ODD: &str = "two  spaces\tand a tab\n\
    x\u{a0}\u{308}y \u{308}z e\u{301} é\n\
    the <extra_id_0> old<extra_id_1> bridge </s> and <pad>\n\
    Жук сидит 日本 語\n\
    </s>\n\
    no-break\u{a0}space and \u{200b} invisible \u{200b}ones\n\
    ﬁne ﬂour ½ ™ x²\n";

fn corpus(folder: &Path, sentences: usize) -> CorpusFiles {
    let text: String = (0..sentences).map(|number| sentence(number * 17) + "\n").collect();
    let long = format!("{} {}", "word".repeat(50), "the old bridge ".repeat(3000));
    let paths = [
        write(folder, "a.txt", text),
        write(folder, "b.txt", format!("{ODD}{long}\n")),
    ];
    open(&paths, ALL)
}

fn build(path: &Path, corpus: &CorpusFiles, tokenizer: &TextTokenizer) -> TokenStore {
    TokenStore::open_or_build(path, corpus, tokenizer, &mut |_| {}).expect("a corpus without a fault")
}

fn all(store: &TokenStore) -> Vec<u32> {
    let mut ids = Vec::new();
    store.window(0, store.len() as usize, &mut ids).expect("a whole store");
    ids
}

fn direct(corpus: &CorpusFiles, tokenizer: &TextTokenizer) -> Vec<u32> {
    let encode = |line: &String| tokenizer.encode(line, usize::MAX).expect("ids");
    lines(corpus).iter().flat_map(encode).collect()
}

#[test]
fn every_window_is_what_the_tokenizer_gives() {
    let (folder, tokenizer) = (folder(), tokenizer());
    let corpus = corpus(folder.path(), 6000);
    let mut progress: Vec<StoreProgress> = Vec::new();
    let path = folder.path().join("tokens.bin");
    let store = TokenStore::open_or_build(&path, &corpus, &tokenizer, &mut |step| progress.push(step))
        .expect("a corpus without a fault");
    let expected = direct(&corpus, &tokenizer);
    assert_eq!(store.origin(), StoreOrigin::Built);
    assert_eq!((store.len(), store.paragraphs()), (expected.len() as u64, 6008));
    assert!(!store.is_empty());
    assert!(all(&store) == expected);
    assert_eq!(fs::metadata(&path).expect("a file").len(), 104 + 2 * store.len());

    let mut window = vec![7; 3];
    for start in (0..expected.len() - 141).step_by(97) {
        store.window(start as u64, 141, &mut window).expect("a window within");
        assert_eq!(window, expected[start..start + 141], "{start}");
    }
    // Several chunks were tokenised, and the last step reports completion.
    assert!(progress.len() > 1);
    let last = progress.last().expect("steps");
    assert_eq!((last.paragraphs, last.total, last.tokens), (6008, 6008, store.len()));
    // No temporary file is left.
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
}

#[test]
fn windows_outside_are_refused() {
    let (folder, tokenizer) = (folder(), tokenizer());
    let store = build(
        &folder.path().join("tokens.bin"),
        &corpus(folder.path(), 20),
        &tokenizer,
    );
    let mut out = Vec::new();
    store.window(store.len(), 0, &mut out).expect("nothing, at the end");
    assert!(out.is_empty());
    for (start, length) in [(store.len(), 1), (store.len() - 5, 6), (u64::MAX, 2)] {
        assert!(matches!(
            store.window(start, length, &mut out),
            Err(DataError::Pretrain(PretrainError::WindowOutside { .. }))
        ));
    }
}

struct Place {
    folder: TempDir,
    path: PathBuf,
    tokenizer: TextTokenizer,
    corpus: CorpusFiles,
}

fn built() -> Place {
    let (folder, tokenizer) = (folder(), tokenizer());
    let (corpus, path) = (corpus(folder.path(), 200), folder.path().join("tokens.bin"));
    assert_eq!(build(&path, &corpus, &tokenizer).origin(), StoreOrigin::Built);
    Place {
        folder,
        path,
        tokenizer,
        corpus,
    }
}

#[test]
fn a_store_that_fits_is_reused() {
    let place = built();
    let before = fs::metadata(&place.path).expect("a file").modified().expect("a time");
    let store = TokenStore::open_or_build(&place.path, &place.corpus, &place.tokenizer, &mut |_| {
        panic!("nothing is to be built")
    })
    .expect("a whole store");
    assert_eq!(store.origin(), StoreOrigin::Reused);
    assert!(all(&store) == direct(&place.corpus, &place.tokenizer));
    assert_eq!(
        fs::metadata(&place.path).expect("a file").modified().expect("a time"),
        before
    );
    // The same files at another place are the same corpus.
    let moved = folder();
    let corpus = corpus(moved.path(), 200);
    assert_eq!(
        build(&place.path, &corpus, &place.tokenizer).origin(),
        StoreOrigin::Reused
    );
}

/// Damages the store, and checks that it is rebuilt correctly.
#[track_caller]
fn check_rebuilt(expected: StoreOrigin, damage: impl FnOnce(&mut fs::File)) {
    let place = built();
    let whole = fs::read(&place.path).expect("a file");
    let mut file = OpenOptions::new().write(true).open(&place.path).expect("a file");
    damage(&mut file);
    drop(file);
    let store = build(&place.path, &place.corpus, &place.tokenizer);
    assert_eq!(store.origin(), expected);
    assert!(all(&store) == direct(&place.corpus, &place.tokenizer));
    assert!(fs::read(&place.path).expect("a file") == whole);
    drop(place.folder);
}

fn flip(file: &mut fs::File, at: u64) {
    file.seek(SeekFrom::Start(at)).expect("a place in the file");
    file.write_all(&[0xa5]).expect("a file that can be written to");
}

#[test]
fn a_damaged_store_is_built_anew() {
    check_rebuilt(StoreOrigin::Damaged, |file| file.set_len(0).expect("a file"));
    check_rebuilt(StoreOrigin::Damaged, |file| file.set_len(50).expect("a file"));
    check_rebuilt(StoreOrigin::Damaged, |file| file.set_len(104).expect("a file"));
    check_rebuilt(StoreOrigin::Damaged, |file| file.set_len(1001).expect("a file"));
    check_rebuilt(StoreOrigin::Damaged, |file| {
        file.seek(SeekFrom::End(0))
            .and_then(|_| file.write_all(b"more"))
            .expect("a file");
    });
    // Magic bytes, number of ids, number of paragraphs, hash of the ids, an id.
    for at in [0, 16, 23, 24, 90, 500] {
        check_rebuilt(StoreOrigin::Damaged, |file| flip(file, at));
    }
    // Version, width, content key.
    for at in [8, 12, 50] {
        check_rebuilt(StoreOrigin::Outdated, |file| flip(file, at));
    }
}

#[test]
fn a_store_of_something_else_is_built_anew() {
    let place = built();
    let other = folder();
    let name = other.path().join("tokenizer.json");
    let json = fs::read_to_string(tokenizer_folder().join("tokenizer.json")).expect("a tokenizer");
    let other_json = json.replace("▁the\"", "▁thi\"");
    assert_ne!(json, other_json);
    fs::write(&name, other_json).expect("a file");
    let changed = TextTokenizer::from_file(&name).expect("a tokenizer");
    let store = build(&place.path, &place.corpus, &changed);
    assert_eq!(store.origin(), StoreOrigin::Outdated);
    assert!(all(&store) == direct(&place.corpus, &changed));

    let files = ["a.txt", "b.txt"].map(|name| place.folder.path().join(name));
    let options = CorpusOptions {
        min_characters: 30,
        drop_headings: false,
    };
    let fewer = open(&files, options);
    assert_eq!(build(&place.path, &fewer, &changed).origin(), StoreOrigin::Outdated);
    let swapped = open(&[files[1].clone(), files[0].clone()], options);
    let store = build(&place.path, &swapped, &changed);
    assert_eq!(store.origin(), StoreOrigin::Outdated);
    assert!(all(&store) == direct(&swapped, &changed));
}

/// Ids of a large vocabulary take four bytes, and a tokenizer unlike T5's is given whole texts.
#[test]
fn other_tokenizers_are_stored_as_well() {
    let place = built();
    let json = fs::read_to_string(tokenizer_folder().join("tokenizer.json")).expect("a tokenizer");
    let mut json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    json["pre_tokenizer"] = json["pre_tokenizer"]["pretokenizers"][1].clone();
    let pieces = json["model"]["vocab"].as_array_mut().expect("a list");
    pieces.extend((0..70_000).map(|number| serde_json::json!([format!("never{number}"), -90.0])));
    let other = folder();
    let name = other.path().join("tokenizer.json");
    fs::write(&name, json.to_string()).expect("a file");
    let large = TextTokenizer::from_file(&name).expect("a tokenizer");
    let store = build(&place.path, &place.corpus, &large);
    assert!(all(&store) == direct(&place.corpus, &large));
    assert_eq!(fs::metadata(&place.path).expect("a file").len(), 104 + 4 * store.len());
    assert_eq!(build(&place.path, &place.corpus, &large).origin(), StoreOrigin::Reused);
}

#[test]
fn what_cannot_be_written_is_named() {
    let place = built();
    let path = place.folder.path().join("a.txt/tokens.bin");
    let fault = TokenStore::open_or_build(&path, &place.corpus, &place.tokenizer, &mut |_| {});
    assert!(
        matches!(&fault, Err(DataError::Io { file, .. }) if *file == path)
            || matches!(&fault, Err(DataError::Pretrain(PretrainError::Write { file, .. })) if *file == path),
        "{fault:?}"
    );
    let path = place.folder.path().join("missing/tokens.bin");
    let fault = TokenStore::open_or_build(&path, &place.corpus, &place.tokenizer, &mut |_| {});
    assert!(
        matches!(&fault, Err(DataError::Pretrain(PretrainError::Write { file, .. })) if *file == path),
        "{fault:?}"
    );
    // A folder or a device in its place is left alone.
    let fault = TokenStore::open_or_build(place.folder.path(), &place.corpus, &place.tokenizer, &mut |_| {});
    assert!(matches!(fault, Err(DataError::Io { .. })), "{fault:?}");
}

#[test]
fn a_corpus_that_breaks_meanwhile_leaves_the_old_store() {
    let place = built();
    let before = fs::read(&place.path).expect("a file");
    let files = [place.folder.path().join("a.txt")];
    let corpus = open(&files, ALL);
    write(place.folder.path(), "a.txt", b"one\n\xff\n");
    let fault = TokenStore::open_or_build(&place.path, &corpus, &place.tokenizer, &mut |_| {});
    assert!(matches!(fault, Err(DataError::NotUtf8 { line: 2, .. })), "{fault:?}");
    assert!(fs::read(&place.path).expect("a file") == before);
    assert_eq!(fs::read_dir(place.folder.path()).expect("a folder").count(), 3);
}
