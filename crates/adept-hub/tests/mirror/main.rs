//! The hub's protocol against a local mirror: complete fetches, and every way one can fail.
#![allow(clippy::unwrap_used)]

mod cached;
mod processes;
mod refused;
mod server;
mod settings;
mod transfer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use adept_hub::{Fetched, Hub, HubError, Kind, Listing, Progress, RemoteFile, Repository, Settings};
use server::{Server, git_blob, sha256};

/// Records the events of a fetch.
#[derive(Default)]
struct Heard {
    bytes: AtomicI64,
    waits: Mutex<Vec<(String, f64)>>,
    /// Aborts the fetch once this many bytes have arrived; 0 for never.
    stop_at: i64,
    stopped: AtomicBool,
}

impl Progress for Heard {
    fn arrived(&self, bytes: i64) {
        let there = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.stop_at > 0 && there >= self.stop_at {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    fn finished(&self, _file: &RemoteFile) {}

    fn waiting(&self, why: &HubError, seconds: f64) {
        self.waits.lock().unwrap().push((why.to_string(), seconds));
    }

    fn proceed(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }
}

/// Three attempts and short pauses.
fn settings(server: &Server, cache: &Path) -> Settings {
    Settings {
        endpoint: server.address.clone(),
        token: None,
        cache: cache.to_owned(),
        offline: false,
        tries: 3,
        longest_pause: Duration::from_millis(10),
        longest_wait: Duration::from_secs(2),
        timeout: Duration::from_secs(20),
    }
}

fn hub(server: &Server, cache: &Path) -> Hub {
    Hub::new(settings(server, cache))
}

fn hub_with(server: &Server, cache: &Path, change: impl FnOnce(&mut Settings)) -> Hub {
    let mut settings = settings(server, cache);
    change(&mut settings);
    Hub::new(settings)
}

fn at(revision: &str) -> Repository {
    Repository::new(Kind::Dataset, "owner/name", revision).unwrap()
}

/// More than a MiB without repetitions.
fn large() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// Lists and fetches everything at a revision, three files at a time.
fn fetch_at(hub: &Hub, revision: &str, heard: &Heard) -> Result<(Listing, Fetched), HubError> {
    let listing = hub.list(&at(revision), heard)?;
    let fetched = hub.fetch(&at(revision), &listing, &listing.files, 3, heard)?;
    assert_eq!(fetched.files.len(), listing.files.len());
    Ok((listing, fetched))
}

/// Lists and fetches everything on the branch `main`.
fn fetch(hub: &Hub) -> Result<Fetched, HubError> {
    fetch_at(hub, "main", &Heard::default()).map(|(_, fetched)| fetched)
}

/// The repository's folder in a cache.
fn root(cache: &Path) -> PathBuf {
    cache.join("datasets--owner--name")
}

/// The partial files in a cache with their sizes.
fn parts(cache: &Path) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    for blob in fs::read_dir(root(cache).join("blobs")).into_iter().flatten() {
        let blob = blob.unwrap();
        if let Some(part) = blob.file_name().into_string().unwrap().strip_suffix(".incomplete") {
            parts.push((part.to_owned(), blob.metadata().unwrap().len()));
        }
    }
    parts
}

/// Checks that every blob matches its checksum, every name leads to a blob, and nothing else is unfinished but partial
/// files.
fn assert_sound(cache: &Path) {
    let mut folders = vec![cache.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            assert!(!name.ends_with(".tmp"), "{}", path.display());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if folder.ends_with("blobs") && !name.ends_with(".incomplete") {
                let bytes = fs::read(&path).unwrap();
                assert!([sha256(&bytes), git_blob(&bytes)].contains(&name), "{name} is corrupt");
            } else {
                assert!(path.exists(), "{} leads nowhere", path.display());
            }
        }
    }
}

/// [`assert_sound`], and no partial files.
fn assert_clean(cache: &Path) {
    assert_sound(cache);
    assert_eq!(parts(cache), []);
}
