//! What texts lose in tokenisation: counted per split, with an example, both for a new store and for a reused one.

use std::fs;
use std::path::Path;

use adept_data::{
    Lengths, LoadOptions, Loss, LossCounter, LossKind, LossyText, RowEncoder, RowsOrigin, SplitLosses, Task,
    TextTokenizer, open_task, split_losses,
};

fn checkpoint(path: &str) -> TextTokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    TextTokenizer::from_dir(&folder).expect("a tokenizer of the repository")
}

/// Rows of source and target in one folder, one file per split.
fn files(train: &[(&str, &str)], validation: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, rows: &[(&str, &str)]| {
        let line = |(source, target): &(&str, &str)| {
            serde_json::json!({ "source": source, "target": target }).to_string() + "\n"
        };
        fs::write(root.path().join(name), rows.iter().map(line).collect::<String>()).expect("a writable folder");
    };
    write("train.jsonl", train);
    write("validation.jsonl", validation);
    write("test.jsonl", &[("a song", "a film")]);
    root
}

/// The losses of the task `text` in this folder, and how its stores were obtained.
fn losses(
    root: &Path,
    tokenizer: &TextTokenizer,
    lengths: Lengths,
    kept: &Path,
) -> (Vec<SplitLosses>, Vec<RowsOrigin>) {
    let text = Task::named("text").expect("a task's name");
    let rows = open_task(
        &text,
        root,
        &LoadOptions::default(),
        RowEncoder::apart(tokenizer),
        lengths,
        Some(kept),
    )
    .expect("good rows");
    (rows.losses, rows.origins.into_values().collect())
}

/// Text, kind and number of rows of each loss in a split.
fn counts(losses: &[SplitLosses], split: &str) -> Vec<(LossyText, LossKind, usize)> {
    let of = losses.iter().filter(|losses| losses.split == split);
    of.flat_map(|losses| losses.losses.iter().map(|loss| (loss.text, loss.kind, loss.rows)))
        .collect()
}

fn find(losses: &[SplitLosses], split: &str, text: LossyText, kind: LossKind) -> Loss {
    let mut all = losses
        .iter()
        .filter(|losses| losses.split == split)
        .flat_map(|losses| &losses.losses);
    all.find(|loss| (loss.text, loss.kind) == (text, kind))
        .expect("it is counted")
        .clone()
}

#[test]
fn every_kind_is_counted_in_its_split_and_the_cache_knows_it_too() {
    use LossKind::{Altered, Cut, Unknown};
    use LossyText::{Source, Target};
    let root = files(
        &[
            ("a song", "a film"),
            ("make json", "{\"a\": 0}"),
            ("the \u{4e2d} film", "a song"),
            ("one  song,  two songs", "a film\nand a song"),
            ("a song and a film and a song and a film and a song", "a film"),
            ("a song ", "{}"),
        ],
        &[("a song", "a film and a song and a film and a song and a film")],
    );
    let kept = tempfile::tempdir().expect("a temporary folder");
    let tokenizer = checkpoint("datasets/backbones/t5-nano");
    let lengths = Lengths { source: 11, target: 10 };
    let (made, origins) = losses(root.path(), &tokenizer, lengths, kept.path());
    assert_eq!(origins, [RowsOrigin::Made; 3]);
    assert_eq!(
        counts(&made, "training"),
        [
            (Source, Cut, 1),
            (Source, Unknown, 1),
            (Source, Altered, 1),
            (Target, Unknown, 2),
            (Target, Altered, 1)
        ]
    );
    assert_eq!(counts(&made, "validation"), [(Target, Cut, 1)]);
    assert_eq!(counts(&made, "test"), []);

    let unknown = find(&made, "training", Target, Unknown);
    assert_eq!(
        (unknown.example.row, unknown.example.before.as_str()),
        (2, "{\"a\": 0}")
    );
    assert!(unknown.example.after.starts_with("<unk>"), "{unknown:?}");
    let altered = find(&made, "training", Target, Altered).example;
    assert_eq!(
        (altered.row, altered.before.as_str(), altered.after.as_str()),
        (4, "a film\nand a song", "a film and a song")
    );
    let cut = find(&made, "validation", Target, Cut);
    assert_eq!(cut.limit, Some(10));
    assert!(cut.longest > Some(10), "{cut:?}");
    assert!(cut.example.before.starts_with(&cut.example.after), "{cut:?}");

    let (reused, origins) = losses(root.path(), &tokenizer, lengths, kept.path());
    assert_eq!(origins, [RowsOrigin::Reused; 3]);
    assert_eq!(reused, made);
    // Truncation happens when rows are read: the same stores report fewer losses with longer limits, and more with
    // shorter ones.
    let (roomy, _) = losses(root.path(), &tokenizer, Lengths { source: 64, target: 64 }, kept.path());
    assert_eq!(counts(&roomy, "validation"), []);
    let (narrow, origins) = losses(root.path(), &tokenizer, Lengths { source: 2, target: 2 }, kept.path());
    assert_eq!(origins, [RowsOrigin::Reused; 3]);
    assert_eq!(find(&narrow, "training", Source, Cut).rows, 6);
    assert_eq!(counts(&narrow, "test"), [(Source, Cut, 1), (Target, Cut, 1)]);
}

#[test]
fn a_tokenizer_of_bytes_loses_neither_braces_nor_line_breaks() {
    let rows = [
        ("def f():\n    return {0:  1}", "{\"a\": 0}\n\n\tx "),
        ("\u{4e2d}\u{e9} \u{1f600}", " \u{bd} "),
    ];
    for name in ["llama", "codegen"] {
        let tokenizer = checkpoint(&format!("tests/goldens/{name}"));
        let (root, kept) = (files(&rows, &rows), tempfile::tempdir().expect("a temporary folder"));
        let (found, _) = losses(
            root.path(),
            &tokenizer,
            Lengths {
                source: 200,
                target: 200,
            },
            kept.path(),
        );
        assert_eq!(found, [], "{name}");
    }
}

#[test]
fn texts_are_counted_as_they_come_too() {
    let tokenizer = checkpoint("datasets/backbones/t5-nano");
    let mut counter = LossCounter::new(LossyText::Source, 6);
    for (row, text) in ["a song", "a { b", "a song and a film and a song"]
        .into_iter()
        .enumerate()
    {
        let ids = tokenizer.encode(text, usize::MAX).expect("a text");
        counter
            .add(RowEncoder::apart(&tokenizer), row, text, &ids)
            .expect("ids of the vocabulary");
    }
    let found = split_losses("input", 3, [counter]).expect("two rows lose something");
    let lines: Vec<String> = found.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("1 of 3 input sources are cut to 6 tokens"),
        "{lines:?}"
    );
    assert!(
        lines[1].contains("<unk>") && lines[1].contains("row 2: \"a { b\""),
        "{lines:?}"
    );
}
