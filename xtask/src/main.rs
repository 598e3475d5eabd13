//! `cargo xtask …`: builds the `adept` program with the right backend and hands over to it, runs the checks, runs the
//! fixture generators.
//!
//! Does not depend on burn, so that it compiles in seconds. One small file per kind of command: `program` (build and
//! hand over), `goldens` (`verify` on all golden folders), `ci` (the checks), `fixtures` (the Python generators),
//! `cargo` (running cargo).
#![allow(clippy::print_stdout, clippy::print_stderr)] // Printing is the purpose of this program.

mod cargo;
mod ci;
mod fixtures;
mod goldens;
mod program;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Commands of `adept` that `cargo xtask` forwards.
const PASSED_ON: &[&str] = &[
    "fetch",
    "import",
    "reproduce",
    "train",
    "eval",
    "predict",
    "inspect",
    "methods",
    "verify",
    "bench",
    "pretrain",
    "report",
    "config",
];

const HELP: &str = "\
Project tasks. Run as `cargo xtask COMMAND …`.

Commands that build `adept` and hand over to it (all their arguments are adept's own):
  fetch       bring data and models from the hub into its cache
  import      turn a GGUF model into a backbone's folder
  reproduce   run or resume one of the paper's tables: cargo xtask reproduce glue (or table1 to table16, section3.4; our
              own data and backbone; --profile for others)
  train       train one adapter
  eval        score one adapter
  predict     one prediction for each source text
  inspect     shapes, counts and fingerprint of an adapter, a backbone or a run
  methods     what each method trains, stores and costs on a backbone
  verify      compare this machine's backend with golden numbers from PyTorch: all of this repository's without
              --backbone and --golden
  bench       time training steps and inference
  pretrain    pretrain your own small T5
  report      write a report again from its records
  config      print a preset as a documented TOML file

  Options that xtask takes out of the arguments of these commands, or before them:
    --features LIST       cargo features to add to the build (flex, ndarray, cuda, wgpu, vulkan; -unfused of a GPU)
    --backend NAME        the same for one backend, and passes `--device NAME` on when no --device is given
    --no-default-features leave the default CPU backend out
    --release             build as `cargo build --release` does; steps are as fast without it, the build is not shared
                          with `cargo test`
  `--device cuda:0` alone is enough: the feature is taken from the device's name.
  Each command's own help: cargo xtask COMMAND --help

Other commands:
  ci          formatting, lints, documentation, tests, type checks of the GPU feature sets
  fixtures    list the Python generators of the golden files; `fixtures NAME …` runs one
  help        this text

Exit codes are those of the program that was run; 2 is a usage error.";

fn main() -> ExitCode {
    let (command, rest) = split_command(env::args_os().skip(1).collect());
    let root = workspace_root();
    match command.as_deref() {
        Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        Some("ci") => ci::run(&root),
        Some("fixtures") => fixtures::run(&root, &rest),
        Some(name) if PASSED_ON.contains(&name) => program::run(&root, name, rest),
        Some(other) => {
            eprintln!("error: there is no task `{other}`\n\n{HELP}");
            ExitCode::from(2)
        }
        None => {
            eprintln!("{HELP}");
            ExitCode::from(2)
        }
    }
}

/// Splits off the command from the other arguments. xtask's own options may precede or follow the command.
fn split_command(mut arguments: Vec<OsString>) -> (Option<String>, Vec<OsString>) {
    let mut place = 0;
    while let Some(argument) = arguments.get(place).map(|argument| argument.to_string_lossy()) {
        match &*argument {
            "--features" | "--backend" => place += 2,
            "--no-default-features" | "--release" => place += 1,
            inline if inline.starts_with("--features=") || inline.starts_with("--backend=") => place += 1,
            _ => break,
        }
    }
    if place >= arguments.len() {
        return (None, arguments);
    }
    let command = arguments.remove(place);
    (Some(command.to_string_lossy().into_owned()), arguments)
}

/// The workspace root: the parent of this crate's folder.
fn workspace_root() -> PathBuf {
    let own = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&own)
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], command: Option<&str>, rest: &[&str]) {
        let found = split_command(arguments.iter().map(OsString::from).collect());
        assert_eq!(
            found,
            (command.map(str::to_owned), rest.iter().map(OsString::from).collect())
        );
    }

    #[test]
    fn options_may_stand_before_the_command() {
        check(&["reproduce", "glue"], Some("reproduce"), &["glue"]);
        check(
            &["--backend", "cuda", "train", "--out", "x"],
            Some("train"),
            &["--backend", "cuda", "--out", "x"],
        );
        check(
            &["--features=cuda", "--no-default-features", "--release", "ci"],
            Some("ci"),
            &["--features=cuda", "--no-default-features", "--release"],
        );
        check(&["--features"], None, &["--features"]);
        check(&["--help"], Some("--help"), &[]);
        check(&[], None, &[]);
    }
}
