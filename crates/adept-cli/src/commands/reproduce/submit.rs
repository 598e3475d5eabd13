//! `adept reproduce … --on slurm`: submits what is left of a grid as a job array and a job for its report.

use std::env;
use std::ffi::{OsStr, OsString};

use adept_lab::reproduce::slurm::{self, Invocation, Jobs, Options, SlurmError, Submission};
use adept_lab::reproduce::{Grid, Plan, plan};
use adept_train::folder::FolderKind;
use burn::tensor::backend::AutodiffBackend;
use clap::Args as _;

use super::{describe, grid_failure, shown};
use crate::args::{Cluster, Runs};
use crate::commands::{Setting, clear, run_failure};
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, remark, say};
use crate::progress::Loudness;

/// Variables that say where the program finds its files, apart from its own. A token is none of them.
const VARIABLES: [&str; 4] = ["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"];

/// The program's own variables begin so.
const OWN_VARIABLES: &str = "ADEPT_";

/// An array with more elements is refused by a Slurm with the default `MaxArraySize`.
const USUAL_ARRAY: usize = 1_000;

/// Submits, or with `--plan` prints what would be submitted.
pub fn run(setting: &Setting, arguments: &Runs, grid: &Grid) -> Result<(), Failure> {
    let options = options(&arguments.cluster)?;
    // A backend that is missing from this program would be missing from every job.
    with_backend(setting.device, BackendIsThere)?;
    let plan = plan(grid).map_err(grid_failure)?;
    if !arguments.plan {
        slurm::available().map_err(slurm_failure)?;
    }
    let queued = slurm::queued(&grid.out).map_err(slurm_failure)?;
    if let (true, Some(first)) = (grid.overwrite, queued.first()) {
        let (job, run) = (first.job.clone(), first.run.clone());
        let hint = format!("scancel {job}");
        return Err(slurm_failure(SlurmError::StillQueued { job, run }).hint(hint));
    }
    plan.check_independent().map_err(grid_failure)?;
    let is_queued = |name: &String| queued.iter().any(|queued| queued.run == *name);
    let (waiting, left): (Vec<String>, Vec<String>) = plan.waiting().map(|cell| cell.name()).partition(is_queued);
    let described = describe::plan(grid, &plan, setting.device, arguments.plan);
    if arguments.plan {
        say(described)?;
    } else if setting.loudness != Loudness::Quiet {
        remark(described);
    }
    if let Some(first) = queued.iter().find(|queued| waiting.contains(&queued.run)) {
        remark(format_args!(
            "in the queue already and not submitted again: {} (squeue --jobs={})",
            counted(waiting.len(), "run"),
            first.job
        ));
    }
    if left.is_empty() {
        return say(match waiting.len() {
            0 => "nothing to submit: every run is done",
            _ => "nothing to submit: every other run is done",
        });
    }
    let submission = Submission::new(grid, &left, &options, &invocation()?).map_err(slurm_failure)?;
    if arguments.plan {
        return print(&submission);
    }
    if grid.overwrite {
        // What Slurm would refuse must not cost the earlier runs.
        submission.test().map_err(slurm_failure)?;
        delete(setting, &plan)?;
    }
    let jobs = submission.submit(grid).map_err(slurm_failure)?;
    announce(&submission, &jobs, left.len(), &options)
}

/// Options from the command line over those of `--slurm`.
fn options(cluster: &Cluster) -> Result<Options, Failure> {
    let file = cluster.slurm.as_deref().map(Options::read).transpose();
    let file = file.map_err(Failure::input)?.unwrap_or_default();
    Ok(cluster.options().over(file))
}

struct BackendIsThere;

impl WithBackend for BackendIsThere {
    fn run<AB: AutodiffBackend>(self, _: AB::Device) -> Result<(), Failure> {
        Ok(())
    }
}

/// `--overwrite`: deletes the earlier runs now, because a job that deleted them would do so again after a requeue.
fn delete(setting: &Setting, plan: &Plan) -> Result<(), Failure> {
    plan.cells
        .iter()
        .try_for_each(|cell| clear(setting, &cell.folder, FolderKind::Run))
}

/// This call of the program, without what concerns the submission.
fn invocation() -> Result<Invocation, Failure> {
    let program = env::current_exe().map_err(|cause| Failure::run(cause).context("the path of this program"))?;
    let folder = env::current_dir().map_err(|cause| Failure::input(cause).context("the current folder"))?;
    let is_kept = |name: &str| name.starts_with(OWN_VARIABLES) || VARIABLES.contains(&name);
    let variables = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| is_kept(name) && is_name(name));
    Ok(Invocation {
        program,
        arguments: repeated(env::args_os().skip(1)),
        variables: variables.collect(),
        folder,
    })
}

/// Whether a shell can export a variable of this name.
fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Arguments that a job repeats: all but those about the submission and `--plan` and `--overwrite`, which concern the
/// command that submits. What decides the grid is kept as it was typed.
fn repeated(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let own = Cluster::augment_args(clap::Command::new("cluster"));
    let is_own = |name: &OsStr| {
        let name = name.to_str().and_then(|name| name.strip_prefix("--"));
        name.is_some_and(|name| own.get_arguments().any(|option| option.get_long() == Some(name)))
    };
    let mut kept = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--plan" || argument == "--overwrite" {
            continue;
        }
        // Each of these options takes one value.
        if is_own(&argument) {
            arguments.next();
            continue;
        }
        let name = argument.to_str().and_then(|text| text.split_once('='));
        if !name.is_some_and(|(name, _)| is_own(name.as_ref())) {
            kept.push(argument);
        }
    }
    kept
}

/// `--plan`: the files that would be written.
fn print(submission: &Submission) -> Result<(), Failure> {
    for (name, text) in &submission.files {
        say(format_args!(
            "\n# {}\n{}",
            shown(&submission.folder.join(name)).display(),
            text.trim_end()
        ))?;
    }
    Ok(())
}

fn announce(submission: &Submission, jobs: &Jobs, runs: usize, options: &Options) -> Result<(), Failure> {
    let limit = options
        .array_limit
        .map_or_else(String::new, |limit| format!(", at most {limit} at a time"));
    let report = jobs.report.as_deref().unwrap_or_default();
    say(format_args!(
        "submitted {} as job {} ({}{limit}), and the report as job {report}",
        counted(runs, "run"),
        jobs.array,
        counted(submission.elements, "element")
    ))?;
    say(format_args!("  jobs  {}", shown(&submission.folder).display()))?;
    say(format_args!("  watch squeue --jobs={},{report}", jobs.array))?;
    say(format_args!("  stop  scancel {}", jobs.array))
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Exit code of a failed submission: bad input or no Slurm (2), or a refusal or write error (1).
pub(super) fn slurm_failure(cause: SlurmError) -> Failure {
    match cause {
        SlurmError::Train(cause) => run_failure(cause),
        SlurmError::Refused { elements, .. } if elements > USUAL_ARRAY => Failure::run(cause).hint(format_args!(
            "the array has {elements} elements; --runs-per-job makes them fewer (scontrol show config names \
                 MaxArraySize)"
        )),
        SlurmError::ReportOnly { ref array, .. } => {
            let hint = format!("`adept report` writes the report once job {array} has ended");
            Failure::run(cause).hint(hint)
        }
        SlurmError::Refused { .. } | SlurmError::Start { .. } | SlurmError::NoJobId { .. } => Failure::run(cause),
        SlurmError::NoSlurm { .. } => Failure::input(cause).hint("--plan prints the jobs without submitting them"),
        cause => Failure::input(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_repeats_everything_but_the_submission() {
        let check = |typed: &[&str], expected: &[&str]| {
            assert_eq!(repeated(typed.iter().map(OsString::from)), expected, "{typed:?}");
        };
        check(
            &[
                "--device",
                "cuda",
                "reproduce",
                "glue",
                "--on",
                "slurm",
                "--time=1-0",
                "--set",
                "data=a b",
                "--gpus",
                "1",
                "--sbatch",
                "--qos=long",
                "--plan",
                "--out=x y",
                "--keep-going",
                "--overwrite",
            ],
            &[
                "--device",
                "cuda",
                "reproduce",
                "glue",
                "--set",
                "data=a b",
                "--out=x y",
                "--keep-going",
            ],
        );
        check(
            &["reproduce", "glue", "--on=slurm", "--tasks", "rte"],
            &["reproduce", "glue", "--tasks", "rte"],
        );
        check(&["--slurm", "a.toml", "--setup=module load x", "-q"], &["-q"]);
    }

    #[test]
    fn every_option_of_the_cluster_takes_one_value() {
        for option in Cluster::augment_args(clap::Command::new("cluster")).get_arguments() {
            assert!(
                option.get_action().takes_values() && option.get_long().is_some(),
                "{option}"
            );
        }
    }
}
