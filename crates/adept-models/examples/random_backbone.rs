//! Writes a randomly initialised decoder-only backbone, or loads one and reports how much memory that took.
//!
//! ```sh
//! cargo run --release -p adept-models --features flex --example random_backbone -- write codegen DIR d=64 layers=2
//! heads=4 cargo run --release -p adept-models --features flex --example random_backbone -- write llama DIR layers=4
//! bf16 cargo run --release -p adept-models --features flex --example random_backbone -- load DIR
//! ```
//! Sizes default to those of CodeGen-350M and Llama-3-8B. Add tokenizer files to train on it.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adept_models::{CodeGenConfig, Decoder, LlamaConfig, StoredType};
use burn::module::Module;
use burn_flex::Flex;

type B = Flex;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["write", family, dir, options @ ..] => write(family, Path::new(dir), options),
        ["load", dir] => load(Path::new(dir)),
        _ => Err(
            "write codegen|llama DIR [d=N layers=N heads=N groups=N inner=N vocab=N seed=N bf16], or load DIR".into(),
        ),
    }
}

fn write(family: &str, dir: &Path, options: &[&str]) -> Result<(), Box<dyn Error>> {
    let number = |key: &str, usual: usize| -> Result<usize, Box<dyn Error>> {
        let given = options
            .iter()
            .find_map(|option| option.strip_prefix(key)?.strip_prefix('='));
        Ok(given.map_or(Ok(usual), str::parse)?)
    };
    let element = match options.contains(&"bf16") {
        true => StoredType::Bf16,
        false => StoredType::F32,
    };
    let (seed, device) = (number("seed", 0)? as u64, Default::default());
    match family {
        "codegen" => {
            let whole = CodeGenConfig::codegen_350m();
            let (d, heads) = (number("d", whole.n_embd)?, number("heads", whole.n_head)?);
            let config = CodeGenConfig {
                vocab_size: number("vocab", whole.vocab_size)?,
                n_embd: d,
                n_head: heads,
                n_layer: number("layers", whole.n_layer)?,
                n_inner: number("inner", 4 * d)?,
                rotary_dim: whole.rotary_dim.min(d / heads / 2 * 2),
                ..whole
            };
            Decoder::<B>::random(&(&config).into(), seed, &device)?.save_pretrained(dir, element)?;
        }
        "llama" => {
            let whole = LlamaConfig::llama_3_8b();
            let (d, heads) = (
                number("d", whole.hidden_size)?,
                number("heads", whole.num_attention_heads)?,
            );
            let vocab = number("vocab", whole.vocab_size)?;
            let end = u32::try_from(vocab - 1)?;
            let config = LlamaConfig {
                vocab_size: vocab,
                hidden_size: d,
                num_attention_heads: heads,
                num_key_value_heads: number("groups", whole.num_key_value_heads.min(heads))?,
                head_dim: d / heads,
                num_hidden_layers: number("layers", whole.num_hidden_layers)?,
                intermediate_size: number("inner", whole.intermediate_size)?,
                bos_token_id: None,
                eos_token_ids: vec![number("end", end as usize)? as u32],
                pad_token_id: end,
                ..whole
            };
            Decoder::<B>::random(&(&config).into(), seed, &device)?.save_pretrained(dir, element)?;
        }
        other => return Err(format!("expected codegen or llama, found {other}").into()),
    }
    Ok(())
}

/// Loads a backbone and prints its size in memory, the peak anonymous memory during loading (pages of the mapped file
/// can be reclaimed by the system), and the time.
fn load(dir: &Path) -> Result<(), Box<dyn Error>> {
    static DONE: AtomicBool = AtomicBool::new(false);
    let before = anonymous()?;
    let watch = std::thread::spawn(|| {
        let mut most = 0;
        while !DONE.load(Ordering::Relaxed) {
            most = most.max(anonymous().unwrap_or(0));
            std::thread::sleep(Duration::from_millis(2));
        }
        most
    });
    let started = Instant::now();
    let device = Default::default();
    let parameters = held(Decoder::<B>::load(dir, &device)?.model);
    let seconds = started.elapsed().as_secs_f64();
    DONE.store(true, Ordering::Relaxed);
    let most = watch.join().map_err(|_| "the watching thread has panicked")?;
    let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!("parameters        {parameters}");
    println!("model in float32  {:.0} MiB", mebibytes(4 * parameters));
    println!("most while loading {:.0} MiB", mebibytes(most.saturating_sub(before)));
    println!("seconds           {seconds:.1}");
    Ok(())
}

/// Number of values of a model, which is leaked to stay in memory.
fn held<M: Module<B> + 'static>(model: M) -> usize {
    let parameters = model.num_params();
    std::mem::forget(model);
    parameters
}

/// Bytes of memory that are not backed by a file.
fn anonymous() -> Result<usize, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no RssAnon in /proc/self/status")?.parse::<usize>()? * 1024)
}
