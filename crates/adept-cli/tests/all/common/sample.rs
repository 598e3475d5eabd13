//! A tiny world for the program's tests: synthetic sentences for all eight tasks in GLUE's file format, a word-level
//! tokenizer for them and a T5 with random weights, laid out like the project's `datasets` folder.
//!
//! The sentences come from a small lexicon and a fixed seed. Their scores say nothing about the methods.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use adept_models::t5::{FeedForwardKind, T5, T5Config};
use burn_flex::Flex;
use serde_json::json;

/// Location of the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// A folder laid out like the project's `datasets`, containing the two below.
    pub datasets: PathBuf,
    /// A folder with `SST-2/` and the other tasks.
    pub data: PathBuf,
    /// A folder with a T5 checkpoint and its tokenizer.
    pub backbone: PathBuf,
}

/// Rows of the files: as in the real SST-2, 1,000 rows of the training file become the validation split.
const SST2_ROWS: (usize, usize) = (3_000, 200);
const RTE_ROWS: (usize, usize) = (1_000, 200);

const SPECIAL: [&str; 3] = ["<pad>", "</s>", "<unk>"];
const MARKERS: [&str; 6] = ["sentence:", "sentence1:", "sentence2:", ".", "0", "1"];
const GOOD: [&str; 12] = [
    "lovely", "bright", "warm", "clever", "joyful", "graceful", "tender", "lively", "charming", "gentle", "witty",
    "fresh",
];
const BAD: [&str; 12] = [
    "dull", "clumsy", "cold", "stale", "tedious", "bitter", "noisy", "feeble", "messy", "hollow", "dreary", "bland",
];
const THINGS: [&str; 10] = [
    "film", "song", "garden", "story", "meal", "picture", "evening", "voyage", "speech", "dance",
];
const PLACES: [&str; 8] = [
    "harbour", "village", "mountain", "market", "river", "castle", "island", "valley",
];
const PEOPLE: [&str; 8] = [
    "sailor", "baker", "teacher", "farmer", "painter", "doctor", "miller", "singer",
];
const VERBS: [&str; 6] = ["liked", "praised", "found", "sold", "painted", "described"];
const DENIALS: [&str; 4] = ["never", "hardly", "nowhere", "refused"];
const FILLERS: [&str; 12] = [
    "the", "a", "was", "and", "very", "in", "near", "this", "of", "rather", "to", "quite",
];

/// Rows of the other tasks, few apart from the thousand that become a validation split.
const FEW_ROWS: (usize, usize) = (200, 80);
const HELD_OUT_ROWS: (usize, usize) = (1_200, 80);

/// Writes the sample below `folder`.
pub fn prepare(folder: &Path) -> Sample {
    let sample = Sample {
        datasets: folder.to_owned(),
        data: folder.join("glue-sample"),
        backbone: folder.join("backbones/t5-nano"),
    };
    let mut numbers = Numbers(0x5eed);
    for (name, rows) in [("train", SST2_ROWS.0), ("dev", SST2_ROWS.1)] {
        write(&sample.data, "SST-2", name, sst2_file(rows, &mut numbers));
    }
    for (name, rows) in [("train", RTE_ROWS.0), ("dev", RTE_ROWS.1)] {
        write(&sample.data, "RTE", name, pairs_file(&RTE, rows, &mut numbers));
    }
    for (form, rows) in [
        (&MRPC, FEW_ROWS),
        (&STSB, FEW_ROWS),
        (&QQP, HELD_OUT_ROWS),
        (&QNLI, HELD_OUT_ROWS),
    ] {
        write(
            &sample.data,
            form.folder,
            "train",
            pairs_file(form, rows.0, &mut numbers),
        );
        write(&sample.data, form.folder, "dev", pairs_file(form, rows.1, &mut numbers));
    }
    for (name, rows) in [
        ("train", FEW_ROWS.0),
        ("dev_matched", FEW_ROWS.1),
        ("dev_mismatched", FEW_ROWS.1),
    ] {
        write(&sample.data, "MNLI", name, pairs_file(&MNLI, rows, &mut numbers));
    }
    for (name, rows) in [("train", FEW_ROWS.0), ("dev", FEW_ROWS.1)] {
        // CoLA's files have no header and another order of columns.
        let file = sst2_file(rows, &mut numbers);
        let row = |line: &str| {
            line.split_once('\t')
                .map(|(text, label)| format!("mu\t{label}\t\t{text}\n"))
        };
        write(
            &sample.data,
            "CoLA",
            name,
            file.lines().skip(1).filter_map(row).collect(),
        );
    }
    T5::<Flex>::random(&backbone_config(), 42, &Default::default())
        .save_pretrained(&sample.backbone)
        .expect("the folder is writable");
    fs::write(sample.backbone.join("tokenizer.json"), tokenizer()).expect("the folder is writable");
    sample
}

fn write(data: &Path, task: &str, name: &str, text: String) {
    fs::create_dir_all(data.join(task)).expect("the folder is writable");
    fs::write(data.join(task).join(name).with_extension("tsv"), text).expect("the folder is writable");
}

/// Format of a task's files: its columns, and the labels of matching and non-matching pairs.
struct Form {
    folder: &'static str,
    columns: &'static [&'static str],
    texts: [&'static str; 2],
    label: &'static str,
    labels: [&'static str; 2],
}

const RTE: Form = Form {
    folder: "RTE",
    columns: &["index", "sentence1", "sentence2", "label"],
    texts: ["sentence1", "sentence2"],
    label: "label",
    labels: ["entailment", "not_entailment"],
};
const MRPC: Form = Form {
    folder: "MRPC",
    columns: &["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"],
    texts: ["#1 String", "#2 String"],
    label: "Quality",
    labels: ["1", "0"],
};
const STSB: Form = Form {
    folder: "STS-B",
    columns: &["index", "sentence1", "sentence2", "score"],
    texts: ["sentence1", "sentence2"],
    label: "score",
    labels: ["4.600", "1.250"],
};
const QQP: Form = Form {
    folder: "QQP",
    columns: &["id", "question1", "question2", "is_duplicate"],
    texts: ["question1", "question2"],
    label: "is_duplicate",
    labels: ["1", "0"],
};
const QNLI: Form = Form {
    folder: "QNLI",
    columns: &["index", "question", "sentence", "label"],
    texts: ["question", "sentence"],
    label: "label",
    labels: ["entailment", "not_entailment"],
};
const MNLI: Form = Form {
    folder: "MNLI",
    columns: &["index", "sentence1", "sentence2", "gold_label"],
    texts: ["sentence1", "sentence2"],
    label: "gold_label",
    labels: ["entailment", "contradiction"],
};

/// About 0.3 million parameters; the vocabulary is larger than the tokenizer's, as with T5.
fn backbone_config() -> T5Config {
    T5Config {
        vocab_size: 192,
        d_model: 64,
        d_kv: 16,
        d_ff: 256,
        num_layers: 2,
        num_decoder_layers: 2,
        num_heads: 4,
        feed_forward_proj: FeedForwardKind::Relu,
        ..T5Config::t5_small()
    }
}

/// SST-2's columns: a sentence, and 1 if it is positive.
fn sst2_file(rows: usize, numbers: &mut Numbers) -> String {
    let mut file = String::from("sentence\tlabel\n");
    for _ in 0..rows {
        let label = numbers.below(2);
        let words = if label == 1 { &GOOD } else { &BAD };
        let (thing, place) = (numbers.pick(&THINGS), numbers.pick(&PLACES));
        let (first, second) = (numbers.pick(words), numbers.pick(words));
        let degree = numbers.pick(&["very", "rather", "quite"]);
        let sentence = match numbers.below(3) {
            0 => format!("the {thing} near the {place} was {degree} {first} ."),
            1 => format!("this {first} {thing} of the {place} was {second} ."),
            _ => format!("a {thing} {first} and {degree} {second} ."),
        };
        let _ = writeln!(file, "{sentence}\t{label}");
    }
    file
}

/// Pairs of sentences. The second follows from the first unless it negates it.
fn pairs_file(form: &Form, rows: usize, numbers: &mut Numbers) -> String {
    let mut file = form.columns.join("\t") + "\n";
    for index in 0..rows {
        let follows = numbers.below(2) == 0;
        let (person, verb) = (numbers.pick(&PEOPLE), numbers.pick(&VERBS));
        let (thing, place) = (numbers.pick(&THINGS), numbers.pick(&PLACES));
        let denial = if follows { "" } else { numbers.pick(&DENIALS) };
        let gap = if follows { "" } else { " " };
        let premise = format!("the {person} {verb} a {thing} in the {place} .");
        let hypothesis = format!("the {person} {denial}{gap}{verb} a {thing} .");
        let cell = |name: &&str| match *name {
            name if name == form.texts[0] => premise.clone(),
            name if name == form.texts[1] => hypothesis.clone(),
            name if name == form.label => form.labels[usize::from(!follows)].to_owned(),
            _ => index.to_string(),
        };
        let cells: Vec<String> = form.columns.iter().map(cell).collect();
        let _ = writeln!(file, "{}", cells.join("\t"));
    }
    file
}

/// A `tokenizer.json` whose pieces are the lexicon's words, and single letters for everything else.
fn tokenizer() -> String {
    let mut vocabulary: Vec<(String, f64)> = SPECIAL.iter().map(|token| ((*token).to_owned(), 0.0)).collect();
    let lists: [&[&str]; 9] = [
        &MARKERS, &FILLERS, &GOOD, &BAD, &THINGS, &PLACES, &PEOPLE, &VERBS, &DENIALS,
    ];
    vocabulary.extend(
        lists
            .iter()
            .flat_map(|list| list.iter())
            .map(|word| (format!("\u{2581}{word}"), -5.0)),
    );
    vocabulary.push(("\u{2581}".to_owned(), -9.0));
    vocabulary.extend(('a'..='z').chain('0'..='9').map(|letter| (letter.to_string(), -10.0)));
    let special = |id: usize| {
        json!({ "id": id, "content": SPECIAL[id], "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    let end = json!({ "SpecialToken": { "id": "</s>", "type_id": 0 } });
    let first = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let second = json!({ "Sequence": { "id": "B", "type_id": 0 } });
    let space = json!({ "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true });
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(0), special(1), special(2)],
        "normalizer": { "type": "Lowercase" },
        "pre_tokenizer": space,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, end],
            "pair": [first, end, second, end],
            "special_tokens": { "</s>": { "id": "</s>", "ids": [1], "tokens": ["</s>"] } },
        },
        "decoder": space,
        "model": { "type": "Unigram", "unk_id": 2, "vocab": vocabulary, "byte_fallback": false },
    });
    format!("{file:#}\n")
}

/// SplitMix64: a few lines that give the same sentences on every machine.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        // The bias of a remainder over a dozen words is negligible for a sample.
        (self.next() % bound as u64) as usize
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}
