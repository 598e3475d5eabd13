//! Arguments of `adept reproduce`.

use std::path::PathBuf;
use std::str::FromStr;

use adept_data::Task;
use adept_lab::report::{Benchmark, PaperTable};
use adept_lab::reproduce::names;
use adept_train::config::TrainMethod;
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand, ValueEnum};

use super::{Cluster, Section34, Settings, Table1, Table2, Table11, Table16};

/// Tables that can be reproduced.
#[derive(Debug, Subcommand)]
pub enum Reproduce {
    /// A table of scores.
    #[command(flatten)]
    Scores(Scores),
    /// Table 1: scores of DePT with shifted offsets, compared with ADePT
    Table1(Table1),
    /// Table 2: magnitudes of DePT's and ADePT's offsets, compared with the embeddings
    Table2(Table2),
    /// Table 11: scores of DePT and ADePT with and without their offsets
    Table11(Table11),
    /// Table 16: rows and lengths of the data sets
    Table16(Table16),
    /// Section 3.4: the encoder's first self-attention with PT, DePT and ADePT
    #[command(name = "section3.4")]
    Section34(Section34),
}

/// Tables of the paper that are several tables of scores here: both halves, each with a report of its own.
const WHOLE: [(&str, &str, &[Benchmark]); 2] = [
    (
        "table3",
        "Table 3: GLUE and SuperGLUE",
        &[Benchmark::Glue, Benchmark::Superglue],
    ),
    (
        "table4",
        "Table 4: MRQA and four other tasks",
        &[Benchmark::Mrqa, Benchmark::Others],
    ),
];

/// One or several tables of scores, from the list of them.
#[derive(Debug)]
pub struct Scores {
    /// Name of the command.
    pub name: String,
    /// The tables.
    pub benchmarks: Vec<Benchmark>,
    /// The arguments.
    pub runs: Runs,
}

impl Scores {
    fn commands() -> impl Iterator<Item = Command> {
        let one = Benchmark::ALL.iter().map(|benchmark| {
            let command = Command::new(benchmark.name()).about(PaperTable::of(*benchmark).about);
            match benchmark {
                Benchmark::Glue => command.after_help(GLUE),
                Benchmark::Mbpp => command.after_help(MBPP).visible_alias("table7"),
                _ => command.after_help(BENCHMARK),
            }
        });
        let whole = WHOLE
            .iter()
            .map(|(name, about, _)| Command::new(*name).about(*about).after_help(BENCHMARK));
        // Arguments have a description of their own, which is not the table's.
        one.chain(whole).map(|table| {
            let about = table.get_about().cloned().unwrap_or_default();
            Runs::augment_args(table).about(about)
        })
    }

    /// The tables of a command.
    fn benchmarks(name: &str) -> Option<Vec<Benchmark>> {
        let one = Benchmark::ALL.iter().find(|benchmark| benchmark.name() == name);
        let whole = || WHOLE.iter().find(|(whole, ..)| *whole == name);
        one.map(|benchmark| vec![*benchmark])
            .or_else(|| whole().map(|(.., benchmarks)| benchmarks.to_vec()))
    }
}

impl FromArgMatches for Scores {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let unknown = || clap::Error::new(clap::error::ErrorKind::InvalidSubcommand);
        let (name, inner) = matches.subcommand().ok_or_else(unknown)?;
        Ok(Self {
            name: name.to_owned(),
            benchmarks: Self::benchmarks(name).ok_or_else(unknown)?,
            runs: Runs::from_arg_matches(inner)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Scores {
    fn augment_subcommands(command: Command) -> Command {
        command.subcommands(Self::commands())
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Self::benchmarks(name).is_some()
    }
}

/// A method or a row, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MethodChoice {
    /// Every method and every row.
    All,
    /// This method, or the row of that name.
    One(String),
}

impl FromStr for MethodChoice {
    type Err = <TrainMethod as FromStr>::Err;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_row = || {
            Benchmark::ALL
                .iter()
                .any(|table| names(*table).iter().any(|row| row == name))
        };
        match name {
            "all" => Ok(Self::All),
            name if is_row() => Ok(Self::One(name.to_owned())),
            name => name.parse::<TrainMethod>().map(|method| Self::One(method.to_string())),
        }
    }
}

/// Size of a reproduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// The project's own data and small backbones: takes minutes, needs no download
    Sample,
    /// The tasks' original files (--data) on the project's small T5: takes hours
    RealSmall,
    /// The tasks' original files (--data) on a decoder such as SmolLM2-135M (--backbone), a thirtieth of the paper's
    /// steps: takes hours
    Decoder,
    /// The paper's setting: the tasks' original files (--data), its backbone (--backbone), its number of steps
    Paper,
}

const GLUE: &str = "Examples:
  adept reproduce glue
  adept reproduce glue --profile real-small --data DATA
  adept reproduce glue --profile decoder --data DATA --backbone smollm2 --tasks sst2,rte
  adept reproduce glue --profile paper --data DATA --backbone t5-base
  adept reproduce glue --data DATA --backbone t5-base --tasks sst2,rte --methods pt,adept --steps 3000 --seeds 42,43
  adept reproduce glue --profile paper --data DATA --backbone t5-base --search paper
  adept reproduce glue --tasks rte --search halving
  adept reproduce glue --tasks rte --methods lora --search adapter.lora.rank=4,8 --search optimizer.lora.learning_rate=1e-3,3e-3
  adept reproduce glue --profile paper --data DATA --backbone t5-base --on slurm --partition gpu --gpus 1 --time 1-0

Run the same command again to resume: what is done is skipped. Each run lies in OUT/TASK/METHOD/seed-N.
The project's own data and backbone are searched for in a folder `datasets` here or in a parent folder, or in
the folder that the variable ADEPT_DATASETS names.";

const BENCHMARK: &str = "Examples (superglue stands for any table of scores):
  adept reproduce superglue --profile real-small --data DATA
  adept reproduce superglue --profile paper --data DATA --backbone t5-base
  adept reproduce superglue --profile real-small --data DATA --tasks cb,wic --methods pt,adept --seeds 42,43

DATA holds a folder for each task, named as in its official archive or on the hub (docs/tasks.md). Without --data, files
that `adept fetch superglue` has brought are found in the hub's cache.
Run the same command again to resume: what is done is skipped. Each run lies in OUT/TASK/METHOD/seed-N.";

const MBPP: &str = "Examples:
  adept reproduce mbpp
  adept reproduce mbpp --profile paper --data DATA --backbone codegen-350M-mono
  adept reproduce mbpp --profile paper --data DATA --backbone codegen-350M-mono --methods adept --steps 200 --seeds 42,
  adept reproduce mbpp --profile paper --data DATA --backbone DIR --set generation.samples=20 --set generation.temperature=0.6

Without arguments it takes the project's own problems and small Llama. DATA holds mbpp_release_v1.jsonl, the MBXP form of
MBPP. What a model writes is untrusted: it runs in a sandbox (Linux) which
refuses to start where one of its layers is missing (--allow-missing-layers). Needed: python3.
Run the same command again to resume: what is done is skipped. Each run lies in OUT/TASK/METHOD/seed-N, with the
generated programs in completions.jsonl and their verdicts in judged.json. Programs whose tests cannot be run apart from
them are `unsupported` there: they are counted with their reasons, and pass@k counts them as not passed.";

/// Arguments of a table of scores.
#[derive(Debug, Clone, Args)]
pub struct Runs {
    /// Size of the reproduction [default: sample; paper if --data and --backbone are given]
    #[arg(long, value_enum, value_name = "NAME")]
    pub profile: Option<Profile>,

    /// Folder with the tasks' original files: SST-2/train.tsv, BoolQ/train.jsonl and so on [default: the profile's,
    /// else the hub's cache, filled by `adept fetch`]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Checkpoint (for mbpp a decoder) in Hugging Face format (config.json, model.safetensors,
    /// tokenizer.json), or the name of one in the hub's cache (t5-base, owner/name) [default: the profile's]
    #[arg(long, value_name = "DIR|NAME")]
    pub backbone: Option<PathBuf>,

    // Generated from the registry of methods.
    #[arg(long, value_name = "LIST", value_delimiter = ',', help = super::methods("Methods, or `all` [default: the profile's]"))]
    pub methods: Vec<MethodChoice>,

    /// Task names, or paths of task cards [default: all tasks of the benchmark]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub tasks: Vec<Task>,

    /// Optimiser steps per run; evaluation and warm-up are scaled down to match [default: the profile's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,

    /// List of seeds (42,43 or 42,), or a number of seeds starting at 42 [default: the profile's]
    #[arg(long, value_name = "LIST|COUNT")]
    pub seeds: Option<Seeds>,

    /// Output folder for runs and report [default: the profile's, such as runs/glue-sample]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Search the settings of every method first, by the validation split: `paper` (what the paper tries for ADePT, 24
    /// settings, and as many for every other method), `small` (the same for small models and few steps), or
    /// KEY=VALUE,VALUE (repeatable: every combination). `halving` tries all for few steps and a third of them for three
    /// times as many, again and again; alone it takes the profile's own settings
    #[arg(long, value_name = "SEARCH", conflicts_with_all = ["on", "cells"])]
    pub search: Vec<String>,

    #[command(flatten)]
    pub settings: Settings,

    /// Start every run of this command over, deleting its earlier files; other files are kept
    #[arg(long)]
    pub overwrite: bool,

    /// Continue with the other runs after an error in one; failures are listed at the end
    #[arg(long)]
    pub keep_going: bool,

    /// Print what would be run and the estimated time on this machine, and stop
    #[arg(long)]
    pub plan: bool,

    #[command(flatten)]
    pub cluster: Box<Cluster>,
}

/// The seeds of a grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds(pub Vec<u64>);

/// First seed if only a number of seeds is given.
const FIRST_SEED: u64 = 42;

/// Larger numbers are taken for a mistyped seed.
const LARGEST_COUNT: u64 = 20;

impl Seeds {
    /// `count` consecutive seeds.
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

#[cfg(test)]
mod tests {
    use super::*;

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
