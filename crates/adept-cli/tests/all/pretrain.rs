//! `adept pretrain` as a user runs it: output and files, unusable input, a full disk, kills.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{Outcome, adept, command, fresh};
use crate::thorough::thorough;
use tempfile::TempDir;

/// Corpus, task and configuration in one folder.
struct Case {
    _folder: TempDir,
    root: PathBuf,
}

const WORDS: [&str; 12] = [
    "harbour",
    "lantern",
    "crossed",
    "morning",
    "painter",
    "followed",
    "winter",
    "garden",
    "letter",
    "window",
    "river",
    "carefully",
];

/// Suffixes that multiply the words: a tokenizer needs different ones.
const ENDS: [&str; 9] = ["", "s", "like", "less", "ful", "ness", "ish", "mate", "ward"];

fn sentence(number: usize) -> String {
    let word = |salt: usize| {
        let place = number * (salt + 3) + number / 5 + salt * 7;
        let end = ENDS[(place / 5 + salt) % ENDS.len()];
        format!("{}{end}", WORDS[place % WORDS.len()])
    };
    (0..9).map(word).collect::<Vec<_>>().join(" ")
}

impl Case {
    fn new() -> Self {
        let (folder, root) = fresh("case");
        fs::create_dir_all(root.join("corpora")).expect("the folder is writable");
        fs::create_dir_all(root.join("glue/RTE")).expect("the folder is writable");
        let paragraphs: String = (0..600).map(|number| sentence(number) + ".\n").collect();
        fs::write(root.join("corpora/a.txt"), paragraphs).expect("the folder is writable");
        let rows = |count: usize, begin: usize| {
            let row = |number: usize| {
                let label = ["entailment", "not_entailment"][number % 2];
                format!(
                    "{number}\t{}\t{}\t{label}\n",
                    sentence(number),
                    sentence(number + number % 2)
                )
            };
            let rows: String = (begin..begin + count).map(row).collect();
            format!("index\tsentence1\tsentence2\tlabel\n{rows}")
        };
        fs::write(root.join("glue/RTE/train.tsv"), rows(40, 0)).expect("the folder is writable");
        fs::write(root.join("glue/RTE/dev.tsv"), rows(20, 90)).expect("the folder is writable");
        let config = "[model]\nd_model = 16\nd_kv = 8\nd_ff = 32\nlayers = 1\nheads = 2\n\
             [tokenizer]\nvocab_size = 50\nsentinels = 8\n\
             [text]\nfiles = [\"corpora\"]\ninput_length = 24\nbatch_size = 4\nholdout_windows = 8\n\
             [mixture]\nbatch_size = 4\nmax_source_length = 64\nbuckets = [32]\n\
             [schedule]\nwarmup_steps = 4\ndecay_steps = 4\n\
             [train]\nsteps = 24\nlog_every = 4\nevaluate_every = 8\nsave_every = 2\nevaluation_rows = 10\n\
             [[tasks]]\nname = \"rte\"\ndata = \"glue\"\n";
        fs::write(root.join("pretrain.toml"), config).expect("the folder is writable");
        Self { _folder: folder, root }
    }

    fn arguments(&self, out: &str, more: &[&str]) -> Vec<String> {
        let config = self.root.join("pretrain.toml");
        let mut arguments = vec![
            "pretrain".to_owned(),
            format!("--config={}", config.display()),
            format!("--out={}", self.root.join(out).display()),
        ];
        arguments.extend(more.iter().map(ToString::to_string));
        arguments
    }

    fn run(&self, out: &str, more: &[&str]) -> Outcome {
        adept(self.arguments(out, more))
    }

    /// The model's files and the last checkpoint's tensors.
    fn remains(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let out = self.root.join(out);
        let mut found = BTreeMap::new();
        for folder in [out.join("model"), out.join("checkpoint/step-00000024")] {
            for entry in fs::read_dir(&folder).expect("the run is done") {
                let path = entry.expect("the folder is readable").path();
                let name = path
                    .file_name()
                    .expect("an entry has a name")
                    .to_string_lossy()
                    .into_owned();
                if name != "state.json" {
                    found.insert(name, fs::read(&path).expect("it is readable"));
                }
            }
        }
        assert!(found.contains_key("model.safetensors") && found.contains_key("tensors.safetensors"));
        found
    }
}

#[test]
fn a_model_is_made_planned_found_done_and_inspected() {
    let case = Case::new();
    let plan = case.run("out", &["--plan"]).succeeded().out;
    for part in [
        "1 files, 600 paragraphs",
        "rte: 40 rows, 100.0 %",
        "50 tokens",
        "24 of 2 passes",
    ] {
        assert!(plan.contains(part), "{plan}");
    }
    assert!(!case.root.join("out").exists());
    let config = case.root.join("pretrain.toml").display().to_string();
    adept(["pretrain", "--config", &config]).failed_usage("--out");

    let first = case.run("out", &[]).succeeded();
    assert!(first.out.contains("step 24: held-out loss"), "{}", first.out);
    let again = case.run("out", &[]).succeeded();
    assert_eq!(again.out, first.out);
    assert!(again.err.contains("nothing is trained again"), "{}", again.err);
    let model = case.root.join("out/model").display().to_string();
    let shown = adept(["inspect", &model]).succeeded().out;
    let run = adept(["inspect", &case.root.join("out").display().to_string()])
        .succeeded()
        .out;
    assert!(
        run.contains("of pretraining") && run.contains("vocabulary             50"),
        "{run}"
    );
    assert!(shown.contains("vocabulary             50"), "{shown}");
    assert_eq!(case.run("out", &["--quiet"]).succeeded().err, "");
}

trait Usage {
    fn failed_usage(self, fragment: &str);
}

impl Usage for Outcome {
    #[track_caller]
    fn failed_usage(self, fragment: &str) {
        assert_eq!(self.code, Some(2), "{}", self.err);
        assert!(self.err.contains(fragment), "{}", self.err);
    }
}

type Damage = fn(&Path);

#[test]
fn input_that_cannot_be_used_is_named() {
    let cases: &[(&str, Damage, &[&str], &[&str])] = &[
        (
            "an empty corpus",
            |root| write(&root.join("corpora/a.txt"), b""),
            &[],
            &["empty"],
        ),
        (
            "a corpus of short lines",
            |root| write(&root.join("corpora/a.txt"), b"too short\n\nas this\n"),
            &[],
            &["empty", "40 characters"],
        ),
        (
            "a corpus that is not text",
            |root| write(&root.join("corpora/b.txt"), &[b'a', b'b', b'\n', 0, 1, 2]),
            &[],
            &["b.txt:2", "0x00"],
        ),
        (
            "a corpus that is not UTF-8",
            |root| write(&root.join("corpora/b.txt"), b"na\xefve\n"),
            &[],
            &["b.txt:1", "0xef"],
        ),
        (
            "a gzip file that is cut",
            |root| {
                write(
                    &root.join("corpora/b.txt.gz"),
                    &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 75],
                )
            },
            &[],
            &["b.txt.gz", "gzip"],
        ),
        (
            "no corpus",
            |root| fs::remove_dir_all(root.join("corpora")).expect("it is there"),
            &[],
            &["corpora"],
        ),
        (
            "a folder without text",
            |root| fs::rename(root.join("corpora/a.txt"), root.join("corpora/a.md")).expect("it is there"),
            &[],
            &["corpora", "a.md"],
        ),
        (
            "a vocabulary larger than the text supports",
            |_| {},
            &["--set=tokenizer.vocab_size=5000"],
            &["5000 pieces", "support only"],
        ),
        (
            "a vocabulary too small",
            |_| {},
            &["--set=tokenizer.vocab_size=20"],
            &["at least"],
        ),
        (
            "too few sentinels",
            |_| {},
            &["--set=tokenizer.sentinels=1", "--set=text.mean_span_length=1"],
            &["sentinels"],
        ),
        (
            "too little text for what is held out",
            |_| {},
            &["--set=text.holdout_windows=100000"],
            &["100000 held-out windows"],
        ),
        (
            "no such task data",
            |root| fs::remove_dir_all(root.join("glue/RTE")).expect("it is there"),
            &[],
            &["task `rte` of the mixture", "glue"],
        ),
        (
            "a damaged row",
            |root| {
                write(
                    &root.join("glue/RTE/train.tsv"),
                    b"index\tsentence1\tsentence2\tlabel\n0\ta\tb\tmaybe\n",
                )
            },
            &[],
            &["task `rte` of the mixture", "train.tsv:2"],
        ),
        (
            "no such tokenizer",
            |_| {},
            &["--set=tokenizer.path=nowhere"],
            &["nowhere"],
        ),
        (
            "no such checkpoint to begin with",
            |_| {},
            &["--set=model.init=nowhere"],
            &["nowhere"],
        ),
        (
            "an unknown key",
            |root| write(&root.join("pretrain.toml"), b"[text]\nfile = []\n"),
            &[],
            &[
                "pretrain.toml:2: unknown key `text.file`",
                "`text.files`",
                "docs/pretraining.md",
            ],
        ),
        (
            "heads of no channels",
            |_| {},
            &["--set=model.d_kv=0"],
            &["--set: `model.d_kv` must be a whole number from 1"],
        ),
    ];
    for (name, damage, more, fragments) in cases {
        let case = Case::new();
        damage(&case.root);
        let more = [*more, &["--quiet"]].concat();
        let outcome = case.run("out", &more);
        assert_eq!(outcome.code, Some(2), "{name}: {}", outcome.err);
        outcome.failed(2, fragments);
        for left in ["model", "checkpoint", "record.jsonl"] {
            assert!(!case.root.join("out").join(left).exists(), "{name}: {left} is left");
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("the folder is writable");
}

/// With an increasing limit on file size, every attempt gets further, names the file that could not be written, and
/// leaves files the next one can use. The last one gives the result of a run without limits.
#[test]
fn a_disk_that_fills_up_is_an_error_and_leaves_nothing_torn() {
    if !thorough() {
        return;
    }
    let case = Case::new();
    // Sizes in the order in which the files are written, so that each is the first to fail under some limit.
    let paragraphs: String = (0..25_000).map(|number| sentence(number) + ".\n").collect();
    write(&case.root.join("corpora/a.txt"), paragraphs.as_bytes());
    let larger = ["--quiet", "--set=model.d_ff=1024", "--set=model.d_model=64"];
    case.run("whole", &larger).succeeded();
    let (mut failures, mut done) = (Vec::new(), false);
    let limits = std::iter::successors(Some(100_u32), |blocks| Some(blocks * 3 / 2));
    for blocks in limits.take_while(|blocks| *blocks < 100_000) {
        let mut arguments = vec![
            "-c".to_owned(),
            // Unhandled, the signal would end the process; ignored, the write fails as on a full disk.
            format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_adept").to_owned(),
        ];
        arguments.extend(case.arguments("limited", &larger));
        let output = Command::new("sh")
            .args(&arguments)
            .stdin(Stdio::null())
            .env_remove("ADEPT_DATA")
            .output()
            .expect("a shell is there");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            done = true;
            break;
        }
        assert_eq!(output.status.code(), Some(1), "{blocks} blocks: {message}");
        assert!(
            message.contains("write") || message.contains("written") || message.contains("copy"),
            "{blocks} blocks: {message}"
        );
        assert!(message.contains("too large"), "{blocks} blocks: {message}");
        if failures.last() != Some(&message) {
            failures.push(message);
        }
    }
    assert!(done);
    for file in ["tokenizer", "tokens.bin", "checkpoint"] {
        assert!(
            failures.iter().any(|message| message.contains(file)),
            "no attempt failed at {file}: {failures:#?}"
        );
    }
    assert!(case.remains("whole") == case.remains("limited"));
}

#[test]
fn a_killed_run_goes_on_to_the_same_model_byte_for_byte() {
    let case = Case::new();
    let began = Instant::now();
    case.run("whole", &[]).succeeded();
    let took = began.elapsed();
    let (mut kills, mut sessions) = (0, 0);
    loop {
        let mut running = command(case.arguments("killed", &["--quiet"]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program is built by cargo for this test");
        if kills < 6 {
            sleep(took.mul_f64(0.15 + 0.1 * f64::from(kills)));
            if running.try_wait().expect("it is our child").is_none() {
                running.kill().expect("it is our child");
                kills += 1;
            }
        }
        sessions += 1;
        assert!(sessions < 20, "the run gets nowhere");
        if running.wait().expect("it is our child").success() {
            break;
        }
    }
    assert!(kills > 0);
    assert!(case.remains("whole") == case.remains("killed"), "after {kills} kills");
}

#[test]
fn an_interrupted_run_saves_and_goes_on() {
    let case = Case::new();
    case.run("whole", &[]).succeeded();
    let running = command(case.arguments("stopped", &[]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built by cargo for this test");
    let begun = Instant::now();
    while !case.root.join("stopped/checkpoint").exists() && begun.elapsed() < Duration::from_secs(120) {
        sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill")
        .args(["-INT", &running.id().to_string()])
        .status()
        .expect("kill is there");
    assert!(sent.success());
    let output = running.wait_with_output().expect("the program ends");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(message.contains("interrupted at step"), "{message}");
    let resumed = case.run("stopped", &[]).succeeded();
    assert!(resumed.err.contains("resumed at step"), "{}", resumed.err);
    assert!(case.remains("whole") == case.remains("stopped"));
}
