//! Builds `adept` with the requested features and hands over to it.
//!
//! The build is that of `cargo build` and `cargo test`, which share what they compile: dependencies and kernels are
//! optimised as in a release there, so that a training step takes the same time to a few percent. `--release` is for the
//! rest of it.
//!
//! On Unix the program replaces this process, so that signals and the exit status need no forwarding. Elsewhere it is
//! spawned, and its exit code is returned.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::goldens;

/// xtask's own options; all other arguments are forwarded to `adept` unchanged.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    features: Vec<String>,
    no_default_features: bool,
    release: bool,
    passed_on: Vec<OsString>,
}

impl Request {
    /// The folder of the build under cargo's target folder.
    fn profile(&self) -> &'static str {
        if self.release { "release" } else { "debug" }
    }
}

/// Builds and runs `adept COMMAND …`.
pub fn run(root: &Path, command: &str, arguments: Vec<OsString>) -> ExitCode {
    let request = match split(arguments) {
        Ok(request) => request,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    // The code version that runs record. It is not visible to the build, so that a new commit alone does not cause
    // recompilation.
    let version = env::var_os("ADEPT_GIT_HASH").or_else(|| code_version(root).map(OsString::from));
    let file = target_folder(root)
        .join(request.profile())
        .join(format!("adept{}", env::consts::EXE_SUFFIX));
    if !file.exists() {
        eprintln!("Building adept for the first time: this takes a few minutes.");
    }
    if let Err(code) = build(root, &request) {
        return code;
    }
    let adept = || {
        let mut program = Command::new(&file);
        program.arg(command);
        if let Some(version) = &version {
            program.env("ADEPT_GIT_HASH", version);
        }
        // The project's own data and backbone, wherever `cargo xtask` is called from.
        if env::var_os("ADEPT_DATASETS").is_none() {
            program.env("ADEPT_DATASETS", root.join("datasets"));
        }
        program
    };
    if command == "verify" && goldens::are_meant(&request.passed_on) {
        return goldens::run(root, adept, &request.passed_on);
    }
    let mut program = adept();
    program.args(&request.passed_on);
    hand_over(program)
}

/// Separates xtask's own options from those of `adept`.
fn split(arguments: Vec<OsString>) -> Result<Request, String> {
    let mut request = Request::default();
    let mut device_named = false;
    let mut backend = None;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy().into_owned();
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (text.as_str(), None),
        };
        match name {
            "--features" | "--backend" => {
                let value = match inline {
                    Some(value) => value,
                    None => arguments
                        .next()
                        .map(|value| value.to_string_lossy().into_owned())
                        .ok_or_else(|| format!("{name} needs a value"))?,
                };
                request
                    .features
                    .extend(value.split([',', ' ']).filter(|part| !part.is_empty()).map(feature_of));
                if name == "--backend" {
                    backend = Some(value);
                }
            }
            "--no-default-features" => request.no_default_features = true,
            "--release" => request.release = true,
            "--device" => {
                device_named = true;
                let value = match inline {
                    Some(value) => Some(value),
                    None => {
                        request.passed_on.push(argument);
                        let next = arguments.next();
                        let value = next.as_deref().map(|value| value.to_string_lossy().into_owned());
                        request.passed_on.extend(next);
                        request.features.extend(value.as_deref().and_then(gpu_feature));
                        continue;
                    }
                };
                request.features.extend(value.as_deref().and_then(gpu_feature));
                request.passed_on.push(argument);
            }
            _ => request.passed_on.push(argument),
        }
    }
    if let Some(backend) = backend
        && !device_named
    {
        // With or without fusion, it is the same device.
        request
            .passed_on
            .extend(["--device".into(), backend.replace("-unfused", "").into()]);
    }
    request.features.dedup();
    Ok(request)
}

/// The cargo feature of a backend's name: `cuda:1` and `cuda` give the feature `cuda`.
fn feature_of(name: &str) -> String {
    let name = name.split(':').next().unwrap_or(name);
    if name == "cpu" {
        "flex".to_owned()
    } else {
        name.to_owned()
    }
}

/// The feature required by a `--device` value, unless it is the default backend's. Unknown names are left to `adept`.
fn gpu_feature(device: &str) -> Option<String> {
    let feature = feature_of(device);
    ["ndarray", "cuda", "wgpu", "vulkan"]
        .contains(&feature.as_str())
        .then_some(feature)
}

/// Runs cargo's build, showing cargo's output.
fn build(root: &Path, request: &Request) -> Result<(), ExitCode> {
    let mut cargo = crate::cargo::command();
    cargo.current_dir(root).args(["build", "--package", "adept-cli"]);
    if request.release {
        cargo.arg("--release");
    }
    cargo.env_remove("ADEPT_GIT_HASH");
    if request.no_default_features {
        cargo.arg("--no-default-features");
    }
    if !request.features.is_empty() {
        cargo.arg("--features").arg(request.features.join(","));
    }
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            eprintln!("error: the build of adept failed ({status})");
            Err(ExitCode::FAILURE)
        }
        Err(cause) => {
            eprintln!("error: cargo could not be started: {cause}");
            Err(ExitCode::FAILURE)
        }
    }
}

/// Cargo's target folder.
fn target_folder(root: &Path) -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root.join(folder),
        None => root.join("target"),
    }
}

/// The commit the program is built from, marked if the working tree differs; `None` outside of a git checkout.
fn code_version(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut version = git(&["rev-parse", "HEAD"])?;
    if git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty()) {
        version.push_str("-modified");
    }
    Some(version)
}

#[cfg(unix)]
fn hand_over(mut program: Command) -> ExitCode {
    use std::os::unix::process::CommandExt;
    let cause = program.exec();
    cannot_start(program.get_program(), &cause)
}

#[cfg(not(unix))]
fn hand_over(mut program: Command) -> ExitCode {
    match program.status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(cause) => cannot_start(program.get_program(), &cause),
    }
}

fn cannot_start(program: &OsStr, cause: &std::io::Error) -> ExitCode {
    eprintln!("error: {} could not be started: {cause}", program.to_string_lossy());
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], features: &[&str], passed_on: &[&str]) {
        let request = split(arguments.iter().map(OsString::from).collect()).expect("the arguments are well formed");
        assert_eq!(request.features, features);
        assert_eq!(request.passed_on, passed_on);
    }

    #[test]
    fn options_of_xtask_are_taken_out_and_all_others_passed_on() {
        check(&["glue", "--profile", "paper"], &[], &["glue", "--profile", "paper"]);
        check(&["--features", "cuda,ndarray", "glue"], &["cuda", "ndarray"], &["glue"]);
        check(
            &["glue", "--backend=cuda:1"],
            &["cuda"],
            &["glue", "--device", "cuda:1"],
        );
        check(
            &["glue", "--device", "wgpu:0", "--x"],
            &["wgpu"],
            &["glue", "--device", "wgpu:0", "--x"],
        );
        check(
            &["glue", "--backend", "vulkan-unfused"],
            &["vulkan-unfused"],
            &["glue", "--device", "vulkan"],
        );
        check(&["glue", "--device=vulkan"], &["vulkan"], &["glue", "--device=vulkan"]);
        check(&["glue", "--device", "cpu"], &[], &["glue", "--device", "cpu"]);
        check(
            &["--set", "optimizer.lr=1", "--device"],
            &[],
            &["--set", "optimizer.lr=1", "--device"],
        );
        check(
            &["--backend", "cuda", "--device", "cuda:1"],
            &["cuda"],
            &["--device", "cuda:1"],
        );
    }

    #[test]
    fn the_release_build_is_asked_for_by_name() {
        let request = |arguments: &[&str]| split(arguments.iter().map(OsString::from).collect()).expect("well formed");
        assert_eq!(request(&["glue"]).profile(), "debug");
        let release = request(&["glue", "--release", "--seeds", "1"]);
        assert_eq!(release.profile(), "release");
        assert_eq!(release.passed_on, ["glue", "--seeds", "1"]);
    }

    #[test]
    fn an_option_without_its_value_is_refused() {
        assert_eq!(
            split(vec!["--features".into()]),
            Err("--features needs a value".to_owned())
        );
    }
}
