//! The files in `datasets/table4-sample` are what the generator writes, the project's own reader takes them as it takes
//! the official ones, and they are what they should be: answers stand in their texts, labels are in balance, nothing of
//! one split is in another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::common::{datasets, files_below};
use adept_data::{Example, LoadOptions, RowEncoder, SplitRule, Task, TaskData, TextTokenizer, load_task};
use glue_sample::table4::{SIZES, files};
use glue_sample::tasks::Sizes;
use glue_sample::write::{SampleFile, write};
use serde_json::Value;

const SEED: u64 = 42;

fn committed() -> PathBuf {
    datasets().join("table4-sample")
}

/// The tasks of the paper's Table 4.
fn tasks() -> Vec<Task> {
    let tasks = [Task::suite("mrqa"), Task::suite("others")].concat();
    assert_eq!(tasks.len(), 8);
    tasks
}

fn load(task: &Task) -> TaskData {
    load_task(task, &committed(), &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// A file's text; of a compressed one what it holds.
fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    if !path.to_string_lossy().ends_with(".gz") {
        return String::from_utf8(bytes).unwrap();
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    text
}

#[test]
fn the_committed_files_are_what_the_generator_writes() {
    let made = files(SEED, &SIZES, None).unwrap();
    for file in &made {
        let path = committed().join(&file.name);
        assert!(
            text(&path) == file.text,
            "{}: differs; write it again with `cargo run -p glue-sample -- --table4 --out datasets/table4-sample`",
            file.name
        );
    }
    let lying = files_below(&committed());
    let mut expected: HashSet<PathBuf> = made.iter().map(|file| committed().join(&file.name)).collect();
    expected.insert(committed().join("README.md"));
    assert_eq!(lying, expected);
}

/// Another version of the compressor may write other bytes, the same one may not; no time is in them.
#[test]
fn compressed_files_depend_on_their_text_alone() {
    let file = SampleFile {
        name: "a.jsonl.gz".to_owned(),
        text: "one line\n".repeat(9),
    };
    let bytes = file.bytes().unwrap();
    assert_eq!(bytes, file.bytes().unwrap());
    assert_eq!(bytes[4..8], [0; 4], "a time stamp");
    let names = files_below(&committed());
    for path in names.iter().filter(|path| path.to_string_lossy().ends_with(".gz")) {
        assert_eq!(std::fs::read(path).unwrap()[4..8], [0; 4], "{}", path.display());
    }
}

/// Train, validation and test rows after the paper's division.
fn expected_counts(task: &Task) -> [usize; 3] {
    let Sizes {
        train,
        train_large,
        dev,
        dev_large,
    } = SIZES;
    match task.card().split.rule {
        SplitRule::HalveValidation => [train, dev / 2, dev - dev / 2],
        SplitRule::HoldOutTrain => [train_large - 1000, 1000, dev_large],
        SplitRule::Official => [train, dev, dev],
        SplitRule::HalveTrain | SplitRule::FilesGiven => panic!("{task}: a rule that none of the tasks has"),
    }
}

#[test]
fn all_eight_tasks_are_read_with_their_counts() {
    for task in &tasks() {
        let data = load(task);
        let found = [&data.train, &data.validation, &data.test].map(Vec::len);
        assert_eq!(found, expected_counts(task), "{task}");
        for file in &data.files {
            assert_eq!((file.skipped, file.empty_fields), (0, 0), "{task}: {}", file.name);
        }
    }
}

#[test]
fn nothing_of_validation_and_test_occurs_in_train() {
    for task in &tasks() {
        let data = load(task);
        let texts = |rows: &[Example]| rows.iter().map(|row| row.source.to_lowercase()).collect::<Vec<_>>();
        let (train, validation, test) = (texts(&data.train), texts(&data.validation), texts(&data.test));
        let all: HashSet<_> = train.iter().chain(&validation).chain(&test).collect();
        let rows = train.len() + validation.len() + test.len();
        assert_eq!(all.len(), rows, "{task}: a row occurs twice");
    }
}

/// Contexts are shared by the questions of one file, never by two files.
#[test]
fn no_context_of_a_training_file_is_in_a_development_file() {
    for task in Task::suite("mrqa") {
        let contexts = |split: &str| -> HashSet<String> {
            mrqa(&task, split)
                .iter()
                .map(|row| row["context"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(contexts("train").intersection(&contexts("dev")).next(), None, "{task}");
    }
}

#[test]
fn labels_are_in_balance() {
    for task in &tasks() {
        let Some(labels) = task.labels() else { continue };
        let data = load(task);
        for (split, rows) in [
            ("train", data.train),
            ("validation", data.validation),
            ("test", data.test),
        ] {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for row in &rows {
                *counts.entry(row.target.as_str()).or_default() += 1;
            }
            assert_eq!(counts.len(), labels.len(), "{task}");
            // Files are in balance; what the readers divide is nearly so.
            for (label, count) in counts {
                let off = count.abs_diff(rows.len() / 2);
                assert!(off <= rows.len() / 10, "{task}, {split}: {count} of {label}");
            }
        }
    }
}

/// The rows of a file of MRQA's, without its header.
fn mrqa(task: &Task, split: &str) -> Vec<Value> {
    let folder = committed().join(task.display_name()).join(split);
    let path = std::fs::read_dir(folder).unwrap().flatten().next().unwrap().path();
    let text = text(&path);
    let mut rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let header: Value = rows.next().unwrap();
    assert_eq!(header["header"]["split"], split);
    rows.collect()
}

fn pairs(value: &Value) -> Vec<(usize, usize)> {
    let pairs = value.as_array().unwrap().iter();
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    pairs.map(|pair| (number(&pair[0]), number(&pair[1]))).collect()
}

#[test]
fn answers_are_literal_spans_of_their_contexts() {
    let (mut twice, mut two_answers) = (0, 0);
    for task in Task::suite("mrqa") {
        let mut numbers = HashSet::new();
        for row in ["train", "dev"].iter().flat_map(|split| mrqa(&task, split)) {
            let context: Vec<char> = row["context"].as_str().unwrap().chars().collect();
            let tokens = row["context_tokens"].as_array().unwrap();
            let token = |at: usize| {
                let start = usize::try_from(tokens[at][1].as_u64().unwrap()).unwrap();
                let word = tokens[at][0].as_str().unwrap();
                assert!(
                    context[start..]
                        .iter()
                        .copied()
                        .take(word.chars().count())
                        .eq(word.chars())
                );
                (start, start + word.chars().count() - 1)
            };
            for qa in row["qas"].as_array().unwrap() {
                assert!(numbers.insert(qa["qid"].as_str().unwrap().to_owned()), "{task}: {qa}");
                let detected = qa["detected_answers"].as_array().unwrap();
                let texts: Vec<&Value> = detected.iter().map(|answer| &answer["text"]).collect();
                assert_eq!(texts, qa["answers"].as_array().unwrap().iter().collect::<Vec<_>>());
                assert!(!texts.is_empty(), "{task}: {qa}");
                for answer in detected {
                    let chars = pairs(&answer["char_spans"]);
                    assert!(!chars.is_empty(), "{task}: {answer}");
                    twice += usize::from(chars.len() > 1);
                    for (&(start, end), (first, last)) in chars.iter().zip(pairs(&answer["token_spans"])) {
                        let span: String = context[start..=end].iter().collect();
                        assert_eq!(span, answer["text"].as_str().unwrap(), "{task}");
                        assert_eq!((token(first).0, token(last).1), (start, end), "{task}: {answer}");
                    }
                }
                two_answers += usize::from(detected.len() > 1);
            }
        }
    }
    assert!(twice > 500 && two_answers > 500, "{twice} {two_answers}");
}

/// The four tasks differ in form as the originals do.
#[test]
fn each_task_of_mrqa_has_its_own_form() {
    for task in Task::suite("mrqa") {
        for row in mrqa(&task, "dev") {
            let context = row["context"].as_str().unwrap();
            for qa in row["qas"].as_array().unwrap() {
                let question = qa["question"].as_str().unwrap();
                let fits = match task.name() {
                    "nq" => {
                        let plain = !question.ends_with('?') && question == question.to_lowercase();
                        plain && context.starts_with("<P> ") && context.ends_with(" </P>")
                    }
                    "hotpotqa" => {
                        let markers = |marker: &str| context.matches(marker).count();
                        ["[PAR]", "[TLE]", "[SEP]"].map(markers) == [2; 3] && question.ends_with('?')
                    }
                    "searchqa" => context.starts_with("[DOC] [TLE] ") && !question.ends_with('?'),
                    _ => !context.contains('[') && question.ends_with('?'),
                };
                assert!(fits, "{task}: {question} {context}");
            }
        }
    }
}

/// Twins fill their gap with different options.
#[test]
fn winogrande_s_twins_have_opposite_answers() {
    for file in ["train_xl.jsonl", "dev.jsonl"] {
        let text = text(&committed().join("WinoGrande").join(file));
        let mut twins: HashMap<String, Vec<Value>> = HashMap::new();
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let number = row["qID"].as_str().unwrap().split('-').next().unwrap().to_owned();
            assert_eq!(row["sentence"].as_str().unwrap().matches('_').count(), 1, "{row}");
            twins.entry(number).or_default().push(row);
        }
        for pair in twins.values() {
            assert_eq!(pair.len(), 2);
            assert_ne!(pair[0]["answer"], pair[1]["answer"]);
            assert_eq!(pair[0]["option1"], pair[1]["option1"]);
        }
    }
}

/// The project's small T5 reads every source whole in 128 positions.
#[test]
fn sources_fit_the_small_backbone() {
    let tokenizer = TextTokenizer::from_dir(&datasets().join("backbones/t5-nano")).unwrap();
    let encoder = RowEncoder::apart(&tokenizer);
    for task in &tasks() {
        let data = load(task);
        for row in [&data.train, &data.validation, &data.test].into_iter().flatten() {
            let length = encoder.source(&row.source).unwrap().len();
            assert!(length <= 128, "{task}: {length} tokens: {}", row.source);
        }
    }
}

#[test]
fn a_seed_gives_its_own_files() {
    let sizes = Sizes {
        train: 20,
        train_large: 20,
        dev: 10,
        dev_large: 10,
    };
    let one = files(1, &sizes, None).unwrap();
    assert_eq!(one, files(1, &sizes, None).unwrap());
    for (first, second) in one.iter().zip(files(2, &sizes, None).unwrap()) {
        assert_ne!(first.text, second.text, "{}", first.name);
    }
    let folder = tempfile::tempdir().unwrap();
    write(&one, folder.path()).unwrap();
    for file in &one {
        assert_eq!(text(&folder.path().join(&file.name)), file.text);
    }
    // A set that is made apart from another seed's sample has nothing but new rows.
    let apart = files(2, &sizes, Some(1)).unwrap();
    let lines = |files: &[SampleFile]| -> HashSet<String> {
        let yelp = files.iter().filter(|file| file.name.starts_with("Yelp"));
        yelp.flat_map(|file| file.text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    assert_eq!(
        lines(&files(1, &SIZES, None).unwrap())
            .intersection(&lines(&apart))
            .next(),
        None
    );
}
