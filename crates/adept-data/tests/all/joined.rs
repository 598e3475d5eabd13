//! Rows of decoder-only backbones: joined by a card's template or a chat template, truncated, stored on disk.

use std::path::Path;

use adept_data::{
    BatchOptions, Batcher, ChatTemplate, DataError, Encoded, IGNORED_LABEL, JoinedText, Layout, Lengths, LoadOptions,
    Positions, RowEncoder, RowTemplate, RowsOrigin, Task, TaskRows, TextTokenizer, TrainedAnswers, open_task,
};

use crate::common::folder;

/// Its tokenizer prepends token 280; 281 is its end-of-text token.
fn llama() -> TextTokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/llama");
    TextTokenizer::from_dir(&folder).expect("a tokenizer")
}

const END: u32 = 281;

fn joined(template: &str) -> JoinedText {
    JoinedText {
        template: RowTemplate::parse(template).expect("a template"),
        chat: None,
        end: END,
        answers: TrainedAnswers::All,
    }
}

fn open(root: &Path, encoder: RowEncoder<'_>, lengths: Lengths, kept: &Path) -> TaskRows {
    let (text, options) = (Task::named("text").expect("a task"), LoadOptions::default());
    open_task(&text, root, &options, encoder, lengths, Some(kept)).expect("good rows")
}

#[test]
fn rows_are_stored_as_they_are_joined() {
    let rows = |count: usize| -> String {
        let row = |number: usize| {
            format!(
                "{{\"source\": \"{} a film\", \"target\": \"it is good\"}}\n",
                "so ".repeat(number % 9)
            )
        };
        (0..count).map(row).collect()
    };
    let root = folder(&[
        ("train.jsonl", rows(30)),
        ("validation.jsonl", rows(5)),
        ("test.jsonl", rows(5)),
    ]);
    let kept = tempfile::tempdir().expect("a temporary folder");
    let tokenizer = llama();
    let (spaced, other) = (joined("{source} {target}"), joined("Q: {source}\nA: {target}"));
    let wide = Lengths { source: 99, target: 99 };
    let found = open(root.path(), RowEncoder::joined(&tokenizer, &spaced), wide, kept.path());
    assert_eq!(found.origins["train"], RowsOrigin::Made);
    assert_eq!(found.losses, []);
    let text = |row: &Encoded| {
        let whole = [row.source.as_slice(), &row.target].concat();
        assert_eq!((whole.first(), whole.last()), (Some(&280), Some(&END)));
        tokenizer.decode(&whole, true).expect("ids of the vocabulary")
    };
    assert_eq!(text(&found.train.read(2).expect("a row")), "so so  a film it is good");
    assert_eq!(found.validation.1.targets[0], "it is good");
    // Another template yields another store; the same one again reuses the store.
    let again = open(root.path(), RowEncoder::joined(&tokenizer, &other), wide, kept.path());
    assert_eq!(again.origins["train"], RowsOrigin::Made);
    assert_eq!(text(&again.train.read(0).expect("a row")), "Q:  a film\nA: it is good");
    // Truncated: the prompt keeps its end, and so does the target.
    let narrow = Lengths { source: 4, target: 3 };
    let cut = open(
        root.path(),
        RowEncoder::joined(&tokenizer, &spaced),
        narrow,
        kept.path(),
    );
    assert_eq!(cut.origins["train"], RowsOrigin::Reused);
    let (whole, row) = (found.train.read(8).expect("a row"), cut.train.read(8).expect("a row"));
    assert_eq!(row.source, [&[280], &whole.source[whole.source.len() - 3..]].concat());
    assert_eq!(row.target, [&whole.target[..2], &[END]].concat());
    assert_eq!((cut.train.source_length(8), cut.train.target_length(8)), (4, 3));
    let lines: Vec<String> = cut.losses[0].lines().collect();
    assert!(
        lines[0].starts_with("30 of 30 training sources are cut to 4 tokens"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("30 of 30 training targets are cut to 3 tokens"),
        "{lines:?}"
    );
}

#[test]
fn a_chat_template_wraps_the_prompt() {
    let tokenizer = llama();
    let root = folder(&[
        (
            "chat_template.jinja",
            "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<answer>".to_owned(),
        ),
        (
            "tokenizer_config.json",
            "{\"bos_token\": \"<|begin_of_text|>\"}".to_owned(),
        ),
    ]);
    let text = JoinedText {
        chat: Some(ChatTemplate::from_dir(root.path()).expect("a template")),
        ..joined("{source} Good or bad? {target}")
    };
    let encoder = RowEncoder::joined(&tokenizer, &text);
    assert_eq!(
        encoder.prompt("a film").expect("it renders"),
        "<|begin_of_text|><user>a film Good or bad?<answer>"
    );
    let ids = encoder.source("a film").expect("it renders");
    assert_eq!(
        ids.iter().filter(|id| **id == 280).count(),
        1,
        "the template writes the beginning, nobody else"
    );
    assert_eq!(ids[0], 280);
    // The answer begins where the template ends, without a space.
    let target = encoder.target("good").expect("ids");
    assert_eq!(tokenizer.decode(&target, true).expect("text"), "good");
    let root = folder(&[(
        "chat_template.jinja",
        "{{ raise_exception(messages[0].content) }}".to_owned(),
    )]);
    let text = JoinedText {
        chat: Some(ChatTemplate::from_dir(root.path()).expect("a template")),
        ..joined("{source} {target}")
    };
    let failed = RowEncoder::joined(&tokenizer, &text).sources(&["fine", "else"]);
    assert!(matches!(failed, Err(DataError::Chat(_))), "{failed:?}");
}

#[test]
fn prompts_are_batched_without_their_targets() {
    let rows: Vec<Encoded> = [(2, 3), (4, 1), (9, 1), (0, 1)]
        .into_iter()
        .map(|(source, target)| Encoded::new((10..10 + source).collect(), vec![7; target]))
        .collect();
    let options = BatchOptions {
        layout: Layout::Prompts(Positions::Tokens),
        batch_size: 4,
        max_source_length: 6,
        buckets: vec![4, 6],
        pad_to_max: false,
        pad_id: 0,
        target_width: 1,
    };
    let batcher = Batcher::new(&rows, options).expect("good options");
    let batch = batcher.evaluation_batches().expect("rows in memory").remove(0);
    assert_eq!(batch.rows, [0, 1, 3, 2], "by the width of the source alone");
    assert_eq!(
        batch.input_ids.chunks(6).collect::<Vec<_>>(),
        [
            [0, 0, 0, 0, 10, 11],
            [0, 0, 10, 11, 12, 13],
            [0; 6],
            [13, 14, 15, 16, 17, 18],
        ]
    );
    assert_eq!(batch.positions[..6], [0, 0, 0, 0, 0, 1]);
    assert!(batch.labels.iter().all(|label| *label == IGNORED_LABEL));
    assert_eq!(batch.mask[12..18], [false; 6]);
}

#[test]
fn a_card_says_how_its_rows_are_joined() {
    let card = |more: &str| {
        format!(
            "name = \"mine\"\n{more}\n[source]\npieces = [{{ field = \"text\" }}]\n[target]\nkind = \"class\"\nclasses = \
             [\"no\", \"yes\"]\n[metrics]\nall = [\"accuracy\"]\n"
        )
    };
    let template = |more: &str| Task::from_card(&card(more)).map(|task| task.card().row_template());
    let of = |text: &str| RowTemplate::parse(text).expect("a template");
    assert_eq!(template(""), Ok(of("{source} {target}")));
    assert_eq!(
        template("template = \"{source}\\nLabel: {target}\""),
        Ok(of("{source}\nLabel: {target}"))
    );
    let refused = template("template = \"{text} {target}\"").expect_err("no such field");
    assert!(
        refused.starts_with("line 2: `template`: expected the fields {source} and {target}, found {text}"),
        "{refused}"
    );
    let refused = template("template = \"{source}\"").expect_err("no target");
    assert!(
        refused.contains("expected {target} exactly once, found it 0 times"),
        "{refused}"
    );
    let mbpp = Task::named("mbpp").expect("a task");
    assert_eq!(mbpp.card().row_template(), of("{source}{target}"));
}
