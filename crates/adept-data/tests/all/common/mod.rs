//! Shared helpers: folders of synthetic files, and the location of real data. The latter is not part of this
//! repository: it is read from `$ADEPT_DATA` or from `../shared/data` beside the workspace, and a test that finds
//! neither prints that it was skipped.
#![allow(clippy::print_stderr, reason = "a skipped test has to say so")]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use adept_data::{Example, Task};

/// A path in the real data's folder; prints that the test is skipped if it does not exist.
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

pub fn named(name: &str) -> Task {
    Task::named(name).expect("a task's name")
}

/// A folder with these files; names that end with `.gz` are compressed.
pub fn folder(files: &[(&str, String)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
        if name.ends_with(".gz") {
            let file = fs::File::create(path).expect("a writable folder");
            let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            gzip.write_all(text.as_bytes()).expect("a writable folder");
            gzip.finish().expect("a writable folder");
        } else {
            fs::write(path, text).expect("a writable folder");
        }
    }
    root
}

/// All rows, sorted by id.
pub fn sorted(parts: &[&[Example]]) -> Vec<Example> {
    let mut rows = parts.concat();
    rows.sort_by_key(|row| row.id);
    rows
}
