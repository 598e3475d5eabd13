//! A folder of files (an adapter, a model, a tokenizer) that is replaced as a whole.

use std::fs;
use std::path::{Path, PathBuf};

use super::FolderError;
use super::write::{names, read_json, remove_files, remove_tree, sync_folder, sync_tree};
use crate::TrainError;
use crate::record::Selection;

/// Files of a tokenizer and of how a model generates, which are copied where they are.
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

/// Other files that stand in such folders.
const OTHER_FILES: [&str; 6] = [
    super::SELECTION,
    crate::trained::TRAINED_FILE,
    "adapter_config.json",
    "adapter_model.safetensors",
    "config.json",
    "model.safetensors",
];

/// The files that we have written into such a folder: those that a selection lists, and all that we ever write.
fn written(folder: &Path) -> Vec<String> {
    let listed = read_json::<Selection>(&folder.join(super::SELECTION)).map(|selection| selection.files);
    let is_plain = |name: &String| Path::new(name).file_name().is_some_and(|plain| plain == name.as_str());
    let known = TOKENIZER_FILES.into_iter().chain(OTHER_FILES).map(str::to_owned);
    known
        .chain(listed.unwrap_or_default().into_keys().filter(is_plain))
        .collect()
}

/// Replaces the folder `name` of `parent`: `write` makes a folder at the path it is given, which then takes the place
/// of the one before. A kill at any moment leaves the old one, the new one, or what [`finish_replacement`] completes.
/// Files that somebody else put beside ours move into the new folder.
pub(crate) fn replace_folder(
    parent: &Path,
    name: &str,
    write: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let Places { temporary, new, .. } = Places::of(parent, name);
    remove_tree(&temporary)?;
    if let Err(error) = write(&temporary).and_then(|()| sync_tree(&temporary)) {
        // A full disk is the likely cause; what is left of the attempt only makes it fuller.
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    fs::rename(&temporary, &new).map_err(TrainError::io("rename", &temporary))?;
    finish_replacement(parent, name)
}

/// Completes a replacement that was cut short, and clears what an unfinished one left.
pub(crate) fn finish_replacement(parent: &Path, name: &str) -> Result<(), TrainError> {
    let current = parent.join(name);
    let Places { temporary, new, old } = Places::of(parent, name);
    remove_tree(&temporary)?;
    // Earlier versions called it so; one may have been cut short when the place was empty.
    let earlier = parent.join(format!("{name}.new"));
    let is_ours = || written(&earlier).iter().any(|name| earlier.join(name).is_file());
    if !current.exists() && !new.exists() && is_ours() {
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

/// Removes our files from such a folder, and the folder where nothing else is in it.
pub(super) fn remove_written(folder: &Path) -> Result<(), TrainError> {
    remove_files(folder, &written(folder))
}

/// Moves what is not ours.
fn carry_over(old: &Path, current: &Path) -> Result<(), TrainError> {
    let ours = written(old);
    for name in names(old)? {
        let (from, to) = (old.join(&name), current.join(&name));
        if !ours.iter().any(|written| name == written.as_str()) && fs::symlink_metadata(&to).is_err() {
            fs::rename(&from, &to).map_err(TrainError::io("rename", &from))?;
        }
    }
    Ok(())
}

/// Names under which a folder stands while it is replaced.
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
