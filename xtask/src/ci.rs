//! `cargo xtask ci`: all checks, ordered so that cheap mistakes are found first.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// One check: its name, cargo's arguments, extra environment variables.
type Step = (
    &'static str,
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
);

const STEPS: &[Step] = &[
    ("format", &["fmt", "--all", "--", "--check"], &[]),
    (
        "lints",
        &[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        &[],
    ),
    (
        "documentation",
        &["doc", "--locked", "--workspace", "--no-deps"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    ),
    ("tests", &["test", "--locked", "--workspace"], &[]),
    (
        "feature set cuda",
        &[
            "check",
            "--locked",
            "--package",
            "adept-cli",
            "--no-default-features",
            "--features",
            "cuda",
        ],
        &[],
    ),
    (
        "feature set wgpu,vulkan",
        &[
            "check",
            "--locked",
            "--package",
            "adept-cli",
            "--no-default-features",
            "--features",
            "wgpu,vulkan",
        ],
        &[],
    ),
];

/// Runs all steps and stops at the first failure.
pub fn run(root: &Path) -> ExitCode {
    let started = Instant::now();
    for (name, arguments, environment) in STEPS {
        println!("== {name} (after {} s)", started.elapsed().as_secs());
        let status = crate::cargo::command()
            .current_dir(root)
            .args(*arguments)
            .envs(environment.iter().copied())
            .status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("error: {name} failed ({status}): cargo {}", arguments.join(" "));
                return ExitCode::FAILURE;
            }
            Err(cause) => {
                eprintln!("error: cargo could not be started: {cause}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("== all checks passed (after {} s)", started.elapsed().as_secs());
    ExitCode::SUCCESS
}
