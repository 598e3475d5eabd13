//! A sample to run the whole road on without any download: made-up sentences in GLUE's own file form, a word-level
//! tokenizer for them and a tiny T5 with random weights.
//!
//! The sentences come from a small lexicon and a fixed seed. Nothing about the methods can be learnt from the figures
//! that they give.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use adept_models::t5::{FeedForwardKind, T5, T5Config};
use burn::tensor::backend::Backend;
use serde_json::json;

use crate::TrainError;
use crate::folder::write_atomic;

/// Where the sample lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// A folder with `SST-2/` and `RTE/`.
    pub data: PathBuf,
    /// A folder with a T5 checkpoint and its tokenizer.
    pub backbone: PathBuf,
}

/// Rows of the files: SST-2's training file gives 1,000 rows to the validation split, as the real one does.
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

/// Writes the sample below `folder`, where it is not there already.
///
/// # Errors
/// Where the folder cannot be written to.
pub fn prepare<B: Backend>(folder: &Path, device: &B::Device) -> Result<Sample, TrainError> {
    let sample = Sample {
        data: folder.join("data"),
        backbone: folder.join("backbone"),
    };
    let sst2 = sample.data.join("SST-2");
    let rte = sample.data.join("RTE");
    for path in [&sst2, &rte, &sample.backbone] {
        fs::create_dir_all(path).map_err(TrainError::io("create", path))?;
    }
    let mut numbers = Numbers(0x5eed);
    for (name, rows) in [("train.tsv", SST2_ROWS.0), ("dev.tsv", SST2_ROWS.1)] {
        write_atomic(&sst2.join(name), sst2_file(rows, &mut numbers).as_bytes())?;
    }
    for (name, rows) in [("train.tsv", RTE_ROWS.0), ("dev.tsv", RTE_ROWS.1)] {
        write_atomic(&rte.join(name), rte_file(rows, &mut numbers).as_bytes())?;
    }
    write_atomic(&sample.backbone.join("tokenizer.json"), tokenizer().as_bytes())?;
    if !sample.backbone.join("model.safetensors").exists() {
        T5::<B>::random(&backbone_config(), 42, device).save_pretrained(&sample.backbone)?;
    }
    Ok(sample)
}

/// About 0.3 million parameters; the vocabulary is larger than the tokenizer's, as T5's is.
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

/// SST-2's columns: a sentence and 1 where it is positive.
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

/// RTE's columns. A hypothesis follows from its premise unless it denies it.
fn rte_file(rows: usize, numbers: &mut Numbers) -> String {
    let mut file = String::from("index\tsentence1\tsentence2\tlabel\n");
    for index in 0..rows {
        let follows = numbers.below(2) == 0;
        let (person, verb) = (numbers.pick(&PEOPLE), numbers.pick(&VERBS));
        let (thing, place) = (numbers.pick(&THINGS), numbers.pick(&PLACES));
        let denial = if follows { "" } else { numbers.pick(&DENIALS) };
        let gap = if follows { "" } else { " " };
        let label = if follows { "entailment" } else { "not_entailment" };
        let premise = format!("the {person} {verb} a {thing} in the {place} .");
        let _ = writeln!(
            file,
            "{index}\t{premise}\tthe {person} {denial}{gap}{verb} a {thing} .\t{label}"
        );
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

/// SplitMix64: a few lines that give the same sentences everywhere.
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
        // The bias of a remainder over a dozen words is far below what a sample needs.
        (self.next() % bound as u64) as usize
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

#[cfg(test)]
mod tests {
    use adept_data::{GlueTask, LoadOptions, TextTokenizer, load_glue};
    use burn_flex::Flex;

    use super::*;

    #[test]
    fn the_sample_is_read_by_the_same_readers_as_the_real_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sample = prepare::<Flex>(folder.path(), &Default::default()).expect("the folder is writable");
        let sst2 = load_glue(GlueTask::Sst2, &sample.data, &LoadOptions::default()).expect("SST-2 is well formed");
        let rte = load_glue(GlueTask::Rte, &sample.data, &LoadOptions::default()).expect("RTE is well formed");
        assert_eq!(
            (sst2.train.len(), sst2.validation.len(), sst2.test.len()),
            (2_000, 1_000, 200)
        );
        assert_eq!(
            (rte.train.len(), rte.validation.len(), rte.test.len()),
            (1_000, 100, 100)
        );

        let tokenizer = TextTokenizer::from_dir(&sample.backbone).expect("the tokenizer is well formed");
        assert!(tokenizer.vocab_size() <= backbone_config().vocab_size);
        let mut texts: Vec<&str> = sst2
            .train
            .iter()
            .chain(&rte.train)
            .map(|example| example.source.as_str())
            .collect();
        texts.extend(["0", "1"]);
        for text in texts {
            let ids = tokenizer.encode(text, 64).expect("the text is well formed");
            assert_eq!(
                ids.len(),
                text.split(' ').count() + 1,
                "a token a word and the end: {text}"
            );
            assert_eq!(tokenizer.decode(&ids, true).expect("the ids are its own"), text);
        }
        let again = prepare::<Flex>(folder.path(), &Default::default()).expect("the folder is writable");
        assert_eq!(again, sample);
    }
}
