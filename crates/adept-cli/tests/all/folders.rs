//! Folders not created by the program: no command reads them as a run, writes to them or deletes from them; and
//! `--overwrite` deletes exactly the files of an earlier run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::{Outcome, adept, copy, finish, fresh, json, sample, train, with_datasets};

/// Contents of every file below a folder.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).expect("the folder is readable") {
        let path = entry.expect("the folder is readable").path();
        let name = path
            .file_name()
            .expect("an entry has a name")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            found.extend(
                tree(&path)
                    .into_iter()
                    .map(|(below, bytes)| (format!("{name}/{below}"), bytes)),
            );
        } else {
            found.insert(name, fs::read(&path).expect("it is readable"));
        }
    }
    found
}

fn put(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the folder is writable");
        fs::write(path, text).expect("the folder is writable");
    }
}

/// Runs a command on a folder with the user's own files: it is refused, and every byte is unchanged.
#[track_caller]
fn refused(files: &[(&str, &str)], command: impl FnOnce(&Path) -> Outcome) {
    let (_folder, out) = fresh("mine");
    put(&out, files);
    let before = tree(&out);
    let first = files[0].0.split('/').next().expect("a name");
    command(&out).failed(2, &[first, "nothing was written"]);
    assert!(tree(&out) == before, "{:?}", tree(&out).keys());
}

#[test]
fn a_folder_of_ones_own_files_is_refused_by_every_command() {
    let sample = sample();
    let files: &[(&str, &str)] = &[
        ("best/notes.md", "mine"),
        ("record.jsonl", "mine\n"),
        ("checkpoint/a.bin", "mine"),
        (".tmp_drafts/a.txt", "mine"),
        ("config.toml", "[train]\nsteps = 2\n"),
        ("report.md", "# mine"),
    ];
    for more in [&[][..], &["--overwrite"], &["--quiet", "--set=adapter.method=full"]] {
        refused(files, |out| {
            let mut arguments = train(&sample.data, &sample.backbone, out);
            arguments.extend(more.iter().map(ToString::to_string));
            adept(arguments)
        });
    }
    // The configuration is in the output folder of the run.
    refused(&[("config.toml", "# mine\n[train]\nsteps = 2\n")], |out| {
        let mut arguments = train(&sample.data, &sample.backbone, out);
        arguments.push(format!("--config={}", out.join("config.toml").display()));
        adept(arguments)
    });
    for first in ["config.toml", "model/weights.bin", "tokenizer/tokenizer.json"] {
        for more in [&[][..], &["--overwrite"]] {
            refused(
                &[(first, "[text]\nfiles = [\"a.txt\"]\n[mixture]\ntask_share = 0.0\n")],
                |out| {
                    let (_folder, config) = fresh("pretrain.toml");
                    fs::write(&config, "[text]\nfiles = [\"a.txt\"]\n[mixture]\ntask_share = 0.0\n")
                        .expect("it is writable");
                    fs::write(config.with_file_name("a.txt"), "too little\n").expect("it is writable");
                    let (config, out) = (config.display().to_string(), out.display().to_string());
                    adept([&["pretrain", "--config", &config, "--out", &out], more].concat())
                },
            );
        }
    }
    for table in ["glue", "table1", "table2"] {
        for files in [
            &[("report.md", "# mine"), ("results.json", "{}")][..],
            &[("rte/adept/seed-42/notes.md", "mine")],
            &[("table1.md", "mine"), ("table2.json", "mine")],
        ] {
            refused(files, |out| {
                let out = format!("--out={}", out.display());
                finish(with_datasets(["reproduce", table, "--tasks=rte", "--steps=1", &out]))
            });
        }
    }
    refused(
        &[("report.md", "# mine"), ("rte/adept/seed-42/record.jsonl", "")],
        |out| adept(["report", "--out", &out.display().to_string()]),
    );
}

/// A run's folder in a grid contains other files: the grid refuses before training anything.
#[test]
fn a_grid_does_not_write_over_files_where_a_run_is_to_be() {
    let (_folder, out) = fresh("grid");
    let run = |more: &[&str]| {
        let out = format!("--out={}", out.display());
        let all = [
            "reproduce",
            "glue",
            "--tasks=rte",
            "--methods=pt",
            "--steps=1",
            "--seeds=1,",
            &out,
        ];
        finish(with_datasets([&all[..], more].concat()))
    };
    run(&["--quiet"]).succeeded();
    put(&out, &[("rte/pt/seed-2/best/notes.md", "mine"), ("notes.md", "mine")]);
    let before = tree(&out);
    let all = format!("--out={}", out.display());
    let outcome = finish(with_datasets([
        "reproduce",
        "glue",
        "--tasks=rte",
        "--methods=pt",
        "--steps=1",
        "--seeds=1,2",
        &all,
    ]));
    outcome.failed(2, &["seed-2", "`best`"]);
    assert!(tree(&out) == before);
    // Finished runs are run again; files of others are kept.
    let seconds = |out: &Path| json(&out.join("rte/pt/seed-1/result.json"))["training_seconds"].clone();
    let first = seconds(&out);
    run(&["--overwrite", "--quiet"]).succeeded();
    assert_ne!(seconds(&out), first);
    for name in ["rte/pt/seed-2/best/notes.md", "notes.md"] {
        assert_eq!(tree(&out)[name], b"mine");
    }
}

#[test]
fn overwrite_begins_anew_and_leaves_what_is_not_ours() {
    let (_folder, out) = fresh("run");
    let sample = sample();
    let run = |more: &[&str]| {
        let mut arguments = train(&sample.data, &sample.backbone, &out);
        arguments.extend(more.iter().map(ToString::to_string));
        adept(arguments)
    };
    run(&["--overwrite"]).succeeded();
    let mine = [
        ("notes.md", "mine"),
        ("best/README.md", "mine"),
        (".tmp_drafts/a.txt", "mine"),
    ];
    put(&out, &mine);
    // The lock file records the last process.
    let unlocked = || {
        let mut found = tree(&out);
        found.remove("run.lock");
        found
    };
    let before = unlocked();
    run(&["--seed=7", "--quiet"]).failed(2, &["`seed`", "hint: --overwrite"]);
    // Unusable input leaves the earlier run intact.
    run(&["--seed=7", "--overwrite", "--set=data=/no/such/folder"]).failed(2, &["/no/such/folder"]);
    run(&["--seed=7", "--overwrite", "--set=train.steps=0"]).failed(2, &["train.steps"]);
    assert!(unlocked() == before);

    let anew = run(&["--seed=7", "--overwrite"]).succeeded();
    assert!(anew.err.contains("deleted the files of an earlier run"), "{}", anew.err);
    assert!(anew.err.contains("kept: .tmp_drafts, best, notes.md"), "{}", anew.err);
    assert_eq!(json(&out.join("result.json"))["seed"], 7);
    for (name, text) in mine {
        assert_eq!(tree(&out)[name], text.as_bytes(), "{name}");
    }
}

/// A run that was copied without its marker, like those of earlier versions, is recognised as done.
#[test]
fn a_run_without_a_marker_is_known_by_its_traces() {
    let (_folder, out) = fresh("run");
    let sample = sample();
    adept(train(&sample.data, &sample.backbone, &out)).succeeded();
    let copied = out.with_file_name("copied");
    copy(&out, &copied);
    fs::remove_file(copied.join("adept-folder.json")).expect("it is there");
    let found = adept(train(&sample.data, &sample.backbone, &copied)).succeeded();
    assert!(found.err.contains("nothing is trained again"), "{}", found.err);
    assert!(copied.join("adept-folder.json").exists());
}

/// Tokenised rows can be cached in a shared folder, under names that only this program uses.
#[test]
fn a_cache_of_rows_leaves_other_files_alone() {
    let (_folder, out) = fresh("run");
    let sample = sample();
    let cache = out.with_file_name("cache");
    let mine = [("rte.rows", "mine"), (".tmpAbc123", "mine"), ("rte-0123.rows", "mine")];
    put(&cache, &mine);
    let mut arguments = train(&sample.data, &sample.backbone, &out);
    arguments.push(format!("--data-cache={}", cache.display()));
    adept(arguments).succeeded();
    let found = tree(&cache);
    assert!(found.len() > mine.len(), "{:?}", found.keys());
    for (name, text) in mine {
        assert_eq!(found[name], text.as_bytes(), "{name}");
    }
}
