//! Paths are bytes: names that begin or end with a space, and names that are not UTF-8, work wherever a path is given,
//! from the command line to a run's record and back. Byte-order marks are dropped.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{SHORT, command, copy, finish, fresh, sample};

fn rows() -> String {
    let row = |number: usize| {
        let target = ["lovely", "dull"][number % 2];
        format!("{{\"source\": \"this {target} song\", \"target\": \"{target}\"}}\n")
    };
    (0..30).map(row).collect()
}

/// `--name=path` for arbitrary bytes.
fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(format!("--{name}="));
    option.push(path);
    option
}

fn train(more: &[OsString]) -> Command {
    let mut command = command(["train", "--method=pt", "--set=input.max_target_length=4"]);
    command.args(SHORT).args(more);
    command
}

const CARD: &str = "name = \"own\"\n[source]\npieces = [{ field = \"source\" }]\n[target]\nkind = \"answer\"\nfield = \"target\"\n\
                    max_length = 4\n[metrics]\nall = [\"em\"]\n";

#[test]
fn every_path_of_a_run_may_be_any_bytes() {
    for name in [&b" lead and trail "[..], b"caf\xe9 100%", b"bytes:%41"] {
        let name = |ending: &str| OsString::from_vec([name, ending.as_bytes()].concat());
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join(name(""));
        fs::create_dir(&folder).expect("a writable folder");
        let at = |ending: &str| folder.join(name(ending));
        let (data, card, config) = (at(".jsonl"), at(".card.toml"), at(".config.toml"));
        let (backbone, out, cache) = (at(""), at("run"), at("cache"));
        fs::write(&data, rows()).expect("a writable folder");
        fs::write(&card, CARD).expect("a writable folder");
        fs::write(&config, "[train]\nlog_every = 1\n").expect("a writable folder");
        copy(&sample().backbone, &backbone);

        let arguments = [
            option("data", &data),
            option("task", &card),
            option("config", &config),
            option("backbone", &backbone),
            option("out", &out),
            option("data-cache", &cache),
        ];
        let first = finish(train(&arguments)).succeeded();
        assert!(fs::read_dir(&cache).expect("the cache").count() > 0);
        // The finished run is recognised and prints the same.
        let again = finish(train(&arguments)).succeeded();
        assert_eq!(first.out, again.out);
        finish(command([OsString::from("inspect"), out.clone().into()])).succeeded();

        let best = out.join("best");
        let eval = command([
            OsString::from("eval"),
            option("adapter", &best),
            option("backbone", &backbone),
            option("data", &data),
            option("task", &card),
        ]);
        finish(eval).succeeded();
        let input = at("input.txt");
        fs::write(&input, "this song\n").expect("a writable folder");
        let predict = command([
            OsString::from("predict"),
            option("adapter", &best),
            option("backbone", &backbone),
            option("input", &input),
        ]);
        assert_eq!(finish(predict).succeeded().out.lines().count(), 1);
    }
}

/// The configuration written by a run can be read back, and values are taken literally.
#[test]
fn a_written_configuration_names_the_same_files() {
    let (root, out) = fresh("run");
    let data = root.path().join(OsString::from_vec(b" caf\xe9 .jsonl".to_vec()));
    fs::write(&data, rows()).expect("a writable folder");
    let arguments = [
        option("data", &data),
        option("backbone", &sample().backbone),
        option("out", &out),
    ];
    finish(train(&arguments)).succeeded();
    let config = fs::read_to_string(out.join("config.toml")).expect("a configuration");
    assert!(config.contains("/ caf%E9 .jsonl\""), "{config}");
    let other = root.path().join("other");
    let again = [option("config", &out.join("config.toml")), option("out", &other)];
    finish(train(&again)).succeeded();
    let best = |out: &Path| fs::read(out.join("best/adapter_model.safetensors")).expect("an adapter");
    assert_eq!(best(&out), best(&other));

    let spaced = root.path().join(" lead.jsonl");
    fs::write(&spaced, rows()).expect("a writable folder");
    let rest = [
        option("backbone", &sample().backbone),
        option("out", &root.path().join("set")),
    ];
    let mut by_setting = train(&rest);
    by_setting.current_dir(root.path()).arg("--set=data= lead.jsonl");
    finish(by_setting).succeeded();
}

/// Folder variables may begin with `~` or contain others, as in Python's tools.
#[test]
fn homes_in_variables() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let model = home.path().join("hf/hub/models--someone--tiny");
    fs::create_dir_all(model.join("refs")).expect("a writable folder");
    fs::write(model.join("refs/main"), format!("\u{feff}{commit}\n")).expect("a writable folder");
    copy(&sample().backbone, &model.join("snapshots").join(commit));
    let data = home.path().join("rows.jsonl");
    fs::write(&data, rows()).expect("a writable folder");
    let variables: [(&str, &str, &str); 5] = [
        ("HF_HOME", "~/hf", "a"),
        ("HF_HOME", "${HOME}/hf", "$HOME/b"),
        ("HF_HUB_CACHE", "~/hf/hub", "~/c"),
        ("HUGGINGFACE_HUB_CACHE", "$HOME/hf/hub", "${HOME}/d"),
        ("HF_HUB_CACHE", "$HUB", "~/$NAME"),
    ];
    for (number, (name, value, cache)) in variables.into_iter().enumerate() {
        let out = home.path().join(format!("run-{number}"));
        let mut run = train(&[
            option("data", &data),
            "--backbone=someone/tiny".into(),
            option("out", &out),
        ]);
        run.env_remove("HF_HUB_CACHE")
            .env("HOME", home.path())
            .env("HUB", home.path().join("hf/hub"))
            .env("NAME", "e")
            .env(name, value)
            .env("ADEPT_CACHE", cache)
            .current_dir(home.path());
        finish(run).succeeded();
        let kept: PathBuf = home.path().join(["a", "b", "c", "d", "e"][number]);
        assert!(kept.is_dir(), "{name}={value}, ADEPT_CACHE={cache}");
        // The adapter names the repository, not the folder of its commit in the cache.
        let card = fs::read_to_string(out.join("best/README.md")).expect("a model card");
        assert!(card.contains("\nbase_model: \"someone/tiny\"\n"), "{card}");
        assert!(!card.contains(&*home.path().to_string_lossy()), "{card}");
        let config = fs::read_to_string(out.join("best/adapter_config.json")).expect("an adapter");
        assert!(
            config.contains("\"base_model_name_or_path\": \"someone/tiny\""),
            "{config}"
        );
    }
    let mut run = train(&[
        option("data", &data),
        "--backbone=someone/tiny".into(),
        "--out=none".into(),
    ]);
    run.env("ADEPT_CACHE", "~ann/x").current_dir(home.path());
    finish(run).failed(2, &["ADEPT_CACHE", "`~ann/x`", "write the full path"]);
}

#[test]
fn marks_at_the_beginning_of_texts_are_dropped() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::write(&path, text).expect("a writable folder");
        path
    };
    let run = |mark: &str, name: &str| {
        let out = root.path().join(name);
        let data = file("rows.jsonl", &format!("{mark}{}", rows()));
        let card = file("card.toml", &format!("{mark}{CARD}"));
        let config = file("config.toml", &format!("{mark}[train]\nlog_every = 1\n"));
        finish(train(&[
            option("data", &data),
            option("task", &card),
            option("config", &config),
            option("backbone", &sample().backbone),
            option("out", &out),
        ]))
        .succeeded();
        fs::read(out.join("best/adapter_model.safetensors")).expect("an adapter")
    };
    assert!(run("", "plain") == run("\u{feff}", "marked"), "the same adapter");

    // Files of a run to which an editor has added a mark.
    let out = root.path().join("plain");
    for name in ["record.jsonl", "result.json", "best/adapter_config.json"] {
        let text = fs::read_to_string(out.join(name)).expect("a file of the run");
        fs::write(out.join(name), format!("\u{feff}{text}")).expect("a writable folder");
    }
    finish(command([OsString::from("inspect"), out.clone().into()])).succeeded();
    let predict = |name: &str, bytes: &[u8], more: &[&str]| {
        let input = root.path().join(name);
        fs::write(&input, bytes).expect("a writable folder");
        let mut predict = command([
            OsString::from("predict"),
            option("adapter", &out.join("best")),
            option("backbone", &sample().backbone),
            option("input", &input),
        ]);
        predict.args(more);
        finish(predict)
    };
    let plain = predict("a", b"this song\nthat song\n", &[]).succeeded().out;
    assert_eq!(plain.lines().count(), 2);
    for text in [
        "\u{feff}this song\nthat song\n",
        "this song\r\nthat song",
        "this song\rthat song\r",
    ] {
        assert_eq!(predict("a", text.as_bytes(), &[]).succeeded().out, plain, "{text:?}");
    }
    let objects = predict("a", "\u{feff}{\"source\": \"this song\"}\n".as_bytes(), &["--jsonl"]).succeeded();
    assert!(
        objects.out.starts_with("{\"source\":\"this song\",\"prediction\":"),
        "{}",
        objects.out
    );
    let utf16: Vec<u8> = "\u{feff}this song\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    predict("a", &utf16, &[]).failed(2, &["/a: expected UTF-8, found UTF-16 (little-endian)", "iconv"]);
    predict("a", b"{\"source\": \"a\", \"source\": \"b\"}\n", &["--jsonl"])
        .failed(2, &["/a:1: ", "duplicate key `source`"]);
}
