//! Unusable input: each case ends with the right exit code and a message that names the place and the figures, and
//! leaves nothing that a later run could take for complete.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Outcome, adept, copy, fresh, sample, train};
use crate::model_folder::fill;
use tempfile::TempDir;

/// Damages the copy of the sample.
type Damage = fn(&Case);

/// A folder with a copy of the sample to be damaged.
struct Case {
    _folder: TempDir,
    data: PathBuf,
    backbone: PathBuf,
    out: PathBuf,
}

impl Case {
    fn new() -> Self {
        let (folder, root) = fresh("case");
        let case = Self {
            data: root.join("data"),
            backbone: root.join("backbone"),
            out: root.join("out"),
            _folder: folder,
        };
        copy(&sample().data.join("RTE"), &case.data.join("RTE"));
        copy(&sample().backbone, &case.backbone);
        case
    }

    /// Modifies a data file.
    fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        edit(&self.data.join("RTE").join(name), change);
    }

    fn train(&self, more: &[&str]) -> Outcome {
        let mut arguments = train(&self.data, &self.backbone, &self.out);
        arguments.extend(more.iter().map(ToString::to_string));
        adept(arguments)
    }

    /// Checks that nothing is left that a later run or a report would take for a result.
    #[track_caller]
    fn nothing_is_left(&self) {
        for name in ["result.json", "best", "checkpoint"] {
            assert!(!self.out.join(name).exists(), "{name} is left");
        }
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("the sample has this file");
    change(&mut bytes);
    fs::write(path, bytes).expect("the copy is writable");
}

/// The offset after the n-th line.
fn after_line(bytes: &[u8], n: usize) -> usize {
    let ends = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(index, _)| index + 1);
    ends.take(n).last().expect("the file has that many lines")
}

fn insert_line(bytes: &mut Vec<u8>, n: usize, line: &[u8]) {
    let at = after_line(bytes, n);
    bytes.splice(at..at, line.iter().copied());
}

#[test]
fn data_that_cannot_be_used() {
    let good = Case::new();
    good.train(&[]).succeeded();

    let cases: [(&str, Damage, &[&str]); 7] = [
        (
            "no folder",
            |case| fs::remove_dir_all(&case.data).expect("it is there"),
            &["data"],
        ),
        (
            "no validation file",
            |case| fs::remove_file(case.data.join("RTE/dev.tsv")).expect("it is there"),
            &["rte", "dev.tsv", "found", "train.tsv"],
        ),
        (
            "one column too many",
            |case| case.edit("train.tsv", |bytes| insert_line(bytes, 2, b"7\ta\tb\tc\tentailment\n")),
            &["train.tsv:3: expected 4 columns, found 5"],
        ),
        (
            "one column too few",
            |case| case.edit("dev.tsv", |bytes| insert_line(bytes, 4, b"7\ta\tentailment\n")),
            &["dev.tsv:5: expected 4 columns, found 3"],
        ),
        (
            "unknown label",
            |case| case.edit("train.tsv", |bytes| insert_line(bytes, 1, b"7\ta\tb\tmaybe\n")),
            &["train.tsv:2:", "entailment", "found `maybe`"],
        ),
        (
            "not UTF-8",
            |case| case.edit("train.tsv", |bytes| insert_line(bytes, 1, b"7\ta\xff\tb\tentailment\n")),
            &["train.tsv:2: expected UTF-8, found byte 0xff at byte 4 of the line"],
        ),
        (
            "nothing in it",
            |case| case.edit("train.tsv", Vec::clear),
            &["train.tsv"],
        ),
    ];
    for (name, damage, fragments) in cases {
        let case = Case::new();
        damage(&case);
        let outcome = case.train(&[]);
        assert_eq!(outcome.code, Some(2), "{name}: {}", outcome.err);
        outcome.failed(2, fragments);
        case.nothing_is_left();
    }
}

#[test]
fn harmless_differences_in_files_are_read() {
    let case = Case::new();
    for name in ["train.tsv", "dev.tsv"] {
        case.edit(name, |bytes| {
            let text = String::from_utf8(bytes.clone()).expect("the sample is UTF-8");
            *bytes = format!("\u{feff}{}", text.replace('\n', "\r\n")).into_bytes();
        });
    }
    let plain = Case::new();
    plain.train(&[]).succeeded();
    case.train(&[]).succeeded();
    let adapter = |case: &Case| fs::read(case.out.join("best/adapter_model.safetensors")).expect("it was trained");
    assert_eq!(
        adapter(&case),
        adapter(&plain),
        "a byte-order mark and CRLF change nothing"
    );
}

#[test]
fn backbones_that_cannot_be_used() {
    let cases: [(&str, Damage, i32, &[&str]); 7] = [
        (
            "cut weights",
            |case| {
                edit(&case.backbone.join("model.safetensors"), |bytes| {
                    bytes.truncate(bytes.len() - 1000)
                })
            },
            2,
            &["model.safetensors: expected", "bytes by its header, found", "truncated"],
        ),
        (
            "cut header",
            |case| edit(&case.backbone.join("model.safetensors"), |bytes| bytes.truncate(20)),
            2,
            &["model.safetensors"],
        ),
        (
            "no weights",
            |case| fs::remove_file(case.backbone.join("model.safetensors")).expect("it is there"),
            2,
            &["expected model.safetensors or model.safetensors.index.json, found neither"],
        ),
        (
            "no tokenizer",
            |case| fs::remove_file(case.backbone.join("tokenizer.json")).expect("it is there"),
            2,
            &["expected a tokenizer.json"],
        ),
        (
            "another width in config.json",
            |case| {
                edit(&case.backbone.join("config.json"), |bytes| {
                    let text = String::from_utf8(bytes.clone()).expect("JSON is UTF-8");
                    *bytes = text.replace("\"d_ff\": 256", "\"d_ff\": 128").into_bytes();
                });
            },
            2,
            &["model.safetensors", "DenseReluDense", "128", "256"],
        ),
        (
            "a weight that is no number",
            |case| fill(&case.backbone, "decoder.final_layer_norm.weight", f32::NAN),
            2,
            &["model.safetensors", "`decoder.final_layer_norm.weight`", "is NaN"],
        ),
        (
            "weights that make no number",
            |case| fill(&case.backbone, "decoder.final_layer_norm.weight", 3e38),
            1,
            &["step 0", "loss NaN"],
        ),
    ];
    for (name, damage, code, fragments) in cases {
        let case = Case::new();
        damage(&case);
        let outcome = case.train(&["--quiet"]);
        assert_eq!(outcome.code, Some(code), "{name}: {}", outcome.err);
        outcome.failed(code, fragments);
        case.nothing_is_left();
    }
}

#[test]
fn settings_that_make_no_sense() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["--set=train.step=3"],
            &["--set: unknown key `train.step`; the nearest is `train.steps`"],
        ),
        (
            &["--set=train.steps=none"],
            &["--set: `train.steps` must be a whole number from 1"],
        ),
        (&["--set=train.steps"], &["`train.steps` is not of the form key=value"]),
        (
            &["--set=optimizer.beta1=1.5"],
            &["`optimizer.beta1` must be a number from 0"],
        ),
        (
            &["--set=adapter.virtual_tokens=100", "--set=adapter.rank=0"],
            &["a budget of 100 x 64 values leaves no room"],
        ),
        (&["--config=/no/such/file.toml"], &["/no/such/file.toml"]),
    ];
    for (more, fragments) in cases {
        let case = Case::new();
        case.train(more).failed(2, fragments);
        case.nothing_is_left();
    }

    let case = Case::new();
    let file = case.out.with_extension("toml");
    fs::write(&file, "[train]\nbatchsize = 3\n").expect("the folder is writable");
    case.train(&[&format!("--config={}", file.display())]).failed(
        2,
        &["case/out.toml:2: unknown key `train.batchsize`; the nearest is `train.batch_size`"],
    );
}

#[test]
fn devices_that_are_not_there() {
    let case = Case::new();
    if cfg!(not(feature = "cuda-unfused")) {
        case.train(&["--device=cuda:0"]).failed(
            2,
            &[
                "device `cuda` is not compiled into this program, which has: flex",
                "--features cuda",
            ],
        );
        case.nothing_is_left();
    }
    for device in ["gpu", "flex:1", "wgpu:x"] {
        let outcome = case.train(&[&format!("--device={device}")]);
        assert_eq!(outcome.code, Some(2), "{}", outcome.err);
        assert!(outcome.err.contains(device), "{}", outcome.err);
    }
}

#[test]
fn kernels_that_are_not_there() {
    let case = Case::new();
    case.train(&["--kernel=sse2"])
        .failed(2, &["no kernel is named \"sse2\": amx-bf16, avx512-bf16, rounded"]);
    for kernel in adept_models::kernels() {
        let outcome = adept(["config", "--kernel", kernel.name]);
        match kernel.is_available {
            true => outcome.succeeded(),
            false => outcome.failed(2, &[kernel.name, "not available here; available: ", "rounded"]),
        };
    }
    case.nothing_is_left();
}

#[test]
fn adapters_that_do_not_fit() {
    let case = Case::new();
    case.train(&[]).succeeded();
    let best = case.out.join("best");
    let eval = |backbone: &Path| {
        adept([
            "eval".to_owned(),
            format!("--adapter={}", best.display()),
            format!("--backbone={}", backbone.display()),
            "--task=rte".to_owned(),
            format!("--data={}", case.data.display()),
        ])
    };
    eval(&case.backbone).succeeded();

    // With one weight changed, the fingerprint differs.
    let other = case.backbone.with_file_name("other");
    copy(&case.backbone, &other);
    edit(&other.join("model.safetensors"), |bytes| {
        let end = bytes.len();
        bytes[end - 1] ^= 1;
    });
    eval(&other).failed(
        2,
        &[
            "the adapter was trained on the backbone sha256:",
            "but this backbone is sha256:",
        ],
    );

    let weights = best.join("adapter_model.safetensors");
    let whole = fs::read(&weights).expect("it was trained");
    edit(&weights, |bytes| {
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    eval(&case.backbone).failed(
        2,
        &["adapter_model.safetensors: the tensors hash to", "was written with"],
    );
    // An adapter without a hash, as other programs write them: the values themselves are checked.
    edit(&best.join("adapter_config.json"), |bytes| {
        let mut config: serde_json::Value = serde_json::from_slice(bytes).expect("it was written as JSON");
        let ours = config["adept"].as_object_mut().expect("our own part");
        ours.remove("tensors").expect("the hash of the tensors");
        *bytes = config.to_string().into_bytes();
    });
    eval(&case.backbone).failed(
        2,
        &["adapter_model.safetensors: tensor", "is NaN, expected a finite number"],
    );
    fs::write(&weights, &whole[..whole.len() - 8]).expect("the folder is writable");
    eval(&case.backbone).failed(
        2,
        &["adapter_model.safetensors: incomplete or invalid safetensors file"],
    );
    fs::remove_file(&weights).expect("it was there");
    eval(&case.backbone).failed(2, &["found neither adapter_model.safetensors nor adapter_model.bin"]);
}

#[test]
fn folders_that_hold_something_else() {
    let case = Case::new();
    case.train(&[]).succeeded();
    let before = fs::read(case.out.join("result.json")).expect("it was trained");
    case.train(&["--set=train.steps=5", "--quiet"])
        .failed(2, &["holds a run with `train.steps` = 3, this one has 5"]);
    assert_eq!(
        fs::read(case.out.join("result.json")).expect("it is still there"),
        before
    );

    adept(["inspect".to_owned(), case.data.display().to_string()]).failed(2, &["expected adapter_config.json"]);
    adept(["report".to_owned(), format!("--out={}", case.data.display())]).failed(2, &["contains no runs"]);
    adept(["verify", "--backbone=/no/backbone", "--golden=/no/golden"]).failed(2, &["/no/"]);
}
