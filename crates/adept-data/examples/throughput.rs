//! How fast data comes: reads SST-2, tokenises it and goes through one epoch of batches.
//!
//! ```sh
//! cargo run --release -p adept-data --example throughput -- ../shared/data/glue ../shared/data/tokenizers/t5
//! ```
//!
//! Prints examples per second of each part, and the share of padding with length buckets and without.
#![allow(clippy::print_stdout, reason = "a program for people to read")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use adept_data::{BatchOptions, Batcher, LoadOptions, Task, TextTokenizer, default_buckets, load_task};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let (Some(glue), Some(tokenizer)) = (arguments.next(), arguments.next()) else {
        return Err("usage: throughput GLUE_FOLDER TOKENIZER_FOLDER [TASK]".into());
    };
    let task: Task = arguments
        .next()
        .map_or(Ok(Task::named("sst2")?), |name| name.to_string_lossy().parse())?;
    let tokenizer = TextTokenizer::from_dir(&tokenizer)?;
    let max_source_length = 256;
    let target_width = tokenizer.target_length(&task.target_length())?;

    let start = Instant::now();
    let data = load_task(&task, &glue, &LoadOptions::default())?;
    let rows = data.train.len();
    let all = rows + data.validation.len() + data.test.len();
    report("read", all, start);

    let start = Instant::now();
    let encoded = tokenizer.encode_examples(&data.train, max_source_length, target_width)?;
    report("tokenise", rows, start);
    let tokens: usize = encoded.iter().map(|row| row.source.len()).sum();
    println!(
        "{:>12} {:.1} tokens a source",
        task.display_name(),
        tokens as f64 / rows as f64
    );

    for pad_to_max in [false, true] {
        let buckets = default_buckets(max_source_length);
        let options = BatchOptions {
            batch_size: 32,
            max_source_length,
            buckets,
            pad_to_max,
            pad_id: 0,
            target_width,
        };
        let batcher = Batcher::new(&encoded, options)?;
        let start = Instant::now();
        let padded: usize = (0..batcher.batches_per_epoch())
            .map(|step| batcher.train_batch(42, step).input_ids.len())
            .sum();
        report(if pad_to_max { "pad to max" } else { "buckets" }, rows, start);
        println!(
            "{:>12} {:.1} % of positions are padding",
            "",
            100.0 * (1.0 - tokens as f64 / padded as f64)
        );
    }
    Ok(())
}

fn report(part: &str, rows: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{part:>12} {rows} examples in {seconds:.2} s: {:.0} a second",
        rows as f64 / seconds
    );
}
