//! Commands, one file each, and their dispatch.

mod analysis;
mod bench;
mod doctor;
mod environment;
mod eval;
mod fetch;
mod hub;
mod import;
mod inspect;
mod merge;
mod methods;
mod predict;
mod pretrain;
mod reproduce;
mod settings;
mod table16;
mod train;
mod trained;
mod verify;

use std::path::Path;

use adept_data::DataError;
use adept_lab::report::ReportError;
use adept_lab::run::Means;
use adept_models::generate::GenerateError;
use adept_sandbox::SandboxError;
use adept_train::TrainError;
use adept_train::folder::{self, FolderKind, REPORT_FILES};
use adept_train::program::ProgramOptions;

use crate::args::{Cli, Command, Config, Report, Reproduce};
use crate::device::DeviceName;
use crate::failure::{Failure, remark, say};
use crate::progress::Loudness;

/// Context shared by all commands.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Device to compute on.
    pub device: DeviceName,
    /// Verbosity of progress output.
    pub loudness: Loudness,
    /// Cache of tokenised tasks, and the sandbox for programs.
    pub means: Means,
}

/// Runs the command given on the command line.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let loudness = match (cli.quiet, cli.verbose) {
        (true, _) => Loudness::Quiet,
        (_, true) => Loudness::Verbose,
        _ => Loudness::Usual,
    };
    if let Some(kernel) = cli.kernel {
        adept_models::force_kernel(&kernel).map_err(Failure::input)?;
    }
    let setting = Setting {
        device: cli.device.unwrap_or_default(),
        loudness,
        means: Means {
            cache: environment::data_cache(cli.data_cache)?,
            programs: ProgramOptions {
                sandbox: adept_sandbox::Settings {
                    allow_missing: cli.allow_missing_layers,
                    group: cli.sandbox_cgroup,
                    ..adept_sandbox::Settings::default()
                },
                ..ProgramOptions::default()
            },
        },
    };
    match cli.command {
        Command::Reproduce(Reproduce::Scores(scores)) => reproduce::scores(&setting, scores),
        Command::Reproduce(Reproduce::Table1(arguments)) => analysis::table1(&setting, arguments),
        Command::Reproduce(Reproduce::Table2(arguments)) => analysis::table2(&setting, arguments),
        Command::Reproduce(Reproduce::Table11(arguments)) => analysis::table11(&setting, arguments),
        Command::Reproduce(Reproduce::Table16(arguments)) => table16::run(&setting, arguments),
        Command::Reproduce(Reproduce::Section34(arguments)) => analysis::section34(&setting, arguments),
        Command::Fetch(arguments) => fetch::run(&setting, &arguments),
        Command::Import(arguments) => import::run(&setting, &arguments),
        Command::Train(arguments) => train::run(&setting, arguments),
        Command::Pretrain(arguments) => pretrain::run(&setting, arguments),
        Command::Eval(arguments) => eval::run(&setting, arguments),
        Command::Predict(arguments) => predict::run(&setting, arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Merge(arguments) => merge::run(&setting, arguments),
        Command::Verify(arguments) => verify::run(&setting, arguments),
        Command::Bench(arguments) => bench::run(&setting, arguments),
        Command::Doctor(arguments) => doctor::run(&setting, arguments),
        Command::Methods(arguments) => methods::run(&arguments),
        Command::Report(arguments) => report(&arguments),
        Command::Config(arguments) => config(&arguments),
    }
}

/// `adept report`.
fn report(arguments: &Report) -> Result<(), Failure> {
    adept_lab::report::build(&arguments.out).map_err(report_failure)?;
    for name in REPORT_FILES {
        say(arguments.out.join(name).display())?;
    }
    Ok(())
}

/// `adept config`.
fn config(arguments: &Config) -> Result<(), Failure> {
    let overrides = settings::overrides(&arguments.settings, Vec::new());
    let resolved = adept_train::config::resolve(None, &overrides).map_err(Failure::input)?;
    say(resolved.to_commented_toml().trim_end())
}

/// `--overwrite`: deletes the files of an earlier run, and lists those that are kept.
fn clear(setting: &Setting, out: &Path, kind: FolderKind) -> Result<(), Failure> {
    let cleared = folder::clear(out, kind).map_err(run_failure)?;
    if cleared.had_run && setting.loudness != Loudness::Quiet {
        let kept = match cleared.kept.as_slice() {
            [] => String::new(),
            kept => format!("; not of that run, and kept: {}", kept.join(", ")),
        };
        remark(format_args!(
            "{}: deleted the files of an earlier run{kept}",
            out.display()
        ));
    }
    Ok(())
}

/// Exit code of a failed run: bad input (2), an error during the run (1), or Ctrl-C (130).
pub fn run_failure(cause: TrainError) -> Failure {
    match cause {
        TrainError::Interrupted { .. } => Failure::interrupted(cause),
        TrainError::Data(DataError::MissingFile { ref task, .. }) => {
            let hint = hub::fetch_hint(task);
            let failure = Failure::input(cause);
            match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        }
        TrainError::Sandbox(SandboxError::Missing(_)) => Failure::input(cause)
            .hint("`--allow-missing-layers` runs programs in the incomplete sandbox; only for models you trust"),
        _ if cause.is_write() => Failure::run(cause).hint(WHAT_REMAINS),
        TrainError::OtherRun { .. } | TrainError::NoUsableCheckpoint { .. } => {
            Failure::input(cause).hint("--overwrite deletes that run and starts over")
        }
        TrainError::NotFinite { .. }
        | TrainError::Diverged { .. }
        | TrainError::LossNotFinite { .. }
        | TrainError::Generate(GenerateError::NotFinite { .. } | GenerateError::Score { .. })
        | TrainError::BestChanged { .. } => Failure::run(cause),
        _ => Failure::input(cause),
    }
}

/// Hint after a failed write.
const WHAT_REMAINS: &str =
    "files written so far are intact; free some space, or write elsewhere, and run the same command again";

/// Exit code of a failed report: unusable runs (2), or a write error (1).
pub fn report_failure(cause: ReportError) -> Failure {
    match cause {
        ReportError::File(cause) => run_failure(cause),
        cause => Failure::input(cause),
    }
}
