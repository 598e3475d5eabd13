//! Benchmarks products of rows with frozen weights, in each precision.
//!
//! `cargo run --release -p adept-kernels --features flex --example products [KERNEL]` prints the rate in GFLOP/s, with
//! everything that a product does (rounding, packing rows, allocating its result): the median of several rounds, in
//! which the precisions take turns, of the product and of its way back. KERNEL is one of those that the first line
//! names; `RAYON_NUM_THREADS` sets the number of threads.
#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use adept_kernels::sublayer::linear_rows;
use adept_kernels::{Precision, Prepared, force_kernel, kernels};
use burn::backend::Autodiff;
use burn::tensor::{Distribution, Tensor};
use burn_flex::Flex;

type Tracked = Autodiff<Flex>;

/// Rows, inputs, outputs: few rows as in generation, a batch of T5-small and of T5-base.
const SHAPES: [[usize; 3]; 11] = [
    [1, 768, 3072],
    [4, 768, 3072],
    [8, 768, 3072],
    [16, 768, 3072],
    [248, 512, 512],
    [248, 768, 768],
    [248, 768, 3072],
    [248, 3072, 768],
    [992, 768, 768],
    [992, 768, 3072],
    [992, 3072, 768],
];
const ROUNDS: usize = 9;
const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16x3, Precision::Bf16];

fn main() -> ExitCode {
    if let Some(kernel) = std::env::args().nth(1)
        && let Err(error) = force_kernel(&kernel)
    {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let available = kernels().into_iter().filter(|kernel| kernel.is_available);
    let names: Vec<&str> = available.map(|kernel| kernel.name).collect();
    let used = Precision::Bf16.kernel::<Flex>().unwrap_or("none");
    println!(
        "kernels: {}; used: {used}; threads: {}",
        names.join(", "),
        rayon::current_num_threads()
    );
    println!("{:>16} {:>10} {:>10} {:>10}", "rows, k x m", "precision", "x W", "g W'");
    for [n, k, m] in SHAPES {
        let weight = Tensor::<Tracked, 2>::random([k, m], Distribution::Uniform(-1.0, 1.0), &Default::default());
        let x = Tensor::<Tracked, 2>::random([n, k], Distribution::Uniform(-1.0, 1.0), &Default::default());
        let maps = PRECISIONS.map(|precision| Prepared::new(weight.clone(), precision));
        let mut times = PRECISIONS.map(|_| [Vec::new(), Vec::new()]);
        for _ in 0..ROUNDS {
            for ((prepared, kept), [there, back]) in maps.iter().zip(&mut times) {
                let x = x.clone().require_grad();
                let start = Instant::now();
                let out = match prepared {
                    Some(prepared) => prepared.product(x, kept.clone()),
                    None => linear_rows(x, kept.clone()),
                };
                there.push(start.elapsed());
                let summed = out.sum();
                let start = Instant::now();
                let _grads = summed.backward();
                back.push(start.elapsed());
            }
        }
        for (precision, [there, back]) in PRECISIONS.iter().zip(times) {
            let rate = |times: Vec<Duration>| 2.0 * (n * k * m) as f64 / median(times).as_secs_f64() / 1e9;
            let shape = format!("{n}, {k} x {m}");
            println!("{shape:>16} {precision:>10} {:>10.0} {:>10.0}", rate(there), rate(back));
        }
    }
    ExitCode::SUCCESS
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
