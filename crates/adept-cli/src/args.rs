//! The command line: every command, option and help text.

mod analysis;

use std::path::PathBuf;
use std::str::FromStr;

use adept_data::Task;
use adept_train::bench::{BenchMethod, BenchSize};
use adept_train::config::{Preset, TrainMethod};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::device::DeviceName;

pub use analysis::{Table1, Table2, TableRuns};

/// Adaptive decomposed prompt tuning: train, evaluate and reproduce.
#[derive(Debug, Parser)]
#[command(
    name = "adept",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done; 1 a check or a run failed; 2 usage or unusable input; 130 interrupted (the same \
                  command resumes).\n\nExample, which needs nothing else:\n  adept reproduce glue"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Where to compute.
    // The help stands apart because rustdoc would take the brackets for a link.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        help = "Where to compute: cpu, flex, ndarray, cuda[:N], wgpu[:N] or vulkan[:N], among those compiled in"
    )]
    pub device: Option<DeviceName>,

    /// No progress and no remarks, results and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// One line for every evaluation and checkpoint instead of a progress bar
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run or resume one of the paper's tables and write its report
    #[command(subcommand)]
    Reproduce(Reproduce),
    /// Train one adapter on one task, or resume it
    Train(Train),
    /// Train a small T5 from plain text and labelled tasks, or resume it
    Pretrain(Pretrain),
    /// Score a trained adapter on a split of its task
    Eval(Eval),
    /// Read source texts, write one prediction for each
    Predict(Predict),
    /// Show an adapter, a backbone or a run: shapes, counts, fingerprint, settings
    Inspect(Inspect),
    /// Compare this machine's backend with golden numbers from PyTorch
    Verify(Verify),
    /// Time training steps or inference with random weights
    #[command(subcommand)]
    Bench(Bench),
    /// Write results.json, report.md and report.html again from the runs' records
    Report(Report),
    /// Print a preset's settings as a TOML file
    Config(Config),
}

/// The tables that can be reproduced.
#[derive(Debug, Subcommand)]
pub enum Reproduce {
    /// GLUE, the left half of Table 3
    #[command(after_help = GLUE)]
    Glue(Runs),
    /// SuperGLUE (MultiRC, BoolQ, WiC, WSC, CB), the right half of Table 3
    #[command(after_help = BENCHMARK)]
    Superglue(Runs),
    /// The MRQA 2019 tasks (NQ, HotpotQA, SearchQA, NewsQA), the left half of Table 4
    #[command(after_help = BENCHMARK)]
    Mrqa(Runs),
    /// WinoGrande, Yelp, SciTail and PAWS, the right half of Table 4
    #[command(after_help = BENCHMARK)]
    Others(Runs),
    /// Table 1: DePT scored with its offsets shifted by some positions, beside ADePT
    Table1(Table1),
    /// Table 2: how large the offsets of DePT and ADePT are beside the embeddings
    Table2(Table2),
}

/// How large a reproduction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Our own sentences and our own small T5: minutes, nothing to download
    Sample,
    /// The tasks' own files (--data) on our own small T5: hours
    RealSmall,
    /// The paper's setting: the tasks' own files (--data), T5-base (--backbone), its number of steps
    Paper,
}

const GLUE: &str = "Examples:
  adept reproduce glue
  adept reproduce glue --profile real-small --data DATA
  adept reproduce glue --profile paper --data DATA --backbone t5-base
  adept reproduce glue --data DATA --backbone t5-base --tasks sst2,rte --methods pt,adept --steps 3000 --seeds 42,43

Run the same command again to resume: what is done is skipped. Each run lies in OUT/TASK/METHOD/seed-N.
The project's own data and backbone are looked for in the folder `datasets` of this folder or of one above it, or where
the variable ADEPT_DATASETS says.";

const BENCHMARK: &str = "Examples (with superglue, mrqa or others):
  adept reproduce superglue --profile real-small --data DATA
  adept reproduce superglue --profile paper --data DATA --backbone t5-base
  adept reproduce superglue --profile real-small --data DATA --tasks cb,wic --methods pt,adept --seeds 42,43

DATA holds a folder for each task, named as in its official archive or on the hub (docs/tasks.md).
Run the same command again to resume: what is done is skipped. Each run lies in OUT/TASK/METHOD/seed-N.";

/// `adept reproduce glue`, `superglue`, `mrqa` and `others`.
#[derive(Debug, Args)]
pub struct Runs {
    /// Size of the reproduction [default: sample; paper where --data and --backbone are given]
    #[arg(long, value_enum, value_name = "NAME")]
    pub profile: Option<Profile>,

    /// Folder that holds the tasks' own files: SST-2/train.tsv, BoolQ/train.jsonl and so on
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// T5 checkpoint in Hugging Face form: config.json, model.safetensors, tokenizer.json
    #[arg(long, value_name = "DIR")]
    pub backbone: Option<PathBuf>,

    /// Methods, of full, pt, dept and adept [default: the profile's]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub methods: Vec<TrainMethod>,

    /// Tasks by name, or cards by path [default: all of the benchmark's]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub tasks: Vec<Task>,

    /// Optimiser steps of every run; evaluation and warm-up are shortened with them [default: the profile's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,

    /// Seeds as a list (42,43 or 42,), or how many to take from 42 on [default: the profile's]
    #[arg(long, value_name = "LIST|COUNT")]
    pub seeds: Option<Seeds>,

    /// Folder for runs and report [default: the profile's, such as runs/glue-sample]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    #[command(flatten)]
    pub settings: Settings,

    /// After an error in one run go on with the others; failures are listed at the end
    #[arg(long)]
    pub keep_going: bool,

    /// Print what would be run and how long it would take on this machine, and stop
    #[arg(long)]
    pub plan: bool,
}

/// Settings that every training command takes.
#[derive(Debug, Args)]
pub struct Settings {
    /// Settings to start from: paper (what it says) or reference (what its published script does)
    #[arg(long, value_name = "NAME", value_parser = preset)]
    pub preset: Option<Preset>,

    /// Any field of docs/configuration.md; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `adept train`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept train --task sst2 --method adept --data DATA --backbone t5-base --out runs/one
  adept train --config run.toml --set train.steps=2000 --out runs/two

Run the same command again to resume an interrupted run. The adapter is OUT/best, the record OUT/record.jsonl.")]
pub struct Train {
    /// TOML file with settings (see `adept config`); options below override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// GLUE task
    #[arg(long, value_name = "NAME")]
    pub task: Option<Task>,

    /// Folder that holds GLUE's own files
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// T5 checkpoint in Hugging Face form
    #[arg(long, value_name = "DIR")]
    pub backbone: Option<PathBuf>,

    /// pt, dept, adept or full
    #[arg(long, value_name = "NAME")]
    pub method: Option<TrainMethod>,

    /// Seed of initial values and order
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,

    /// Folder of the run
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    #[command(flatten)]
    pub settings: Settings,
}

/// `adept pretrain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept pretrain --config pretrain.toml --data DATA --plan
  adept pretrain --config pretrain.toml --data DATA --out runs/t5-nano --set train.steps=20000

Run the same command again to resume, or with a larger train.steps to train longer. The model is OUT/model, the record
OUT/record.jsonl. Paths in FILE that begin with ./ or ../ begin at FILE's folder, other relative ones at --data.")]
pub struct Pretrain {
    /// TOML file with settings (docs/pretraining.md)
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// Where relative paths of FILE begin [default: ADEPT_DATA of the environment, else FILE's folder]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Folder of the run
    #[arg(long, value_name = "DIR", required_unless_present = "plan")]
    pub out: Option<PathBuf>,

    /// Any field of docs/pretraining.md; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Read corpus and tasks, print what would be trained on what, and stop
    #[arg(long)]
    pub plan: bool,
}

/// A split of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// Chooses the checkpoint
    Validation,
    /// Is reported
    Test,
}

/// `adept eval`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  adept eval --adapter runs/one/best --backbone t5-base --task sst2 --data DATA")]
pub struct Eval {
    /// Adapter folder; left out, the bare backbone is scored (a `best` folder of method full, for instance)
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,

    /// T5 checkpoint in Hugging Face form
    #[arg(long, value_name = "DIR")]
    pub backbone: PathBuf,

    /// GLUE task
    #[arg(long, value_name = "NAME")]
    pub task: Task,

    /// Folder that holds GLUE's own files
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Which split to score
    #[arg(long, value_enum, default_value = "test")]
    pub split: Split,

    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub settings: Settings,
}

/// `adept predict`.
#[derive(Debug, Args)]
#[command(
    after_help = "The text is the task's whole source, such as `sentence: a charming film` for SST-2.

Examples:
  echo 'sentence: a charming film' | adept predict --adapter runs/one/best --backbone t5-base
  adept predict --adapter runs/one/best --backbone t5-base --input sources.jsonl --jsonl > predictions.jsonl"
)]
pub struct Predict {
    /// Adapter folder; left out, the bare backbone predicts
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,

    /// T5 checkpoint in Hugging Face form
    #[arg(long, value_name = "DIR")]
    pub backbone: PathBuf,

    /// File of source texts, one a line; - is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub input: PathBuf,

    /// Input lines are JSON objects with a field `source`; output lines repeat them with `prediction` added
    #[arg(long)]
    pub jsonl: bool,

    /// Task whose labels are the possible answers [default: the one the adapter was trained for]
    #[arg(long, value_name = "NAME")]
    pub task: Option<Task>,

    /// Let the model write freely instead of choosing among labels
    #[arg(long)]
    pub generate: bool,

    /// Source tokens kept
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(2..))]
    pub max_source_length: u16,

    /// Longest answer in tokens
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_new_tokens: u16,

    /// Texts of one pass
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch_size: u16,
}

/// `adept inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept inspect runs/one/best --backbone t5-base
  adept inspect t5-base --tensors
  adept inspect runs/one")]
pub struct Inspect {
    /// Adapter folder, backbone folder or run folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    /// List every tensor of a backbone (an adapter's are always listed)
    #[arg(long)]
    pub tensors: bool,

    /// For an adapter: the backbone it belongs to, to check that and to show the share of trained parameters
    #[arg(long, value_name = "DIR")]
    pub backbone: Option<PathBuf>,
}

/// `adept verify`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  adept verify --backbone tests/goldens/t5_v1_0 --golden tests/goldens/t5_v1_0 --device cuda:0

Exit codes: 0 every group is within its limit; 1 one is not; 2 something to check is missing or unreadable.")]
pub struct Verify {
    /// Checkpoint of the golden folder
    #[arg(long, value_name = "DIR")]
    pub backbone: PathBuf,

    /// Golden folder, or its golden.safetensors
    #[arg(long, value_name = "PATH")]
    pub golden: PathBuf,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What can be timed.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Forward, loss, backward, optimiser step
    Step(BenchCase),
    /// Prediction by generation and by label scoring
    Infer(BenchCase),
}

/// One case of `adept bench`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  adept bench step --size t5-base --tokens 256 --batch 16 --json")]
pub struct BenchCase {
    /// Backbone: t5-small, t5-base or tiny
    #[arg(long, default_value = "t5-small")]
    pub size: BenchSize,

    /// pt, dept, adept or full
    #[arg(long, default_value = "adept")]
    pub method: BenchMethod,

    /// Rows of a batch
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub batch: usize,

    /// Width of the source in tokens
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub tokens: usize,

    /// Width of the target in tokens
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub target_tokens: usize,

    /// Virtual tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub virtual_tokens: usize,

    /// Bottleneck or rank; 0: the largest within the paper's budget
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub rank: usize,

    /// Labels that are scored
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub labels: usize,

    /// Tokens that are generated
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub new_tokens: usize,

    /// Repetitions before the clock starts
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub warmup: usize,

    /// Repetitions that are timed
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub steps: usize,

    /// Seed of weights and ids
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
}

/// `adept report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Folder of a reproduction
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `adept config`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  adept config --preset reference > run.toml && adept train --config run.toml --task rte …")]
pub struct Config {
    #[command(flatten)]
    pub settings: Settings,
}

/// The seeds of a grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

/// The first seed of a count.
const FIRST_SEED: u64 = 42;

/// More runs of each kind than anybody means by a count.
const LARGEST_COUNT: u64 = 20;

impl Seeds {
    /// `count` seeds from the first on.
    fn count(count: u64) -> Self {
        Self((FIRST_SEED..FIRST_SEED + count).collect())
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| {
            let seed: Option<u64> = part.trim().parse().ok().filter(|seed| i64::try_from(*seed).is_ok());
            seed.ok_or_else(|| format!("`{part}` is not a whole number from 0"))
        };
        if !text.contains(',') {
            return match number(text)? {
                0 => Err("0 seeds are nothing to run".to_owned()),
                count @ 1..=LARGEST_COUNT => Ok(Self::count(count)),
                seed => Err(format!(
                    "{seed} alone would be that many seeds; write `{seed},` for the one seed {seed}"
                )),
            };
        }
        let seeds: Vec<u64> = text
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(number)
            .collect::<Result<_, _>>()?;
        let mut sorted = seeds.clone();
        sorted.sort_unstable();
        sorted.dedup();
        match seeds.len() {
            0 => Err("no seed is named".to_owned()),
            named if named != sorted.len() => Err("a seed is named twice".to_owned()),
            _ => Ok(Self(seeds)),
        }
    }
}

fn preset(text: &str) -> Result<Preset, String> {
    match text {
        "paper" => Ok(Preset::Paper),
        "reference" => Ok(Preset::Reference),
        _ => Err("expected paper or reference".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[track_caller]
    fn check(text: &str, expected: Option<&[u64]>) {
        assert_eq!(
            text.parse::<Seeds>().ok().map(|seeds| seeds.0),
            expected.map(<[u64]>::to_vec),
            "{text}"
        );
    }

    #[test]
    fn seeds_are_a_list_or_a_count() {
        check("3", Some(&[42, 43, 44]));
        check("7,8", Some(&[7, 8]));
        check("42,", Some(&[42]));
        check("42", None);
        check("0", None);
        check("1,1", None);
        check(",", None);
        check("1,x", None);
        check("18446744073709551615,", None);
    }
}
