//! Downloads from the Hugging Face hub, in the cache layout of Python's `huggingface_hub`.
//!
//! A [`Hub`] lists a repository at a revision ([`Hub::list`]) and downloads files of it into the cache
//! ([`Hub::fetch`]): several at once, each resumed where it broke off, verified against the hub's size and checksum,
//! and moved into place atomically. Cached files are not requested again. Offline, both work from the cache only, and
//! report what is missing from it.
//!
//! ```text
//! CACHE/datasets--nyu-mll--glue/refs/main              commit of a branch when it was last fetched
//!                              /trees/<commit>.json    the hub's listing of a commit, which never changes
//!                              /blobs/<checksum>       the bytes, stored once
//!                              /snapshots/<commit>/…   names, as links to the bytes
//! CACHE/.locks/datasets--nyu-mll--glue/<checksum>.lock held while a blob is written
//! ```
//!
//! The layout was checked against `huggingface_hub` 2.4.0 in both directions: offline, its `hf_hub_download` and
//! `snapshot_download` find what this crate fetched, and [`Hub::list`] and [`Hub::fetch`] find what they did. For a
//! partially fetched repository, `snapshot_download` reports the missing files unless its patterns exclude them.
//!
//! Only the checksum decides whether bytes are correct. `ETag` headers do not: after a redirect they are the storage's
//! own, and differ between mirrors of the same file.
//!
//! The hub's official client crate neither resumes nor verifies nor works offline, and requires an asynchronous
//! runtime; this one is a thin layer over a blocking HTTP client.

mod blob;
mod cache;
mod checksum;
mod error;
mod expand;
mod fetch;
mod listing;
mod patience;
mod progress;
mod repository;
mod request;
mod select;
mod settings;
mod tree;

pub use checksum::Checksum;
pub use error::HubError;
pub use expand::expand;
pub use fetch::Fetched;
pub use listing::{Listing, RemoteFile};
pub use progress::Progress;
pub use repository::{Kind, Repository};
pub use settings::Settings;

use std::path::PathBuf;

/// A client for the hub and its cache.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    agent: ureq::Agent,
}

impl Hub {
    /// A client with these settings.
    pub fn new(settings: Settings) -> Self {
        let agent = request::agent(settings.timeout);
        Self { settings, agent }
    }

    /// The settings that the client was created with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether a file's blob is in the cache, judging by its size: blobs are verified before they get there.
    pub fn has(&self, repository: &Repository, file: &RemoteFile) -> bool {
        self.folder(repository).has(file)
    }

    /// The snapshot folder of a repository, if its revision is known in the cache. It need not contain all files.
    pub fn cached(&self, repository: &Repository) -> Option<PathBuf> {
        let folder = self.folder(repository);
        let snapshot = folder.snapshot(&folder.commit_of(repository.revision())?);
        snapshot.is_dir().then_some(snapshot)
    }

    fn folder(&self, repository: &Repository) -> cache::Folder {
        cache::Folder::new(&self.settings.cache, repository)
    }
}

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
