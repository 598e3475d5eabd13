//! A full disk, a read-only file system, a standard output that cannot be written: exit code 1, the path, and usable
//! remains. Each attempt mounts a small file system in its own namespace (`unshare`).
#![allow(clippy::print_stderr, reason = "a skipped test has to say so")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Outcome, adept, command, copy, fresh, json, sample, train};
use crate::thorough::thorough;
use tempfile::TempDir;

/// A mount point for a small file system during a command, and a folder to which the remains are copied.
struct Disk {
    _folder: TempDir,
    mount: PathBuf,
    left: PathBuf,
}

/// Exit code of the shell if mounting is not permitted.
const CANNOT_MOUNT: i32 = 77;

impl Disk {
    fn new() -> Self {
        let (folder, root) = fresh("disk");
        let (mount, left) = (root.join("mount"), root.join("left"));
        fs::create_dir_all(&mount).expect("the folder is writable");
        Self {
            _folder: folder,
            mount,
            left,
        }
    }

    /// Runs the program with a file system of that many KiB mounted, initially containing `before`; `None` if this
    /// machine does not permit mounting.
    fn run(&self, options: &str, before: Option<&Path>, arguments: &[String]) -> Option<Outcome> {
        let script = "mount -t tmpfs -o size=16m tmpfs \"$1\" || exit 77
            if test -n \"$3\"; then cp -a \"$3/.\" \"$1\" || exit 77; fi
            mount -o \"remount,$2\" \"$1\" || exit 77
            left=$4; mount=$1; shift 4
            \"$@\"; code=$?
            mkdir -p \"$left\"; cp -a \"$mount/.\" \"$left\"
            exit $code";
        let _ = fs::remove_dir_all(&self.left);
        let program = command(arguments);
        let mut shell = Command::new("unshare");
        shell
            .args(["-rm", "sh", "-c", script, "sh"])
            .arg(&self.mount)
            .arg(options);
        shell.arg(before.unwrap_or(Path::new(""))).arg(&self.left);
        shell
            .arg(program.get_program())
            .args(program.get_args())
            .stdin(Stdio::null());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let output = shell.output().ok()?;
        let outcome = Outcome {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        let is_refused = outcome.code == Some(CANNOT_MOUNT) || outcome.err.starts_with("unshare:");
        if is_refused {
            eprintln!("skipped: no file system can be mounted here: {}", outcome.err.trim());
        }
        (!is_refused).then_some(outcome)
    }
}

/// The results that must not depend on interruptions.
fn scores(out: &Path) -> Vec<serde_json::Value> {
    let result = json(&out.join("result.json"));
    ["validation", "test", "best_step", "seed", "trainable_parameters"]
        .map(|key| result[key].clone())
        .into()
}

/// Runs with increasing disk sizes: each attempt fails at another file and names it; resuming the remains of the last
/// attempt gives the result of an uninterrupted run.
#[track_caller]
fn fills_up(method: &str, places: &[&str]) {
    let sample = sample();
    let disk = Disk::new();
    let arguments = |out: &Path| {
        let mut arguments = train(&sample.data, &sample.backbone, out);
        arguments.extend([
            format!("--set=adapter.method={method}"),
            "--quiet".to_owned(),
            "--set=checkpoint.every=1".to_owned(),
        ]);
        arguments
    };
    let (_folder, whole) = fresh("whole");
    adept(arguments(&whole)).succeeded();
    let out = disk.mount.join("run");
    let (mut failures, mut kibibytes) = (Vec::new(), 4_u32);
    loop {
        let Some(outcome) = disk.run(&format!("size={kibibytes}k"), None, &arguments(&out)) else {
            return;
        };
        if outcome.code == Some(0) {
            break;
        }
        assert_eq!(outcome.code, Some(1), "{kibibytes} KiB: {}", outcome.err);
        let outcome = outcome.failed(1, &["No space left on device", "hint: files written so far are intact"]);
        assert!(outcome.err.contains(&*disk.mount.to_string_lossy()), "{}", outcome.err);
        failures.push(outcome.err);
        if disk.left.join("run").exists() {
            let resumed = disk.mount.with_file_name("resumed");
            let _ = fs::remove_dir_all(&resumed);
            copy(&disk.left.join("run"), &resumed);
            // Only every third attempt is resumed; all of them would only take longer.
            if failures.len() % 3 == 0 {
                adept(arguments(&resumed)).succeeded();
                assert_eq!(scores(&resumed), scores(&whole), "{kibibytes} KiB");
            }
        }
        kibibytes += (kibibytes / 6).max(4) & !3;
        assert!(kibibytes < 1 << 16, "{failures:#?}");
    }
    assert_eq!(scores(&disk.left.join("run")), scores(&whole));
    for place in places {
        assert!(
            failures.iter().any(|message| message.contains(place)),
            "no attempt failed at {place}: {failures:#?}"
        );
    }
}

#[test]
fn a_full_disk_ends_an_adapters_run_with_1_and_a_resumed_one_is_whole() {
    fills_up("adept", &["adapter_model.safetensors", "checkpoint"]);
}

#[test]
fn a_full_disk_ends_the_run_of_a_whole_backbone_with_1() {
    if thorough() {
        fills_up("full", &["model.safetensors", "checkpoint"]);
    }
}

#[test]
fn a_read_only_disk_and_a_full_cache_end_with_1() {
    let sample = sample();
    let disk = Disk::new();
    let out = disk.mount.join("run");
    let Some(outcome) = disk.run("ro", None, &train(&sample.data, &sample.backbone, &out)) else {
        return;
    };
    outcome.failed(1, &["Read-only file system", "mount/run"]);
    let (_folder, elsewhere) = fresh("run");
    let mut arguments = train(&sample.data, &sample.backbone, &elsewhere);
    arguments.push(format!("--data-cache={}", disk.mount.join("cache").display()));
    let Some(outcome) = disk.run("size=8k", None, &arguments) else {
        return;
    };
    outcome.failed(1, &["mount/cache", "No space left on device"]);
    // A finished run on a disk that has become read-only is still reported as done, or the disk is named.
    let (_folder, done) = fresh("run");
    adept(train(&sample.data, &sample.backbone, &done)).succeeded();
    let mut again = train(&sample.data, &sample.backbone, &disk.mount);
    again.push("--quiet".to_owned());
    let Some(outcome) = disk.run("ro", Some(&done), &again) else {
        return;
    };
    outcome.failed(1, &["Read-only file system", "run.lock"]);
}

#[test]
fn a_report_on_a_full_disk_ends_with_1() {
    let disk = Disk::new();
    let (_folder, runs) = fresh("runs");
    fs::create_dir_all(runs.join("rte/adept/seed-42")).expect("the folder is writable");
    fs::write(runs.join("rte/adept/seed-42/record.jsonl"), "").expect("the folder is writable");
    let arguments = ["report".to_owned(), format!("--out={}", disk.mount.display())];
    let Some(outcome) = disk.run("ro", Some(&runs), &arguments) else {
        return;
    };
    outcome.failed(1, &["Read-only file system"]);
}

/// Standard output can fail like a disk.
#[test]
fn an_output_that_takes_no_more_ends_with_1_and_a_closed_one_quietly() {
    let sample = sample();
    let data = format!("--data={}", sample.data.display());
    let backbone = format!("--backbone={}", sample.backbone.display());
    let (_folder, text) = fresh("sources.txt");
    fs::write(&text, "sentence1: the film sentence2: a song\n".repeat(50)).expect("the folder is writable");
    let input = format!("--input={}", text.display());
    let length = "--set=input.max_source_length=32";
    let inspected = sample.backbone.display().to_string();
    let calls: [&[&str]; 6] = [
        &["eval", "--task=rte", &data, &backbone, length],
        &["predict", &backbone, &input, "--max-new-tokens=1"],
        &["inspect", &inspected],
        &["config"],
        &["--help"],
        &[
            "bench",
            "step",
            "--size=tiny",
            "--batch=1",
            "--tokens=2",
            "--steps=1",
            "--warmup=0",
            "--json",
        ],
    ];
    for call in calls {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = command(call)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .expect("the program is built");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{call:?}: {message}");
        assert!(
            message.contains("standard output: No space left on device"),
            "{call:?}: {message}"
        );

        let mut closed = command(call)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        drop(closed.stdout.take());
        let output = closed.wait_with_output().expect("the program ends");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*message), (Some(0), ""), "{call:?}");
    }
}
