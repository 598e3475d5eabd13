//! What a repository holds: asked of the hub, or known to the cache.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;

use crate::cache::stays_below;
use crate::checksum::is_hex;
use crate::patience::Patience;
use crate::progress::Watch;
use crate::tree::{Entry, Tree};
use crate::{Checksum, Hub, HubError, Progress, Repository};

/// Largest listing that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// What a repository holds at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The commit.
    pub commit: String,
    /// Its files, by name.
    pub files: Vec<RemoteFile>,
    /// The hub's listing as the cache keeps it; none where the files are only those that the cache happens to have.
    pub(crate) tree: Option<Tree>,
}

/// A file in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Name below the repository's root, with `/` between its parts.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// What its bytes sum up to.
    pub checksum: Checksum,
}

/// The hub's own words.
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
    /// What a repository holds at its revision. Writes nothing. `progress` hears of waits, and may end them. The
    /// listing of a commit that was fetched from before is not asked for again, since it cannot change. Without network
    /// the cache's own knowledge answers: the listing of what the revision last meant, or the files that are there.
    ///
    /// # Errors
    /// [`HubError::Offline`] where the network must not be used and the cache knows nothing of the repository at this
    /// revision; [`HubError::Stopped`] where `progress` said so; [`HubError::Path`] where a file's name would lead out
    /// of the cache; whatever the hub or the network say.
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

    /// The hub's answer.
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

    /// All bytes behind an address, or one more than the largest listing has.
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

/// Why a tree cannot be a listing.
enum Unfit {
    /// A name leads out of the cache.
    Path(HubError),
    /// The file of this name has no usable checksum.
    Checksum(String),
}

impl Listing {
    /// The files of a tree, all of whose names and checksums can be parts of paths in the cache.
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
