//! Corpus files: what counts as a paragraph, and every way a file can be malformed.

use std::path::PathBuf;
use std::slice::from_ref;

use adept_data::DataError;
use adept_data::pretrain::{CorpusFiles, CorpusOptions, PretrainError};

use crate::common::sha256;
use crate::pretrain::support::{ALL, folder, gzip, lines, open, write};

#[track_caller]
fn check(bytes: impl AsRef<[u8]>, options: CorpusOptions, expected: &[&str]) {
    let folder = folder();
    for bytes in [bytes.as_ref().to_vec(), gzip(bytes.as_ref())] {
        let path = write(folder.path(), "text", &bytes);
        let corpus = open(&[path], options);
        assert_eq!(lines(&corpus), expected);
        assert_eq!(corpus.paragraphs(), expected.len());
        assert_eq!(corpus.files()[0].sha256, sha256(&bytes));
        let characters: usize = expected.iter().map(|text| text.chars().count()).sum();
        assert_eq!(corpus.characters(), characters);
    }
}

#[test]
fn a_line_is_a_paragraph() {
    check("one\ntwo\n", ALL, &["one", "two"]);
    check("one\r\n  two\t\n\n\nthree", ALL, &["one", "two", "three"]);
    check("\u{feff}one\ntwo", ALL, &["one", "two"]);
    check("\n\n\none", ALL, &["one"]);
}

#[test]
fn short_lines_and_headings_are_dropped() {
    let text = "Section::::A history of the place.\nA HEADING IN CAPITALS\nshort\nFive e\nÄÖÜß is not a heading.\n1234 567\n日本語の文章\n";
    let options = |min_characters, drop_headings| CorpusOptions {
        min_characters,
        drop_headings,
    };
    check(
        text,
        options(6, true),
        &["Five e", "ÄÖÜß is not a heading.", "1234 567", "日本語の文章"],
    );
    check(
        text,
        options(20, false),
        &[
            "Section::::A history of the place.",
            "A HEADING IN CAPITALS",
            "ÄÖÜß is not a heading.",
        ],
    );
    let folder = folder();
    let path = write(folder.path(), "text", text);
    let corpus = open(&[path], options(6, true));
    assert_eq!((corpus.files()[0].rows, corpus.files()[0].skipped), (4, 3));
}

#[test]
fn wrapped_text_is_joined() {
    let text = "Call me what you like.\nIt is the same to me\nand to the others.\n\nThe second paragraph\nhas two lines.\n\n\nEnd\nof it.";
    check(
        text,
        ALL,
        &[
            "Call me what you like. It is the same to me and to the others.",
            "The second paragraph has two lines.",
            "End of it.",
        ],
    );
    // If any line is long, lines are paragraphs; so are lines without blank ones between them, and lines between blank
    // ones.
    let long = "long ".repeat(30);
    check(
        format!("one\ntwo\n\n{long}\nthree\n"),
        ALL,
        &["one", "two", long.trim(), "three"],
    );
    check("one\ntwo\nthree", ALL, &["one", "two", "three"]);
    check("one\n\ntwo\n\nthree", ALL, &["one", "two", "three"]);
}

#[test]
fn paragraphs_of_any_length_are_cut_to_64_kib() {
    for (word, pieces) in [("word ", 4), ("wörd", 4), ("日", 4)] {
        let text = word.repeat(200_000 / word.len());
        let folder = folder();
        let path = write(folder.path(), "text", format!("first\n{text}\nlast"));
        let lines = lines(&open(&[path], ALL));
        assert_eq!(lines.len(), pieces + 2, "{word}");
        assert!(lines.iter().all(|line| line.len() <= 1 << 16));
        let whole = lines[1..=pieces].concat().replace(' ', "");
        assert!(
            whole == text.replace(' ', ""),
            "{word}: what was cut is not what was there"
        );
    }
    // In wrapped text, lines are joined up to the same length, give or take a line.
    let text = "some words in a line\n".repeat(10_000);
    let folder = folder();
    let path = write(folder.path(), "text", format!("one\ntwo\n\n{text}"));
    let lines = lines(&open(&[path], ALL));
    assert!(lines.iter().all(|line| line.len() < (1 << 16) + 100), "{}", lines.len());
    assert_eq!(lines[1..].join(" ").len() + 1, text.len());
}

#[test]
fn folders_are_read_in_the_order_of_their_paths() {
    let folder = folder();
    for name in ["b.txt", "a/z.txt", "a/c/y.txt", "b.txt.old", "README", "notes.md"] {
        write(folder.path(), name, format!("{name} says so"));
    }
    write(folder.path(), "c.txt.gz", gzip(b"c.txt.gz says so"));
    let corpus = open(&[folder.path().to_path_buf()], ALL);
    let names: Vec<&str> = corpus.files().iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["a/c/y.txt", "a/z.txt", "b.txt", "c.txt.gz"]);
    let texts: Vec<String> = names.iter().map(|name| format!("{name} says so")).collect();
    assert_eq!(lines(&corpus), texts);
    // A file given explicitly is read whatever its name.
    let named = open(&[folder.path().join("notes.md"), folder.path().join("b.txt")], ALL);
    assert_eq!(lines(&named), ["notes.md says so", "b.txt says so"]);
    assert_eq!(named.files()[0].name, "notes.md");
}

fn fault(paths: &[PathBuf]) -> DataError {
    CorpusFiles::open(paths, ALL).expect_err("a corpus with a fault")
}

#[test]
fn a_corpus_without_text_is_refused() {
    let folder = folder();
    let empty = write(folder.path(), "empty.txt", "");
    let blank = write(folder.path(), "blank.txt.gz", gzip(b"\n \n\t\n"));
    let shown = fault(&[empty, blank]).to_string();
    assert_eq!(
        shown,
        "the corpus is empty: none of 0 lines in 2 files is a paragraph of at least 1 characters"
    );
    let short = write(folder.path(), "short.txt", "short\nlines\n");
    let fault_of_short = CorpusFiles::open(&[short], CorpusOptions::default());
    assert!(matches!(
        fault_of_short,
        Err(DataError::Pretrain(PretrainError::EmptyCorpus {
            files: 1,
            lines: 2,
            min_characters: 40
        }))
    ));
    assert!(matches!(
        fault(&[]),
        DataError::Pretrain(PretrainError::EmptyCorpus { files: 0, .. })
    ));
}

#[test]
fn a_folder_without_text_files_is_refused() {
    let folder = folder();
    assert!(
        fault(&[folder.path().to_path_buf()])
            .to_string()
            .ends_with("found none")
    );
    write(folder.path(), "table.csv", "a,b");
    let shown = fault(&[folder.path().to_path_buf()]).to_string();
    assert!(
        shown.ends_with("expected files *.txt or *.txt.gz, found none but table.csv"),
        "{shown}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let folder = folder();
    let missing = folder.path().join("missing.txt");
    match fault(from_ref(&missing)) {
        DataError::Io { file, source } => {
            assert_eq!(file, missing);
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
        other => panic!("{other}"),
    }
}

/// Checks file, line and byte reported for input that is not text.
#[track_caller]
fn check_fault(bytes: &[u8], expected: &str) {
    let folder = folder();
    for (name, bytes) in [("plain.txt", bytes.to_vec()), ("packed.txt.gz", gzip(bytes))] {
        let path = write(folder.path(), name, bytes);
        let shown = fault(from_ref(&path)).to_string();
        assert_eq!(shown, format!("{}:{expected}", path.display()));
    }
}

#[test]
fn bytes_that_are_no_text_are_named() {
    check_fault(
        b"one\ntwo \xe8\n",
        "2: expected UTF-8, found byte 0xe8 at byte 5 of the line",
    );
    check_fault(
        "cut off ä".as_bytes().split_last().expect("bytes").1,
        "1: expected UTF-8, found byte 0xc3 at byte 9 of the line",
    );
    check_fault(
        b"\x7fELF\x02\x01\0\0\xff",
        "1: expected text, found byte 0x00 at byte 7 of the line; is it a binary file?",
    );
    // In a line that is cut, bytes are still counted from the beginning of the line.
    let long = [b"line\n".as_slice(), &b"word ".repeat(30_000), b"\xe8"].concat();
    check_fault(&long, "2: expected UTF-8, found byte 0xe8 at byte 150001 of the line");
}

#[test]
fn a_damaged_gzip_file_is_refused() {
    let folder = folder();
    // Text that does not compress well, so that half of the file is half of the text.
    let text: String = (0..20_000_u32)
        .map(|number| format!("line {}\n", number.wrapping_mul(2_654_435_761)))
        .collect();
    let whole = gzip(text.as_bytes());
    for kept in [4, 100, whole.len() / 2, whole.len() - 1] {
        let path = write(folder.path(), "cut.txt.gz", &whole[..kept]);
        match fault(from_ref(&path)) {
            DataError::Pretrain(PretrainError::Gzip { file, bytes, line, .. }) => {
                assert_eq!(file, path);
                let before = &text.as_bytes()[..bytes as usize];
                assert_eq!(
                    line,
                    1 + before.iter().filter(|&&byte| byte == b'\n').count(),
                    "{kept} bytes kept"
                );
                assert!(
                    kept < whole.len() / 2 || bytes > 1 << 16,
                    "{bytes} bytes came out of {kept}"
                );
            }
            other => panic!("{kept} bytes kept: {other}"),
        }
    }
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0xff;
    let path = write(folder.path(), "damaged.txt.gz", &damaged);
    assert!(matches!(
        fault(&[path]),
        DataError::Pretrain(PretrainError::Gzip { .. })
    ));
    // Two concatenated members form one text, as for every other reader of the format.
    let path = write(folder.path(), "two.txt.gz", [gzip(b"one\n"), gzip(b"two\n")].concat());
    assert_eq!(lines(&open(&[path], ALL)), ["one", "two"]);
}

#[test]
fn a_file_that_changes_meanwhile_is_refused() {
    let folder = folder();
    let path = write(folder.path(), "text.txt", "one\ntwo\nthree\n");
    let corpus = open(from_ref(&path), ALL);
    write(folder.path(), "text.txt", "one\ntwo\n");
    let mut lines = corpus.lines();
    assert!(lines.by_ref().take(2).all(|line| line.is_ok()));
    assert!(matches!(
        lines.next(),
        Some(Err(DataError::Pretrain(PretrainError::CorpusChanged {
            expected: 3,
            found: 2,
            ..
        })))
    ));
    assert!(lines.next().is_none(), "nothing comes after an error");
}

#[test]
fn paragraphs_at_hand_come_first() {
    let folder = folder();
    let path = write(folder.path(), "text.txt", "one\ntwo\n");
    let alone = open(from_ref(&path), ALL);
    let mut corpus = alone.clone();
    corpus.prepend("second".to_owned(), vec!["c".to_owned()]);
    corpus.prepend("none".to_owned(), Vec::new());
    corpus.prepend("first".to_owned(), vec!["A AND B".to_owned(), "é".to_owned()]);
    for _ in 0..2 {
        assert_eq!(lines(&corpus), ["A AND B", "é", "c", "one", "two"]);
    }
    let files: Vec<_> = corpus
        .files()
        .iter()
        .map(|file| (file.name.as_str(), file.rows))
        .collect();
    assert_eq!(files, [("first", 2), ("none", 0), ("second", 1), ("text.txt", 2)]);
    assert_eq!((corpus.paragraphs(), corpus.characters()), (5, 15));
    // The checksum depends on where the texts are divided.
    let checksum = |texts: [&str; 2]| {
        let mut corpus = alone.clone();
        corpus.prepend("texts".to_owned(), texts.map(str::to_owned).to_vec());
        corpus.files()[0].sha256.clone()
    };
    assert_eq!(checksum(["ab", "c"]), checksum(["ab", "c"]));
    assert_ne!(checksum(["ab", "c"]), checksum(["a", "bc"]));
}
