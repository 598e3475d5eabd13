//! A folder that any bytes are imported in, and what must hold for whatever comes of it. Shared by the tests here and
//! the fuzz target (`fuzz/` at the repository's root).

use std::fs;

use adept_gguf::{Imported, Settings, import};
use tempfile::TempDir;

/// Files of any content.
pub struct ImportFeed(TempDir);

impl ImportFeed {
    /// In a new temporary folder.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folders can be made"))
    }

    /// Imports the bytes as a GGUF file.
    ///
    /// # Errors
    /// The message of the import.
    ///
    /// # Panics
    /// If the import panics, if its error does not name the file, or if it leaves something behind.
    pub fn check(&self, bytes: &[u8]) -> Result<Imported, String> {
        let (file, out) = (self.0.path().join("model.gguf"), self.0.path().join("out"));
        fs::write(&file, bytes).expect("the folder is writable");
        let imported = import(&file, &out, &Settings::default(), &());
        let entries = fs::read_dir(self.0.path()).expect("the folder is there").count();
        assert_eq!(entries, 1 + usize::from(imported.is_ok()), "something was left behind");
        if imported.is_ok() {
            fs::remove_dir_all(&out).expect("the folder is ours");
        }
        imported.map_err(|cause| {
            let message = cause.to_string();
            assert!(message.contains("model.gguf"), "no file: {message}");
            message
        })
    }
}
