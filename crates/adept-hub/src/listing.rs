//! The contents of a repository, requested from the hub or known from the cache.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;

use crate::cache::stays_below;
use crate::checksum::is_hex;
use crate::patience::Patience;
use crate::progress::Watch;
use crate::tree::{Entry, Tree};
use crate::{Checksum, Hub, HubError, Progress, Repository};

/// Maximum size of a listing in bytes.
const LARGEST: u64 = 64 << 20;

/// The contents of a repository at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The full commit hash.
    pub commit: String,
    /// Its files, sorted by name.
    pub files: Vec<RemoteFile>,
    /// The hub's listing as stored in the cache; `None` if the files are only those that happen to be cached.
    pub(crate) tree: Option<Tree>,
}

/// A file in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Path relative to the repository's root, separated by `/`.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Checksum of the bytes.
    pub checksum: Checksum,
}

/// The hub's response.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Hub {
    /// Lists a repository at its revision. Writes nothing. `progress` is informed of waits, and may abort them. The
    /// listing of a commit fetched before is not requested again, since it cannot change. Offline, the cache answers:
    /// with the listing of the commit that the revision last referred to, or with the files that are there.
    ///
    /// # Errors
    /// [`HubError::Offline`] in offline mode if the cache does not know the repository at this revision;
    /// [`HubError::Stopped`] if `progress` aborted; [`HubError::Path`] if a file name would escape the cache; errors of
    /// the hub and the network.
    pub fn list(&self, repository: &Repository, progress: &dyn Progress) -> Result<Listing, HubError> {
        let folder = self.folder(repository);
        let is_pinned = is_hex(repository.revision(), 40);
        if (is_pinned || self.settings.offline)
            && let Some(commit) = folder.commit_of(repository.revision())
        {
            let kept = folder
                .read_tree(&commit)
                .and_then(|tree| Listing::of_tree(repository, &commit, tree).ok());
            if let Some(listing) = kept {
                return Ok(listing);
            }
            if self.settings.offline
                && let Some(files) = folder.linked_files(&commit)
            {
                return Ok(Listing {
                    commit,
                    files,
                    tree: None,
                });
            }
        }
        if self.settings.offline {
            return Err(HubError::Offline {
                what: repository.to_string(),
                cache: self.settings.cache.clone(),
            });
        }
        self.ask(repository, progress)
    }

    /// Requests the listing from the hub.
    fn ask(&self, repository: &Repository, progress: &dyn Progress) -> Result<Listing, HubError> {
        let url = self.listing_address(repository);
        let wrong = |expected, found| HubError::Protocol {
            url: url.clone(),
            expected,
            found,
        };
        let text = self.read(&url, progress)?;
        if text.len() as u64 > LARGEST {
            return Err(wrong("a listing of at most 64 MiB", "a longer one".to_owned()));
        }
        let answer: Answer =
            serde_json::from_slice(&text).map_err(|error| wrong("the hub's listing as JSON", error.to_string()))?;
        if !is_hex(&answer.sha, 40) {
            return Err(wrong("a commit of 40 hex digits", format!("{:?}", answer.sha)));
        }
        let mut files = BTreeMap::new();
        for sibling in answer.siblings {
            let size = sibling.size.or(sibling.lfs.as_ref().map(|lfs| lfs.size));
            let (Some(size), Some(blob_id)) = (size, sibling.blob_id) else {
                let found = format!("none of {:?}", sibling.rfilename);
                return Err(wrong("size and checksum of every file", found));
            };
            let (lfs_sha256, lfs_size) = sibling.lfs.map(|lfs| (lfs.sha256, lfs.size)).unzip();
            let entry = Entry {
                size,
                blob_id,
                lfs_sha256,
                lfs_size,
            };
            files.insert(sibling.rfilename, entry);
        }
        Listing::of_tree(repository, &answer.sha, Tree::new(files)).map_err(|fault| match fault {
            Unfit::Path(fault) => fault,
            Unfit::Checksum(name) => wrong("size and checksum of every file", format!("none of {name:?}")),
        })
    }

    /// Downloads up to one byte more than the largest permitted listing.
    fn read(&self, url: &str, progress: &dyn Progress) -> Result<Vec<u8>, HubError> {
        let watch = Watch::new(progress);
        let mut patience = Patience::new(&self.settings, &watch);
        loop {
            let body = self.get(url, 0, &mut patience)?.into_body();
            let mut text = Vec::new();
            match body.into_reader().take(LARGEST + 1).read_to_end(&mut text) {
                Ok(_) => return Ok(text),
                Err(error) => patience.again(HubError::Network {
                    url: url.to_owned(),
                    message: error.to_string(),
                    tries: patience.tried(),
                })?,
            }
        }
    }
}

/// Why a tree is not a valid listing.
enum Unfit {
    /// A name that would escape the cache.
    Path(HubError),
    /// The file with this name has no usable checksum.
    Checksum(String),
}

impl Listing {
    /// Validates that the names and checksums of a tree's files can be parts of paths in the cache.
    fn of_tree(repository: &Repository, commit: &str, tree: Tree) -> Result<Self, Unfit> {
        let mut files = Vec::with_capacity(tree.files.len());
        for (name, entry) in &tree.files {
            if !stays_below(name) {
                return Err(Unfit::Path(HubError::Path {
                    repository: repository.to_string(),
                    name: name.clone(),
                }));
            }
            let (size, checksum) = match (&entry.lfs_sha256, entry.lfs_size) {
                (Some(sum), size) => (size.unwrap_or(entry.size), Checksum::Sha256(sum.clone())),
                (None, _) => (entry.size, Checksum::GitBlob(entry.blob_id.clone())),
            };
            if !checksum.is_well_formed() {
                return Err(Unfit::Checksum(name.clone()));
            }
            files.push(RemoteFile {
                name: name.clone(),
                size,
                checksum,
            });
        }
        Ok(Self {
            commit: commit.to_owned(),
            files,
            tree: Some(tree),
        })
    }
}
