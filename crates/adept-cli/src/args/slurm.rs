//! Options of `adept reproduce … --on slurm`, and those by which a job of it is told its runs.

use std::path::PathBuf;

use adept_lab::reproduce::slurm::{Lines, Memory, Options, SbatchOption, TimeLimit, Word};
use clap::{Args, ValueEnum};

/// A scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scheduler {
    /// Submit a job array and a job for its report with sbatch (docs/slurm.md)
    Slurm,
}

/// Where a grid runs, if not in this process.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Running on a cluster (docs/slurm.md)")]
pub struct Cluster {
    /// Submit the runs as jobs instead of running them here; with --plan, only print the jobs
    #[arg(long, value_enum, value_name = "SCHEDULER", conflicts_with = "cells")]
    pub on: Option<Scheduler>,

    /// TOML file with these options; those on the command line take precedence
    #[arg(long, value_name = "FILE", requires = "on")]
    pub slurm: Option<PathBuf>,

    /// Partition to run in
    #[arg(long, value_name = "NAME", requires = "on")]
    pub partition: Option<Word>,

    /// Account to charge
    #[arg(long, value_name = "NAME", requires = "on")]
    pub account: Option<Word>,

    /// Time limit of each job, as sbatch takes it (30, 2:00:00, 1-12); one that reaches it is queued again and resumes
    #[arg(long, value_name = "TIME", requires = "on")]
    pub time: Option<TimeLimit>,

    /// GPUs of each job
    #[arg(long, value_name = "N", requires = "on", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub gpus: Option<u32>,

    /// Type of the GPUs
    #[arg(long, value_name = "NAME", requires = "on")]
    pub gpu_type: Option<Word>,

    /// CPU cores of each job
    #[arg(long, value_name = "N", requires = "on", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub cpus: Option<u32>,

    /// Memory of each job, such as 32G
    #[arg(long, value_name = "SIZE", requires = "on")]
    pub memory: Option<Memory>,

    /// Maximum number of jobs that run at the same time
    #[arg(long, value_name = "N", requires = "on", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub array_limit: Option<u32>,

    /// Runs of each job, one after the other [default: 1]
    #[arg(long, value_name = "N", requires = "on", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub runs_per_job: Option<u32>,

    /// Seconds before the time limit at which a job stops with a checkpoint [default: 120]
    #[arg(long, value_name = "SECONDS", requires = "on", value_parser = clap::value_parser!(u32).range(10..=65_535))]
    pub notice: Option<u32>,

    /// Another option of sbatch, such as --sbatch=--qos=long; may be repeated
    #[arg(long, value_name = "OPTION", requires = "on", allow_hyphen_values = true)]
    pub sbatch: Vec<SbatchOption>,

    /// Shell command of each job before the program, such as 'module load cuda'; may be repeated
    #[arg(long, value_name = "COMMAND", requires = "on")]
    pub setup: Vec<String>,

    /// Run only the runs that lines of this file name, and write no report
    #[arg(long, value_name = "FILE", hide = true, requires = "lines")]
    pub cells: Option<PathBuf>,

    /// The lines, FIRST-LAST
    #[arg(long, value_name = "LINES", hide = true, requires = "cells")]
    pub lines: Option<Lines>,
}

impl Cluster {
    /// The options on the command line.
    pub fn options(&self) -> Options {
        Options {
            partition: self.partition.clone(),
            account: self.account.clone(),
            time: self.time.clone(),
            gpus: self.gpus,
            gpu_type: self.gpu_type.clone(),
            cpus: self.cpus,
            memory: self.memory.clone(),
            array_limit: self.array_limit,
            runs_per_job: self.runs_per_job,
            notice: self.notice,
            sbatch: self.sbatch.clone(),
            setup: self.setup.clone(),
        }
    }
}
