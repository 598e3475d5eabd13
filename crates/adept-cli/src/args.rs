//! The command line: all commands, options and help texts.

mod analysis;
mod fetch;
mod import;
mod reproduce;
mod slurm;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use adept_data::{DataError, Task, path_text};
use adept_lab::bench::{BenchSize, Depth};
use adept_models::StoredType;
use adept_train::config::{PrecisionSetting, Preset, TrainMethod};
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::device::DeviceName;

pub use analysis::{Section34, Table1, Table2, Table11, Table16, TableRuns};
pub use fetch::Fetch;
pub use import::Import;
pub use reproduce::{MethodChoice, Profile, Reproduce, Runs, Scores, Seeds};
pub use slurm::Cluster;

/// Adaptive decomposed prompt tuning: train, evaluate and reproduce
#[derive(Debug, Parser)]
#[command(
    name = "adept",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done; 1 a check or a run failed; 2 usage or unusable input; 130 interrupted (the same \
                  command resumes).\n\nExample, which needs nothing else:\n  adept reproduce glue"
)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,

    /// Device to compute on.
    // The help text is separate because rustdoc would take the brackets for a link.
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        help = "Where to compute: cpu, flex, ndarray, cuda[:N], wgpu[:N] or vulkan[:N], among those compiled in"
    )]
    pub device: Option<DeviceName>,

    /// Kernel of bfloat16 products on the CPU: amx-bf16, avx512-bf16 or rounded [default: the fastest that this
    /// processor has]
    #[arg(long, global = true, value_name = "NAME", env = "ADEPT_KERNEL")]
    pub kernel: Option<String>,

    /// Cache folder for tokenised tasks, or `none` [default: the environment variable ADEPT_CACHE, else `adept` in the
    /// user's cache folder]
    #[arg(long, global = true, value_name = "DIR|none")]
    pub data_cache: Option<PathBuf>,

    /// Run model-written programs even if this machine lacks a layer of the sandbox; missing layers are reported and
    /// recorded
    #[arg(long, global = true)]
    pub allow_missing_layers: bool,

    /// Memory cgroup for running programs, a folder in which this user may create groups; without one, a watchdog
    /// limits the total memory of a program's processes
    #[arg(long, global = true, value_name = "DIR", env = "ADEPT_SANDBOX_CGROUP")]
    pub sandbox_cgroup: Option<PathBuf>,

    /// Show only results, warnings and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print one line per evaluation and checkpoint instead of a progress bar
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run or resume one of the paper's tables and write its report
    #[command(subcommand)]
    Reproduce(Reproduce),
    /// Download data and models from the Hugging Face hub into its cache
    Fetch(Fetch),
    /// Turn a GGUF model into a folder that --backbone takes
    Import(Import),
    /// Train or resume one adapter on one task
    Train(Train),
    /// Train or resume a small T5 on plain text and labelled tasks
    Pretrain(Pretrain),
    /// Score a trained adapter on a split of its task
    Eval(Eval),
    /// Read source texts and write one prediction for each
    Predict(Predict),
    /// Show an adapter, a backbone or a run: shapes, counts, fingerprint, settings
    Inspect(Inspect),
    /// Merge an adapter into its backbone's weights, or remove it again
    Merge(Merge),
    /// Compare this machine's backend with reference values from PyTorch
    Verify(Verify),
    /// Time training steps or inference with random weights
    #[command(subcommand)]
    Bench(Bench),
    /// Predict the peak memory and the time of a training step, and whether this machine has that memory
    Doctor(Doctor),
    /// List what each method trains, stores and costs on a backbone
    Methods(Methods),
    /// Rewrite results.json, report.md and report.html from the runs' records
    Report(Report),
    /// Print a preset's settings as a TOML file, with their descriptions
    Config(Config),
}

/// Settings accepted by every training command.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Preset to start from: paper (as described there) or reference (as in its published script)
    #[arg(long, value_name = "NAME", value_parser = preset)]
    pub preset: Option<Preset>,

    /// Set a field of docs/configuration.md; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `adept methods`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept methods
  adept methods --size llama-3-8b --set adapter.lora.rank=16
  adept methods --backbone path/to/t5-large --json

Settings are the preset's; on a decoder-only backbone those for programs, as in the paper.")]
pub struct Methods {
    /// Backbone in Hugging Face format, or the name of one in the hub's cache
    #[arg(long, value_name = "DIR|NAME", conflicts_with = "size")]
    pub backbone: Option<PathBuf>,

    /// Size of a backbone [default: t5-base]
    #[arg(long, value_name = "NAME")]
    pub size: Option<BenchSize>,

    #[command(flatten)]
    pub settings: Settings,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `adept train`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept train --task sst2 --method adept --data DATA --backbone t5-base --out runs/one
  adept train --data reviews.jsonl --backbone t5-base --out runs/own
  adept train --config run.toml --set train.steps=2000 --out runs/two

Run the same command again to resume an interrupted run. The adapter is OUT/best, with a model card; the record is
OUT/record.jsonl, also for TensorBoard: tensorboard --logdir OUT.")]
pub struct Train {
    /// TOML file with settings (see `adept config`); overridden by the options below
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Task name, or path of a task card [default: text, for your own file]
    #[arg(long, value_name = "NAME|FILE", value_parser = OsStringValueParser::new().try_map(task))]
    pub task: Option<Task>,

    /// Folder with the task's files, or your own file: jsonl, json, csv, tsv or parquet [default: the hub's cache,
    /// filled by `adept fetch TASK`]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,

    /// T5 or decoder checkpoint in Hugging Face format, or the name of one in the hub's cache (t5-base,
    /// owner/name)
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: Option<PathBuf>,

    // Generated from the registry of methods.
    #[arg(long, value_name = "NAME", help = methods("Method to train"))]
    pub method: Option<TrainMethod>,

    /// Seed for initialisation and data order
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,

    /// Output folder: new, empty, or that of the run to resume
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Delete an earlier run in OUT and start over; other files are kept
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

    /// Base folder for relative paths in FILE [default: the environment variable ADEPT_DATA, else FILE's folder]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Output folder: new, empty, or that of the run to resume
    #[arg(long, value_name = "DIR", required_unless_present = "plan")]
    pub out: Option<PathBuf>,

    /// Delete an earlier run in OUT, including its tokenizer and tokens, and start over; other files are kept
    #[arg(long, conflicts_with = "plan")]
    pub overwrite: bool,

    /// Set a field of docs/pretraining.md; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Read corpus and tasks, print what would be trained, and stop
    #[arg(long)]
    pub plan: bool,
}

/// A split of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// Used to choose the checkpoint
    Validation,
    /// Used for the reported scores
    Test,
    /// Every row of your own file, which is not divided: a test set of your own
    All,
}

/// `adept eval`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  adept eval --adapter runs/one/best --backbone t5-base --task sst2 --data DATA
  adept eval --adapter runs/one/best --backbone t5-base --data test.jsonl --split all         # a test set of your own
  adept eval --adapter runs/one/best --backbone t5-base --set train.precision=bf16    # products as in a run in bf16")]
pub struct Eval {
    /// Adapter folder; without it the bare backbone is scored (such as the `best` folder of method full)
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,

    /// T5 or decoder checkpoint in Hugging Face format, or the name of one in the hub's cache (t5-base,
    /// owner/name)
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: PathBuf,

    /// Task name, or path of a task card [default: the task the model was trained on; if
    /// unknown, text, completion or chat, by the first row of the data]
    #[arg(long, value_name = "NAME|FILE", value_parser = OsStringValueParser::new().try_map(task))]
    pub task: Option<Task>,

    /// Folder with the task's files, or your own file [default: the hub's cache, filled by `adept fetch TASK`]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,

    /// Split to score
    #[arg(long, value_enum, default_value = "test")]
    pub split: Split,

    /// Print a JSON object instead of text
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
    /// Adapter folder; without it the bare backbone predicts
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,

    /// T5 or decoder checkpoint in Hugging Face format, or the name of one in the hub's cache (t5-base,
    /// owner/name)
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: PathBuf,

    /// File with one source text per line; - reads standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub input: PathBuf,

    /// Read JSON objects with a text `source` or `prompt`, or with `messages`, one per line, and write them back with
    /// `prediction` added
    #[arg(long)]
    pub jsonl: bool,

    /// Task whose labels are the possible answers [default: the task the model was trained on]
    #[arg(long, value_name = "NAME|FILE", value_parser = OsStringValueParser::new().try_map(task))]
    pub task: Option<Task>,

    /// Generate text freely instead of choosing a label [default: as in training]
    #[arg(long, conflicts_with = "labels")]
    pub generate: bool,

    /// Choose one of the task's labels [default: as in training; labels, if unknown]
    #[arg(long)]
    pub labels: bool,

    /// Truncate sources to this many tokens [default: as in training; if unknown, the task's, or 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    pub max_source_length: Option<u16>,

    /// Maximum length of an answer in tokens [default: as in training; if unknown, the task's, or 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_new_tokens: Option<u16>,

    /// Texts per batch
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch_size: u16,

    /// Set a field of docs/configuration.md; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
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

    /// List every tensor of a backbone (those of an adapter are always listed)
    #[arg(long)]
    pub tensors: bool,

    /// Check that an adapter belongs to this backbone, and show its share of trainable parameters
    #[arg(long, value_name = "DIR")]
    pub backbone: Option<PathBuf>,
}

/// Help text for an option that takes a method.
fn methods(what: &str) -> String {
    let names: Vec<&str> = TrainMethod::all().map(TrainMethod::name).collect();
    format!("{what}: {}", names.join(", "))
}

/// `adept merge`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept merge --backbone t5-base --adapter runs/lora/best --out merged
  adept merge --backbone merged --adapter runs/lora/best --out t5-base-again --undo

LoRA, (IA)\u{b3} and, where the backbone has biases, BitFit can be merged; soft prompts are part of the input and cannot.
The merged model is a plain checkpoint in Hugging Face's layout, with weights in f32.")]
pub struct Merge {
    /// Backbone folder or hub name; with --undo, that of the merged model
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: PathBuf,

    /// Adapter folder
    #[arg(long, value_name = "DIR")]
    pub adapter: PathBuf,

    /// Output folder, new or empty
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Remove the adapter from weights it was merged into; exact up to rounding
    #[arg(long)]
    pub undo: bool,
}

/// `adept verify`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  adept verify --backbone tests/goldens/t5_v1_0 --golden tests/goldens/t5_v1_0 --device cuda:0

Exit codes: 0 every group is within its limit; 1 one is not; 2 something to check is missing or unreadable.")]
pub struct Verify {
    /// Checkpoint that belongs to the golden folder
    #[arg(long, value_name = "DIR")]
    pub backbone: PathBuf,

    /// Golden folder, or its golden.safetensors
    #[arg(long, value_name = "PATH")]
    pub golden: PathBuf,

    /// In what the products of the frozen backbone are computed; tolerances follow it
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: PrecisionArgument,

    /// Print a JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Benchmarks.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Time a training step: forward, loss, backward, optimiser
    Step(BenchCase),
    /// Time inference: labels by generation and by scoring (T5), and texts with the soft prompt read once or once per
    /// row
    Infer(BenchCase),
}

/// `adept doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Models of the same widths with a few blocks are measured, which takes seconds to minutes.\n\n\
  Example:
  adept doctor --size t5-3b --tokens 256 --batch 4 --precision bf16"
)]
pub struct Doctor {
    /// The step.
    #[command(flatten)]
    pub case: BenchCase,
}

/// Element type of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckpointArgument {
    /// float32
    F32,
    /// bfloat16
    Bf16,
}

impl From<CheckpointArgument> for StoredType {
    fn from(argument: CheckpointArgument) -> Self {
        match argument {
            CheckpointArgument::F32 => Self::F32,
            CheckpointArgument::Bf16 => Self::Bf16,
        }
    }
}

/// In what products with frozen weights are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArgument {
    /// float32
    F32,
    /// Operands in two bfloat16 parts each, sums in float32: float32 in effect
    Bf16x3,
    /// Operands in bfloat16, sums in float32
    Bf16,
    /// bf16x3 on a processor with AMX, f32 elsewhere
    Auto,
}

impl From<PrecisionArgument> for PrecisionSetting {
    fn from(argument: PrecisionArgument) -> Self {
        match argument {
            PrecisionArgument::F32 => Self::F32,
            PrecisionArgument::Bf16x3 => Self::Bf16x3,
            PrecisionArgument::Bf16 => Self::Bf16,
            PrecisionArgument::Auto => Self::Auto,
        }
    }
}

/// One benchmark case.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  adept bench step --size t5-base --tokens 256 --batch 16 --json
  adept bench infer --size codegen-350m --batch 8")]
pub struct BenchCase {
    /// Backbone: t5-small, t5-base, t5-3b, codegen-350m, smollm2-135m, llama-3.2-1b, llama-3-8b; tiny, tiny-codegen,
    /// tiny-llama
    #[arg(long, default_value = "t5-small")]
    pub size: BenchSize,

    // Generated from the registry of methods.
    #[arg(long, default_value = "adept", help = methods("Method to train or attach"))]
    pub method: TrainMethod,

    /// In what the products of the frozen backbone are computed
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: PrecisionArgument,

    /// Numbers of the checkpoint that a frozen backbone could have been read from: with bf16 the CPU keeps two bytes
    /// each in f32, too
    #[arg(long, value_enum, default_value = "f32")]
    pub checkpoint: CheckpointArgument,

    /// Blocks instead of the size's: 20, or 12+12 for an encoder-decoder
    #[arg(long, value_name = "N|N+N")]
    pub depth: Option<Depth>,

    /// Compute blocks again on the way back instead of keeping their activations (steps)
    #[arg(long)]
    pub recompute: bool,

    /// Rows per batch
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub batch: usize,

    /// Source length in tokens; for decoder-only models source and target together
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub tokens: usize,

    /// Target length in tokens; 0 means 2, or for decoder-only models a third of the length
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub target_tokens: usize,

    /// Virtual tokens of the soft prompt
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub virtual_tokens: usize,

    /// Bottleneck or rank; 0 means the largest that fits the paper's budget
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub rank: usize,

    /// Number of labels to score (T5)
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub labels: usize,

    /// Tokens to generate; 0 means 4, or 32 for decoder-only models
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub new_tokens: usize,

    /// Untimed warm-up repetitions
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub warmup: usize,

    /// Timed repetitions
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub steps: usize,

    /// Seed for weights and token ids
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Print a JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// `adept report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Output folder of `adept reproduce`
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

/// Parses a task's name or its card's path, which need not be UTF-8.
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
