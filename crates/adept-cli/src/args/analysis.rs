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

DePT and ADePT are trained on each task with each seed, or finished runs are used again; then DePT's offsets are shifted
cyclically to the left and the test split is scored. Run the same command again to resume. The table is
OUT/table1.json and OUT/table1.md.")]
pub struct Table1 {
    /// Positions to shift DePT's offsets by; 0 is always among them [default: 1,2,4,8 and the paper's 50,100,150,200 of
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

DePT and ADePT are trained on each task with each seed, or finished runs are used again (those of table1 among them); then
the absolute values of embeddings and offsets over all tokens of the training split are taken. Run the same command
again to resume. The table is OUT/table2.json and OUT/table2.md.")]
pub struct Table2 {
    #[command(flatten)]
    pub runs: TableRuns,
}

/// The runs that a table is about.
#[derive(Debug, Args)]
pub struct TableRuns {
    /// Size of the reproduction [default: sample; paper where --data and --backbone are given]
    #[arg(long, value_enum, value_name = "NAME")]
    pub profile: Option<Profile>,

    /// Folder that holds GLUE's own files: RTE/train.tsv and so on (tsv, jsonl or parquet)
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// T5 checkpoint in Hugging Face form (config.json, model.safetensors, tokenizer.json), or the name of one in the hub's
    /// cache (t5-base, owner/name)
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: Option<PathBuf>,

    /// Tasks, of mnli, qqp, qnli, sst2, stsb, mrpc, rte and cola [default: rte,qnli]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub tasks: Vec<Task>,

    /// Seeds as a list (42,43 or 42,), or how many to take from 42 on [default: 3]
    #[arg(long, value_name = "LIST|COUNT")]
    pub seeds: Option<Seeds>,

    /// Optimiser steps of every run; evaluation and warm-up are shortened with them [default: the profile's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,

    /// Folder for runs and table [default: runs/tables-NAME, NAME being the profile's]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Folder of a GLUE reproduction; its finished runs are used where settings, data and backbone are the same
    /// [default: the profile's, such as runs/glue-sample]
    #[arg(long, value_name = "DIR")]
    pub reuse: Option<PathBuf>,

    /// Begin every run of this command anew: what earlier ones wrote in its folder is removed, other files stay
    #[arg(long)]
    pub overwrite: bool,

    #[command(flatten)]
    pub settings: Settings,

    /// Print what would be run and how long it would take on this machine, and stop
    #[arg(long)]
    pub plan: bool,
}
