//! Arguments of `adept reproduce table1`, `table2`, `table11`, `table16` and `section3.4`.

use std::path::PathBuf;

use adept_data::Task;
use adept_lab::analysis::ATTENTION_ROWS;
use clap::Args;

use super::{Profile, Seeds, Settings};

/// `adept reproduce table1`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept reproduce table1
  adept reproduce table1 --tasks rte,mrpc --shifts 0,1,2,4,8,50,100
  adept reproduce table1 --profile real-small --data DATA
  adept reproduce table1 --profile paper --data DATA --backbone t5-base --tasks rte

DePT and ADePT are trained on each task with each seed, or finished runs are reused; then DePT's offsets are shifted
cyclically to the left and the test split is scored. Run the same command again to resume. The table is
OUT/table1.json and OUT/table1.md.")]
pub struct Table1 {
    /// Positions to shift DePT's offsets by; 0 is always included [default: 1,2,4,8, and the paper's 50,100,150,200 of
    /// 256 as the same fractions of input.max_source_length]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub shifts: Vec<usize>,

    #[command(flatten)]
    pub runs: TableRuns,
}

/// `adept reproduce table2`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept reproduce table2
  adept reproduce table2 --profile real-small --data DATA --tasks rte,mrpc

DePT and ADePT are trained on each task with each seed, or finished runs are reused (those of table1 among them); then
the absolute values of embeddings and offsets over all tokens of the training split are taken. Run the same command
again to resume. The table is OUT/table2.json and OUT/table2.md.")]
pub struct Table2 {
    #[command(flatten)]
    pub runs: TableRuns,
}

/// `adept reproduce table11`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept reproduce table11
  adept reproduce table11 --profile paper --data DATA --backbone t5-base --tasks rte

DePT and ADePT are trained on each task with each seed, or finished runs are reused (those of table1 among them); then
the test split is scored with the trained adapter and with its soft prompt alone. Run the same command again to resume.
The table is OUT/table11.json and OUT/table11.md.")]
pub struct Table11 {
    #[command(flatten)]
    pub runs: TableRuns,
}

/// `adept reproduce section3.4`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept reproduce section3.4
  adept reproduce section3.4 --profile real-small --data DATA --tasks rte,boolq --rows 100

PT, DePT and ADePT are trained on each task with each seed, or finished runs are reused (those of table1 among them);
then test rows go through the encoder's first self-attention with and without the adapter. The backbone is an
encoder-decoder (T5). The figures are OUT/section3.4.json and OUT/section3.4.md, with pictures of one row in
OUT/section3.4.html.")]
pub struct Section34 {
    /// Test rows to measure, at most
    #[arg(long, value_name = "N", default_value_t = ATTENTION_ROWS as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub rows: u32,

    #[command(flatten)]
    pub runs: TableRuns,
}

/// `adept reproduce table16`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept reproduce table16
  adept reproduce table16 --data DATA --backbone t5-base

DATA holds a folder for each task, or folders with such folders (glue/RTE); a data set without files is listed as
missing. Nothing is trained. The table is OUT/table16.json and OUT/table16.md.")]
pub struct Table16 {
    /// Folder with the tasks' original files: RTE/train.tsv, BoolQ/train.jsonl and so on [default: the project's own
    /// sample of GLUE]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Checkpoint, or a folder with a tokenizer alone, whose tokenizer counts tokens; or the name of a checkpoint in the
    /// hub's cache (t5-base, owner/name) [default: the project's own backbone for its own sample; else no tokens are
    /// counted]
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: Option<PathBuf>,

    /// Output folder [default: runs/table16-sample, with --data runs/table16]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// The runs a table is based on.
#[derive(Debug, Args)]
pub struct TableRuns {
    /// Size of the reproduction [default: sample; paper if --data and --backbone are given]
    #[arg(long, value_enum, value_name = "NAME")]
    pub profile: Option<Profile>,

    /// Folder with the tasks' original files: RTE/train.tsv, BoolQ/train.jsonl and so on (tsv, jsonl or parquet)
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// T5 checkpoint in Hugging Face format (config.json, model.safetensors, tokenizer.json), or the name of one in the
    /// hub's cache (t5-base, owner/name)
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: Option<PathBuf>,

    /// Tasks, such as mnli, qqp, qnli, sst2, stsb, mrpc, rte, cola or boolq [default: the paper's rte,boolq where
    /// BoolQ's files are at hand, else rte,qnli; section3.4: rte]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub tasks: Vec<Task>,

    /// List of seeds (42,43 or 42,), or a number of seeds starting at 42 [default: 3]
    #[arg(long, value_name = "LIST|COUNT")]
    pub seeds: Option<Seeds>,

    /// Optimiser steps per run; evaluation and warm-up are scaled down to match [default: the profile's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,

    /// Output folder for runs and table [default: runs/tables-NAME, where NAME is the profile]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Folder of a GLUE reproduction whose finished runs are reused if settings, data and backbone match [default: the
    /// profile's, such as runs/glue-sample]
    #[arg(long, value_name = "DIR")]
    pub reuse: Option<PathBuf>,

    /// Start every run of this command over, deleting its earlier files; other files are kept
    #[arg(long)]
    pub overwrite: bool,

    #[command(flatten)]
    pub settings: Settings,

    /// Print what would be run and the estimated time on this machine, and stop
    #[arg(long)]
    pub plan: bool,
}
