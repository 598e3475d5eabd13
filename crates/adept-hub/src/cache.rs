//! A repository's folder in the cache.

use std::fs::{self, File, TryLockError};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::checksum::is_hex;
use crate::progress::Watch;
use crate::{HubError, RemoteFile, Repository};

/// Polling interval for a lock held by another process.
const GLANCE: Duration = Duration::from_millis(50);

/// The paths of a repository in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
    locks: PathBuf,
}

impl Folder {
    pub(crate) fn new(cache: &Path, repository: &Repository) -> Self {
        let name = format!(
            "{}--{}",
            repository.kind().plural(),
            repository.name().replace('/', "--")
        );
        Self {
            root: cache.join(&name),
            locks: cache.join(".locks").join(name),
        }
    }

    /// Path of a file's bytes.
    pub(crate) fn blob(&self, hex: &str) -> PathBuf {
        self.root.join("blobs").join(hex)
    }

    /// Path of a commit's file names.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// Path of a commit's listing.
    pub(crate) fn tree(&self, commit: &str) -> PathBuf {
        self.root.join("trees").join(format!("{commit}.json"))
    }

    /// Whether a file's blob exists with its full size.
    pub(crate) fn has(&self, file: &RemoteFile) -> bool {
        fs::metadata(self.blob(file.checksum.hex())).is_ok_and(|there| there.is_file() && there.len() == file.size)
    }

    /// The commit of a revision, as of when it was last fetched.
    pub(crate) fn commit_of(&self, revision: &str) -> Option<String> {
        if is_hex(revision, 40) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.root.join("refs").join(revision)).ok()?;
        let commit = commit.trim_start_matches('\u{feff}').trim();
        is_hex(commit, 40).then(|| commit.to_owned())
    }

    /// Records the commit of a revision.
    pub(crate) fn write_revision(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if self.commit_of(revision).is_some_and(|known| known == commit) {
            return Ok(());
        }
        self.put(&self.root.join("refs").join(revision), |own| fs::write(own, commit))
    }

    /// Links a name in a snapshot to its blob.
    pub(crate) fn link(&self, commit: &str, name: &str, hex: &str) -> Result<PathBuf, HubError> {
        let file = self.snapshot(commit).join(name);
        let up = "../".repeat(2 + name.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{hex}"));
        if fs::read_link(&file).is_ok_and(|there| there == target) {
            return Ok(file);
        }
        let blob = self.blob(hex);
        match is_the_same(&file, &blob) {
            // A copy, which some programs store where links are not available.
            Some(true) => return Ok(file),
            Some(false) => return Err(HubError::Foreign { file }),
            None => {}
        }
        self.put(&file, |own| name_bytes(&target, &self.blob(hex), own))?;
        Ok(file)
    }

    /// Creates a file atomically: `make` writes it under a name that no other thread or process uses.
    pub(crate) fn put(&self, file: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), HubError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        create_parent(file)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let own = self.root.join(format!(".{}-{number}.tmp", std::process::id()));
        // A killed process with the same id may have left one behind.
        let _ = fs::remove_file(&own);
        let made = make(&own).and_then(|()| fs::rename(&own, file));
        made.map_err(|source| {
            let _ = fs::remove_file(&own);
            HubError::Io {
                file: file.to_owned(),
                source,
            }
        })
    }

    /// Waits until no other process writes the blob, and locks it for as long as the result lives.
    pub(crate) fn lock(&self, hex: &str, watch: &Watch) -> Result<File, HubError> {
        let file = self.locks.join(format!("{hex}.lock"));
        create_parent(&file)?;
        let failed = |source| HubError::Io {
            file: file.clone(),
            source,
        };
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file)
            .map_err(failed)?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) => {
                    watch.go_on()?;
                    std::thread::sleep(GLANCE);
                }
            }
        }
    }
}

/// Whether a regular file has the same bytes as another; `None` if there is no such file, or if it is a link.
fn is_the_same(file: &Path, other: &Path) -> Option<bool> {
    let there = fs::symlink_metadata(file).ok()?;
    if there.is_symlink() {
        return None;
    }
    let same_length = there.is_file() && fs::metadata(other).is_ok_and(|other| other.len() == there.len());
    Some(same_length && matches!((fs::read(file), fs::read(other)), (Ok(file), Ok(other)) if file == other))
}

/// Whether a name, joined to a folder, stays within it on every system, and is safe to print on a terminal.
pub(crate) fn stays_below(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(['\\', ':'])
        && !name.contains(char::is_control)
        && !name.split('/').any(|part| matches!(part, "" | "." | ".."))
        && Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

/// Creates the parent folder of a file.
pub(crate) fn create_parent(file: &Path) -> Result<(), HubError> {
    let Some(folder) = file.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|source| HubError::Io {
        file: folder.to_owned(),
        source,
    })
}

#[cfg(unix)]
fn name_bytes(target: &Path, _blob: &Path, name: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, name)
}

/// The bytes are copied on systems where links require rights that users lack.
#[cfg(not(unix))]
fn name_bytes(_target: &Path, blob: &Path, name: &Path) -> std::io::Result<()> {
    fs::copy(blob, name).map(|_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Kind;

    /// All strings of up to `length` of these characters.
    fn texts(alphabet: &[char], length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut begin = 0;
        for _ in 0..length {
            let end = all.len();
            for number in begin..end {
                for character in alphabet {
                    let longer = format!("{}{character}", all[number]);
                    all.push(longer);
                }
            }
            begin = end;
        }
        all
    }

    /// Follows a path component by component: whether it stays strictly within `root`.
    fn is_inside(root: &Path, path: &Path) -> bool {
        let mut depth = 0_i32;
        let Ok(rest) = path.strip_prefix(root) else {
            return false;
        };
        for part in rest.components() {
            match part {
                Component::Normal(_) => depth += 1,
                Component::CurDir => {}
                _ => depth -= 1,
            }
            if depth < 0 {
                return false;
            }
        }
        depth > 0
    }

    #[test]
    fn names_that_climb_are_seen() {
        for name in [
            "a",
            "a/b.txt",
            "data/train-00000-of-00001.parquet",
            "..a/b..",
            ".gitattributes",
            "with space/ü.txt",
        ] {
            assert!(stays_below(name), "{name}");
        }
        for name in [
            "",
            "/a",
            "../a",
            "a/../../b",
            "a//b",
            "a\\..\\b",
            "C:/a",
            "a/",
            ".",
            "a/./b",
            "a/..",
            "a\0b",
            "a\u{1b}[2Jb",
        ] {
            assert!(!stays_below(name), "{name:?}");
        }
    }

    #[test]
    fn no_name_leads_out_of_a_snapshot() {
        let root = Path::new("/cache/snapshots/commit");
        let names = texts(&['a', '.', '/', '\\', ':', '\0', '~'], 6);
        let mut accepted = 0;
        for name in names.iter().filter(|name| stays_below(name)) {
            assert!(is_inside(root, &root.join(name)), "{name:?}");
            accepted += 1;
        }
        assert!(accepted > 1000, "only {accepted} names were accepted");
    }

    #[test]
    fn no_repository_or_revision_leads_out_of_the_cache() {
        let cache = Path::new("/cache");
        let texts = texts(&['a', '.', '/', '-', '\\', ':'], 6);
        let mut folders = std::collections::BTreeMap::new();
        for name in &texts {
            let Ok(repository) = Repository::new(Kind::Model, name, "main") else {
                continue;
            };
            let folder = Folder::new(cache, &repository);
            assert_eq!(folder.root.parent(), Some(cache), "{name}");
            let other = folders.insert(folder.root, name);
            assert_eq!(other, None, "{name} has the folder of another repository");
        }
        assert!(folders.len() > 100, "only {} names were accepted", folders.len());
        let mut accepted = 0;
        for revision in &texts {
            let Ok(repository) = Repository::new(Kind::Model, "a/b", revision) else {
                continue;
            };
            let refs = Folder::new(cache, &repository).root.join("refs");
            assert!(is_inside(&refs, &refs.join(repository.revision())), "{revision}");
            accepted += 1;
        }
        assert!(accepted > 100, "only {accepted} revisions were accepted");
    }

    /// A user's own file at the place of a download's link is kept, and the fetch reports it.
    #[test]
    fn a_file_of_somebody_elses_is_not_replaced_by_a_link() {
        let cache = tempfile::tempdir().unwrap();
        let repository = Repository::new(Kind::Model, "a/b", "main").unwrap();
        let folder = Folder::new(cache.path(), &repository);
        let (commit, hex) = ("c".repeat(40), "d".repeat(64));
        let blob = folder.blob(&hex);
        create_parent(&blob).unwrap();
        fs::write(&blob, "theirs").unwrap();
        let file = folder.link(&commit, "config.json", &hex).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"theirs");
        for (text, is_kept) in [("mine!!", true), ("longer than theirs", true), ("theirs", false)] {
            fs::remove_file(&file).unwrap();
            fs::write(&file, text).unwrap();
            let linked = folder.link(&commit, "config.json", &hex);
            assert_eq!(matches!(linked, Err(HubError::Foreign { .. })), is_kept, "{text}");
            assert_eq!(fs::read(&file).unwrap(), text.as_bytes());
        }
        // A link with another target was created by an earlier fetch.
        fs::remove_file(&file).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("../../blobs/gone", &file).unwrap();
        folder.link(&commit, "config.json", &hex).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"theirs");
    }

    #[test]
    fn a_revision_that_someone_else_wrote_is_no_path() {
        let cache = tempfile::tempdir().unwrap();
        let repository = Repository::new(Kind::Model, "a/b", "main").unwrap();
        let folder = Folder::new(cache.path(), &repository);
        let file = folder.root.join("refs/main");
        create_parent(&file).unwrap();
        for text in ["../../elsewhere", "", "/etc", "0123"] {
            fs::write(&file, text).unwrap();
            assert_eq!(folder.commit_of("main"), None, "{text}");
        }
    }
}
