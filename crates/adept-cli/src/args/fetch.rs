//! Arguments of `adept fetch`.

use std::path::PathBuf;

use clap::Args;

/// `adept fetch`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  adept fetch glue t5-base
  adept fetch boolq cb --dry-run
  adept fetch google/t5-v1_1-base --revision main

The cache is that of Python's tools (HF_HUB_CACHE, HF_HOME); HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are read as well.
Each line of the output is a name and its folder, which --data and --backbone take. Run the same command again to
resume an interrupted download.")]
pub struct Fetch {
    /// Tasks, benchmarks (glue, superglue, mrqa, others), paths of task cards, models (t5-base, or owner/name)
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,

    /// Branch, tag or commit, used for all names [default: the card's, or main]
    #[arg(long, value_name = "NAME")]
    pub revision: Option<String>,

    /// Folder of the hub's cache [default: from the environment]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,

    /// Number of parallel downloads
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub at_once: u8,

    /// Print what would be downloaded and its size, and stop
    #[arg(long)]
    pub dry_run: bool,
}
