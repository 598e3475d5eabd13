//! Writes the samples of GLUE's and of Table 4's eight tasks, of SuperGLUE's five and of MBPP, and what the small Llama
//! is made from.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use glue_sample::programs::{self, llama};
use glue_sample::tasks::Sizes;
use glue_sample::write::{SampleFile, files, write, write_bytes};
use glue_sample::{superglue, table4};

/// Writes a synthetic sample of GLUE's eight tasks, of the eight of the paper's Table 4, of its five of SuperGLUE, or of
/// MBPP, in their official file form.
#[derive(Debug, Parser)]
struct Args {
    /// Folder to write to.
    #[arg(long)]
    out: PathBuf,
    /// NQ, HotpotQA, SearchQA, NewsQA, WinoGrande, Yelp, SciTail and PAWS instead of GLUE's tasks.
    #[arg(long)]
    table4: bool,
    /// MultiRC, BoolQ, WiC, WSC and CB instead of GLUE's tasks.
    #[arg(long, conflicts_with = "table4")]
    superglue: bool,
    /// Programming problems in MBXP's form instead.
    #[arg(long, conflicts_with_all = ["table4", "superglue"])]
    programs: bool,
    /// This many rows of such problems in another form, for the small Llama's pretraining, none of them in the sample.
    #[arg(long, value_name = "ROWS", conflicts_with_all = ["table4", "superglue", "programs"])]
    programs_base: Option<usize>,
    /// The small Llama before pretraining, with a tokenizer for this many rows of it.
    #[arg(long, value_name = "ROWS", conflicts_with_all = ["table4", "superglue", "programs", "programs_base"])]
    llama_start: Option<usize>,
    /// The weights of this folder, which training writes as 32-bit numbers, as bfloat16.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["table4", "superglue", "programs", "programs_base", "llama_start"])]
    llama_halved: Option<PathBuf>,
    /// The same seed gives the same bytes.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Leave out every row that this other seed gives in the default numbers.
    #[arg(long)]
    apart_from: Option<u64>,
    /// Training rows of CoLA, MRPC, RTE, STS-B and MNLI [default: 3000], or of SciTail and PAWS, or WSC and CB
    /// [default: 600], or all programming problems [default: 400].
    #[arg(long)]
    rows: Option<usize>,
    /// Training rows of QQP, QNLI and SST-2 [default: 4000], or of MRQA's tasks, WinoGrande and Yelp [default: 1600],
    /// which give 1,000 of them to validation, or of MultiRC (answers), BoolQ and WiC [default: 1600].
    #[arg(long)]
    rows_large: Option<usize>,
    /// Development rows of CoLA, MRPC, RTE and STS-B [default: 800], or of SciTail [default: 200], which are halved
    /// into validation and test; and of each of PAWS' two files; or of WSC and CB [default: 400], halved as well.
    #[arg(long)]
    dev: Option<usize>,
    /// Development rows of QQP, QNLI and SST-2 and of each of MNLI's two files [default: 500], or of MRQA's tasks,
    /// WinoGrande and Yelp [default: 200], or of MultiRC (answers), BoolQ and WiC [default: 400], which are halved.
    #[arg(long)]
    dev_large: Option<usize>,
}

#[expect(
    clippy::print_stderr,
    reason = "a program's edge: errors are told to whoever started it"
)]
fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match (&args.llama_start, &args.llama_halved) {
        (Some(rows), _) => start(&args, *rows),
        (None, Some(folder)) => llama::halved(folder)
            .map_err(|error| error.to_string())
            .and_then(|bytes| write_all(&args, [(llama::WEIGHTS, bytes)])),
        (None, None) => sample(&args).and_then(|files| write(&files, &args.out).map_err(|error| error.to_string())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The files of a sample.
fn sample(args: &Args) -> Result<Vec<SampleFile>, String> {
    let told = |error: &dyn std::error::Error| error.to_string();
    if let Some(rows) = args.programs_base {
        return programs::base_files(args.seed, rows).map_err(|error| told(&error));
    }
    if args.programs {
        let count = args.rows.unwrap_or(programs::PROBLEMS);
        return programs::files(args.seed, count).map_err(|error| told(&error));
    }
    let defaults = match (args.table4, args.superglue) {
        (true, _) => table4::SIZES,
        (_, true) => superglue::SIZES,
        _ => Sizes::DEFAULT,
    };
    let sizes = Sizes {
        train: args.rows.unwrap_or(defaults.train),
        train_large: args.rows_large.unwrap_or(defaults.train_large),
        dev: args.dev.unwrap_or(defaults.dev),
        dev_large: args.dev_large.unwrap_or(defaults.dev_large),
    };
    if args.table4 {
        table4::files(args.seed, &sizes, args.apart_from).map_err(|error| told(&error))
    } else if args.superglue {
        superglue::files(args.seed, &sizes, args.apart_from).map_err(|error| told(&error))
    } else {
        files(args.seed, &sizes, args.apart_from).map_err(|error| told(&error))
    }
}

/// Writes the folder that the small Llama's pretraining begins with.
fn start(args: &Args, rows: usize) -> Result<(), String> {
    let rows = programs::base_rows(args.seed, rows).map_err(|error| error.to_string())?;
    let texts: Vec<String> = rows
        .iter()
        .map(|(source, target)| format!("{source}{target}"))
        .collect();
    let files = llama::start(args.seed, &texts).map_err(|error| error.to_string())?;
    write_all(args, files)
}

fn write_all(args: &Args, files: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Result<(), String> {
    for (name, bytes) in files {
        write_bytes(&args.out.join(name), &bytes).map_err(|error| error.to_string())?;
    }
    Ok(())
}
