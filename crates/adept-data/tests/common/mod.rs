//! Where the tests find real data. None of it is part of this repository: it is read from `$ADEPT_DATA`, or from
//! `../shared/data` beside the workspace, and a test that finds neither says that it was skipped.
#![allow(clippy::print_stderr, reason = "a skipped test has to say so")]

use std::path::{Path, PathBuf};

/// A path in the folder of real data, or a line that says that the test is skipped.
pub fn real(path: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("ADEPT_DATA").map_or(beside, PathBuf::from);
    let found = folder.join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!(
        "skipped: {} is not there (set ADEPT_DATA to the folder that holds it)",
        found.display()
    );
    None
}

/// SHA-256 in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
