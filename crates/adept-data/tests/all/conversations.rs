//! Conversations from files to token ids and labels, against transformers' `apply_chat_template` with
//! `return_assistant_tokens_mask` (tests/generators/conversation_reference.py).

use std::fs;
use std::path::Path;

use adept_data::{
    BatchOptions, Batcher, ChatTemplate, Conversation, ConversationPlace, DataError, Encoded, EndsWith, IGNORED_LABEL,
    JoinedText, Layout, Lengths, LoadOptions, Positions, RawMessages, RowEncoder, RowTemplate, Task, TaskRows,
    TextTokenizer, TrainedAnswers, load_task, open_task, own_task,
};
use serde_json::{Value, json};

use crate::common::folder;

const LONG: Lengths = Lengths {
    source: 4096,
    target: 4096,
};

fn fixture() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conversations.json");
    serde_json::from_slice(&fs::read(path).expect("a fixture")).expect("JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn ids(value: &Value) -> Vec<u32> {
    let number = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    list(value).iter().map(|id| number(id).expect("an id")).collect()
}

/// A tokenizer of the fixture with one of its templates.
fn reader(case: &Value, template: &str, answers: TrainedAnswers) -> (TextTokenizer, JoinedText) {
    let text = |key: &str| case[key].as_str().expect("a text").to_owned();
    let root = folder(&[
        ("tokenizer.json", text("tokenizer")),
        ("tokenizer_config.json", case["tokens"].to_string()),
        ("chat_template.jinja", text(template)),
    ]);
    let joined = JoinedText {
        template: RowTemplate::adjacent(),
        chat: Some(ChatTemplate::from_dir(root.path()).expect("a template")),
        end: 2,
        answers,
    };
    (TextTokenizer::from_dir(root.path()).expect("a tokenizer"), joined)
}

/// The rows of JSON lines that all are training rows.
fn rows(lines: &[Value], encoder: RowEncoder<'_>, lengths: Lengths) -> Result<TaskRows, DataError> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let held_out = format!("{}\n", lines[0]);
    let root = folder(&[
        ("train.jsonl", text),
        ("validation.jsonl", held_out.clone()),
        ("test.jsonl", held_out),
    ]);
    let task = Task::named("chat").expect("a built-in task");
    open_task(&task, root.path(), &LoadOptions::default(), encoder, lengths, None)
}

fn train(rows: &TaskRows) -> Vec<Encoded> {
    let read = |row| rows.train.read(row).expect("a stored row");
    (0..rows.train.len()).map(read).collect()
}

/// Ids and mask of a row.
fn masked(row: &Encoded) -> (Vec<u32>, Vec<u32>) {
    let mut mask = vec![0; row.source.len()];
    for answer in &row.answers {
        mask[answer.clone()].fill(1);
    }
    mask.extend(row.target.iter().map(|_| 1));
    ([row.source.as_slice(), &row.target].concat(), mask)
}

#[test]
fn ids_and_labels_are_those_of_transformers() {
    let cases = fixture();
    for case in &cases {
        let lines: Vec<Value> = list(&case["rows"])
            .iter()
            .map(|expected| expected["row"].clone())
            .collect();
        for template in ["plain", "tagged"] {
            let (tokenizer, text) = reader(case, template, TrainedAnswers::All);
            let encoder = RowEncoder::joined(&tokenizer, &text);
            let read = rows(&lines, encoder, LONG).expect("conversations");
            assert_eq!(read.losses, [], "{}", case["name"]);
            let end = case["tokens"]["eos_token"].as_str().expect("a token");
            assert_eq!(
                encoder.turn_end().expect("ids"),
                tokenizer.token_id(end),
                "{}",
                case["name"]
            );
            for (row, expected) in train(&read).iter().zip(list(&case["rows"])) {
                let (all, mask) = (ids(&expected["ids"]), ids(&expected["mask"]));
                let kept = mask.iter().rposition(|label| *label == 1).expect("an answer") + 1;
                let found = masked(row);
                assert_eq!(
                    found.0,
                    all[..kept],
                    "{} {template}: {}",
                    case["name"],
                    expected["text"]
                );
                assert_eq!(
                    found.1,
                    mask[..kept],
                    "{} {template}: {}",
                    case["name"],
                    expected["text"]
                );
                let messages = list(&expected["row"]["messages"]);
                let asked = RawMessages {
                    items: messages[..messages.len() - 1].iter().collect(),
                    first_trained: 0,
                    row: expected["row"].as_object().expect("a row"),
                };
                let place = ConversationPlace {
                    file: Path::new("x").into(),
                    line: 1,
                };
                let asked = Conversation::read("messages", &asked, EndsWith::Question, place).expect("a question");
                let prompt = encoder.question(&asked).expect("it renders");
                assert_eq!(
                    encoder.prompt_ids(&[prompt]).expect("ids"),
                    [ids(&expected["question"])],
                    "{}",
                    expected["text"]
                );
            }
        }
    }
}

#[test]
fn an_answer_that_calls_tools_is_compared_as_it_is_written() {
    let case = &fixture()[3];
    let (tokenizer, text) = reader(case, "plain", TrainedAnswers::All);
    let lines: Vec<Value> = [1, 2].map(|row| list(&case["rows"])[row]["row"].clone()).into();
    let read = rows(&lines, RowEncoder::joined(&tokenizer, &text), LONG).expect("conversations");
    let target = |row| read.train.target(row).expect("a target");
    let call = "\n<call>{\"name\": \"depth\", \"arguments\": ";
    let bare = format!(r#"{call}{{"unit": "m", "place": "<é>"}}}}"#);
    let other = format!(r#"{call}{{"place": "harbour", "exact": true}}}}"#);
    assert_eq!(target(0), format!("I look.{bare}{other}"));
    assert_eq!(target(1), bare);
}

#[test]
fn the_last_answer_alone_or_those_behind_a_prompt() {
    let case = &fixture()[0];
    let messages = &list(&case["rows"])[1]["row"]["messages"];
    let (prompt, completion) = list(messages).split_at(2);
    let answers = |line: Value, template: &str, trained| {
        let (tokenizer, text) = reader(case, template, trained);
        let read = rows(&[line], RowEncoder::joined(&tokenizer, &text), LONG).expect("a conversation");
        let row = train(&read).remove(0);
        let earlier = row.answers.iter().map(|answer| &row.source[answer.clone()]);
        let spans: Vec<&[u32]> = earlier.chain([row.target.as_slice()]).collect();
        let texts = spans.into_iter().map(|ids| tokenizer.decode(ids, true).expect("text"));
        (texts.collect::<Vec<_>>(), read.train.target(0).expect("a target"))
    };
    let all = json!({ "messages": messages });
    let split = json!({"prompt": prompt, "completion": completion});
    let mut weighed = all.clone();
    weighed["messages"][3]["weight"] = json!(0);
    let beside = json!({"system": "Be brief.", "prompt": prompt, "completion": completion});
    let list = "A list:\n- one\n- two\n".to_owned();
    for template in ["plain", "tagged"] {
        let found = answers(all.clone(), template, TrainedAnswers::All);
        assert_eq!(found.0, ["It is.", "Warmer.", list.as_str()]);
        assert_eq!(found.1, list, "what a generated answer is compared with");
        assert_eq!(
            answers(all.clone(), template, TrainedAnswers::Last).0,
            std::slice::from_ref(&list)
        );
        for split in [&split, &beside] {
            let found = answers(split.clone(), template, TrainedAnswers::All).0;
            assert_eq!(found, ["Warmer.", list.as_str()]);
        }
        let found = answers(weighed.clone(), template, TrainedAnswers::All).0;
        assert_eq!(
            found,
            ["It is.", list.as_str()],
            "an answer of no weight is not learned"
        );
    }
}

#[test]
fn long_conversations_lose_their_beginning_and_count_it() {
    let case = &fixture()[0];
    let line = json!({"messages": list(&case["rows"])[1]["row"]["messages"]});
    let (tokenizer, text) = reader(case, "plain", TrainedAnswers::All);
    let encoder = RowEncoder::joined(&tokenizer, &text);
    let whole = train(&rows(std::slice::from_ref(&line), encoder, LONG).expect("a conversation")).remove(0);
    // The cut is within the first answer, of which two tokens are left; nothing precedes the first of them.
    let lost = whole.answers[0].end - 2;
    let lengths = Lengths {
        source: whole.source.len() - lost,
        target: 5,
    };
    let read = rows(&[line], encoder, lengths).expect("a conversation");
    let row = train(&read).remove(0);
    assert_eq!(row.source, whole.source[lost..]);
    assert_eq!(
        row.answers,
        [1..2, whole.answers[1].start - lost..whole.answers[1].end - lost]
    );
    let (head, end) = (&whole.target[..4], whole.target.last().copied());
    assert_eq!(
        (&row.target[..4], row.target.last().copied()),
        (head, end),
        "the end of the turn is kept"
    );
    let lines: Vec<String> = read.losses[0].lines().collect();
    assert!(lines[0].contains("1 of 1 training sources are cut to"), "{lines:?}");
    assert!(
        lines[1].contains("1 of 1 training targets are cut to 5 tokens"),
        "{lines:?}"
    );

    // Labels follow what is kept.
    let options = BatchOptions {
        layout: Layout::Joined(Positions::Tokens),
        batch_size: 1,
        max_source_length: row.source.len() + 4,
        buckets: vec![row.source.len() + 4],
        pad_to_max: false,
        pad_id: 0,
        target_width: 5,
    };
    let batch = Batcher::new(std::slice::from_ref(&row), options).expect("options");
    let batch = batch.evaluation_batches().expect("a batch").remove(0);
    // The row is one token longer than the batch is wide, so that nothing is left to predict the second one from.
    let (_, mut mask) = masked(&row);
    assert_eq!(std::mem::take(&mut mask[1]), 1);
    for ((id, label), mask) in batch.input_ids.iter().zip(&batch.labels).zip(&mask[1..]) {
        assert_eq!(*label, if *mask == 1 { *id } else { IGNORED_LABEL });
    }
}

#[test]
fn the_first_row_says_what_a_file_holds() {
    let chat = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;
    let shared = r#"{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}"#;
    let split =
        r#"{"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]}"#;
    let root = folder(&[
        (
            "text.jsonl",
            "{\"source\": \"a\", \"target\": \"b\", \"messages\": []}\n".to_owned(),
        ),
        ("text.csv", "source,target\na,b\n".to_owned()),
        (
            "completion.jsonl.gz",
            "{\"prompt\": \"a\", \"completion\": \"b\"}\n".to_owned(),
        ),
        ("completion.tsv", "completion\tprompt\nb\ta\n".to_owned()),
        ("chat.jsonl", format!("\n{chat}\n")),
        ("chat.json", format!("[{chat}]")),
        ("chat-shared.jsonl", shared.to_owned()),
        ("chat-split.jsonl", split.to_owned()),
        // The row has a fault of its own.
        ("chat-fault.jsonl", "{\"messages\": []}\n".to_owned()),
    ]);
    for name in fs::read_dir(root.path()).expect("a folder") {
        let path = name.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let expected = name.split(['.', '-']).next();
        assert_eq!(own_task(&path).ok().map(Task::name), expected, "{name}");
    }
    let message = |name: &str, text: &str| {
        let root = folder(&[(name, text.to_owned())]);
        let error = own_task(&root.path().join(name)).map(Task::name).expect_err("no form");
        error.to_string().replace(&root.path().display().to_string(), "DIR")
    };
    let other = message("rows.jsonl", "{\"question\": \"a\"}\n");
    for part in [
        "`source`",
        "`prompt`",
        "`messages`",
        "`conversations`",
        "found question",
    ] {
        assert!(other.contains(part), "{part} in {other}");
    }
    assert!(message("rows.jsonl", "{\"question\": \n").starts_with("DIR/rows.jsonl:1: expected one JSON object"));
    assert!(message("rows.jsonl", "").contains("expected at least one row"));
}

#[test]
fn a_row_that_is_no_conversation_is_named_with_its_line() {
    let good = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;
    let load = |lines: &[&str]| {
        let root = folder(&[("chat.jsonl", lines.join("\n"))]);
        let task = Task::named("chat").expect("a built-in task");
        let loaded = load_task(&task, &root.path().join("chat.jsonl"), &LoadOptions::default());
        let message = loaded.expect_err("a fault").to_string();
        message.replace(&root.path().display().to_string(), "DIR")
    };
    assert_eq!(
        load(&[good, r#"{"messages": [{"role": "user", "content": "a"}]}"#]),
        "DIR/chat.jsonl:2: field `messages`: expected a message of the assistant, found none in 1 messages"
    );
    assert_eq!(
        load(&[
            good,
            "",
            r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "tools": {}}"#
        ]),
        "DIR/chat.jsonl:3: field `tools`: expected a list of objects, or its text in JSON, found an object"
    );
    assert_eq!(
        load(&[good, r#"{"source": "a", "target": "b"}"#]),
        "DIR/chat.jsonl:2: expected a field `messages`, found source, target"
    );
    assert_eq!(
        load(&[good, r#"{"messages": "a"}"#]),
        "DIR/chat.jsonl:2: field `messages`: expected an array of messages, found a string"
    );
}

#[test]
fn what_the_template_refuses_is_named_with_the_row() {
    let case = &fixture()[2];
    let (tokenizer, text) = reader(case, "plain", TrainedAnswers::All);
    let encoder = RowEncoder::joined(&tokenizer, &text);
    let user = json!({"role": "user", "content": "a"});
    let answer = json!({"role": "assistant", "content": "b"});
    let lines = [
        json!({"messages": [user, answer]}),
        json!({"messages": [user, user, answer]}),
    ];
    let message = rows(&lines, encoder, LONG)
        .expect_err("turns must alternate")
        .to_string();
    assert!(
        message.contains("train.jsonl:2: ") && message.ends_with("turns must alternate"),
        "{message}"
    );
    let apart = rows(&lines[..1], RowEncoder::apart(&tokenizer), LONG).expect_err("no chat template");
    assert!(matches!(apart, DataError::NoConversations), "{apart}");
}
