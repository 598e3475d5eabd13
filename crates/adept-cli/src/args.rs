//! The command line: every command, option and help text.

mod analysis;
mod fetch;
mod reproduce;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use adept_data::{DataError, Task, path_text};
use adept_lab::bench::BenchSize;
use adept_train::config::{Preset, TrainMethod};
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::device::DeviceName;

pub use analysis::{Table1, Table2, TableRuns};
pub use fetch::Fetch;
pub use reproduce::{Profile, Reproduce, Runs, Seeds};

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

    /// Folder that tokenised tasks are kept in, or none [default: ADEPT_CACHE of the environment, else `adept` in the
    /// user's folder of caches]
    #[arg(long, global = true, value_name = "DIR|none")]
    pub data_cache: Option<PathBuf>,

    /// Run what a model has written even where a layer of the sandbox is missing on this machine; which ones is said
    /// and stands in the record
    #[arg(long, global = true)]
    pub allow_missing_layers: bool,

    /// Control group of memory in which programs are run, a folder in which this user may make groups; without one, a
    /// watchdog bounds what the processes of a program hold together
    #[arg(long, global = true, value_name = "DIR", env = "ADEPT_SANDBOX_CGROUP")]
    pub sandbox_cgroup: Option<PathBuf>,

    /// No progress and no remarks: results, warnings and errors only
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
    /// Bring data and models from the Hugging Face hub into its cache
    Fetch(Fetch),
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
    /// Merge an adapter into the weights of its backbone, or take it out again
    Merge(Merge),
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
  adept train --data reviews.jsonl --backbone t5-base --out runs/own
  adept train --config run.toml --set train.steps=2000 --out runs/two

Run the same command again to resume an interrupted run. The adapter is OUT/best, the record OUT/record.jsonl.")]
pub struct Train {
    /// TOML file with settings (see `adept config`); options below override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Task by name, or a card by path [default: text, for your own file]
    #[arg(long, value_name = "NAME|FILE", value_parser = OsStringValueParser::new().try_map(task))]
    pub task: Option<Task>,

    /// Folder of the task's files, or your own file: jsonl, json, csv, tsv or parquet [default: the hub's cache,
    /// which `adept fetch TASK` fills]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,

    /// T5, CodeGen or Llama checkpoint in Hugging Face form, or the name of one in the hub's cache (t5-base,
    /// owner/name)
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: Option<PathBuf>,

    // Listed from the registry of methods.
    #[arg(long, value_name = "NAME", help = methods("What is trained"))]
    pub method: Option<TrainMethod>,

    /// Seed of initial values and order
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,

    /// Folder of the run: new, empty, or the run's own
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Remove what an earlier run wrote in OUT and begin anew; other files stay
    #[arg(long)]
    pub overwrite: bool,

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

    /// Folder of the run: new, empty, or the run's own
    #[arg(long, value_name = "DIR", required_unless_present = "plan")]
    pub out: Option<PathBuf>,

    /// Remove what an earlier run wrote in OUT, tokenizer and tokens among it, and begin anew; other files stay
    #[arg(long, conflicts_with = "plan")]
    pub overwrite: bool,

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

    /// T5 checkpoint in Hugging Face form, or the name of one in the hub's cache (t5-base, owner/name)
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: PathBuf,

    /// Task by name, or a card by path [default: what the model was trained on; text, where it does not say]
    #[arg(long, value_name = "NAME|FILE", value_parser = OsStringValueParser::new().try_map(task))]
    pub task: Option<Task>,

    /// Folder of the task's files, or your own file [default: the hub's cache, which `adept fetch TASK` fills]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,

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

    /// T5 checkpoint in Hugging Face form, or the name of one in the hub's cache (t5-base, owner/name)
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: PathBuf,

    /// File of source texts, one a line; - is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub input: PathBuf,

    /// Input lines are JSON objects with a field `source`; output lines repeat them with `prediction` added
    #[arg(long)]
    pub jsonl: bool,

    /// Task whose labels are the possible answers [default: the one that the model was trained on]
    #[arg(long, value_name = "NAME|FILE", value_parser = OsStringValueParser::new().try_map(task))]
    pub task: Option<Task>,

    /// Let the model write freely instead of choosing among labels [default: as in its training]
    #[arg(long, conflicts_with = "labels")]
    pub generate: bool,

    /// Choose among the task's labels [default: as in the model's training; by labels, where it does not say]
    #[arg(long)]
    pub labels: bool,

    /// Source tokens kept [default: as in the model's training; 256, where it does not say]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    pub max_source_length: Option<u16>,

    /// Longest answer in tokens [default: as in the model's training; 20, where it does not say]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_new_tokens: Option<u16>,

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

/// Help on an option that names methods.
fn methods(what: &str) -> String {
    let names: Vec<&str> = TrainMethod::all().map(TrainMethod::name).collect();
    format!("{what}: {}", names.join(", "))
}

/// `adept merge`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept merge --backbone t5-base --adapter runs/lora/best --out merged
  adept merge --backbone merged --adapter runs/lora/best --out t5-base-again --undo

LoRA and (IA)\u{b3} can be merged; soft prompts are part of the input and cannot. The merged model is a plain checkpoint in
Hugging Face's layout, with weights in f32.")]
pub struct Merge {
    /// Folder or hub name of the backbone; with --undo, of the merged model
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: PathBuf,

    /// Folder of the adapter
    #[arg(long, value_name = "DIR")]
    pub adapter: PathBuf,

    /// New or empty folder for the model
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Take the adapter out of weights that it was merged into; exact but for rounding
    #[arg(long)]
    pub undo: bool,
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
    /// Prediction: labels by generation and by scoring (T5), texts with the soft prompt read once and by every row
    Infer(BenchCase),
}

/// One case of `adept bench`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  adept bench step --size t5-base --tokens 256 --batch 16 --json
  adept bench infer --size codegen-350m --batch 8")]
pub struct BenchCase {
    /// Backbone: t5-small, t5-base, codegen-350m, llama-3.2-1b, llama-3-8b; tiny, tiny-codegen, tiny-llama
    #[arg(long, default_value = "t5-small")]
    pub size: BenchSize,

    // Listed from the registry of methods.
    #[arg(long, default_value = "adept", help = methods("What is trained or attached"))]
    pub method: TrainMethod,

    /// Rows of a batch
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub batch: usize,

    /// Width of the source in tokens; decoder-only: of source and target together
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub tokens: usize,

    /// Width of the target in tokens; 0 means 2, or a third of the width if decoder-only
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub target_tokens: usize,

    /// Virtual tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub virtual_tokens: usize,

    /// Bottleneck or rank; 0: the largest within the paper's budget
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub rank: usize,

    /// Labels that are scored (T5)
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub labels: usize,

    /// Tokens to generate; 0 means 4, or 32 if decoder-only
    #[arg(long, value_name = "N", default_value_t = 0)]
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

/// A task by its name or its card's path, which need not be UTF-8.
fn task(name: OsString) -> Result<Task, DataError> {
    path_text::to_text(Path::new(&name)).parse()
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
}
