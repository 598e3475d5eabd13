//! Data and backbones in the hub's cache, and the messages if they are missing. The cache is laid out here like one
//! left by a download; downloading is tested in `adept-hub`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{SHORT, command, copy, finish, fresh, json, sample, train};
use adept_data::Task;

/// Puts the sample's RTE and its backbone into a cache.
fn fill(cache: &Path) {
    let task = Task::named("rte").expect("a task");
    let hub = task.card().hub.as_ref().expect("RTE is on the hub");
    let repository = format!("datasets--{}", hub.repository.replace('/', "--"));
    let data = cache
        .join(repository)
        .join("snapshots")
        .join(&hub.revision)
        .join(&hub.folder);
    copy(&sample().data.join("RTE"), &data);
    let model = cache.join("models--someone--tiny");
    fs::create_dir_all(model.join("refs")).expect("a writable folder");
    fs::write(model.join("refs/main"), "0123456789abcdef0123456789abcdef01234567").expect("a writable folder");
    copy(
        &sample().backbone,
        &model.join("snapshots/0123456789abcdef0123456789abcdef01234567"),
    );
}

fn train_with(cache: &Path, out: &Path, named: &[&str]) -> Command {
    let mut arguments = vec!["train".to_owned(), format!("--out={}", out.display())];
    arguments.extend(SHORT.iter().chain(named).map(ToString::to_string));
    let mut command = command(arguments);
    command.env("HF_HUB_CACHE", cache);
    command
}

#[test]
fn a_task_and_a_model_are_found_by_their_names() {
    let (folder, out) = fresh("run");
    let cache = folder.path().join("hub");
    fill(&cache);
    finish(train_with(&cache, &out, &["--task=rte", "--backbone=someone/tiny"])).succeeded();
    let beside = folder.path().join("beside");
    finish(command(train(&sample().data, &sample().backbone, &beside))).succeeded();
    let scores = |out: &Path| json(&out.join("result.json"))["test"].clone();
    assert_eq!(scores(&out), scores(&beside));
    let mut evaluation = command(["eval", "--task=rte", "--backbone=someone/tiny"]);
    evaluation
        .arg(format!("--adapter={}", out.join("best").display()))
        .env("HF_HUB_CACHE", &cache);
    finish(evaluation).succeeded();
    let mut grid = command([
        "reproduce",
        "glue",
        "--profile=paper",
        "--tasks=rte",
        "--backbone=someone/tiny",
        "--plan",
    ]);
    grid.arg(format!("--out={}", folder.path().join("grid").display()))
        .env("HF_HUB_CACHE", &cache);
    let plan = finish(grid).succeeded().out;
    assert!(plan.contains("the hub's cache"), "{plan}");
}

#[test]
fn what_a_fetch_would_bring_is_said() {
    let (folder, out) = fresh("run");
    let cache = folder.path().join("hub");
    fill(&cache);
    let fails = |named: &[&str], fragments: &[&str]| {
        finish(train_with(&cache, &out, named)).failed(2, fragments);
    };
    fails(
        &["--task=boolq", "--backbone=someone/tiny"],
        &["no --data is given", "does not hold boolq", "`adept fetch boolq`"],
    );
    fails(
        &["--task=rte", "--backbone=t5-base"],
        &["t5-base: no such folder", "run `adept fetch t5-base`"],
    );
    fails(
        &["--task=rte", "--backbone=someone/else"],
        &["someone/else", "`adept fetch someone/else`"],
    );
    // Files missing from your own folder.
    let empty = folder.path().join("empty");
    fs::create_dir_all(&empty).expect("a writable folder");
    let data = format!("--data={}", empty.display());
    fails(
        &["--task=rte", "--backbone=someone/tiny", &data],
        &[
            "no file for the train split of rte",
            "`adept fetch rte` brings the task's files",
        ],
    );
    fails(
        &["--task=text", "--backbone=someone/tiny"],
        &["text: no repository of the hub is on the card", "--data"],
    );
}
