//! Measures data throughput: reads a task, tokenises it and iterates over epochs of batches, as a training run does.
//!
//! ```sh
//! cargo run --release -p adept-data --example throughput -- ../shared/data/glue ../shared/data/tokenizers/t5
//! ```
//!
//! Prints examples per second from the files to batches, for a second run that reuses the tokenised rows, and for
//! batching only, with the share of padding with and without length buckets.
#![allow(clippy::print_stdout, reason = "a program for people to read")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use adept_data::{
    BatchOptions, Batcher, Layout, Lengths, LoadOptions, RowEncoder, StoredRows, Task, TaskRows, TextTokenizer,
    default_buckets, open_task,
};

const MAX_SOURCE_LENGTH: usize = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let (Some(data), Some(tokenizer)) = (arguments.next(), arguments.next()) else {
        return Err("usage: throughput DATA_FOLDER TOKENIZER_FOLDER [TASK]".into());
    };
    let task: Task = arguments
        .next()
        .map_or(Ok(Task::named("sst2")?), |name| name.to_string_lossy().parse())?;
    let tokenizer = TextTokenizer::from_dir(&tokenizer)?;
    let lengths = Lengths {
        source: MAX_SOURCE_LENGTH,
        target: RowEncoder::apart(&tokenizer).target_length(&task.target_length())?,
    };
    let folder = tempfile::tempdir()?;
    let open = |root: &Path| {
        open_task(
            &task,
            root,
            &LoadOptions::default(),
            RowEncoder::apart(&tokenizer),
            lengths,
            Some(folder.path()),
        )
    };

    for part in ["files to batches", "the second time"] {
        let start = Instant::now();
        let rows = open(&data)?;
        epoch(&rows.train, lengths.target, false)?;
        report(part, examples(&rows), start);
    }

    let rows = open(&data)?.train;
    for pad_to_max in [false, true] {
        let start = Instant::now();
        let (tokens, padded) = epoch(&rows, lengths.target, pad_to_max)?;
        report(if pad_to_max { "padded batches" } else { "batches" }, rows.len(), start);
        println!(
            "{:>16} {:.1} tokens a source, {:.1} % of positions are padding",
            "",
            tokens as f64 / rows.len() as f64,
            100.0 * (1.0 - tokens as f64 / padded as f64)
        );
    }
    Ok(())
}

fn examples(rows: &TaskRows) -> usize {
    rows.train.len() + rows.validation.0.len() + rows.test.0.len()
}

/// Makes every batch of an epoch; returns the numbers of source tokens and of positions.
fn epoch(rows: &StoredRows, target_width: usize, pad_to_max: bool) -> Result<(usize, usize), Box<dyn Error>> {
    let options = BatchOptions {
        layout: Layout::Apart,
        batch_size: 32,
        max_source_length: MAX_SOURCE_LENGTH,
        buckets: default_buckets(MAX_SOURCE_LENGTH),
        pad_to_max,
        pad_id: 0,
        target_width,
    };
    let batcher = Batcher::new(rows, options)?;
    let (mut tokens, mut padded) = (0, 0);
    for step in 0..batcher.batches_per_epoch() {
        let batch = batcher.train_batch(42, step)?;
        tokens += batch.mask.iter().filter(|real| **real).count();
        padded += batch.mask.len();
    }
    Ok((tokens, padded))
}

fn report(part: &str, rows: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{part:>16} {rows} examples in {seconds:.2} s: {:.0} a second",
        rows as f64 / seconds
    );
}
