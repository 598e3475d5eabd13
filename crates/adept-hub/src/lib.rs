//! Files from the Hugging Face hub, in the cache layout that Python's `huggingface_hub` shares.
//!
//! A [`Hub`] lists a repository at a revision ([`Hub::list`]) and brings files of it into the cache ([`Hub::fetch`]):
//! several at once, each resumed where it was cut, checked against the hub's size and checksum, and put in its place
//! whole. What is there is not asked for again. Without network both work from the cache alone, and name what it lacks.
//!
//! ```text
//! CACHE/datasets--nyu-mll--glue/refs/main              the commit that a branch meant when it was last fetched
//!                              /trees/<commit>.json    the hub's listing of a commit, which never changes
//!                              /blobs/<checksum>       the bytes, once
//!                              /snapshots/<commit>/…   names, as links to the bytes
//! CACHE/.locks/datasets--nyu-mll--glue/<checksum>.lock held while a blob is written
//! ```
//!
//! The layout was checked against `huggingface_hub` 2.4.0, both ways: without network, its `hf_hub_download` and
//! `snapshot_download` find what this crate fetched, and [`Hub::list`] and [`Hub::fetch`] find what they did. Of a
//! repository that was fetched in part, `snapshot_download` names what is missing unless its patterns leave that out.
//!
//! The checksum alone decides whether bytes are the right ones. `ETag` headers do not: behind a redirect they are the
//! storage's own, and differ between mirrors of the same file.
//!
//! The hub's official client crate neither resumes nor checks nor works offline, and brings an asynchronous runtime;
//! this one is a thin layer over a blocking HTTP client.

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

/// The hub as one program sees it.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    agent: ureq::Agent,
}

impl Hub {
    /// A hub with these settings.
    pub fn new(settings: Settings) -> Self {
        let agent = request::agent(settings.timeout);
        Self { settings, agent }
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether a file's bytes are in the cache, judged by their number: they were checked before they got there.
    pub fn has(&self, repository: &Repository, file: &RemoteFile) -> bool {
        self.folder(repository).has(file)
    }

    /// The folder of a repository's files in the cache, where its revision is known there. Nothing says that all files
    /// are in it.
    pub fn cached(&self, repository: &Repository) -> Option<PathBuf> {
        let folder = self.folder(repository);
        let snapshot = folder.snapshot(&folder.commit_of(repository.revision())?);
        snapshot.is_dir().then_some(snapshot)
    }

    fn folder(&self, repository: &Repository) -> cache::Folder {
        cache::Folder::new(&self.settings.cache, repository)
    }
}
