//! Tasks as token ids on disk: the loader's rows, tokenised once, and rebuilt if corrupt.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::thorough::thorough;
use adept_data::{
    BatchOptions, Batcher, DataError, Encoded, FewShot, Layout, Lengths, LoadOptions, Right, RowEncoder, RowsOrigin,
    ScoreRounding, Task, TaskRows, TextTokenizer, load_task, open_task,
};

const LENGTHS: Lengths = Lengths { source: 24, target: 6 };

fn datasets(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets").join(path)
}

fn tokenizer() -> &'static TextTokenizer {
    static TOKENIZER: LazyLock<TextTokenizer> =
        LazyLock::new(|| TextTokenizer::from_dir(&datasets("backbones/t5-nano")).expect("the project's own tokenizer"));
    &TOKENIZER
}

fn task(name: &str) -> Task {
    Task::named(name).expect("a task's name")
}

/// Opens a task of the project's own sample.
fn open(name: &str, folder: Option<&Path>) -> TaskRows {
    open_in(name, &datasets("glue-sample"), folder)
}

fn open_in(name: &str, root: &Path, folder: Option<&Path>) -> TaskRows {
    let options = LoadOptions::default();
    open_task(
        &task(name),
        root,
        &options,
        RowEncoder::apart(tokenizer()),
        LENGTHS,
        folder,
    )
    .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn train(rows: &TaskRows) -> Vec<Encoded> {
    let train = &rows.train;
    (0..train.len())
        .map(|row| train.read(row).expect("a stored row"))
        .collect()
}

/// Everything compared between two openings of a task.
type Content = (Vec<Encoded>, Vec<String>, (Vec<Encoded>, Right), (Vec<Encoded>, Right));

fn content(rows: &TaskRows) -> Content {
    let targets = (0..rows.train.len()).map(|row| rows.train.target(row).expect("a stored row"));
    (
        train(rows),
        targets.collect(),
        rows.validation.clone(),
        rows.test.clone(),
    )
}

/// The stores in a folder, sorted.
fn stores(folder: &Path) -> Vec<PathBuf> {
    let mut stores: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    stores.sort();
    stores
}

fn origins(rows: &TaskRows) -> Vec<RowsOrigin> {
    rows.origins.values().copied().collect()
}

#[track_caller]
fn same_as_in_memory(task: &Task, root: &Path, options: &LoadOptions, folder: Option<&Path>) {
    let tokenizer = tokenizer();
    let rows = open_task(task, root, options, RowEncoder::apart(tokenizer), LENGTHS, folder).expect("a task");
    let data = load_task(task, root, options).expect("a task");
    let encode = |examples| {
        tokenizer
            .encode_examples(examples, LENGTHS.source, LENGTHS.target)
            .expect("texts")
    };
    let name = task.name();
    let (found, targets, validation, test) = content(&rows);
    assert!(found == encode(&data.train), "{name}: training rows");
    let expected: Vec<&str> = data.train.iter().map(|example| example.target.as_str()).collect();
    assert_eq!(targets, expected, "{name}");
    for (row, encoded) in found.iter().enumerate() {
        assert_eq!(rows.train.source_length(row), encoded.source.len(), "{name}, row {row}");
    }
    assert!(
        validation == (encode(&data.validation), Right::of_examples(&data.validation)),
        "{name}: validation"
    );
    assert!(
        test == (encode(&data.test), Right::of_examples(&data.test)),
        "{name}: test"
    );
    assert_eq!(rows.files, data.files, "{name}");
}

#[test]
fn rows_are_those_of_the_loader() {
    let kept = tempfile::tempdir().expect("a temporary folder");
    // One sentence, two, a score; the others only where tests take their time, as in CI.
    let names = ["cola", "stsb", "rte", "mnli", "mrpc", "qnli", "qqp", "sst2"];
    let tried = if thorough() { names.len() } else { 3 };
    for name in &names[..tried] {
        let (root, options) = (datasets("glue-sample"), LoadOptions::default());
        same_as_in_memory(&task(name), &root, &options, None);
        for _ in 0..2 {
            same_as_in_memory(&task(name), &root, &options, Some(kept.path()));
        }
        let few = LoadOptions {
            few_shot: (*name != "stsb").then_some(FewShot { rows: 12, seed: 3 }),
            rounding: ScoreRounding::Fifth,
            ..options
        };
        same_as_in_memory(&task(name), &root, &few, Some(kept.path()));
    }
}

#[test]
fn groups_and_several_right_answers_come_back() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let question = |number: usize| {
        format!(
            r#"{{"idx": {number}, "passage": {{"text": "Ann sold boat {number}.", "questions": [{{"question": "What?", "answers": [{{"text": "A boat", "label": 1, "idx": 0}}, {{"text": "A car", "label": 0, "idx": 1}}], "idx": 0}}]}}}}"#
        ) + "\n"
    };
    let lines: String = (0..6).map(question).collect();
    for name in ["train.jsonl", "val.jsonl"] {
        fs::write(root.path().join(name), &lines).expect("a writable folder");
    }
    same_as_in_memory(&task("multirc"), root.path(), &LoadOptions::default(), None);

    let root = tempfile::tempdir().expect("a temporary folder");
    let row = |number: usize| {
        format!(
            r#"{{"id": "{number}", "context": "Ann has {number} boats — or more.", "question": "How many?", "answers": {{"text": ["{number}", "{number} boats"], "answer_start": [8, 8]}}}}"#
        ) + "\n"
    };
    let lines: String = (0..1200).map(row).collect();
    for name in ["train.jsonl", "validation.jsonl"] {
        fs::write(root.path().join(name), &lines).expect("a writable folder");
    }
    same_as_in_memory(&task("squad"), root.path(), &LoadOptions::default(), Some(root.path()));
}

#[test]
fn the_second_opening_reads_what_the_first_has_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = open("rte", Some(folder.path()));
    assert_eq!(origins(&made), [RowsOrigin::Made; 2]);
    let written: Vec<Vec<u8>> = stores(folder.path())
        .iter()
        .map(|path| fs::read(path).expect("a store"))
        .collect();
    assert_eq!(written.len(), 2);
    let reused = open("rte", Some(folder.path()));
    assert_eq!(origins(&reused), [RowsOrigin::Reused; 2]);
    assert!(content(&made) == content(&reused));
    assert_eq!(made.files, reused.files);
    // The bytes are a function of the data only.
    let again = tempfile::tempdir().expect("a temporary folder");
    open("rte", Some(again.path()));
    let anew: Vec<Vec<u8>> = stores(again.path())
        .iter()
        .map(|path| fs::read(path).expect("a store"))
        .collect();
    assert!(written == anew);
}

#[test]
fn lengths_are_cut_when_rows_are_read_so_that_they_share_a_store() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (tokenizer, options) = (tokenizer(), LoadOptions::default());
    let long = open("mrpc", Some(folder.path()));
    let short = Lengths { source: 5, target: 1 };
    let root = datasets("glue-sample");
    let short = open_task(
        &task("mrpc"),
        &root,
        &options,
        RowEncoder::apart(tokenizer),
        short,
        Some(folder.path()),
    )
    .expect("a task");
    assert_eq!(origins(&short), [RowsOrigin::Reused; 2]);
    let end = tokenizer.token_id("</s>").expect("the end of a text");
    for (row, (long, short)) in train(&long).iter().zip(&train(&short)).enumerate() {
        assert_eq!(short.source.len(), 5, "row {row}");
        assert_eq!(short.source[..4], long.source[..4], "row {row}");
        assert_eq!(
            (short.source[4], short.target.as_slice()),
            (end, &[end][..]),
            "row {row}"
        );
    }
}

#[test]
fn damaged_stores_are_made_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Only a few rows, since they are tokenised some hundred times.
    let root = tempfile::tempdir().expect("a temporary folder");
    for file in ["train.tsv", "dev.tsv"] {
        let text = fs::read_to_string(datasets("glue-sample/RTE").join(file)).expect("a file");
        let lines: Vec<&str> = text.split_inclusive('\n').take(9).collect();
        fs::write(root.path().join(file), lines.concat()).expect("a writable folder");
    }
    let open = || open_in("rte", root.path(), Some(folder.path()));
    let whole = content(&open());
    for path in stores(folder.path()) {
        let bytes = fs::read(&path).expect("a store");
        let mut places: Vec<usize> = (0..120).chain([bytes.len() - 1]).collect();
        places.extend((120..bytes.len()).step_by(bytes.len() / 50));
        let flipped = places.into_iter().map(|place| {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << (place % 8);
            (format!("byte {place}"), damaged)
        });
        let cut = [0, 1, 119, 120, 121, bytes.len() / 2, bytes.len() - 1];
        let cut = cut.map(|length| (format!("cut to {length}"), bytes[..length].to_vec()));
        let longer = [("longer".to_owned(), [&bytes[..], b"x"].concat())];
        for (what, damaged) in flipped.chain(cut).chain(longer) {
            fs::write(&path, damaged).expect("a writable folder");
            let rows = open();
            let damaged = origins(&rows)
                .iter()
                .filter(|origin| **origin == RowsOrigin::Damaged)
                .count();
            assert_eq!(damaged, 1, "{what}");
            assert!(content(&rows) == whole, "{what}");
            assert!(fs::read(&path).expect("a store") == bytes, "{what}");
        }
    }
    assert_eq!(stores(folder.path()).len(), 2, "nothing else is left");
}

#[test]
fn whatever_decides_the_rows_decides_their_store() {
    let kept = tempfile::tempdir().expect("a temporary folder");
    let root = tempfile::tempdir().expect("a temporary folder");
    for file in ["train.tsv", "dev.tsv"] {
        fs::copy(datasets("glue-sample/RTE").join(file), root.path().join(file)).expect("a writable folder");
    }
    let options = LoadOptions::default();
    let opened = |task: &Task, options: &LoadOptions, tokenizer: &TextTokenizer| {
        let rows = open_task(
            task,
            root.path(),
            options,
            RowEncoder::apart(tokenizer),
            LENGTHS,
            Some(kept.path()),
        )
        .expect("a task");
        origins(&rows)
    };
    use RowsOrigin::{Made, Reused};
    let (rte, own) = (task("rte"), tokenizer());
    assert_eq!(opened(&rte, &options, own), [Made, Made]);
    assert_eq!(opened(&rte, &options, own), [Reused, Reused]);
    // Few-shot subsets select from the same rows.
    let few = LoadOptions {
        few_shot: Some(FewShot { rows: 8, seed: 1 }),
        ..options
    };
    assert_eq!(opened(&rte, &few, own), [Reused, Reused]);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pretrain");
    let other = TextTokenizer::from_dir(&fixture).expect("another tokenizer");
    assert_eq!(opened(&rte, &options, &other), [Made, Made], "another tokenizer");
    let slips = LoadOptions {
        reference: true,
        ..options
    };
    assert_eq!(opened(&rte, &slips, own), [Made, Made], "another option");
    // One letter of a row changes: only that file's store is different.
    let dev = root.path().join("dev.tsv");
    let text = fs::read_to_string(&dev).expect("a file");
    fs::write(&dev, text.replacen(" the ", " thy ", 1)).expect("a writable folder");
    assert_eq!(
        opened(&rte, &options, own)
            .iter()
            .filter(|origin| **origin == Made)
            .count(),
        1,
        "other data"
    );
    let card = root.path().join("rte.toml");
    let text = include_str!("../../tasks/rte.toml");
    fs::write(&card, format!("{text}\n# changed\n")).expect("a writable folder");
    let changed = Task::from_file(&card).expect("a card");
    assert_eq!(opened(&changed, &options, own), [Made, Made], "another card");
    // The same bytes with another time and place are the same data.
    let moved = tempfile::tempdir().expect("a temporary folder");
    for file in ["train.tsv", "dev.tsv"] {
        fs::copy(root.path().join(file), moved.path().join(file)).expect("a writable folder");
    }
    assert_eq!(
        origins(&open_in("rte", moved.path(), Some(kept.path()))),
        [Reused, Reused]
    );
}

#[test]
fn faulty_data_leaves_nothing_behind() {
    let kept = tempfile::tempdir().expect("a temporary folder");
    let root = tempfile::tempdir().expect("a temporary folder");
    let text = fs::read_to_string(datasets("glue-sample/RTE/train.tsv")).expect("a file");
    fs::write(root.path().join("train.tsv"), text + "9999\tone field\n").expect("a writable folder");
    fs::copy(datasets("glue-sample/RTE/dev.tsv"), root.path().join("dev.tsv")).expect("a writable folder");
    let options = LoadOptions::default();
    let error = open_task(
        &task("rte"),
        root.path(),
        &options,
        RowEncoder::apart(tokenizer()),
        LENGTHS,
        Some(kept.path()),
    )
    .expect_err("a line with two fields");
    assert!(error.to_string().contains("train.tsv"), "{error}");
    assert_eq!(stores(kept.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let file = root.path().join("file");
    fs::write(&file, "").expect("a writable folder");
    let options = LoadOptions::default();
    let rte = datasets("glue-sample");
    let error = open_task(
        &task("rte"),
        &rte,
        &options,
        RowEncoder::apart(tokenizer()),
        LENGTHS,
        Some(&file),
    )
    .expect_err("a file");
    assert!(
        matches!(error, DataError::Io { .. } | DataError::Write { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[test]
fn batches_of_stored_rows_are_those_of_rows_in_memory() {
    let rows = open("sst2", None);
    let held = train(&rows);
    let options = BatchOptions {
        layout: Layout::Apart,
        batch_size: 16,
        max_source_length: LENGTHS.source,
        buckets: vec![8, 16, LENGTHS.source],
        pad_to_max: false,
        pad_id: 0,
        target_width: 2,
    };
    let stored = Batcher::new(&rows.train, options.clone()).expect("options without a fault");
    let held = Batcher::new(&held, options).expect("options without a fault");
    for step in 0..2 * held.batches_per_epoch() {
        let batch = stored.train_batch(7, step).expect("a stored row");
        assert!(batch == held.train_batch(7, step).expect("a row"), "{step}");
    }
    assert!(stored.evaluation_batches().expect("stored rows") == held.evaluation_batches().expect("rows"));
}

#[test]
fn what_targets_are_most_often_and_on_average() {
    let check = |targets: &[&str], most_frequent: &str, mean: Option<f64>| {
        let root = tempfile::tempdir().expect("a temporary folder");
        let lines: String = targets
            .iter()
            .map(|target| format!("{{\"source\": \"x\", \"target\": \"{target}\"}}\n"))
            .collect();
        for file in ["train.jsonl", "validation.jsonl", "test.jsonl"] {
            fs::write(root.path().join(file), &lines).expect("a writable folder");
        }
        let train = open_in("text", root.path(), None).train;
        assert_eq!(
            train.most_frequent_target().expect("rows").as_deref(),
            Some(most_frequent)
        );
        assert_eq!(train.mean_target().expect("rows"), mean);
    };
    check(&["b", "a", "b"], "b", None);
    // Ties are resolved by value order.
    check(&["c", "b", "a", "b", "c"], "b", None);
    check(&["z", "1.5", "1.5", "6.0"], "1.5", Some(3.0));
}
