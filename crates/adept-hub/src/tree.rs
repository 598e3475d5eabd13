//! The hub's listing of a commit as stored in the cache: `trees/<commit>.json`, in the format of `huggingface_hub`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cache::{Folder, stays_below};
use crate::{Checksum, HubError, RemoteFile};

/// The supported format version.
const VERSION: u32 = 1;

/// All files of a commit, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    format_version: u32,
    pub(crate) files: BTreeMap<String, Entry>,
}

/// A file, either in Git itself or in LFS with a pointer in Git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Size of the file or the pointer in bytes.
    pub(crate) size: u64,
    /// Git blob id of the file or the pointer.
    pub(crate) blob_id: String,
    /// SHA-256 of the file, if it is in LFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lfs_sha256: Option<String>,
    /// Size of the file in bytes, if it is in LFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lfs_size: Option<u64>,
}

impl Tree {
    pub(crate) fn new(files: BTreeMap<String, Entry>) -> Self {
        Self {
            format_version: VERSION,
            files,
        }
    }
}

impl Folder {
    /// The cached listing of a commit, if there is one in a supported format.
    pub(crate) fn read_tree(&self, commit: &str) -> Option<Tree> {
        let text = fs::read(self.tree(commit)).ok()?;
        let tree: Tree = serde_json::from_slice(&text).ok()?;
        (tree.format_version == VERSION).then_some(tree)
    }

    /// Stores the listing of a commit, unless it already exists: it cannot have changed.
    pub(crate) fn write_tree(&self, commit: &str, tree: &Tree) -> Result<(), HubError> {
        let file = self.tree(commit);
        if file.is_file() {
            return Ok(());
        }
        self.put(&file, |own| {
            let text = serde_json::to_string_pretty(tree)?;
            fs::write(own, text)
        })
    }

    /// The files of a commit that are linked and whose bytes are cached; `None` if there are none, or if names are not
    /// links.
    pub(crate) fn linked_files(&self, commit: &str) -> Option<Vec<RemoteFile>> {
        let mut files = Vec::new();
        gather(&self.snapshot(commit), "", &mut files).ok()?;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        (!files.is_empty()).then_some(files)
    }
}

/// Collects the links in a folder and its sub-folders. A link's target ends with the checksum of its bytes.
fn gather(folder: &Path, below: &str, files: &mut Vec<RemoteFile>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let name = format!("{below}{name}");
        if kind.is_dir() {
            gather(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_symlink()
            && stays_below(&name)
            && let Some(checksum) = checksum_of_link(&entry.path())
            && let Ok(bytes) = fs::metadata(entry.path())
        {
            let size = bytes.len();
            files.push(RemoteFile { name, size, checksum });
        }
    }
    Ok(())
}

fn checksum_of_link(link: &Path) -> Option<Checksum> {
    let target = fs::read_link(link).ok()?;
    let hex = target.file_name()?.to_str()?.to_owned();
    let checksum = match hex.len() {
        64 => Checksum::Sha256(hex),
        _ => Checksum::GitBlob(hex),
    };
    checksum.is_well_formed().then_some(checksum)
}
