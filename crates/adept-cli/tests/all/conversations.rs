//! Conversations on a decoder-only backbone: training from one file, resuming, scoring, prediction.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json as value};

use crate::common::{Outcome, adept, command, copy, finish, fresh, json, sample};

/// Turns end with the model's end token.
const TEMPLATE: &str = "{% for m in messages %}{{ m['role'] + '\n' + m['content'] + eos_token }}{% endfor %}\
                        {% if add_generation_prompt %}{{ 'assistant\n' }}{% endif %}";

/// The project's small Llama with a chat template.
fn backbone(folder: &Path, template: &str) -> PathBuf {
    let path = folder.join("chatty");
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/backbones/llama-nano"),
        &path,
    );
    fs::write(path.join("chat_template.jinja"), template).expect("a writable folder");
    path
}

fn told(number: usize) -> Value {
    let (asked, answer) = [("one", "two"), ("two", "three"), ("three", "four")][number % 3];
    let message = |role: &str, content: &str| value!({"role": role, "content": content});
    let turn = [message("user", asked), message("assistant", answer)];
    let turns = turn.iter().cycle().take(2 + 2 * (number % 2)).cloned();
    let system = number.is_multiple_of(4).then(|| message("system", "count"));
    value!({"messages": system.into_iter().chain(turns).collect::<Vec<_>>()})
}

/// Writes conversations to a file.
fn conversations(file: &Path) {
    let lines: String = (0..60).map(|number| format!("{}\n", told(number))).collect();
    fs::write(file, lines).expect("a writable folder");
}

fn arguments(data: &Path, backbone: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    // Enough to learn three answers.
    let short = [
        "train.steps=80",
        "evaluation.every=20",
        "checkpoint.every=10",
        "train.batch_size=8",
        "optimizer.lora.learning_rate=1e-2",
        "optimizer.lora.warmup_steps=0",
        "input.max_source_length=64",
        "input.max_target_length=6",
    ];
    let paths = [("data", data), ("backbone", backbone), ("out", out)];
    let paths = paths.iter().map(|(key, path)| format!("--{key}={}", path.display()));
    let short = short.iter().map(|set| format!("--set={set}"));
    let more = more.iter().map(ToString::to_string);
    ["train".to_owned(), "--method=lora".to_owned()]
        .into_iter()
        .chain(paths)
        .chain(short)
        .chain(more)
        .collect()
}

fn predict(backbone: &Path, more: &[String], input: &str) -> Outcome {
    let file = backbone.join("input");
    fs::write(&file, input).expect("a writable folder");
    let paths = [
        format!("--backbone={}", backbone.display()),
        format!("--input={}", file.display()),
    ];
    adept(
        ["predict".to_owned()]
            .into_iter()
            .chain(paths)
            .chain(more.iter().cloned()),
    )
}

#[test]
fn conversations_are_trained_on_resumed_scored_and_answered() {
    let (folder, out) = fresh("run");
    let (backbone, data) = (backbone(folder.path(), TEMPLATE), folder.path().join("chat.jsonl"));
    conversations(&data);
    adept(arguments(&data, &backbone, &out, &[])).succeeded();
    let result = json(&out.join("result.json"));
    assert_eq!(
        (&result["task"], &result["selection_metric"]),
        (&"chat".into(), &"token_f1".into())
    );
    assert_eq!(result["config"]["input"]["answers"], "all");
    assert_eq!(result["test"]["accuracy"], 100.0, "three answers are learned");

    // Killed and resumed, it ends in the same adapter.
    let again = folder.path().join("again");
    let mut running = command(arguments(&data, &backbone, &again, &[]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program is built by cargo for this test");
    let has_checkpoint = || fs::read_dir(again.join("checkpoints")).is_ok_and(|mut entries| entries.next().is_some());
    while running.try_wait().expect("our child").is_none() && !has_checkpoint() {
        sleep(Duration::from_millis(5));
    }
    running.kill().expect("our child");
    running.wait().expect("our child");
    adept(arguments(&data, &backbone, &again, &[])).succeeded();
    let adapter = |out: &Path| fs::read(out.join("best/adapter_model.safetensors")).expect("an adapter");
    assert_eq!(adapter(&out), adapter(&again));

    // Fewer labels make another adapter, and another run.
    let last = folder.path().join("last");
    adept(arguments(&data, &backbone, &last, &["--set=input.answers=last"])).succeeded();
    assert_ne!(adapter(&out), adapter(&last));
    let refused = adept(arguments(&data, &backbone, &out, &["--set=input.answers=last"]));
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    let named = "a run with `input.answers` = \"all\", this one has \"last\"";
    assert!(refused.err.contains(named), "{}", refused.err);

    let adapter = format!("--adapter={}", out.join("best").display());
    let paths = [
        format!("--data={}", data.display()),
        format!("--backbone={}", backbone.display()),
    ];
    let eval = ["eval", "--json", &adapter, &paths[0], &paths[1]];
    let found: Value = serde_json::from_str(&adept(eval).succeeded().out).expect("one object");
    assert_eq!(found["scores"], result["test"]);

    // A text is a user's message.
    let answers = predict(&backbone, std::slice::from_ref(&adapter), "one\ntwo\n")
        .succeeded()
        .out;
    assert_eq!(answers, "two\nthree\n");
    let question = value!({"id": 7, "messages": [{"role": "user", "content": "three"}]});
    let lines = predict(
        &backbone,
        &[adapter.clone(), "--jsonl".to_owned()],
        &format!("{question}\n"),
    );
    let answered: Value = serde_json::from_str(&lines.succeeded().out).expect("one object");
    assert_eq!((&answered["id"], &answered["prediction"]), (&7.into(), &"four".into()));
    let bare = ["--task=chat".to_owned()];
    assert_eq!(predict(&backbone, &bare, "one\n").succeeded().out.lines().count(), 1);
    let answer = value!({"messages": [{"role": "assistant", "content": "one"}]});
    let refused = predict(
        &backbone,
        &[adapter, "--jsonl".to_owned()],
        &format!("{question}\n{answer}\n"),
    );
    refused.failed(2, &["input:2: field `messages`: expected a last message of the user"]);
}

#[test]
fn a_turn_ends_where_the_template_ends_it() {
    let (folder, out) = fresh("run");
    let (backbone, data) = (backbone(folder.path(), TEMPLATE), folder.path().join("chat.jsonl"));
    conversations(&data);
    // The model's files name another end token, as those of models that were not trained on conversations do.
    for name in ["config.json", "generation_config.json"] {
        let mut config = json(&backbone.join(name));
        config["eos_token_id"] = 300.into();
        fs::write(backbone.join(name), config.to_string()).expect("a writable folder");
    }
    adept(arguments(&data, &backbone, &out, &[])).succeeded();
    assert_eq!(json(&out.join("result.json"))["test"]["accuracy"], 100.0);
    let adapter = [format!("--adapter={}", out.join("best").display())];
    assert_eq!(predict(&backbone, &adapter, "one\n").succeeded().out, "two\n");
}

#[test]
fn what_cannot_be_a_conversation_is_refused_before_training() {
    let (folder, out) = fresh("run");
    let chatty = backbone(folder.path(), TEMPLATE);
    let data = folder.path().join("chat.jsonl");
    let fails = |lines: &[Value], backbone: &Path, more: &[&str], fragments: &[&str]| {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&data, lines).expect("a writable folder");
        finish(command(arguments(&data, backbone, &out, more))).failed(2, fragments);
    };
    let other = value!({"messages": [{"role": "judge", "content": "5"}]});
    fails(
        &[told(0), other],
        &chatty,
        &[],
        &["chat.jsonl:2: field `messages[0].role`: expected one of system, user, assistant, tool"],
    );
    fails(
        &[told(0)],
        &chatty,
        &["--set=input.chat_template_kwargs={\"tools\": []}"],
        &["`input.chat_template_kwargs`", "`tools`"],
    );
    fails(
        &[value!({"question": "a"})],
        &chatty,
        &[],
        &["chat.jsonl", "`source`", "`prompt`", "`messages`", "found question"],
    );
    fails(
        &[told(0)],
        &sample().backbone,
        &[],
        &["chat: conversations need a decoder-only backbone"],
    );
    fails(
        &[told(0)],
        &chatty,
        &["--set=input.template={source}{target}"],
        &["`input.template`"],
    );
    let rewritten = backbone(
        &folder.path().join("other"),
        "{% for m in messages %}{{ loop.revindex }}{{ m['content'] + eos_token }}{% endfor %}",
    );
    fails(
        &[told(1)],
        &rewritten,
        &[],
        &[
            "chat.jsonl:1: ",
            "chat template: the first 1 of 4 messages",
            "`input.answers = \"last\"`",
        ],
    );
}
