//! Ownership of folders: those of others are refused and left intact, those of earlier versions are recognised, and
//! files that others put into the program's folders are kept.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use adept_lab::report;
use adept_lab::run::run;
use adept_train::TrainError;
use adept_train::config::{Resolved, resolve};
use adept_train::folder::{self, FolderError, FolderKind, MARKER, RunFolder};

use crate::common::{AB, Watcher, beside_others};
use crate::world::world;

const KINDS: [FolderKind; 3] = [FolderKind::Run, FolderKind::Pretraining, FolderKind::Grid];

/// Writes files, creating their folders.
fn put(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Every file below a folder.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let inner = tree(&path).into_iter();
            found.extend(inner.map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn what_is_not_ours_is_refused_and_stays() {
    let cases: &[&[(&str, &str)]] = &[
        &[("config.toml", "# mine\n[train]\nsteps = 2\n")],
        &[(
            "config.toml",
            "# Resolved configuration of a run: preset `paper`, nothing changed.\n",
        )],
        &[("record.jsonl", "mine\n")],
        &[("record.jsonl", "{\"event\": \"start\", \"of\": \"something else\"}\n")],
        &[("best/notes.md", "mine")],
        &[("checkpoint/a.bin", "mine")],
        &[("checkpoint/step-00000002/a.bin", "mine")],
        &[(".tmp_drafts/a.txt", "mine")],
        &[(".saving-drafts/a.txt", "mine")],
        &[("model/weights.bin", "mine"), ("config.toml", "[model]\n")],
        &[("tokenizer/tokenizer.json", "{}"), ("tokens.bin", "mine")],
        &[("report.md", "# mine"), ("results.json", "{\"runs\": 3}")],
        &[("rte/adept/seed-42/notes.md", "mine")],
        &[("result.json", "{\"score\": 1.0}")],
        &[("judged.json", "[]")],
        &[("reproduce.json", "{}")],
        &[("run.lock", "my notes on locks\n")],
        &[
            ("run.lock", "17\n"),
            ("config.toml", "# mine\n"),
            ("best/notes.md", "mine"),
        ],
        &[(MARKER, "{\"mine\": true}")],
        &[(MARKER, "")],
        &[("completions.jsonl", "{\"mine\": 1}\n")],
        &[("completions.jsonl", "mine")],
    ];
    for files in cases {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), files);
        let before = tree(root.path());
        for kind in KINDS {
            let checked = folder::check(root.path(), kind).unwrap_err();
            assert!(matches!(checked, TrainError::Folder(_)), "{files:?}: {checked}");
            let first = files[0].0.split('/').next().unwrap();
            assert!(checked.to_string().contains(first), "{files:?}: {checked}");
            let opened = RunFolder::open_as(root.path(), kind).unwrap_err();
            assert_eq!(opened.to_string(), checked.to_string());
            folder::clear(root.path(), kind).unwrap_err();
        }
        assert_eq!(tree(root.path()), before, "{files:?}");
    }
}

#[test]
fn a_refusal_names_a_few_and_says_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let names = ["a", "b", "best/x", "c", "d", "e", "f"];
    names.iter().for_each(|name| put(root.path(), &[(name, "mine")]));
    let error = RunFolder::open(root.path()).unwrap_err().to_string();
    for part in [
        "`a`, `b`, `best`, `c`, `d` and 2 more",
        "not a run created by adept",
        "nothing was written",
        "empty folder",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_is_no_folder_is_said_to_be_that() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), &[("file", "mine")]);
    for (name, part) in [("file", "found a file"), ("file/run", "look into")] {
        let error = RunFolder::open(&root.path().join(name)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink("nowhere", root.path().join("dangling")).unwrap();
        let error = RunFolder::open(&root.path().join("dangling")).unwrap_err().to_string();
        assert!(error.contains("a link that leads nowhere"), "{error}");
        // A link to a folder is treated like that folder.
        fs::create_dir(root.path().join("disk")).unwrap();
        symlink("disk", root.path().join("link")).unwrap();
        drop(RunFolder::open(&root.path().join("link")).unwrap());
        assert!(root.path().join("disk").join(MARKER).exists());
        put(root.path(), &[("other/notes.md", "mine")]);
        symlink("other", root.path().join("foreign")).unwrap();
        RunFolder::open(&root.path().join("foreign")).unwrap_err();
    }
}

#[test]
fn what_is_ours_is_of_one_kind_and_of_a_known_format() {
    for kind in KINDS {
        let root = tempfile::tempdir().unwrap();
        drop(RunFolder::open_as(root.path(), kind).unwrap());
        for other in KINDS {
            let checked = folder::check(root.path(), other);
            match other == kind {
                true => checked.unwrap(),
                false => assert!(
                    matches!(checked, Err(TrainError::Folder(FolderError::OtherKind { found, .. })) if found == kind)
                ),
            }
        }
        put(root.path(), &[(MARKER, "{\"adept\": \"a later kind\", \"format\": 2}")]);
        let error = folder::check(root.path(), kind).unwrap_err();
        assert!(
            matches!(error, TrainError::Folder(FolderError::Newer { found: 2, .. })),
            "{error}"
        );
    }
}

fn settings(data: &Path, backbone: &Path) -> Resolved {
    let all = [
        "task=rte".to_owned(),
        "adapter.virtual_tokens=5".to_owned(),
        "adapter.rank=2".to_owned(),
        "input.max_source_length=24".to_owned(),
        "train.steps=4".to_owned(),
        "train.batch_size=4".to_owned(),
        "evaluation.every=1".to_owned(),
        "checkpoint.keep=1".to_owned(),
        format!("data={}", data.display()),
        format!("backbone={}", backbone.display()),
    ];
    resolve(None, &all).unwrap()
}

fn go(resolved: &Resolved, out: &Path, watcher: &mut Watcher) -> Result<(), TrainError> {
    run::<AB>(resolved, out, &Default::default(), &Default::default(), watcher).map(drop)
}

/// Runs of versions before the marker are resumed, at whatever point they were stopped.
#[test]
fn what_an_earlier_version_left_is_ours() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let (data, backbone) = world(root.path());
    let resolved = settings(&data, &backbone);
    let out = root.path().join("run");
    let stopped = go(&resolved, &out, &mut Watcher::stopping_at(5)).unwrap_err();
    assert!(matches!(stopped, TrainError::Interrupted { .. }), "{stopped}");
    let forget = |more: &[&str]| {
        for name in [&[MARKER], more].concat() {
            fs::remove_file(out.join(name)).unwrap();
        }
    };
    forget(&[]);
    let mut watcher = Watcher::default();
    go(&resolved, &out, &mut watcher).unwrap();
    assert_eq!(watcher.resumed.len(), 1);

    // Each trace on its own is enough.
    let record = fs::read(out.join("record.jsonl")).unwrap();
    for lost in [
        &["record.jsonl", "config.toml", "run.lock"][..],
        &["result.json"],
        &["record.jsonl"],
    ] {
        forget(lost);
        for other in [FolderKind::Pretraining, FolderKind::Grid] {
            let refused = folder::check(&out, other);
            assert!(
                matches!(&refused, Err(TrainError::Folder(FolderError::OtherKind { found, .. })) if *found == FolderKind::Run),
                "{lost:?}: {refused:?}"
            );
        }
        drop(RunFolder::open(&out).unwrap());
        fs::write(out.join("record.jsonl"), &record).unwrap();
        fs::write(out.join("config.toml"), resolved.to_toml()).unwrap();
    }

    // A failed start left only its lock.
    for kind in [FolderKind::Run, FolderKind::Pretraining] {
        for lock in ["4711\n", ""] {
            let folder = tempfile::tempdir().unwrap();
            put(folder.path(), &[("run.lock", lock)]);
            drop(RunFolder::open_as(folder.path(), kind).unwrap());
        }
    }
    // Runs that a user has arranged are a grid.
    let by_hand = root.path().join("by-hand");
    fs::create_dir_all(by_hand.join("rte/adept")).unwrap();
    fs::rename(&out, by_hand.join("rte/adept/seed-42")).unwrap();
    folder::check(&by_hand, FolderKind::Grid).unwrap();
    fs::remove_file(by_hand.join("rte/adept/seed-42").join(MARKER)).unwrap();
    folder::check(&by_hand, FolderKind::Grid).unwrap();
}

/// Files that a user puts into a run's folder or its subfolders survive training, resuming and overwriting.
#[test]
fn somebody_elses_files_in_a_run_stay() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let (data, backbone) = world(root.path());
    let resolved = settings(&data, &backbone);
    let out = root.path().join("run");
    go(&resolved, &out, &mut Watcher::stopping_at(5)).unwrap_err();
    let checkpoint = fs::read_dir(out.join("checkpoint")).unwrap().next().unwrap().unwrap();
    let in_checkpoint = format!("checkpoint/{}/why.md", checkpoint.file_name().to_string_lossy());
    let mine = [
        ("notes.md", "mine"),
        (".tmp_drafts/a.txt", "mine"),
        (".tmpAbc123", "mine"),
        ("best/README.md", "mine"),
        ("best/figures/a.svg", "mine"),
        ("best.old/adapter_config.json", "mine"),
        ("best.new/adapter_config.json", "mine"),
        ("checkpoint/kept/state.json", "mine"),
        ("checkpoint/step-2-copy/state.json", "mine"),
        (in_checkpoint.as_str(), "mine"),
    ];
    put(&out, &mine);
    let all_stay = |when: &str| {
        let found = tree(&out);
        for (name, text) in mine {
            let there = found.get(name).map(Vec::as_slice);
            assert_eq!(there, Some(text.as_bytes()), "{name} {when}");
        }
    };
    let mut watcher = Watcher::default();
    go(&resolved, &out, &mut watcher).unwrap();
    assert_eq!(watcher.resumed.len(), 1);
    all_stay("after the run");
    assert!(
        !out.join("checkpoint")
            .join(checkpoint.file_name())
            .join("state.json")
            .exists()
    );
    go(&resolved, &out, &mut Watcher::default()).unwrap();

    let cleared = folder::clear(&out, FolderKind::Run).unwrap();
    assert!(cleared.had_run);
    assert_eq!(
        cleared.kept,
        [
            ".tmpAbc123",
            ".tmp_drafts",
            "best",
            "best.new",
            "best.old",
            "checkpoint",
            "notes.md"
        ]
    );
    all_stay("after overwriting");
    assert_eq!(tree(&out).len(), mine.len() + 2, "{:?}", tree(&out).keys());
    let mut watcher = Watcher::default();
    go(&resolved, &out, &mut watcher).unwrap();
    assert_eq!((watcher.started, watcher.resumed.len()), (1, 0));
    all_stay("after a run begun anew");
}

/// Completions may exist before a run; only those added by the run are deleted with it.
#[test]
fn given_completions_stay_and_a_runs_own_go() {
    let line =
        |problem: usize| format!("{{\"problem\":{problem},\"sample\":0,\"completion\":\"pass\",\"tokens\":1}}\n");
    let given = line(1);
    let root = tempfile::tempdir().unwrap();
    put(root.path(), &[("completions.jsonl", &given)]);
    assert!(folder::check(root.path(), FolderKind::Pretraining).is_err());
    drop(RunFolder::open(root.path()).unwrap());
    put(root.path(), &[("completions.jsonl", &(given.clone() + &line(2)))]);
    folder::clear(root.path(), FolderKind::Run).unwrap();
    assert_eq!(
        fs::read_to_string(root.path().join("completions.jsonl")).unwrap(),
        given
    );

    let root = tempfile::tempdir().unwrap();
    drop(RunFolder::open(root.path()).unwrap());
    put(root.path(), &[("completions.jsonl", &given)]);
    assert_eq!(folder::clear(root.path(), FolderKind::Run).unwrap().kept, [""; 0]);

    // The origin of an earlier version's completions is unknown.
    put(root.path(), &[("completions.jsonl", &given)]);
    fs::remove_file(root.path().join(MARKER)).unwrap();
    put(
        root.path(),
        &[("result.json", include_str!("data/earlier_result.json"))],
    );
    assert_eq!(
        folder::clear(root.path(), FolderKind::Run).unwrap().kept,
        ["completions-1.jsonl"]
    );
}

/// A report is written next to runs that a user has arranged, but never over the user's files.
#[test]
fn a_report_replaces_reports_only() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("runs");
    put(&out, &[("rte/adept/seed-42/record.jsonl", ""), ("notes.md", "mine")]);
    report::build(&out).unwrap();
    report::build(&out).unwrap();
    for (name, text) in [("report.md", "# mine"), ("report.html", "mine"), ("results.json", "{}")] {
        let out = root.path().join(name);
        put(&out, &[("rte/adept/seed-42/record.jsonl", ""), (name, text)]);
        let error = report::build(&out).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("nothing was written"), "{error}");
        assert_eq!(fs::read_to_string(out.join(name)).unwrap(), text);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 2);
    }
}
