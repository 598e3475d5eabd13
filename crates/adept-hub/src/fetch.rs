//! Fetches several files of a repository concurrently.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::Folder;
use crate::progress::{Progress, Watch};
use crate::{Hub, HubError, Listing, RemoteFile, Repository};

/// The result of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The snapshot folder with the repository's files at the commit.
    pub folder: PathBuf,
    /// The paths of the files, in the order requested.
    pub files: Vec<PathBuf>,
}

impl Hub {
    /// Downloads files of a listing into the cache, at most `at_once` at a time, and links their names. When all are
    /// complete, the cache records the commit of the revision. An error ends the whole fetch: complete files are kept,
    /// and partial ones are resumed by the next fetch. Any number of threads and processes may fetch the same files at
    /// the same time.
    ///
    /// # Errors
    /// The first error; [`HubError::Stopped`] if [`Progress::proceed`] returned false; [`HubError::Offline`] in offline
    /// mode if a file is not in the cache.
    pub fn fetch(
        &self,
        repository: &Repository,
        listing: &Listing,
        files: &[RemoteFile],
        at_once: usize,
        progress: &dyn Progress,
    ) -> Result<Fetched, HubError> {
        let folder = self.folder(repository);
        if let Some(tree) = &listing.tree {
            folder.write_tree(&listing.commit, tree)?;
        }
        let watch = Watch::new(progress);
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, PathBuf)>> = Mutex::new(Vec::new());
        let fault: Mutex<Option<HubError>> = Mutex::new(None);
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(number) else { break };
                match self.fetch_one(&folder, repository, &listing.commit, file, &watch) {
                    Ok(path) => {
                        progress.finished(file);
                        locked(&done).push((number, path));
                    }
                    Err(error) => {
                        locked(&fault).get_or_insert(error);
                        watch.stop();
                        break;
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..at_once.clamp(1, files.len().max(1)) {
                scope.spawn(work);
            }
            work();
        });
        if let Some(fault) = locked(&fault).take() {
            return Err(fault);
        }
        folder.write_revision(repository.revision(), &listing.commit)?;
        let mut files = std::mem::take(&mut *locked(&done));
        files.sort_unstable();
        Ok(Fetched {
            folder: folder.snapshot(&listing.commit),
            files: files.into_iter().map(|(_, path)| path).collect(),
        })
    }

    fn fetch_one(
        &self,
        folder: &Folder,
        repository: &Repository,
        commit: &str,
        file: &RemoteFile,
        watch: &Watch,
    ) -> Result<PathBuf, HubError> {
        watch.go_on()?;
        if folder.has(file) {
            watch.progress.arrived(i64::try_from(file.size).unwrap_or(i64::MAX));
        } else if self.settings.offline {
            return Err(HubError::Offline {
                what: format!("{} of {repository}", file.name),
                cache: self.settings.cache.clone(),
            });
        } else {
            let url = self.file_address(repository, commit, &file.name);
            self.blob(folder, &url, file, watch)?;
        }
        folder.link(commit, &file.name, file.checksum.hex())
    }
}

/// Ignores poisoning: the holder cannot have left the data in an inconsistent state.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
