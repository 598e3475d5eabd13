//! Consistency of a model's folder: tokenizer, embedding, configurations and adapter are checked against each other
//! before anything is computed, and a model whose logits are not finite gives no answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::{Outcome, adept, command, copy, fresh, sample, train};
use tempfile::TempDir;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/goldens")
        .join(name)
}

/// A copy of a backbone's folder.
fn copied(from: &Path) -> (TempDir, PathBuf) {
    let (folder, path) = fresh("backbone");
    copy(from, &path);
    (folder, path)
}

/// Header and values of a checkpoint.
fn parts(backbone: &Path) -> (serde_json::Value, Vec<u8>) {
    let bytes = fs::read(backbone.join("model.safetensors")).expect("the checkpoint is there");
    let size = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let header = serde_json::from_slice(&bytes[8..8 + size]).expect("a header");
    (header, bytes[8 + size..].to_vec())
}

fn write(backbone: &Path, header: &serde_json::Value, values: &[u8]) {
    let mut text = header.to_string();
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    let size = (text.len() as u64).to_le_bytes();
    let bytes = [&size, text.as_bytes(), values].concat();
    fs::write(backbone.join("model.safetensors"), bytes).expect("the copy is writable");
}

fn range(header: &serde_json::Value, tensor: &str) -> std::ops::Range<usize> {
    let offset = |place: usize| {
        header[tensor]["data_offsets"][place]
            .as_u64()
            .expect("the tensor is there") as usize
    };
    offset(0)..offset(1)
}

/// Sets all values of an f32 tensor in a checkpoint.
pub fn fill(backbone: &Path, tensor: &str, value: f32) {
    let (header, mut values) = parts(backbone);
    for chunk in values[range(&header, tensor)].chunks_exact_mut(4) {
        chunk.copy_from_slice(&value.to_le_bytes());
    }
    write(backbone, &header, &values);
}

/// Duplicates a tensor under another name.
fn repeat(backbone: &Path, tensor: &str, name: &str) {
    let (mut header, mut values) = parts(backbone);
    let (begin, copy) = (values.len(), values[range(&header, tensor)].to_vec());
    let mut entry = header[tensor].clone();
    entry["data_offsets"] = serde_json::json!([begin, begin + copy.len()]);
    header[name] = entry;
    values.extend(copy);
    write(backbone, &header, &values);
}

/// Edits the text of a file.
fn edit(path: &Path, change: impl FnOnce(&str) -> String) {
    let text = fs::read_to_string(path).expect("the file is there");
    let changed = change(&text);
    assert_ne!(changed, text);
    fs::write(path, changed).expect("the copy is writable");
}

fn predict(backbone: &Path, more: &[&str], text: &str) -> Outcome {
    let input = backbone.with_file_name("input.txt");
    fs::write(&input, text).expect("the folder is writable");
    let mut command = command(["predict", "--backbone"]);
    command.arg(backbone).args(more).stdin(Stdio::null());
    command.arg("--input").arg(input);
    crate::common::finish(command)
}

const TWO: &str = "hello world\nsentence: a nice film\n";

#[test]
fn logits_that_are_not_finite_are_an_error_with_row_and_stage() {
    // The weights are finite but the activations overflow: f32 ends at 3.4e38.
    for (tensor, stage) in [
        ("decoder.final_layer_norm.weight", "in the logits"),
        ("encoder.final_layer_norm.weight", "in the encoder's output"),
    ] {
        let (_folder, backbone) = copied(&golden("t5_v1_0"));
        fill(&backbone, tensor, 3e38);
        let outcome = predict(&backbone, &[], TWO);
        outcome.failed(1, &["input.txt:1: row 0: NaN or infinity", stage, "new token 0"]);
        // The labels of SST-2 are scored, not generated.
        let outcome = predict(&backbone, &["--task=sst2"], TWO);
        assert!(outcome.out.is_empty(), "{}", outcome.out);
        outcome.failed(1, &["row 0: NaN or infinity", stage, "label 0 scores"]);

        let rows = backbone.with_file_name("rows.jsonl");
        let row = |number| format!("{{\"source\": \"a film {number}\", \"target\": \"good\"}}\n");
        fs::write(&rows, (0..20).map(row).collect::<String>()).expect("the folder is writable");
        let eval = adept([
            "eval".to_owned(),
            // The golden vocabulary has no digits, which would be reported otherwise.
            "--quiet".to_owned(),
            format!("--backbone={}", backbone.display()),
            format!("--data={}", rows.display()),
        ]);
        eval.failed(1, &["NaN or infinity", stage]);
    }
}

#[test]
fn weights_that_are_not_finite_are_named_at_the_door() {
    for value in [f32::NAN, f32::INFINITY] {
        let (_folder, backbone) = copied(&golden("t5_v1_0"));
        fill(&backbone, "decoder.final_layer_norm.weight", value);
        let outcome = predict(&backbone, &[], TWO);
        outcome.failed(2, &["model.safetensors", "`decoder.final_layer_norm.weight`", "at [0]"]);
    }
}

#[test]
fn tokenizer_embedding_and_configurations_are_held_against_each_other() {
    let (_folder, backbone) = copied(&golden("t5_v1_0"));
    // The tokenizer of a model with 8000 rows.
    let larger = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/backbones/t5-nano/tokenizer.json");
    fs::copy(larger, backbone.join("tokenizer.json")).expect("the copy is writable");
    predict(&backbone, &[], TWO).failed(2, &["the tokenizer has ids up to", "the embedding has 160 rows"]);

    // Answers were trained to end with 1; generation would wait for 2.
    let (_folder, backbone) = copied(&golden("t5_v1_0"));
    let generation = backbone.join("generation_config.json");
    fs::write(&generation, "{\"eos_token_id\": 2}").expect("the copy is writable");
    predict(&backbone, &[], TWO).failed(2, &["appends 1 to every text", "[2]"]);
    fs::write(&generation, "{\"eos_token_id\": [2, 1]}").expect("the copy is writable");
    predict(&backbone, &[], TWO).succeeded();
    fs::write(&generation, "{\"suppress_tokens\": [5]}").expect("the copy is writable");
    predict(&backbone, &[], TWO).failed(2, &["generation_config.json: `suppress_tokens`", "found [5]"]);

    // The golden CodeGen has 128 positions.
    let (_folder, backbone) = copied(&golden("codegen"));
    edit(&backbone.join("config.json"), |text| {
        text.replace("\"n_positions\": 128", "\"n_positions\": 12")
    });
    let data = backbone.with_file_name("data");
    fs::create_dir(&data).expect("the folder is writable");
    let row = |id: usize| {
        let row = serde_json::json!({
            "task_id": format!("MBPP/{id}"), "language": "python", "prompt": format!("def f{id}(x):\n"),
            "test": "def check(candidate):\n    assert candidate(1)\n", "entry_point": format!("f{id}"),
            "canonical_solution": "    return x + 1 + 2 + 3 + 4\n", "description": "",
        });
        format!("{row}\n")
    };
    fs::write(data.join("mbpp_release_v1.jsonl"), (0..20).map(row).collect::<String>()).expect("writable");
    let outcome = adept([
        "train".to_owned(),
        "--task=mbpp".to_owned(),
        "--method=pt".to_owned(),
        format!("--backbone={}", backbone.display()),
        format!("--data={}", data.display()),
        format!("--out={}", backbone.with_file_name("out").display()),
        "--set=adapter.virtual_tokens=4".to_owned(),
        "--quiet".to_owned(),
    ]);
    outcome.failed(2, &["4 virtual tokens and", "the backbone has 12 positions"]);
}

#[test]
fn a_repeated_matrix_changes_nothing_that_is_said_of_a_model() {
    let plain = adept(["inspect".as_ref(), golden("t5_v1_0").as_os_str()]).succeeded();
    let (_folder, backbone) = copied(&golden("t5_v1_0"));
    repeat(&backbone, "shared.weight", "lm_head.weight");
    let found = adept(["inspect".as_ref(), backbone.as_os_str()]).succeeded();
    for word in ["parameters", "fingerprint"] {
        let line = |outcome: &Outcome| {
            let mut lines = outcome.out.lines();
            lines
                .find(|line| line.starts_with(word))
                .expect("it is said")
                .to_owned()
        };
        assert_eq!(line(&found), line(&plain));
    }
}

/// Replaces a file by a stand-in.
type Damage = fn(&Path);

#[test]
fn stand_ins_are_called_that_and_the_way_out_is_named() {
    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 891646390\n";
    let damages: [(&str, Damage); 3] = [
        ("a Git LFS pointer", |path| fs::write(path, POINTER).expect("writable")),
        ("a web page", |path| {
            fs::write(path, "<!doctype html>").expect("writable")
        }),
        ("an empty file", |path| fs::write(path, "").expect("writable")),
    ];
    let (_folder, root) = fresh("case");
    let (backbone, out) = (root.join("backbone"), root.join("out"));
    copy(&sample().backbone, &backbone);
    adept(train(&sample().data, &backbone, &out)).succeeded();
    let eval = || {
        adept([
            "eval".to_owned(),
            format!("--adapter={}", out.join("best").display()),
            format!("--backbone={}", backbone.display()),
            "--task=rte".to_owned(),
            format!("--data={}", sample().data.display()),
        ])
    };
    for path in [
        backbone.join("tokenizer.json"),
        backbone.join("model.safetensors"),
        backbone.join("config.json"),
        out.join("best/adapter_config.json"),
        out.join("best/adapter_model.safetensors"),
    ] {
        let whole = fs::read(&path).expect("the file is there");
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        for (what, damage) in damages {
            damage(&path);
            eval().failed(2, &[&name, what, "adept fetch"]);
        }
        #[cfg(unix)]
        {
            fs::remove_file(&path).expect("the file is there");
            std::os::unix::fs::symlink("../blobs/gone", &path).expect("the folder is writable");
            eval().failed(2, &[&name, "a dangling link to ../blobs/gone"]);
            fs::remove_file(&path).expect("the link is there");
        }
        fs::write(&path, whole).expect("the folder is writable");
    }
    // A byte-order mark added by an editor changes nothing.
    edit(&out.join("best/adapter_config.json"), |text| format!("\u{feff}{text}"));
    eval().succeeded();
}
