//! The model card of a trained adapter or model: a `README.md` in the form of the Hugging Face hub, beside its files.
//!
//! It is made from a run's record and holds neither times nor paths, so that the same run writes the same bytes. Its
//! last line has a checksum of the text above: a card that somebody has edited, or a `README.md` of another origin, is
//! theirs and never replaced.

mod front_matter;
mod text;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::TrainError;
use crate::folder::{hex, write_atomic};
use crate::record::{Scores, Selection, Start};

/// Name of the card.
pub const CARD_FILE: &str = "README.md";

/// Beginning and end of a card's last line.
const SEAL: (&str, &str) = (
    "<!-- Written by adept. A card that was edited is not replaced; sha256 of the text above: ",
    " -->\n",
);

/// What a card is made from.
#[derive(Debug, Clone, Copy)]
pub struct ModelCard<'a> {
    /// The run.
    pub start: &'a Start,
    /// The step that was kept.
    pub selection: &'a Selection,
    /// Scores on the test split; `None` while they are unknown.
    pub test: Option<&'a Scores>,
}

impl ModelCard<'_> {
    /// The text of the card.
    #[must_use]
    pub fn text(&self) -> String {
        sealed(&format!("{}\n{}", front_matter::of(self), text::of(self)))
    }

    /// Writes the card to a folder, unless that holds a card that is not ours.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let path = folder.join(CARD_FILE);
        match fs::symlink_metadata(&path) {
            Ok(_) if !is_ours(&path)? => Ok(()),
            _ => write_atomic(&path, self.text().as_bytes()),
        }
    }
}

/// Whether a file is a card as this program wrote it.
pub(crate) fn is_ours(path: &Path) -> Result<bool, TrainError> {
    let is_file = |found: fs::Metadata| found.is_file();
    if !fs::symlink_metadata(path).is_ok_and(is_file) {
        return Ok(false);
    }
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(TrainError::read("read", path)(error)),
    };
    let Ok(text) = String::from_utf8(text) else {
        return Ok(false);
    };
    Ok(text.rfind(SEAL.0).is_some_and(|end| text == sealed(&text[..end])))
}

fn sealed(text: &str) -> String {
    format!("{text}{}{}{}", SEAL.0, hex(&Sha256::digest(text)), SEAL.1)
}

/// Name of the backbone in a folder, for files that leave this machine: `owner/name` of a repository in the hub's
/// cache (`models--owner--name/snapshots/COMMIT`), else the name of the folder.
#[must_use]
pub fn backbone_name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let in_cache = whole.parent().filter(|parent| parent.ends_with("snapshots"));
    let repository = in_cache.and_then(Path::parent).and_then(name);
    let repository = repository.and_then(|name| Some(name.strip_prefix("models--")?.replacen("--", "/", 1)));
    repository
        .or_else(|| name(&whole))
        .unwrap_or_else(|| "backbone".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_backbone_is_named_without_its_place() {
        for (path, expected) in [
            ("/home/me/models/t5-base", "t5-base"),
            ("/hub/models--google--flan-t5--x/snapshots/0123", "google/flan-t5--x"),
            ("/hub/models--t5-base/snapshots/0123", "t5-base"),
            ("/mine/snapshots/0123", "0123"),
            ("/", "backbone"),
        ] {
            assert_eq!(backbone_name(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn only_an_unchanged_card_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CARD_FILE);
        assert!(!is_ours(&path).unwrap());
        let ours = sealed("# A card\n");
        let edited = ours.replacen("A card", "My card", 1);
        for (text, expected) in [
            (ours.as_str(), true),
            (edited.as_str(), false),
            (&format!("{ours}More.\n"), false),
            ("# Mine\n", false),
            ("", false),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(is_ours(&path).unwrap(), expected, "{text}");
        }
        fs::write(&path, b"\xff").unwrap();
        assert!(!is_ours(&path).unwrap());
    }
}
