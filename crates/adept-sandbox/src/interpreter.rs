//! Finds the interpreter and the parts of the file tree that it needs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::SandboxError;
use crate::plan::Interpreter;

/// Prints, one per line, the interpreter's executable, its prefix, its library folders, and all files mapped into it:
/// on some systems the loader and shared libraries have unusual locations.
const QUESTION: &str = "import os, sys
print(os.path.realpath(getattr(sys, '_base_executable', sys.executable)))
print(sys.base_prefix)
for folder in sys.path:
    print(os.path.realpath(folder))
with open('/proc/self/maps') as parts:
    for part in parts:
        name = part.rstrip('\\n').split(None, 5)[5:]
        if name and os.path.isfile(name[0]):
            print(name[0])
";

/// Locations of shared libraries, the loader's cache, and the time zone data used by the library.
const LIBRARIES: [&str; 6] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
];

pub(crate) fn find(python: &Path) -> Result<Interpreter, SandboxError> {
    let failed = |message: String| SandboxError::Python {
        python: python.to_owned(),
        message,
    };
    let answer = Command::new(python)
        .args(["-I", "-S", "-B", "-c", QUESTION])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&answer.stdout);
    let mut lines = text.lines().map(PathBuf::from);
    let (true, Some(program), Some(prefix)) = (answer.status.success(), lines.next(), lines.next()) else {
        let said = String::from_utf8_lossy(&answer.stderr);
        return Err(failed(format!("{}: {}", answer.status, said.trim())));
    };
    let mut readable: BTreeSet<PathBuf> = lines.collect();
    readable.extend(["lib", "lib64"].map(|folder| prefix.join(folder)));
    readable.extend(LIBRARIES.map(PathBuf::from));
    readable.insert(program.clone());
    let links = root_links();
    let executable = loaders(&readable).into_iter().chain([program.clone()]).collect();
    Ok(Interpreter {
        program,
        readable: outermost(&readable),
        executable,
        links,
    })
}

/// `/lib` and the like, if the distribution has merged them into `/usr`.
fn root_links() -> Vec<(PathBuf, PathBuf)> {
    let link = |name: &str| Some((PathBuf::from(name), fs::read_link(name).ok()?));
    ["/lib", "/lib64"].into_iter().filter_map(link).collect()
}

/// The dynamic loaders: executing a program requires executing its loader.
fn loaders(readable: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let is_loader = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("ld-") && name.contains(".so")
    };
    let entries = readable.iter().filter_map(|path| fs::read_dir(path).ok()).flatten();
    let in_folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let files: BTreeSet<PathBuf> = in_folders
        .chain(readable.iter().cloned())
        .filter(is_loader)
        .filter_map(|path| fs::canonicalize(path).ok())
        .collect();
    files.into_iter().collect()
}

/// Existing paths, with symbolic links resolved, and without those contained in others.
fn outermost(paths: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let real: BTreeSet<PathBuf> = paths.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    let inner = |path: &PathBuf| real.iter().any(|other| path != other && path.starts_with(other));
    real.iter().filter(|path| !inner(path)).cloned().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn folders_in_folders_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("lib/python")).unwrap();
        let paths = ["lib", "lib/python", "none"].map(|name| root.join(name));
        assert_eq!(outermost(&paths.into()), [root.join("lib")]);
    }

    #[test]
    fn no_interpreter_is_an_error_with_its_name() {
        let error = find(Path::new("/nowhere/python3")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/python3: "), "{error}");
    }
}
