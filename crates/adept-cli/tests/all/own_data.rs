//! Your own data, from a file to scores, and the cache folder for tokenised tasks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use crate::common::{Outcome, SHORT, adept, command, finish, fresh, json, sample, train};

/// Writes rows of `source` and `target`.
fn rows(file: &Path, count: usize) {
    let row = |number: usize| {
        let target = ["lovely", "dull", "warm", "dull"][number % 4];
        format!("{{\"source\": \"the sailor liked this {target} song\", \"target\": \"{target}\"}}\n")
    };
    fs::create_dir_all(file.parent().expect("a folder")).expect("a writable folder");
    fs::write(file, (0..count).map(row).collect::<String>()).expect("a writable folder");
}

fn train_own(data: &Path, out: &Path, more: &[&str]) -> Command {
    let mut arguments = vec![
        "train".to_owned(),
        format!("--data={}", data.display()),
        format!("--backbone={}", sample().backbone.display()),
        format!("--out={}", out.display()),
        "--set=input.max_target_length=4".to_owned(),
    ];
    arguments.extend(SHORT.iter().chain(more).map(ToString::to_string));
    command(arguments)
}

#[test]
fn one_file_is_trained_on_and_scored() {
    let (folder, out) = fresh("run");
    let file = folder.path().join("rows.jsonl");
    rows(&file, 40);
    let trained = finish(train_own(&file, &out, &["--set=evaluation.metric=token_f1"])).succeeded();
    assert!(trained.out.contains("token_f1"), "{}", trained.out);
    let result = json(&out.join("result.json"));
    assert_eq!(result["selection_metric"], "token_f1");
    assert_eq!(result["task"], "text");
    assert_eq!(result["data"][0]["rows"], 40);
    assert_eq!(result["majority"]["answer"], "dull");
    let eval = |data: &Path, adapter: &Path, more: &[&str]| {
        let paths = [("data", data), ("backbone", &sample().backbone), ("adapter", adapter)];
        let paths = paths.map(|(key, path)| format!("--{key}={}", path.display()));
        let more = more.iter().map(ToString::to_string);
        adept(["eval".to_owned()].into_iter().chain(paths).chain(more))
    };
    let scores =
        |outcome: Outcome| -> serde_json::Value { serde_json::from_str(&outcome.succeeded().out).expect("one object") };
    let scored = eval(&file, &out.join("best"), &["--json"]);
    assert!(scored.err.contains("4 of its rows are scored"), "{}", scored.err);
    let found = scores(scored);
    assert_eq!(found["examples"], 4, "a tenth of the rows is the test split");
    assert_eq!(found["scores"], result["test"]);

    // Your own test set is not divided, and a run's folder stands for its best adapter.
    let own = folder.path().join("own.jsonl");
    rows(&own, 7);
    let found = scores(eval(&own, &out, &["--json", "--split=all"]));
    assert_eq!((&found["examples"], &found["split"]), (&7.into(), &"all rows".into()));
    eval(folder.path(), &out, &["--split=all"]).failed(2, &["--split all: expected a file in --data"]);
    let other = folder.path().join("other");
    let refused = finish(train_own(&file, &other, &["--set=evaluation.metric=f1"]));
    refused.failed(2, &["`evaluation.metric` = \"f1\"", "`text`"]);

    // Settings count for predictions as well.
    let predict = |more: &[&str]| {
        let paths = [("backbone", &sample().backbone), ("adapter", &out)];
        let paths = paths.map(|(key, path)| format!("--{key}={}", path.display()));
        let input = format!("--input={}", own.display());
        let more = more.iter().map(ToString::to_string);
        adept(["predict".to_owned(), input].into_iter().chain(paths).chain(more))
    };
    predict(&["--set=evaluation.folded_vocabulary=true"]).succeeded();
    predict(&["--set=input.max_source_lenght=9"]).failed(2, &["input.max_source_lenght", "input.max_source_length"]);
}

#[test]
fn what_is_missing_is_named() {
    let (folder, out) = fresh("run");
    let fails = |command: Command, fragments: &[&str]| {
        finish(command).failed(2, fragments);
        assert!(!out.exists(), "nothing is written");
    };
    fails(
        train_own(folder.path(), &out, &[]),
        &[
            "`task` is not given",
            "is a folder",
            "--task text",
            "`source` and `target`",
        ],
    );
    fails(
        train_own(&folder.path().join("none.jsonl"), &out, &[]),
        &["none.jsonl: no such file or folder", "`source` and `target`"],
    );
    let file = folder.path().join("rows.jsonl");
    fs::write(&file, "{\"text\": \"a\", \"target\": \"b\"}\n").expect("a writable folder");
    fails(train_own(&file, &out, &[]), &["rows.jsonl", "source"]);
    rows(&file, 2);
    fails(
        train_own(&file, &out, &[]),
        &["text", "needs at least 3 rows", "found 2"],
    );
    rows(&file, 40);
    fails(
        train_own(&file, &out, &["--set=evaluation.metric=bleu"]),
        &["evaluation.metric", "token_f1", "bleu"],
    );
}

/// Every file of a folder with its modification time.
fn listing(folder: &Path) -> BTreeMap<String, SystemTime> {
    let entries = fs::read_dir(folder).expect("a folder");
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("an entry");
        let written = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .expect("a file");
        (entry.file_name().to_string_lossy().into_owned(), written)
    };
    entries.map(entry).collect()
}

#[test]
fn tokenised_rows_are_kept_where_one_says() {
    let (folder, out) = fresh("runs");
    let cache = folder.path().join("kept");
    let run = |name: &str, place: &dyn Fn(&mut Command)| {
        let mut command = command(train(&sample().data, &sample().backbone, &out.join(name)));
        place(&mut command);
        finish(command).succeeded();
        json(&out.join(name).join("result.json"))["test"].clone()
    };
    let none = run("none", &|_| {});
    assert!(!cache.exists());
    let by_variable = run("variable", &|command| {
        command.env("ADEPT_CACHE", &cache);
    });
    let written = listing(&cache);
    assert_eq!(written.len(), 2, "a store for each official split: {written:?}");
    assert!(
        written
            .keys()
            .all(|name| name.starts_with("rte-") && name.ends_with(".rows")),
        "{written:?}"
    );
    let by_option = run("option", &|command| {
        command
            .arg(format!("--data-cache={}", cache.display()))
            .env("ADEPT_CACHE", "/no/such/folder");
    });
    assert_eq!(listing(&cache), written, "they are read, not written again");
    let users = run("users", &|command| {
        command
            .env_remove("ADEPT_CACHE")
            .env("XDG_CACHE_HOME", folder.path())
            .env("HOME", folder.path());
    });
    if cfg!(target_os = "linux") {
        assert_eq!(listing(&folder.path().join("adept")).len(), 2);
    }
    assert!([by_variable, by_option, users].iter().all(|scores| *scores == none));
    // A damaged store is rebuilt.
    let store = cache.join(written.keys().next().expect("a store"));
    let whole = fs::read(&store).expect("a store");
    fs::write(&store, &whole[..whole.len() / 2]).expect("a writable folder");
    let damaged = run("damaged", &|command| {
        command.env("ADEPT_CACHE", &cache);
    });
    assert_eq!(damaged, none);
    assert!(fs::read(&store).expect("a store") == whole);
}

#[test]
fn a_folder_that_cannot_hold_them_is_named() {
    let (folder, out) = fresh("run");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a writable folder");
    let mut command = command(train(&sample().data, &sample().backbone, &out));
    command.arg(format!("--data-cache={}", file.display()));
    let failed = finish(command);
    assert_ne!(failed.code, Some(0));
    assert!(failed.err.contains(&file.display().to_string()), "{}", failed.err);
}
