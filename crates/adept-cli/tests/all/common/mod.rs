//! Shared by the program's tests: the sample, and running the program.

mod sample;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use sample::Sample;
use tempfile::TempDir;

/// Result of running the program.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; `None` if ended by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Outcome {
    /// Fails the test, showing all output, if the program did not succeed.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    /// Fails the test if code or message are not as expected.
    #[track_caller]
    pub fn failed(self, code: i32, fragments: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for fragment in fragments {
            assert!(self.err.contains(fragment), "expected `{fragment}` in:\n{}", self.err);
        }
        assert!(
            self.err.starts_with("error: "),
            "one message, nothing before it:\n{}",
            self.err
        );
        assert!(
            !self.err.contains("panicked") && !self.err.contains("RUST_BACKTRACE"),
            "a panic:\n{}",
            self.err
        );
        self
    }
}

/// The program with these arguments, ready to be run or spawned.
pub fn command<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_adept"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("ADEPT_DATASETS", "/no/such/folder")
        .env("ADEPT_CACHE", "none")
        .env("HF_HUB_CACHE", "/no/such/folder")
        .env("HF_HUB_OFFLINE", "1")
        .env_remove("ADEPT_DATA")
        .env_remove("RUST_BACKTRACE");
    command
}

/// Runs the program to completion.
pub fn adept<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Outcome {
    finish(command(arguments))
}

/// The synthetic data and backbone, written once for all tests of a binary.
pub fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<(TempDir, Sample)> = OnceLock::new();
    let (_, sample) = SAMPLE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sample = sample::prepare(folder.path());
        (folder, sample)
    });
    sample
}

/// Copies a folder that a test may then damage.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is writable");
    for entry in fs::read_dir(from).expect("the folder is there") {
        let path = entry.expect("the folder is readable").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("the folder is writable");
        }
    }
}

/// Settings for a short run.
pub const SHORT: &[&str] = &[
    "--set=train.steps=3",
    "--set=evaluation.every=2",
    "--set=train.batch_size=4",
    "--set=adapter.virtual_tokens=4",
    "--set=adapter.rank=2",
    "--set=input.max_source_length=32",
    "--set=evaluation.batch_size=50",
];

/// Arguments of a short training run of ADePT on RTE.
pub fn train(data: &Path, backbone: &Path, out: &Path) -> Vec<String> {
    let mut arguments = vec!["train".to_owned(), "--task=rte".to_owned(), "--method=adept".to_owned()];
    arguments.push(format!("--data={}", data.display()));
    arguments.push(format!("--backbone={}", backbone.display()));
    arguments.push(format!("--out={}", out.display()));
    arguments.extend(SHORT.iter().map(ToString::to_string));
    arguments
}

/// A JSON file.
pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).expect("the program wrote it")).expect("it is JSON")
}

/// A folder below a fresh temporary one.
pub fn fresh(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    (folder, path)
}

/// The program with the sample as the project's own data and backbone.
pub fn with_datasets<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = command(arguments);
    command.env("ADEPT_DATASETS", &sample().datasets);
    command
}

/// Runs a command to completion.
pub fn finish(mut command: Command) -> Outcome {
    let output = command.output().expect("the program is built by cargo for this test");
    Outcome {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
