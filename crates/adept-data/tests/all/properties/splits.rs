//! Splits: a permutation has every number once, and every row is in exactly one split.

use std::collections::BTreeMap;
use std::fs;

use adept_data::{Example, FewShot, LoadOptions, Task, load_task, torch_permutation};
use proptest::prelude::*;

use crate::properties::config;

fn task(rule: &str) -> Task {
    let card = format!(
        "name = \"fed\"\ndisplay = \"Fed\"\nabout = \"a\"\n[source]\npieces = [{{ field = \"text\" }}]\n[target]\nkind = \
         \"answer\"\nfield = \"answers\"\nanswers = \"each\"\n[split]\nrule = \"{rule}\"\n[metrics]\nall = [\"em\"]\n\
         [[forms]]\nname = \"form\"\nformat = \"jsonl\"\nfiles = {{ train = [\"train\"], validation = [\"held\"], test = \
         [\"held\"] }}\n"
    );
    Task::from_card(&card).expect("a card")
}

/// Rows with these numbers of answers.
fn lines(answers: &[usize]) -> String {
    let row = |(row, &count): (usize, &usize)| {
        let answers: Vec<String> = (0..count).map(|answer| format!("{row}.{answer}")).collect();
        format!("{}\n", serde_json::json!({"text": row.to_string(), "answers": answers}))
    };
    answers.iter().enumerate().map(row).collect()
}

/// Whether every row of a file occurs once in these splits, with its answers together and in order.
fn every_row_once(splits: &[&[Example]], answers: &[usize]) -> Result<(), TestCaseError> {
    let mut seen = BTreeMap::new();
    for split in splits {
        for row in split.chunk_by(|a, b| a.id == b.id) {
            let targets: Vec<&str> = row.iter().map(|example| example.target.as_str()).collect();
            prop_assert!(seen.insert(row[0].id, targets).is_none(), "row {} twice", row[0].id);
        }
    }
    prop_assert_eq!(seen.len(), answers.len());
    for ((row, targets), (expected, &count)) in seen.into_iter().zip(answers.iter().enumerate()) {
        let answers: Vec<String> = (0..count).map(|answer| format!("{row}.{answer}")).collect();
        prop_assert_eq!(row, expected);
        prop_assert_eq!(targets, answers);
    }
    Ok(())
}

/// Loads rows of both official splits under a split rule.
fn load(rule: &str, train: &[usize], held: &[usize], options: &LoadOptions) -> adept_data::TaskData {
    let root = tempfile::tempdir().expect("a temporary folder");
    fs::write(root.path().join("train.jsonl"), lines(train)).expect("a writable folder");
    fs::write(root.path().join("held.jsonl"), lines(held)).expect("a writable folder");
    load_task(&task(rule), root.path(), options).expect("rows without a fault")
}

/// Number of rows, however many answers each has.
fn count(examples: &[Example]) -> usize {
    examples.chunk_by(|a, b| a.id == b.id).count()
}

proptest! {
    #![proptest_config(config(800))]

    #[test]
    fn a_permutation_names_every_number_once(n in 0..3000_usize, seed in any::<u64>()) {
        let order = torch_permutation(n, seed);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        prop_assert!(sorted.into_iter().eq(0..n));
        prop_assert_eq!(&order, &torch_permutation(n, seed));
    }

    #[test]
    fn halves_hold_every_row_once(
        train in prop::collection::vec(1..3_usize, 1..6),
        held in prop::collection::vec(1..4_usize, 2..40),
    ) {
        let data = load("halve-validation", &train, &held, &LoadOptions::default());
        every_row_once(&[&data.train], &train)?;
        every_row_once(&[&data.validation, &data.test], &held)?;
        prop_assert_eq!(count(&data.validation), held.len() / 2);
    }

    #[test]
    fn a_file_by_itself_is_divided_without_loss(train in prop::collection::vec(1..4_usize, 3..60)) {
        let root = tempfile::tempdir().expect("a temporary folder");
        let file = root.path().join("rows.jsonl");
        fs::write(&file, lines(&train)).expect("a writable folder");
        let data = load_task(&task("files-given"), &file, &LoadOptions::default()).expect("rows without a fault");
        every_row_once(&[&data.train, &data.validation, &data.test], &train)?;
        let each = (train.len() / 10).max(1);
        prop_assert_eq!([count(&data.validation), count(&data.test)], [each, each]);
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn held_out_rows_and_the_rest_hold_every_row_once(
        train in prop::collection::vec(1..3_usize, 1001..1400),
        held in prop::collection::vec(1..3_usize, 1..6),
        seed in any::<u64>(),
        rows in 1..50_usize,
    ) {
        let data = load("hold-out-train", &train, &held, &LoadOptions::default());
        every_row_once(&[&data.validation, &data.train], &train)?;
        every_row_once(&[&data.test], &held)?;
        prop_assert_eq!(count(&data.validation), 1000);

        let rows = rows.min(data.train.len());
        let options = LoadOptions { few_shot: Some(FewShot { rows, seed }), ..LoadOptions::default() };
        let few = load("hold-out-train", &train, &held, &options);
        prop_assert_eq!(few.train.len(), rows);
        prop_assert!(few.train.iter().all(|example| data.train.contains(example)));
        prop_assert_eq!((&few.validation, &few.test), (&data.validation, &data.test));
    }
}
