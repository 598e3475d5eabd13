//! Writes the sample of GLUE's eight tasks.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use glue_sample::tasks::Sizes;
use glue_sample::write::{files, write};

/// Writes a synthetic sample of GLUE's eight tasks in their official file form.
#[derive(Debug, Parser)]
struct Args {
    /// Folder to write to.
    #[arg(long)]
    out: PathBuf,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Leave out every row that this other seed gives in the default numbers.
    #[arg(long)]
    apart_from: Option<u64>,
    /// Training rows of CoLA, MRPC, RTE, STS-B and MNLI.
    #[arg(long, default_value_t = Sizes::DEFAULT.train)]
    rows: usize,
    /// Training rows of QQP, QNLI and SST-2, which give 1,000 of them to validation.
    #[arg(long, default_value_t = Sizes::DEFAULT.train_large)]
    rows_large: usize,
    /// Development rows of CoLA, MRPC, RTE and STS-B, which are halved into validation and test.
    #[arg(long, default_value_t = Sizes::DEFAULT.dev)]
    dev: usize,
    /// Development rows of QQP, QNLI and SST-2, and of each of MNLI's two files.
    #[arg(long, default_value_t = Sizes::DEFAULT.dev_large)]
    dev_large: usize,
}

#[expect(
    clippy::print_stderr,
    reason = "a program's edge: errors are told to whoever started it"
)]
fn main() -> ExitCode {
    let args = Args::parse();
    let sizes = Sizes {
        train: args.rows,
        train_large: args.rows_large,
        dev: args.dev,
        dev_large: args.dev_large,
    };
    let outcome = files(args.seed, &sizes, args.apart_from)
        .map_err(|error| error.to_string())
        .and_then(|files| write(&files, &args.out).map_err(|error| error.to_string()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
