//! A published crate consists only of its folder: everything it includes must be in there, since `cargo package` builds
//! it in isolation.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Rust code that refers to a file.
const NAMES_A_FILE: [&str; 4] = ["include_str!(", "include_bytes!(", "include!(", "#[path = "];

#[test]
fn a_crate_includes_nothing_from_outside_its_folder() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let (mut included, mut outside) = (0, Vec::new());
    for folder in entries(&crates) {
        assert!(
            folder.join("README.md").is_file(),
            "{} has no README.md",
            folder.display()
        );
        // Tests may use the whole repository; packages with such tests leave them out.
        let files = ["src", "examples", "benches"].map(|part| rust_files(&folder.join(part)));
        for file in files.concat() {
            let text = fs::read_to_string(&file).unwrap();
            for path in NAMES_A_FILE.iter().flat_map(|name| named(&text, name)) {
                included += 1;
                let beside = file.parent().unwrap().strip_prefix(&folder).unwrap();
                if leaves(&beside.join(&path)) {
                    outside.push(format!("{}: {path}", file.display()));
                }
            }
        }
    }
    assert!(included > 20, "the search has found {included} files only");
    assert!(outside.is_empty(), "{outside:#?}");
}

/// The first string after each `name` in a Rust file; for `concat!`, its first part.
fn named(text: &str, name: &str) -> Vec<String> {
    let after = text.split(name).skip(1);
    after
        .filter_map(|rest| rest.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}

/// Whether a relative path leads out of its base folder.
fn leaves(path: &Path) -> bool {
    let mut depth = 0;
    path.components().any(|part| {
        depth += match part {
            Component::ParentDir => -1,
            Component::Normal(_) => 1,
            _ => 0,
        };
        depth < 0 || part == Component::RootDir
    })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    };
    entries.sort();
    entries
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let (folders, files): (Vec<_>, Vec<_>) = entries(folder).into_iter().partition(|path| path.is_dir());
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let deeper = folders.iter().flat_map(|folder| rust_files(folder));
    files.into_iter().filter(is_rust).chain(deeper).collect()
}
