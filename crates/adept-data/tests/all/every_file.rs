//! Every file in the folder of real data is accepted, with as many rows as Python's own readers find: none of the
//! rejected malformations occurs in real files. Skipped, with a message, if the data is not available.

use std::fs;
use std::path::Path;

use adept_data::pretrain::{CorpusFiles, CorpusOptions};
use adept_data::{DataError, LoadOptions, Task, load_task};

use crate::common::real;

/// How a file is read: its format, further keys of the form, and the text field used as the row's only field.
type How = (&'static str, &'static str, &'static str);

const COLA: How = ("tsv", "header = [\"source\", \"label\", \"mark\", \"text\"]", "text");
const LABELS: How = ("tsv", "header = [\"text\"]", "text");
const SCITAIL: How = (
    "tsv",
    "header = [\"premise\", \"hypothesis\", \"label\", \"index\"]",
    "hypothesis",
);
const SQUAD: How = (
    "json",
    "each = [{ path = \"data\", as = \"a\" }, { path = \"a.paragraphs\", as = \"p\" }, { path = \"p.qas\", as = \"qa\" }]\n\
     fields = { text = \"qa.question\" }",
    "text",
);

const fn tsv(field: &'static str) -> How {
    ("tsv", "", field)
}

const fn jsonl(field: &'static str) -> How {
    ("jsonl", "", field)
}

const FILES: [(&str, How, usize); 44] = [
    ("glue/CoLA/dev.tsv", COLA, 1_043),
    ("glue/CoLA/test.tsv", tsv("sentence"), 1_063),
    ("glue/CoLA/train.tsv", COLA, 8_551),
    ("glue/MNLI/train.jsonl", jsonl("premise"), 12_925),
    ("glue/MNLI/validation_matched.jsonl", jsonl("hypothesis"), 3_734),
    ("glue/MNLI/validation_mismatched.jsonl", jsonl("premise"), 3_735),
    ("glue/MRPC/dev.tsv", tsv("#1 String"), 408),
    ("glue/MRPC/test.tsv", tsv("#2 String"), 1_725),
    ("glue/MRPC/train.tsv", tsv("Quality"), 3_668),
    ("glue/QNLI/dev.tsv", tsv("question"), 5_463),
    ("glue/QNLI/test.tsv", tsv("sentence"), 5_463),
    ("glue/QNLI/train.tsv", tsv("label"), 8_999),
    ("glue/QQP/dev.tsv", tsv("question1"), 7_600),
    ("glue/QQP/train.tsv", tsv("question2"), 23_496),
    ("glue/RTE/dev.tsv", tsv("sentence1"), 277),
    ("glue/RTE/test.tsv", tsv("sentence2"), 3_000),
    ("glue/RTE/train.tsv", tsv("label"), 2_490),
    ("glue/SST-2/dev.tsv", tsv("sentence"), 872),
    ("glue/SST-2/test.tsv", tsv("sentence"), 1_821),
    ("glue/SST-2/train.tsv", tsv("label"), 67_349),
    ("mbpp/mbpp.jsonl", jsonl("text"), 974),
    ("mbpp/mbpp_release_v1.jsonl", jsonl("prompt"), 974),
    ("mbpp/sanitized-mbpp.json", ("json", "", "prompt"), 427),
    ("mrqa/HotpotQA/dev.jsonl", jsonl("question"), 300),
    ("mrqa/HotpotQA/train.jsonl", jsonl("question"), 300),
    ("mrqa/NewsQA/dev.squad.json.gz", SQUAD, 4_212),
    ("mrqa/SQuAD/dev.squad.json", SQUAD, 1_190),
    ("mrqa/SQuAD/train.jsonl", jsonl("context"), 4_330),
    ("scitail/dev.txt", SCITAIL, 1_304),
    ("scitail/test.txt", SCITAIL, 2_126),
    ("superglue/BoolQ/train.jsonl", jsonl("passage"), 3_488),
    ("superglue/BoolQ/val.jsonl", jsonl("question"), 3_270),
    ("superglue/CB/test.jsonl", jsonl("premise"), 250),
    ("superglue/CB/train.jsonl", jsonl("label"), 250),
    ("superglue/CB/val.jsonl", jsonl("hypothesis"), 56),
    ("superglue/ReCoRD/train.jsonl", jsonl("source"), 32),
    ("superglue/WSC/test.jsonl", jsonl("text"), 146),
    ("superglue/WSC/train.jsonl", jsonl("text"), 554),
    ("superglue/WSC/val.jsonl", jsonl("text"), 104),
    ("superglue/WiC/test.jsonl", jsonl("word"), 1_400),
    ("superglue/WiC/train.jsonl", jsonl("sentence1"), 5_428),
    ("superglue/WiC/val.jsonl", jsonl("sentence2"), 638),
    ("winogrande/dev.jsonl", jsonl("sentence"), 1_267),
    ("winogrande/train_xl.jsonl", jsonl("answer"), 40_398),
];

/// Files whose name does not indicate their format.
const LISTS: [(&str, usize); 2] = [
    ("winogrande/dev-labels.lst", 1_267),
    ("winogrande/train_xl-labels.lst", 40_398),
];

/// Number of paragraphs in the corpora, as kept for pretraining.
const CORPORA: [(&str, usize); 14] = [
    ("corpora/nltk_abc.txt.gz", 28_591),
    ("corpora/nltk_state_union.txt.gz", 6_195),
    ("corpora/wikipedia_boolq_articles.txt.gz", 301_769),
    ("corpora/gutenberg/austen-emma.txt.gz", 2_217),
    ("corpora/gutenberg/austen-persuasion.txt.gz", 973),
    ("corpora/gutenberg/austen-sense.txt.gz", 1_693),
    ("corpora/gutenberg/blake-poems.txt.gz", 224),
    ("corpora/gutenberg/chesterton-brown.txt.gz", 1_106),
    ("corpora/gutenberg/chesterton-thursday.txt.gz", 1_176),
    ("corpora/gutenberg/melville-moby_dick.txt.gz", 2_381),
    ("corpora/gutenberg/milton-paradise.txt.gz", 15),
    ("corpora/gutenberg/shakespeare-hamlet.txt.gz", 648),
    ("corpora/gutenberg/shakespeare-macbeth.txt.gz", 454),
    ("corpora/gutenberg/whitman-leaves.txt.gz", 2_083),
];

fn rows(file: &Path, (format, more, field): How) -> usize {
    let card = format!(
        "name = \"own\"\n[source]\npieces = [{{ field = \"{field}\" }}]\n[target]\nkind = \"answer\"\nfield = \"{field}\"\n\
         [metrics]\nall = [\"em\"]\n[[forms]]\nname = \"file\"\nformat = \"{format}\"\n{more}\n"
    );
    let task = Task::from_card(&card).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let root = tempfile::tempdir().expect("a temporary folder");
    let gzip = if file.extension().is_some_and(|ending| ending == "gz") {
        ".gz"
    } else {
        ""
    };
    fs::copy(file, root.path().join(format!("train.{format}{gzip}"))).expect("a writable folder");
    let data = load_task(&task, root.path(), &LoadOptions::default());
    let data = data.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert_eq!(
        data.train.len() + data.validation.len() + data.test.len(),
        data.files[0].rows
    );
    data.files[0].rows
}

#[test]
fn every_file_of_rows_is_read() {
    let Some(folder) = real(".") else { return };
    for (name, how, expected) in FILES {
        assert_eq!(rows(&folder.join(name), how), expected, "{name}");
    }
    for (name, expected) in LISTS {
        assert_eq!(rows(&folder.join(name), LABELS), expected, "{name}");
    }
}

#[test]
fn every_corpus_is_read() {
    let Some(folder) = real("corpora") else { return };
    let folder = folder.parent().expect("its folder").to_owned();
    // Two of NLTK's books are Latin-1.
    for (name, line) in [("chesterton-ball", 4_631), ("shakespeare-caesar", 119)] {
        let file = folder.join(format!("corpora/gutenberg/{name}.txt.gz"));
        let error = CorpusFiles::open(&[file], CorpusOptions::default()).expect_err("Latin-1");
        assert!(
            matches!(error, DataError::NotUtf8 { line: found, .. } if found == line),
            "{error}"
        );
    }
    for (name, expected) in CORPORA {
        let corpus = CorpusFiles::open(&[folder.join(name)], CorpusOptions::default());
        let corpus = corpus.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(corpus.paragraphs(), expected, "{name}");
    }
}
