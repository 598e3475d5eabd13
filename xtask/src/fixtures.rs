//! `cargo xtask fixtures`: the Python programs that generate the golden files under `tests/`.
//!
//! The generated files are part of the repository; generators only need to be run to change them. The interpreter is
//! `$PYTHON`, or else `python3`, and needs the packages listed at the top of each generator.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Without arguments lists the generators; with a name runs that one with the remaining arguments.
pub fn run(root: &Path, arguments: &[OsString]) -> ExitCode {
    let folder = root.join("tests").join("generators");
    let generators = match find(&folder) {
        Ok(generators) => generators,
        Err(cause) => {
            eprintln!("error: {}: {cause}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    let Some((name, rest)) = arguments.split_first() else {
        println!(
            "Generators in {} (run one: cargo xtask fixtures NAME …):",
            folder.display()
        );
        for (name, path) in &generators {
            println!("  {name:<24} {}", summary(path));
        }
        return ExitCode::SUCCESS;
    };
    let wanted = name.to_string_lossy();
    let Some((_, path)) = generators
        .iter()
        .find(|(name, _)| *name == wanted.trim_end_matches(".py"))
    else {
        let names: Vec<&str> = generators.iter().map(|(name, _)| name.as_str()).collect();
        eprintln!(
            "error: there is no generator `{wanted}`; there are: {}",
            names.join(", ")
        );
        return ExitCode::from(2);
    };
    let python = env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    match Command::new(&python).current_dir(root).arg(path).args(rest).status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(cause) => {
            eprintln!("error: {} could not be started: {cause}", python.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}

/// Names and paths of the generators, sorted by name.
fn find(folder: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "py")
            && let Some(stem) = path.file_stem()
        {
            found.push((stem.to_string_lossy().into_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

/// The first line of a generator's docstring.
fn summary(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with("\"\"\"") || line.starts_with("r\"\"\""));
    line.map(|line| line.trim_start_matches('r').trim_matches('"').to_owned())
        .unwrap_or_default()
}
