//! The real GLUE files and T5's real tokenizer: counts, texts and ids against an independent Python implementation.
//!
//! `fixtures/tokenizer.py` generated both fixtures: digests of each real file's rows (without their text), and the ids
//! of invented texts. Skipped, with a message, if the data is not available.

use std::collections::BTreeMap;

use crate::common::{real, sha256};
use adept_data::task::TargetCard;
use adept_data::{Encoded, Example, LoadOptions, RowEncoder, TargetLength, Task, TextTokenizer, load_task};

fn named(name: &str) -> Task {
    Task::named(name).expect("a task's name")
}

#[derive(serde::Deserialize)]
struct Digest {
    rows: usize,
    text: String,
    ids: String,
}

#[derive(serde::Deserialize)]
struct Cases {
    texts: Vec<Text>,
    decoded: Vec<Decoded>,
}

#[derive(serde::Deserialize)]
struct Text {
    text: String,
    ids: BTreeMap<usize, Vec<u32>>,
}

#[derive(serde::Deserialize)]
struct Decoded {
    ids: Vec<u32>,
    plain: String,
    skip: String,
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("../fixtures/tokenizer_cases.json")).expect("a whole fixture")
}

fn tokenizer() -> Option<TextTokenizer> {
    real("tokenizers/t5").map(|folder| TextTokenizer::from_dir(&folder).expect("T5's tokenizer loads"))
}

fn text_digest(rows: &[Example]) -> String {
    let text: String = rows
        .iter()
        .map(|row| format!("{}\t{}\t{}\n", row.id, row.source, row.target))
        .collect();
    sha256(text.as_bytes())
}

fn id_digest(rows: &[Encoded]) -> String {
    let words = rows
        .iter()
        .flat_map(|row| std::iter::once(row.source.len() as u32).chain(row.source.iter().copied()));
    sha256(&words.flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
}

#[test]
fn real_files_give_the_rows_texts_and_ids_of_python() {
    let digests: BTreeMap<String, BTreeMap<String, Digest>> =
        serde_json::from_str(include_str!("../fixtures/real_digests.json")).expect("a whole fixture");
    let Some(glue) = real("glue") else { return };
    let tokenizer = tokenizer();
    for (name, expected) in digests {
        let task = name.as_str();
        let data = load_task(&named(task), &glue, &LoadOptions::default()).expect("the official files have no fault");
        // The task's own folder yields the same as the root.
        let folder = glue.join(data.files[0].name.split('/').next().expect("a folder"));
        let again =
            load_task(&named(task), &folder, &LoadOptions::default()).expect("the official files have no fault");
        assert_eq!(
            (&data.train, &data.validation, &data.test),
            (&again.train, &again.validation, &again.test)
        );

        for (split, rows) in [
            ("train", &data.train),
            ("validation", &data.validation),
            ("test", &data.test),
        ] {
            let expected = &expected[split];
            assert_eq!(rows.len(), expected.rows, "{task} {split}: rows");
            assert_eq!(text_digest(rows), expected.text, "{task} {split}: texts");
            if let Some(tokenizer) = &tokenizer {
                let encoded = tokenizer
                    .encode_examples(rows, 256, 20)
                    .expect("T5 knows an id for everything");
                assert_eq!(id_digest(&encoded), expected.ids, "{task} {split}: ids");
            }
        }
    }
}

/// The table of tasks.md, for the tasks whose real files are complete.
#[test]
fn counts_are_those_of_the_paper() {
    let Some(glue) = real("glue") else { return };
    for (task, counts) in [
        ("cola", [8551, 521, 522]),
        ("sst2", [66349, 1000, 872]),
        ("mrpc", [3668, 204, 204]),
        ("rte", [2490, 138, 139]),
    ] {
        let data = load_task(&named(task), &glue, &LoadOptions::default()).expect("the official files have no fault");
        assert_eq!(
            [data.train.len(), data.validation.len(), data.test.len()],
            counts,
            "{task}"
        );
        assert_eq!(
            data.files
                .iter()
                .map(|file| file.skipped + file.empty_fields)
                .sum::<usize>(),
            0,
            "{task}"
        );
    }
}

#[test]
fn ids_and_texts_are_those_of_transformers() {
    let Some(tokenizer) = tokenizer() else { return };
    let cases = cases();
    for case in &cases.texts {
        for (&limit, expected) in &case.ids {
            let ids = tokenizer
                .encode(&case.text, limit)
                .expect("T5 knows an id for everything");
            assert_eq!(&ids, expected, "{:?} in at most {limit} tokens", case.text);
        }
    }
    let texts: Vec<&str> = cases
        .texts
        .iter()
        .map(|case| case.text.as_str())
        .cycle()
        .take(10_000)
        .collect();
    let batch = tokenizer
        .encode_batch(&texts, 256)
        .expect("T5 knows an id for everything");
    for (row, (ids, case)) in batch.iter().zip(cases.texts.iter().cycle()).enumerate() {
        assert_eq!(ids, &case.ids[&256], "row {row} of a batch");
    }
    for case in &cases.decoded {
        for (skip, expected) in [(false, &case.plain), (true, &case.skip)] {
            assert_eq!(
                &tokenizer.decode(&case.ids, skip).expect("T5 decodes everything"),
                expected,
                "{:?}",
                case.ids
            );
        }
    }
}

#[test]
fn target_lengths_count_the_end_of_the_sequence() {
    let Some(tokenizer) = tokenizer() else { return };
    assert_eq!(tokenizer.vocab_size(), 32_100);
    assert_eq!(tokenizer.token_id("</s>"), Some(1));
    let of = |length: &TargetLength| {
        RowEncoder::apart(&tokenizer)
            .target_length(length)
            .expect("T5 knows an id for everything")
    };
    let length = |texts: &[&str]| {
        of(&TargetLength::LongestOf(
            texts.iter().map(ToString::to_string).collect(),
        ))
    };
    assert_eq!(length(&["1"]), tokenizer.encode("1", 10).expect("ids").len());
    assert_eq!(length(&["1", "a much longer label"]), length(&["a much longer label"]));
    for task in Task::built_in() {
        let range = match (&task.card().target, task.name()) {
            (TargetCard::Answer { .. }, "completion") => 128..=128,
            (TargetCard::Conversation { .. }, _) => 256..=256,
            (TargetCard::Answer { .. }, _) => 20..=20,
            (TargetCard::Program { .. }, _) => 512..=512,
            _ => 2..=5,
        };
        assert!(range.contains(&of(&task.target_length())), "{task}");
    }
    assert_eq!(tokenizer.encode("anything", 0).expect("ids"), Vec::<u32>::new());
}
