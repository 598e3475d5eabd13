//! `adept fetch` with a local hub, from its listing to a run that uses the downloaded files.

#[allow(dead_code, clippy::unwrap_used)] // It is written for the tests of `adept-hub`.
#[path = "../../../adept-hub/tests/mirror/server.rs"]
mod server;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{SHORT, command, finish, fresh, sample};
use adept_data::Task;
use server::{COMMIT, Fault, Server};

/// RTE's card with another repository.
fn card(folder: &Path) -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../adept-data/tasks/rte.toml");
    let text = fs::read_to_string(own).expect("the card");
    let hub = Task::named("rte")
        .expect("a task")
        .card()
        .hub
        .clone()
        .expect("RTE is on the hub");
    let text = text
        .replace(&hub.repository, "owner/name")
        .replace(&hub.revision, "main");
    let file = folder.join("card.toml");
    fs::write(&file, text).expect("a writable folder");
    file.display().to_string()
}

/// A server with the sample's RTE.
fn rte_server() -> Server {
    let rte = sample().data.join("RTE");
    let files = ["train.tsv", "dev.tsv"].map(|name| {
        let bytes = fs::read(rte.join(name)).expect("a file of the sample");
        (format!("rte/{name}"), bytes)
    });
    let files: Vec<server::File<'_>> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), &bytes[..], true))
        .collect();
    let others: [server::File<'_>; 2] = [("README.md", b"about", false), ("cola/train.tsv", b"other", false)];
    Server::start(&[&files[..], &others].concat())
}

fn model_server() -> Server {
    let entries = fs::read_dir(&sample().backbone).expect("the sample's backbone");
    let files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let bytes = fs::read(entry.path()).expect("a file");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    let files: Vec<server::File<'_>> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), &bytes[..], name.ends_with(".safetensors")))
        .collect();
    Server::start(&files)
}

fn fetch(server: &Server, cache: &Path, arguments: &[&str]) -> Command {
    let mut command = command(["fetch"].iter().chain(arguments));
    command
        .env("HF_ENDPOINT", &server.address)
        .env("HF_HUB_CACHE", cache)
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_TOKEN");
    command
}

#[test]
fn what_is_fetched_is_found_by_a_run() {
    let (folder, out) = fresh("run");
    let cache = folder.path().join("hub");
    let (data, model, rte) = (rte_server(), model_server(), card(folder.path()));
    let dry = finish(fetch(&data, &cache, &[&rte, "--dry-run"])).succeeded().out;
    for expected in ["rte: ", "rte/train.tsv", "rte/dev.tsv", "MB to fetch"] {
        assert!(dry.contains(expected), "{expected}:\n{dry}");
    }
    assert!(!dry.contains("cola") && !dry.contains("README"), "{dry}");
    let fetched = finish(fetch(&data, &cache, &[&rte])).succeeded().out;
    let folder_of = fetched
        .trim_end()
        .strip_prefix("rte\t")
        .expect("the task and its folder");
    assert!(Path::new(folder_of).join("rte/train.tsv").is_file(), "{fetched}");
    let again = finish(fetch(&data, &cache, &[&rte, "--dry-run"])).succeeded().out;
    assert!(
        again.contains("0.0 MB to fetch") && again.contains(", in the cache"),
        "{again}"
    );
    let fetched = finish(fetch(&model, &cache, &["owner/name"])).succeeded().out;
    assert!(fetched.contains(COMMIT), "{fetched}");

    let mut run = command(["train", "--backbone=owner/name"].iter().chain(SHORT));
    run.arg(format!("--task={rte}"))
        .arg(format!("--out={}", out.display()))
        .env("HF_HUB_CACHE", &cache);
    finish(run).succeeded();
}

#[test]
fn checksums_on_the_card_are_held_against_the_listing() {
    let (folder, _) = fresh("run");
    let cache = folder.path().join("hub");
    let (server, rte) = (rte_server(), card(folder.path()));
    let text = fs::read_to_string(&rte).expect("the card");
    let train = fs::read(sample().data.join("RTE/train.tsv")).expect("a file of the sample");
    let known = |hex: &str| {
        let checksums = format!("folder = \"rte\"\nchecksums = {{ \"train.tsv\" = \"{hex}\" }}");
        fs::write(&rte, text.replace("folder = \"rte\"", &checksums)).expect("a writable folder");
    };
    known(&"0".repeat(64));
    finish(fetch(&server, &cache, &[&rte])).failed(2, &["rte/train.tsv: expected the known checksum 0000"]);
    assert!(!cache.exists(), "nothing was written");
    known("0000");
    finish(fetch(&server, &cache, &[&rte])).failed(2, &["`hub.checksums` of `train.tsv`: expected 64 hex digits"]);
    known(&server::sha256(&train));
    finish(fetch(&server, &cache, &[&rte])).succeeded();
    // The card has no checksums for other revisions.
    known(&"0".repeat(64));
    finish(fetch(
        &server,
        &folder.path().join("other"),
        &[&rte, "--revision", COMMIT],
    ))
    .succeeded();
}

#[test]
fn a_cut_is_mended_and_what_is_wrong_is_said() {
    let (folder, _) = fresh("run");
    let cache = folder.path().join("hub");
    let (server, rte) = (rte_server(), card(folder.path()));
    server.fault(&[Fault::Cut(100)]);
    let mended = finish(fetch(&server, &cache, &[&rte, "--at-once=1"])).succeeded();
    assert!(mended.err.contains("retrying in"), "{}", mended.err);

    let other = folder.path().join("other");
    server.fault(&[Fault::status(403)]);
    let mut refused = fetch(&server, &other, &[&rte, "--at-once=1"]);
    refused.env("HF_TOKEN", "hf_secret");
    let refused = finish(refused).failed(2, &["403"]);
    assert!(!refused.err.contains("hf_secret"), "{}", refused.err);
    let mut offline = fetch(&server, &folder.path().join("none"), &[&rte]);
    offline.env("HF_HUB_OFFLINE", "1");
    finish(offline).failed(2, &["owner/name", "HF_HUB_OFFLINE"]);
    finish(fetch(&server, &other, &["nonsense"])).failed(2, &["`nonsense` is no task, benchmark or model", "t5-base"]);
    finish(fetch(&server, &other, &["text"])).failed(2, &["text: its card names no repository of the hub"]);
}

/// A hub that limits the request rate is waited for, in listings and in downloads, and the waits are reported.
#[test]
fn a_busy_hub_is_waited_for() {
    let (folder, _) = fresh("run");
    let cache = folder.path().join("hub");
    let (server, rte) = (rte_server(), card(folder.path()));
    let busy = |header: &str| Fault::Status(429, format!("{header}\r\n"));
    server.listing_fault(&[busy("RateLimit: \"api\";r=0;t=1")]);
    server.fault(&[busy("Retry-After: 1"), Fault::status(429)]);
    let fetched = finish(fetch(&server, &cache, &[&rte, "--at-once=1"])).succeeded();
    assert_eq!(
        fetched.err.matches("429 Too Many Requests").count(),
        3,
        "{}",
        fetched.err
    );
    assert_eq!(fetched.err.matches("retrying in 1.0 s").count(), 3, "{}", fetched.err);

    server.listing_fault(&[busy("Retry-After: 3600")]);
    let failed = fetch(&server, &folder.path().join("other"), &[&rte]);
    finish(failed).failed(
        1,
        &[
            "429 Too Many Requests and asks to wait 3600 s",
            "of at most 900 s",
            "try again later",
        ],
    );
}

#[cfg(unix)]
#[test]
fn a_wait_for_the_hub_can_be_ended() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    let (folder, _) = fresh("run");
    let (server, rte) = (rte_server(), card(folder.path()));
    server.listing_fault(&[Fault::Status(429, "Retry-After: 600\r\n".to_owned())]);
    let mut waiting = fetch(&server, &folder.path().join("hub"), &[&rte])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built by cargo for this test");
    let mut said = BufReader::new(waiting.stderr.take().expect("a pipe")).lines();
    let first = said.next().expect("a line").expect("text");
    assert!(first.contains("retrying in 600.0 s"), "{first}");
    let sent = Command::new("kill").arg("-INT").arg(waiting.id().to_string()).status();
    assert!(sent.expect("kill is there").success());
    let rest: Vec<String> = said.map_while(Result::ok).collect();
    assert_eq!(waiting.wait().expect("it ends").code(), Some(130), "{rest:?}");
}
