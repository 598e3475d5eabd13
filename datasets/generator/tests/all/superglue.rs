//! The files in `datasets/superglue-sample` are what the generator writes, the project's own reader takes them as it
//! takes the official ones, and they are what they should be: spans and places point at what they name, labels are in
//! balance, nothing of one split is in another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use crate::common::{datasets, files_below};
use adept_data::{Example, LoadOptions, RowEncoder, SplitRule, Task, TaskData, TextTokenizer, load_task};
use glue_sample::superglue::{SIZES, files};
use glue_sample::tasks::Sizes;
use glue_sample::write::write;
use serde_json::Value;

const SEED: u64 = 42;

fn committed() -> PathBuf {
    datasets().join("superglue-sample")
}

/// The paper's tasks of SuperGLUE.
fn tasks() -> Vec<Task> {
    let tasks = Task::suite("superglue");
    assert_eq!(tasks.len(), 5);
    tasks
}

fn load(task: &Task) -> TaskData {
    load_task(task, &committed(), &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The lines of a file.
fn lines(task: &str, split: &str) -> Vec<Value> {
    let path = committed().join(task).join(format!("{split}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn both(task: &str) -> Vec<Value> {
    [lines(task, "train"), lines(task, "val")].concat()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn the_committed_files_are_what_the_generator_writes() {
    let made = files(SEED, &SIZES, None).unwrap();
    assert_eq!(made.len(), 10);
    for file in &made {
        let found = std::fs::read_to_string(committed().join(&file.name)).unwrap_or_default();
        assert!(
            found == file.text,
            "{}: differs; write it again with `cargo run -p glue-sample -- --superglue --out datasets/superglue-sample`",
            file.name
        );
    }
    let lying = files_below(&committed());
    let mut expected: HashSet<PathBuf> = made.iter().map(|file| committed().join(&file.name)).collect();
    expected.insert(committed().join("README.md"));
    assert_eq!(lying, expected);
}

/// Train, validation and test rows after the paper's division.
fn expected_counts(task: &Task) -> [usize; 3] {
    assert_eq!(task.card().split.rule, SplitRule::HalveValidation, "{task}");
    let (train, dev) = match task.name() {
        "wsc" | "cb" => (SIZES.train, SIZES.dev),
        _ => (SIZES.train_large, SIZES.dev_large),
    };
    [train, dev / 2, dev - dev / 2]
}

#[test]
fn all_five_tasks_are_read_with_their_counts_and_labels() {
    for task in &tasks() {
        let data = load(task);
        let found = [&data.train, &data.validation, &data.test].map(Vec::len);
        assert_eq!(found, expected_counts(task), "{task}");
        for file in &data.files {
            assert_eq!((file.skipped, file.empty_fields), (0, 0), "{task}: {}", file.name);
        }
        let labels: HashSet<&str> = data.test.iter().map(|example| example.target.as_str()).collect();
        let expected = task.labels().unwrap();
        assert_eq!(labels, expected.iter().map(String::as_str).collect(), "{task}");
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

/// Not a whole row alone: no passage of MultiRC and BoolQ, no sentence of WiC and no text of WSC is in both files.
#[test]
fn no_text_of_a_training_file_is_in_a_development_file() {
    for (task, places) in [
        ("MultiRC", &["/passage/text"][..]),
        ("BoolQ", &["/passage"]),
        ("WiC", &["/sentence1", "/sentence2"]),
        ("WSC", &["/text"]),
        ("CB", &["/premise"]),
    ] {
        let texts = |split: &str| -> HashSet<String> {
            let rows = lines(task, split);
            let found = rows
                .iter()
                .flat_map(|row| places.iter().map(|place| row.pointer(place).unwrap()));
            found.map(|found| text(found).to_lowercase()).collect()
        };
        let (train, dev) = (texts("train"), texts("val"));
        assert!(
            train.len() >= 100 && dev.len() >= 20,
            "{task}: {} {}",
            train.len(),
            dev.len()
        );
        assert_eq!(train.intersection(&dev).next(), None, "{task}");
    }
}

#[test]
fn labels_are_in_balance() {
    for task in &tasks() {
        let labels = task.labels().unwrap();
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
            // Files are in balance but for MultiRC's, which have more wrong answers; what the readers divide is nearly so.
            for (label, count) in counts {
                let off = count.abs_diff(rows.len() / labels.len());
                assert!(off <= rows.len() / 10, "{task}, {split}: {count} of {label}");
            }
        }
    }
}

/// Lines, questions and answers are numbered through.
#[test]
fn lines_are_numbered() {
    for split in ["train", "val"] {
        for task in ["MultiRC", "BoolQ", "WiC", "WSC", "CB"] {
            for (at, line) in lines(task, split).iter().enumerate() {
                assert_eq!(number(&line["idx"]), at, "{task}, {split}");
            }
        }
        let (mut questions, mut answers) = (0, 0);
        for line in lines("MultiRC", split) {
            for question in line["passage"]["questions"].as_array().unwrap() {
                assert_eq!(number(&question["idx"]), questions);
                questions += 1;
                for answer in question["answers"].as_array().unwrap() {
                    assert_eq!(number(&answer["idx"]), answers);
                    answers += 1;
                }
            }
        }
    }
}

/// Words of a text in lower case, without marks.
fn words(text: &str) -> Vec<String> {
    let bare = |word: &str| {
        word.trim_matches(|letter: char| !letter.is_alphanumeric())
            .to_lowercase()
    };
    text.split_whitespace().map(bare).collect()
}

#[test]
fn multirc_s_questions_have_right_and_wrong_answers_of_the_same_form() {
    let (mut several, mut all, mut whole) = (0, 0, 0);
    // Answers that stand in the passage, and all answers, by label.
    let (mut literal, mut offered) = ([0; 2], [0; 2]);
    for line in both("MultiRC") {
        let passage = text(&line["passage"]["text"]).to_lowercase();
        for question in line["passage"]["questions"].as_array().unwrap() {
            assert!(text(&question["question"]).ends_with('?'), "{question}");
            let answers = question["answers"].as_array().unwrap();
            let texts: HashSet<String> = answers
                .iter()
                .map(|answer| text(&answer["text"]).to_lowercase())
                .collect();
            assert_eq!(texts.len(), answers.len(), "{question}");
            for answer in answers {
                let label = number(&answer["label"]);
                offered[label] += 1;
                literal[label] += usize::from(passage.contains(&text(&answer["text"]).to_lowercase()));
            }
            let right = answers.iter().filter(|answer| answer["label"] == 1).count();
            all += 1;
            several += usize::from(right > 1);
            whole += usize::from(right > 0 && right < answers.len());
        }
    }
    // A file's last question may have lost answers to the number of rows.
    assert!(whole + 2 >= all, "{whole} of {all}");
    assert!(3 * several > all, "{several} of {all} have several right answers");
    // Standing in the passage is no proof: it is nearly as frequent among wrong answers.
    let shares = [0, 1].map(|label| 100 * literal[label] / offered[label]);
    assert!(shares[0].abs_diff(shares[1]) <= 20, "{shares:?}");
}

#[test]
fn boolq_s_passages_have_a_question_of_either_answer() {
    let mut by_passage: HashMap<String, Vec<Value>> = HashMap::new();
    for row in both("BoolQ") {
        let question = text(&row["question"]);
        assert!(!question.ends_with('?') && question == question.to_lowercase(), "{row}");
        let first = question.split(' ').next().unwrap();
        let verbs = ["did", "do", "does", "has", "have", "is", "are", "was", "were", "will"];
        assert!(verbs.contains(&first), "{row}");
        let passage = text(&row["passage"]).to_owned();
        let (title, rest) = passage.split_once(" -- ").unwrap();
        assert!(!title.is_empty() && rest.ends_with('.'), "{row}");
        by_passage.entry(passage).or_default().push(row);
    }
    assert!(by_passage.len() >= 900);
    for rows in by_passage.values() {
        let labels: Vec<bool> = rows.iter().map(|row| row["label"].as_bool().unwrap()).collect();
        assert_eq!(labels.iter().filter(|label| **label).count(), 1, "{rows:?}");
        assert_eq!(labels.len(), 2, "{rows:?}");
    }
}

#[test]
fn wic_s_places_are_those_of_the_word() {
    let mut by_word: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for row in both("WiC") {
        let word = text(&row["word"]);
        for (sentence, start, end) in [("sentence1", "start1", "end1"), ("sentence2", "start2", "end2")] {
            let letters: Vec<char> = text(&row[sentence]).chars().collect();
            let (start, end) = (number(&row[start]), number(&row[end]));
            let found: String = letters[start..end].iter().collect();
            let plural = [format!("{word}s"), format!("{word}es")];
            assert!(found == word || plural.contains(&found), "{row}");
            let bounded = |at: usize| !letters.get(at).is_some_and(|letter| letter.is_alphanumeric());
            assert!(bounded(end) && start > 0 && bounded(start - 1), "{row}");
        }
        assert_ne!(row["sentence1"], row["sentence2"]);
        let label = usize::from(row["label"].as_bool().unwrap());
        by_word.entry(word.to_owned()).or_default()[label] += 1;
    }
    assert!(by_word.len() >= 50, "{} words", by_word.len());
    for (word, counts) in by_word {
        // The word alone does not tell.
        assert!(counts.iter().all(|count| *count >= 5), "{word}: {counts:?}");
    }
}

#[test]
fn wsc_s_spans_are_where_they_say_and_twins_differ_in_their_label() {
    let rows = [lines("WSC", "train"), lines("WSC", "val")].concat();
    for twins in rows.chunks(2) {
        assert_ne!(twins[0]["label"], twins[1]["label"]);
        assert_eq!(twins[0]["target"]["span1_text"], twins[1]["target"]["span1_text"]);
        assert_eq!(twins[0]["target"]["span2_index"], twins[1]["target"]["span2_index"]);
        assert_ne!(twins[0]["text"], twins[1]["text"]);
    }
    let (mut first, mut named) = ([0; 2], 0);
    for row in &rows {
        let (all, target) = (words(text(&row["text"])), &row["target"]);
        for span in ["span1", "span2"] {
            let wanted = words(text(&target[format!("{span}_text")]));
            let at = number(&target[format!("{span}_index")]);
            assert_eq!(all[at..at + wanted.len()], wanted, "{row}");
        }
        assert!(["he", "she", "it"].contains(&text(&target["span2_text"])), "{row}");
        assert!(number(&target["span1_index"]) < number(&target["span2_index"]), "{row}");
        if number(&target["span1_index"]) == 0 {
            first[usize::from(row["label"].as_bool().unwrap())] += 1;
        }
        named += usize::from(target["span2_text"] != "it");
    }
    // Being named first does not tell.
    assert_eq!(first[0], first[1]);
    assert!(first[0] > 100 && named > 100, "{first:?} {named}");
    // The reader marks both.
    for task in tasks().iter().filter(|task| task.name() == "wsc") {
        for row in &load(task).test {
            let marks = |mark: &str| {
                row.source
                    .split(' ')
                    .filter(|word| word.trim_end_matches(['.', ',']) == mark)
                    .count()
            };
            assert_eq!((marks("*"), marks("#")), (2, 2), "{}", row.source);
        }
    }
}

/// A context goes with entailment and with contradiction, and so does a negation.
#[test]
fn cb_s_contexts_do_not_tell_entailment_from_contradiction() {
    let rows = both("CB");
    for word in [
        "not true that",
        "only dreamt that",
        "knows that",
        "noticed that",
        "regrets that",
    ] {
        let with = |label: &str| {
            let found = rows.iter().filter(|row| row["label"] == label);
            found.filter(|row| text(&row["premise"]).contains(word)).count()
        };
        let counts = ["entailment", "contradiction"].map(with);
        assert!(counts.iter().all(|count| *count >= 5), "{word}: {counts:?}");
    }
    for row in &rows {
        let hypothesis = text(&row["hypothesis"]);
        assert!(!hypothesis.ends_with(['.', '?']), "{row}");
        assert!(text(&row["premise"]).ends_with(['.', '?']), "{row}");
    }
}

/// The project's small T5 reads every source whole in 128 positions, and knows every letter of it but for the sign that
/// marks WSC's pronoun, which is the unknown token's only use.
#[test]
fn sources_fit_the_small_backbone() {
    let folder = datasets().join("backbones/t5-nano");
    let tokenizer = TextTokenizer::from_dir(&folder).unwrap();
    let vocabulary: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("tokenizer.json")).unwrap()).unwrap();
    let unknown = u32::try_from(number(&vocabulary["model"]["unk_id"])).unwrap();
    let encoder = RowEncoder::apart(&tokenizer);
    assert!(
        encoder.source("中").unwrap().contains(&unknown),
        "the test would see nothing"
    );
    for task in &tasks() {
        let data = load(task);
        for row in [&data.train, &data.validation, &data.test].into_iter().flatten() {
            let tokens = encoder.source(&row.source).unwrap();
            assert!(tokens.len() <= 128, "{task}: {} tokens: {}", tokens.len(), row.source);
            let found = tokens.iter().filter(|token| **token == unknown).count();
            assert_eq!(found, row.source.matches('#').count(), "{task}: {}", row.source);
            assert!(found == 0 || task.name() == "wsc", "{task}: {}", row.source);
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
        assert_eq!(
            std::fs::read_to_string(folder.path().join(&file.name)).unwrap(),
            file.text
        );
    }
    // A set that is made apart from another seed's sample has nothing but new sentences, which other sets have not.
    let sentences = |seed: u64, apart_from: Option<u64>| -> HashSet<String> {
        let made = files(seed, &SIZES, apart_from).unwrap();
        let wic = made.iter().filter(|file| file.name.starts_with("WiC"));
        let rows = wic.flat_map(|file| {
            file.text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
        });
        rows.flat_map(|row| [&row["sentence1"], &row["sentence2"]].map(|found| text(found).to_lowercase()))
            .collect()
    };
    let sample = sentences(1, None);
    assert!(sample.intersection(&sentences(2, None)).next().is_some());
    assert_eq!(sample.intersection(&sentences(2, Some(1))).next(), None);
}
