//! Measures the throughput of pretraining data: reads a corpus, trains a tokenizer on it, tokenises it to disk and
//! draws batches.
//!
//! ```sh
//! cargo run --release -p adept-data --example pretrain_throughput -- OUT_FOLDER 8000 20000000 ../shared/data/corpora
//! ```
//!
//! Arguments: a folder for tokenizer and tokens, vocabulary size, number of characters to train on, corpus files or
//! folders.
#![allow(clippy::print_stdout, reason = "a program for people to read")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use adept_data::TextTokenizer;
use adept_data::pretrain::{
    CorpusFiles, CorpusOptions, DenoiseOptions, TextBatches, TextOptions, TokenStore, UnigramOptions, train_unigram,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, vocab_size, max_characters, paths @ ..] = arguments.as_slice() else {
        return Err("usage: pretrain_throughput OUT_FOLDER VOCAB_SIZE MAX_CHARACTERS PATH...".into());
    };
    let out = PathBuf::from(out);
    let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();

    let start = Instant::now();
    let corpus = CorpusFiles::open(&paths, CorpusOptions::default())?;
    let megabytes = corpus.characters() as f64 / 1e6;
    let dropped: usize = corpus.files().iter().map(|file| file.skipped).sum();
    println!(
        "read      {:6.1} s: {} files, {} paragraphs of {megabytes:.1} million characters, {dropped} dropped",
        start.elapsed().as_secs_f64(),
        corpus.files().len(),
        corpus.paragraphs(),
    );

    let start = Instant::now();
    let options = UnigramOptions {
        vocab_size: vocab_size.parse()?,
        max_characters: max_characters.parse()?,
        ..UnigramOptions::default()
    };
    let mut last = None;
    train_unigram(corpus.lines(), &options, &mut |progress| last = Some(progress))?.save(&out)?;
    println!("train     {:6.1} s: {last:?}", start.elapsed().as_secs_f64());

    let tokenizer = TextTokenizer::from_dir(&out)?;
    let start = Instant::now();
    let store = TokenStore::open_or_build(&out.join("tokens.bin"), &corpus, &tokenizer, &mut |_| {})?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "tokenise  {seconds:6.1} s: {:?}, {} tokens, {:.2} characters a token, {:.1} million characters a second",
        store.origin(),
        store.len(),
        corpus.characters() as f64 / store.len() as f64,
        megabytes / seconds
    );
    let start = Instant::now();
    let store = TokenStore::open_or_build(&out.join("tokens.bin"), &corpus, &tokenizer, &mut |_| {})?;
    println!(
        "open      {:6.1} s: {:?}",
        start.elapsed().as_secs_f64(),
        store.origin()
    );

    let batches = TextBatches::new(
        store,
        TextOptions::new(&tokenizer, 128, 32, DenoiseOptions::default(), 256)?,
    )?;
    let start = Instant::now();
    let count = 1000;
    for index in 0..count {
        batches.train_batch(42, index)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "batches   {seconds:6.1} s: {count} of 32 inputs of 128 tokens ({} of text, {} of target), {:.0} a second",
        batches.window_length(),
        batches.target_length(),
        f64::from(count as u32) / seconds
    );
    Ok(())
}
