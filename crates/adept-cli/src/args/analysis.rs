//! Arguments of `adept reproduce table1` and `table2`.

use std::path::PathBuf;

use adept_data::Task;
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

/// The runs a table is based on.
#[derive(Debug, Args)]
pub struct TableRuns {
    /// Size of the reproduction [default: sample; paper if --data and --backbone are given]
    #[arg(long, value_enum, value_name = "NAME")]
    pub profile: Option<Profile>,

    /// Folder with GLUE's original files: RTE/train.tsv and so on (tsv, jsonl or parquet)
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// T5 checkpoint in Hugging Face format (config.json, model.safetensors, tokenizer.json), or the name of one in the
    /// hub's cache (t5-base, owner/name)
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: Option<PathBuf>,

    /// Tasks, any of mnli, qqp, qnli, sst2, stsb, mrpc, rte, cola [default: rte,qnli]
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
