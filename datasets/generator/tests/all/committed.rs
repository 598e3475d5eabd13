//! The files in `datasets/glue-sample` are what the generator writes, and the project's own reader takes them as it
//! takes the official ones.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use adept_data::{Example, LoadOptions, SplitRule, Task, load_task};
use glue_sample::tasks::{Sizes, Split, TASKS, key};
use glue_sample::write::{files, write};

const SEED: u64 = 42;

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../glue-sample")
}

#[test]
fn the_committed_files_are_what_the_generator_writes() {
    let made = files(SEED, &Sizes::DEFAULT, None).unwrap();
    for file in &made {
        let found = std::fs::read_to_string(committed().join(&file.name)).unwrap_or_default();
        let differs = found
            .lines()
            .zip(file.text.lines())
            .position(|(one, other)| one != other);
        assert!(
            found == file.text,
            "{}: differs from line {:?} on; write it again with `cargo run -p glue-sample -- --out datasets/glue-sample`",
            file.name,
            differs.map(|line| line + 1)
        );
    }
    // Nothing else lies there: an old file would be read as part of the data.
    let mut lying = HashSet::new();
    for folder in std::fs::read_dir(committed())
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        for file in std::fs::read_dir(folder.path()).unwrap().flatten() {
            let (folder, file) = (folder.file_name(), file.file_name());
            lying.insert(format!("{}/{}", folder.to_string_lossy(), file.to_string_lossy()));
        }
    }
    assert_eq!(lying, made.into_iter().map(|file| file.name).collect());
}

/// Train, validation and test rows after the paper's division.
fn expected_counts(task: &Task) -> [usize; 3] {
    let Sizes {
        train,
        train_large,
        dev,
        dev_large,
    } = Sizes::DEFAULT;
    match task.card().split.rule {
        SplitRule::HalveValidation => [train, dev / 2, dev - dev / 2],
        SplitRule::HalveTrain => [train / 2, 0, train - train / 2],
        SplitRule::HoldOutTrain => [train_large - 1000, 1000, dev_large],
        SplitRule::Official | SplitRule::FilesGiven => [train, dev_large, dev_large],
    }
}

#[test]
fn all_eight_tasks_are_read_with_their_counts() {
    for task in &Task::suite("glue") {
        let data = load_task(task, &committed(), &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        let found = [&data.train, &data.validation, &data.test].map(Vec::len);
        assert_eq!(found, expected_counts(task), "{task}");
        for file in &data.files {
            assert_eq!((file.skipped, file.empty_fields), (0, 0), "{}", file.name);
        }
        let labels: HashSet<_> = data.test.iter().map(|example| example.target.as_str()).collect();
        match task.labels() {
            Some(expected) => assert_eq!(labels, expected.iter().map(String::as_str).collect(), "{task}"),
            None => assert!(labels.len() > 20, "{task}: {} scores", labels.len()),
        }
    }
}

#[test]
fn nothing_of_validation_and_test_occurs_in_train() {
    for task in &Task::suite("glue") {
        let data = load_task(task, &committed(), &LoadOptions::default()).unwrap();
        let texts = |rows: &[Example]| rows.iter().map(|row| row.source.to_lowercase()).collect::<Vec<_>>();
        let (train, validation, test) = (texts(&data.train), texts(&data.validation), texts(&data.test));
        let all: HashSet<_> = train.iter().chain(&validation).chain(&test).collect();
        assert_eq!(
            all.len(),
            train.len() + validation.len() + test.len(),
            "{task}: a row occurs twice"
        );
    }
}

/// Neither a pair nor the same pair turned round occurs twice, in no split of a task.
#[test]
fn pairs_are_unique_in_either_order() {
    let sizes = Sizes {
        train: 400,
        train_large: 400,
        dev: 200,
        dev_large: 200,
    };
    for task in &TASKS {
        let splits = task.splits(SEED, &sizes, &[]).unwrap();
        let rows: Vec<_> = splits.iter().flat_map(|split| &split.rows).collect();
        let keys: HashSet<_> = rows.iter().map(|row| key(row)).collect();
        assert_eq!(keys.len(), rows.len(), "{}", task.folder);
    }
}

/// A set that is made apart from another seed's sample shares no row with it, though the two do overlap otherwise.
#[test]
fn a_set_made_apart_from_the_sample_shares_no_row_with_it() {
    let sst2 = TASKS.iter().find(|task| task.folder == "SST-2").unwrap();
    let keys =
        |splits: &[Split]| -> HashSet<Vec<String>> { splits.iter().flat_map(|split| &split.rows).map(key).collect() };
    let sample = sst2.splits(SEED, &Sizes::DEFAULT, &[]).unwrap();
    let together = sst2.splits(SEED + 1, &Sizes::DEFAULT, &[]).unwrap();
    let apart = sst2.splits(SEED + 1, &Sizes::DEFAULT, &sample).unwrap();
    assert!(keys(&together).intersection(&keys(&sample)).next().is_some());
    assert_eq!(keys(&apart).intersection(&keys(&sample)).next(), None);
}

/// MNLI's mismatched rows speak of topics that its training rows never do.
#[test]
fn mismatched_topics_are_unseen() {
    let sizes = Sizes {
        train: 600,
        dev_large: 200,
        ..Sizes::DEFAULT
    };
    let mnli = TASKS.iter().find(|task| task.folder == "MNLI").unwrap();
    let splits = mnli.splits(SEED, &sizes, &[]).unwrap();
    let topics = |name: &str| {
        let split = splits.iter().find(|split| split.name == name).unwrap();
        split.rows.iter().map(|row| row.source).collect::<HashSet<_>>()
    };
    assert_eq!(topics("train"), topics("dev_matched"));
    assert_eq!(topics("train").intersection(&topics("dev_mismatched")).next(), None);
}

#[test]
fn a_seed_gives_its_own_files_and_they_replace_old_ones() {
    let sizes = Sizes {
        train: 20,
        train_large: 20,
        dev: 10,
        dev_large: 10,
    };
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (files(1, &sizes, None).unwrap(), files(2, &sizes, None).unwrap());
    assert_eq!(one, files(1, &sizes, None).unwrap());
    for (first, second) in one.iter().zip(&other) {
        assert_ne!(first.text, second.text, "{}", first.name);
    }
    write(&one, folder.path()).unwrap();
    write(&other, folder.path()).unwrap();
    let read = std::fs::read_to_string(folder.path().join("CoLA/train.tsv")).unwrap();
    assert_eq!(read, other[0].text);
    let left: Vec<_> = std::fs::read_dir(folder.path().join("CoLA"))
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(left.len(), 2, "temporary files were left");
}

#[test]
fn a_file_in_the_way_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("CoLA"), "not a folder").unwrap();
    let sizes = Sizes {
        train: 2,
        train_large: 2,
        dev: 2,
        dev_large: 2,
    };
    let error = write(&files(1, &sizes, None).unwrap(), folder.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("CoLA"), "{error}");
}
