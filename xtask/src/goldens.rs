//! `cargo xtask verify` without folders: checks every golden folder of the repository on one backend.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Folders under `tests/goldens` that `adept verify` checks: every family, and variants within a family.
const FOLDERS: [&str; 15] = [
    "t5_v1_0",
    "t5_v1_1",
    "codegen",
    "llama",
    "llama_tied",
    "mistral",
    "qwen2",
    "qwen3",
    "smollm3",
    "phi3",
    "gemma",
    "gemma2",
    "gemma3",
    "gpt_neox",
    "gpt2",
];

/// Whether the arguments of `adept verify` name no folders, so that all of them are checked.
pub fn are_meant(arguments: &[OsString]) -> bool {
    let names_files = |argument: &OsString| {
        let text = argument.to_string_lossy();
        let name = text.split_once('=').map_or(&*text, |(name, _)| name);
        ["--backbone", "--golden", "--help", "-h"].contains(&name)
    };
    !arguments.iter().any(names_files)
}

/// Runs `verify` on each folder, continuing after failures. `adept` creates the command.
pub fn run(root: &Path, adept: impl Fn() -> Command, arguments: &[OsString]) -> ExitCode {
    let mut failed = Vec::new();
    for name in FOLDERS {
        let folder = root.join("tests").join("goldens").join(name);
        println!("== {name}");
        let mut program = adept();
        program
            .arg("--backbone")
            .arg(&folder)
            .arg("--golden")
            .arg(&folder)
            .args(arguments);
        match program.status() {
            Ok(status) if status.success() => {}
            Ok(_) => failed.push(name),
            Err(cause) => {
                eprintln!(
                    "error: {} could not be started: {cause}",
                    program.get_program().to_string_lossy()
                );
                return ExitCode::FAILURE;
            }
        }
    }
    if failed.is_empty() {
        println!("== all {} golden folders passed", FOLDERS.len());
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "error: {} of {} golden folders failed: {}",
        failed.len(),
        FOLDERS.len(),
        failed.join(", ")
    );
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expected: bool) {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        assert_eq!(are_meant(&arguments), expected, "{arguments:?}");
    }

    #[test]
    fn folders_that_are_named_are_the_users() {
        check(&[], true);
        check(&["--device", "vulkan", "--json"], true);
        check(&["--backbone", "x", "--golden", "x"], false);
        check(&["--golden=x"], false);
        check(&["--help"], false);
    }

    #[test]
    fn every_folder_is_there() {
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens");
        for name in FOLDERS {
            assert!(goldens.join(name).join("golden.safetensors").is_file(), "{name}");
        }
    }
}
