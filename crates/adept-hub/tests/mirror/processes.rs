//! Several processes sharing a cache, a killed process, and full disks.
//!
//! A test runs [`child`] by starting this binary again, with hub and cache given in its environment.
#![cfg(unix)]

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use adept_hub::{Hub, Settings};

use crate::server::{Fault, Server, sha256};
use crate::{assert_clean, assert_sound, fetch, hub, large, parts, root};

/// Marks the child process.
const IS_CHILD: &str = "ADEPT_HUB_TEST_CHILD";

/// Runs in a process of its own: fetches everything and prints the result.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn child() {
    if env::var_os(IS_CHILD).is_none() {
        return;
    }
    let settings = Settings::from_env().unwrap();
    let cache = settings.cache.clone();
    let mut out = std::io::stdout();
    match fetch(&Hub::new(settings)) {
        Ok(_) => writeln!(out, "\nfetched").unwrap(),
        Err(error) => writeln!(out, "\nerror: {error}").unwrap(),
    }
    assert_sound(&cache);
    for (part, length) in parts(&cache) {
        writeln!(out, "part {part} {length}").unwrap();
    }
}

/// A command that runs [`child`], either directly or as the last arguments of `program`.
fn child_command(program: &[&str], server: &Server, home: &Path) -> Command {
    let own = env::current_exe().unwrap();
    let mut command = match program {
        [] => Command::new(&own),
        [first, others @ ..] => {
            let mut command = Command::new(first);
            command.args(others).arg(&own);
            command
        }
    };
    command
        .args(["--exact", "processes::child", "--ignored", "--nocapture"])
        .env(IS_CHILD, "1")
        .env("HF_HOME", home)
        .env("HF_ENDPOINT", &server.address)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in [
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
    ] {
        command.env_remove(name);
    }
    command
}

/// Output of a child that exited successfully.
fn said(output: Output) -> String {
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}{errors}", output.status);
    text
}

fn cache_of(home: &Path) -> std::path::PathBuf {
    home.join("hub")
}

#[test]
fn two_processes_bring_a_file_once() {
    let bytes = large();
    let server = Server::start(&[("train.bin", &bytes, true), ("README.md", b"text", false)]);
    server.fault(&[Fault::Late(500), Fault::Late(500)]);
    let home = tempfile::tempdir().unwrap();
    let children: Vec<Child> = (0..3)
        .map(|_| child_command(&[], &server, home.path()).spawn().unwrap())
        .collect();
    for child in children {
        let text = said(child.wait_with_output().unwrap());
        assert!(text.contains("\nfetched\n"), "{text}");
    }
    assert_eq!(server.requests("/api/").len(), 3, "all three were at work");
    assert_eq!(server.ranges().len(), 2, "each file came once");
    assert_clean(&cache_of(home.path()));
}

#[test]
fn a_killed_process_is_gone_on_from() {
    let bytes = large();
    let server = Server::start(&[("train.bin", &bytes, true)]);
    server.fault(&[Fault::Stall(655_360)]);
    let home = tempfile::tempdir().unwrap();
    let cache = cache_of(home.path());
    let mut child = child_command(&[], &server, home.path()).spawn().unwrap();
    let begun = Instant::now();
    while parts(&cache).iter().all(|(_, length)| *length < 655_360) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", parts(&cache));
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!root(&cache).join("snapshots").exists(), "half a file has no name");
    // Its lock was released with it.
    fetch(&hub(&server, &cache)).unwrap();
    assert_eq!(server.ranges(), [None, Some("bytes=655360-".to_owned())]);
    assert_clean(&cache);
}

#[test]
fn a_file_that_may_not_grow_is_named_and_gone_on_from() {
    let bytes = large();
    let server = Server::start(&[("train.bin", &bytes, true)]);
    let home = tempfile::tempdir().unwrap();
    let cache = cache_of(home.path());
    // The system rejects writes beyond 200 blocks of 512 bytes (1024 in some shells).
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "sh"];
    let output = child_command(&limited, &server, home.path()).output().unwrap();
    let text = said(output);
    let part = format!("{}.incomplete", sha256(&bytes));
    let error = text.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(error.contains(&part) && error.contains("File too large"), "{error}");
    let kept = parts(&cache)[0].1;
    assert!(kept == 200 * 512 || kept == 200 * 1024, "{kept}");
    assert!(!root(&cache).join("snapshots").exists(), "half a file has no name");
    fetch(&hub(&server, &cache)).unwrap();
    assert_eq!(server.ranges(), [None, Some(format!("bytes={kept}-"))]);
    assert_clean(&cache);
}

#[test]
fn a_full_disk_is_named_and_nothing_half_is_put_in_place() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().to_str().unwrap();
    let mount = "mount -t tmpfs -o size=256k none \"$0\" && exec \"$@\"";
    let with_disk = ["unshare", "-rm", "sh", "-c", mount, path];
    let [program, arguments @ ..] = with_disk;
    let may_mount = Command::new(program).args(arguments).arg("true").output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        let mut errors = std::io::stderr();
        writeln!(errors, "skipped: no file system of its own can be mounted here").unwrap();
        return;
    }
    let bytes = large();
    let server = Server::start(&[("train.bin", &bytes, true)]);
    let text = said(child_command(&with_disk, &server, home.path()).output().unwrap());
    let error = text.lines().find(|line| line.starts_with("error: ")).unwrap();
    let part = format!("{}.incomplete", sha256(&bytes));
    assert!(
        error.contains(&part) && error.contains("No space left on device"),
        "{error}"
    );
    let kept = text.lines().find_map(|line| line.strip_prefix("part "));
    assert!(kept.is_some_and(|kept| kept.starts_with(&sha256(&bytes))), "{text}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "the disk was its own");
}
