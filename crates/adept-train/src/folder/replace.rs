//! Atomic replacement of a folder of files (an adapter, a model, a tokenizer).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::FolderError;
use super::write::{names, read_json, remove_files, remove_tree, sync_folder, sync_tree};
use crate::TrainError;
use crate::model_card::{self, CARD_FILE};
use crate::record::Selection;

/// Tokenizer and generation files, copied if present.
pub const TOKENIZER_FILES: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "spiece.model",
    "generation_config.json",
];

/// Other files in such folders.
const OTHER_FILES: [&str; 6] = [
    super::SELECTION,
    crate::trained::TRAINED_FILE,
    "adapter_config.json",
    "adapter_model.safetensors",
    "config.json",
    "model.safetensors",
];

/// Our files in such a folder: those listed in a selection, all that we ever write, and an unedited model card.
fn written(folder: &Path) -> Result<Vec<String>, TrainError> {
    let listed = read_json::<Selection>(&folder.join(super::SELECTION)).map(|selection| selection.files);
    let is_plain = |name: &String| Path::new(name).file_name().is_some_and(|plain| plain == name.as_str());
    let card = model_card::is_ours(&folder.join(CARD_FILE))?.then_some(CARD_FILE);
    let known = TOKENIZER_FILES.into_iter().chain(OTHER_FILES).chain(card);
    let listed = listed.unwrap_or_default().into_keys().filter(is_plain);
    Ok(known.map(str::to_owned).chain(listed).collect())
}

/// Replaces the folder `name` of `parent`: `write` creates a folder at the given path, which then replaces the previous
/// one. A kill at any moment leaves the old one, the new one, or a state that [`finish_replacement`] repairs. Files of
/// others are moved to the new folder.
pub(crate) fn replace_folder(
    parent: &Path,
    name: &str,
    write: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let Places { temporary, new, .. } = Places::of(parent, name);
    remove_tree(&temporary)?;
    if let Err(error) = write(&temporary).and_then(|()| sync_tree(&temporary)) {
        // A full disk is the likely cause; leftovers would only fill it further.
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    fs::rename(&temporary, &new).map_err(TrainError::io("rename", &temporary))?;
    finish_replacement(parent, name)
}

/// Completes an interrupted replacement, and removes what an unfinished one left.
pub(crate) fn finish_replacement(parent: &Path, name: &str) -> Result<(), TrainError> {
    let current = parent.join(name);
    let Places { temporary, new, old } = Places::of(parent, name);
    remove_tree(&temporary)?;
    // Name used by earlier versions; one may have been interrupted when there was no previous folder.
    let earlier = parent.join(format!("{name}.new"));
    let is_ours =
        || -> Result<bool, TrainError> { Ok(written(&earlier)?.iter().any(|name| earlier.join(name).is_file())) };
    if !current.exists() && !new.exists() && is_ours()? {
        fs::rename(&earlier, &new).map_err(TrainError::io("rename", &earlier))?;
    }
    if new.exists() {
        if current.exists() {
            if !current.is_dir() {
                return Err(FolderError::InTheWay { path: current }.into());
            }
            remove_tree(&old)?;
            fs::rename(&current, &old).map_err(TrainError::io("rename", &current))?;
        }
        fs::rename(&new, &current).map_err(TrainError::io("rename", &new))?;
        sync_folder(parent)?;
    }
    if old.is_dir() && current.is_dir() {
        carry_over(&old, &current)?;
    }
    remove_tree(&old)
}

/// Names of the folders in `parent` that have been replaced, or whose replacement was interrupted.
pub(super) fn replaced(parent: &Path) -> Result<BTreeSet<String>, TrainError> {
    if !parent.is_dir() {
        return Ok(BTreeSet::new());
    }
    let all = names(parent)?;
    let name = |entry: &std::ffi::OsString| {
        let entry = entry.to_str()?;
        let inner = entry.strip_prefix(".adept-").and_then(|rest| rest.rsplit_once('.'));
        Some(inner.map_or(entry, |(name, _)| name).to_owned())
    };
    Ok(all.iter().filter_map(name).collect())
}

/// Removes our files from such a folder, and the folder itself if it is then empty.
pub(super) fn remove_written(folder: &Path) -> Result<(), TrainError> {
    remove_files(folder, &written(folder)?)
}

/// Moves files of others to the new folder; their model card takes the place of ours.
fn carry_over(old: &Path, current: &Path) -> Result<(), TrainError> {
    let ours = written(old)?;
    for name in names(old)? {
        let (from, to) = (old.join(&name), current.join(&name));
        let is_free = || name == CARD_FILE || fs::symlink_metadata(&to).is_err();
        if !ours.iter().any(|written| name == written.as_str()) && is_free() {
            fs::rename(&from, &to).map_err(TrainError::io("rename", &from))?;
        }
    }
    Ok(())
}

/// Names of the folder during its replacement.
struct Places {
    temporary: PathBuf,
    new: PathBuf,
    old: PathBuf,
}

impl Places {
    fn of(parent: &Path, name: &str) -> Self {
        let place = |end: &str| parent.join(format!(".adept-{name}.{end}"));
        Self {
            temporary: place("tmp"),
            new: place("new"),
            old: place("old"),
        }
    }
}
