//! `adept doctor`: predicts what a training step needs, and compares it with what this machine has.

use std::process::{Command, Output, Stdio};

use adept_lab::bench::BenchOptions;
use adept_lab::doctor::{DoctorError, Measured, Prediction, predict};
use adept_train::config::PrecisionSetting;

use super::{Setting, bench};
use crate::args::Doctor;
use crate::failure::{Failure, say};

/// Steps that are measured, and those before them.
const STEPS: [usize; 2] = [3, 1];

/// Predicts a step; fails if this machine has not the memory for it.
pub fn run(setting: &Setting, arguments: Doctor) -> Result<(), Failure> {
    let json = arguments.case.json;
    let options = bench::options(&arguments.case);
    let prediction = measured(setting, &options)?;
    let free = available_bytes();
    if json {
        say(serde_json::to_string(&prediction).map_err(Failure::run)?)?;
    } else {
        say(&prediction)?;
    }
    match free {
        Some(free) if prediction.peak_bytes > free => Err(too_large(setting, &prediction, free)),
        Some(free) if !json => say(format_args!("  fits: {} GiB are free on this machine", gibibytes(free))),
        _ => Ok(()),
    }
}

/// The failure that names what is missing, and what would fit instead.
fn too_large(setting: &Setting, prediction: &Prediction, free: u64) -> Failure {
    let (needed, has) = (gibibytes(prediction.peak_bytes), gibibytes(free));
    let failure = Failure::run(format!(
        "a step needs {needed} GiB, of which this machine has {has} free"
    ));
    let options = &prediction.options;
    let mut smaller = vec![];
    if options.precision != PrecisionSetting::Bf16 {
        let precision = PrecisionSetting::Bf16;
        smaller.push((
            "--precision bf16",
            BenchOptions {
                precision,
                ..options.clone()
            },
        ));
    }
    if !options.recompute {
        let recompute = true;
        smaller.push((
            "--recompute",
            BenchOptions {
                recompute,
                ..options.clone()
            },
        ));
    }
    let mut hints = Vec::new();
    for (name, options) in smaller {
        // A method whose blocks cannot be computed again has no such step; what cannot be measured is no advice, and
        // the answer stands without it.
        if options.resolved().is_ok()
            && let Ok(prediction) = measured(setting, &options)
        {
            hints.push(format!("{name} needs {} GiB", gibibytes(prediction.peak_bytes)));
        }
    }
    match hints.is_empty() {
        true => failure.hint("smaller batches with `train.accumulation` need less"),
        false => failure.hint(hints.join("; ")),
    }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / f64::from(1 << 30))
}

/// A prediction whose measurements run in processes of this program.
fn measured(setting: &Setting, options: &BenchOptions) -> Result<Prediction, Failure> {
    let program = std::env::current_exe().map_err(Failure::run)?;
    let device = setting.device.to_string();
    let measure = |options: &BenchOptions| -> Result<Measured, String> {
        let output = Command::new(&program)
            .args(["bench", "step", "--json", "--device", &device])
            .args(case_arguments(options))
            .stdin(Stdio::null())
            .output()
            .map_err(|cause| format!("{}: {cause}", program.display()))?;
        match output.status.success() {
            true => serde_json::from_slice(&output.stdout).map_err(|cause| cause.to_string()),
            false => Err(cause(&output)),
        }
    };
    predict(options, measure).map_err(|cause| match cause {
        DoctorError::Options(cause) => Failure::input(cause),
        _ => Failure::run(cause),
    })
}

/// Why a measurement ended without a figure: what it said last, or how the system ended it, as where memory runs out.
fn cause(output: &Output) -> String {
    match String::from_utf8_lossy(&output.stderr).trim() {
        "" => format!("its process ended with {}; was there memory for it?", output.status),
        said => said.to_owned(),
    }
}

/// The command line of a case.
fn case_arguments(options: &BenchOptions) -> Vec<String> {
    let named = [
        ("precision", options.precision.to_string()),
        ("checkpoint", options.checkpoint.to_string()),
        ("size", options.size.to_string()),
        ("method", options.method.to_string()),
        ("batch", options.batch.to_string()),
        ("tokens", options.tokens.to_string()),
        ("target-tokens", options.target_tokens.to_string()),
        ("virtual-tokens", options.virtual_tokens.to_string()),
        ("rank", options.rank.to_string()),
        ("seed", options.seed.to_string()),
        ("steps", STEPS[0].to_string()),
        ("warmup", STEPS[1].to_string()),
    ];
    let mut arguments: Vec<String> = named.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    arguments.extend(options.depth.map(|depth| format!("--depth={depth}")));
    if options.recompute {
        arguments.push("--recompute".to_owned());
    }
    arguments
}

/// Memory that a new process may use: what the system has left, within the limit of this process's control group
/// (Linux; `None` elsewhere).
fn available_bytes() -> Option<u64> {
    let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    Some(group_bytes().map_or(free, |group| group.min(free)))
}

/// What a limit of the control group leaves; `None` without one.
fn group_bytes() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let folder = std::path::Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    let number = |name: &str| -> Option<u64> { std::fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok() };
    Some(number("memory.max")?.saturating_sub(number("memory.current")?))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn ended(status: i32, said: &str) -> String {
        cause(&Output {
            status: ExitStatus::from_raw(status),
            stdout: Vec::new(),
            stderr: said.into(),
        })
    }

    #[test]
    fn a_measurement_that_was_killed_has_a_cause() {
        assert_eq!(ended(256, "error: no such device\n"), "error: no such device");
        assert_eq!(
            ended(9, ""),
            "its process ended with signal: 9 (SIGKILL); was there memory for it?"
        );
    }
}
