//! Invented text, files and a small tokenizer for the pretraining tests.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use adept_data::pretrain::{CorpusFiles, CorpusOptions, UnigramOptions, train_unigram};
use adept_data::{DataError, TextTokenizer};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

const WHO: [&str; 8] = [
    "The gardener",
    "A tired sailor",
    "My neighbour",
    "Nobody",
    "The youngest pupil",
    "An engineer",
    "She",
    "The crow",
];
const DOES: [&str; 8] = [
    "watched",
    "repaired",
    "forgot",
    "painted",
    "was carrying",
    "didn't find",
    "praised",
    "hid",
];
const WHAT: [&str; 8] = [
    "the old bridge",
    "42 yellow boats",
    "a café near the harbour",
    "his grandmother's clock",
    "every second window",
    "a letter from 1987",
    "the quietest engine",
    "seven lanterns",
];
const WHEN: [&str; 8] = [
    "before sunrise.",
    "while it rained;",
    "and laughed.",
    "in the evening (as usual).",
    "without a word!",
    "again?",
    "for the third time.",
    "- or so they said.",
];

/// A sentence for every number, with several hundred distinct words in all.
pub fn sentence(number: usize) -> String {
    let pick = |words: [&'static str; 8], divisor: usize| words[number / divisor % 8];
    let (who, does, what, when) = (pick(WHO, 1), pick(DOES, 8), pick(WHAT, 64), pick(WHEN, 512));
    let extra = number * 7919 % 1000;
    let name = name(number * 31);
    format!("{who} {does} {what} {when} Afterwards {name} wrote number {extra} down.")
}

fn name(number: usize) -> String {
    const BEGINS: [&str; 10] = ["Ka", "Lo", "Mi", "Ten", "Ra", "Su", "Pel", "Dor", "Vi", "Ne"];
    const GOES_ON: [&str; 10] = ["ra", "lin", "to", "ma", "ger", "sa", "bel", "ni", "wo", "chu"];
    const ENDS: [&str; 10] = ["nia", "rik", "s", "mon", "lda", "th", "berg", "field", "y", "ston"];
    [BEGINS[number % 10], GOES_ON[number / 10 % 10], ENDS[number / 100 % 10]].concat()
}

pub fn sentences(count: usize) -> impl Iterator<Item = Result<String, DataError>> {
    (0..count).map(|number| Ok(sentence(number * 131)))
}

pub fn options(vocab_size: usize) -> UnigramOptions {
    UnigramOptions {
        vocab_size,
        sentinels: 20,
        ..UnigramOptions::default()
    }
}

/// A folder with a tokenizer of 300 entries, 20 of them sentinels. Trained once per process.
pub fn tokenizer_folder() -> &'static Path {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = TempDir::new().expect("a temporary folder");
        let trained = train_unigram(sentences(2000), &options(300), &mut |_| {}).expect("enough text");
        trained.save(folder.path()).expect("a folder that can be written to");
        folder
    });
    FOLDER.path()
}

pub fn tokenizer() -> TextTokenizer {
    TextTokenizer::from_dir(tokenizer_folder()).expect("a tokenizer that was just saved")
}

pub fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

pub fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
    fs::write(&path, bytes).expect("a file");
    path
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}

/// Keeps every paragraph, however short.
pub const ALL: CorpusOptions = CorpusOptions {
    min_characters: 1,
    drop_headings: false,
};

pub fn open(paths: &[PathBuf], options: CorpusOptions) -> CorpusFiles {
    CorpusFiles::open(paths, options).expect("a corpus without a fault")
}

pub fn lines(corpus: &CorpusFiles) -> Vec<String> {
    corpus
        .lines()
        .collect::<Result<_, _>>()
        .expect("a corpus without a fault")
}
