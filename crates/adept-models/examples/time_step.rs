//! Times one training step of a random T5 (forward and backward with respect to the encoder's input) on the CPU
//! backend.
//!
//! `cargo run --release -p adept-models --features flex --example time_step -- small:64 base:256`
//!
//! Each argument is a size and an input width; 60 prompt slots are added, batch 8, 4 target tokens. Without the feature
//! the same model runs on burn's own operations. The Python counterpart is in `bench/`.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::time::Instant;

use adept_models::generate::{greedy, score_labels};
use adept_models::{Backbone, Seq2SeqBackbone, T5, T5Config, cross_entropy, shift_right};
use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::tensor::{Bool, Distribution, Int, Tensor};
use burn_flex::Flex;

type AB = Autodiff<Flex>;

const BATCH: usize = 8;
const PROMPT: usize = 60;
const TARGET: usize = 4;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        arguments = ["small:64", "small:256", "base:64", "base:256"]
            .map(str::to_owned)
            .to_vec();
    }
    for argument in arguments {
        let (size, width) = argument
            .split_once(':')
            .expect("an argument is SIZE:WIDTH, as in base:256");
        let config = match size {
            "small" => T5Config::t5_small(),
            "base" => T5Config::t5_base(),
            other => panic!("size {other}: expected small or base"),
        };
        let seq = PROMPT + width.parse::<usize>().expect("the width is a number");
        let device = Default::default();
        let plain = T5::<Flex>::random(&config, 1, &device);
        let model = T5::<AB>::from_inner(plain.clone());
        let inputs = Tensor::<AB, 3>::random([BATCH, seq, model.d_model()], Distribution::Default, &device);
        let mask = Tensor::<AB, 2, Bool>::full([BATCH, seq], true, &device);
        let labels = Tensor::<AB, 2, Int>::full([BATCH, TARGET], 7, &device);

        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..6 {
            let inputs = inputs.clone().require_grad();
            let begin = Instant::now();
            let encoded = model.encode(inputs.clone(), mask.clone(), 0.0);
            let ids = shift_right(labels.clone(), model.decoder_start_id(), model.pad_id());
            let logits = model.decode(ids, encoded, mask.clone(), 0.0);
            let loss = cross_entropy(logits, labels.clone());
            times[0].push(begin.elapsed().as_secs_f64() * 1e3);
            let begin = Instant::now();
            let gradients = loss.backward();
            let gradient = inputs.grad(&gradients).expect("the input requires a gradient");
            std::hint::black_box(gradient.into_data());
            times[1].push(begin.elapsed().as_secs_f64() * 1e3);
        }
        // The first round includes the allocator's first use of its memory.
        let [forward, backward] = times.map(|mut times| {
            times.remove(0);
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        });

        let (inputs, mask) = (inputs.inner(), mask.inner());
        let infer = |work: &dyn Fn(Tensor<Flex, 3>)| {
            let mut times: Vec<f64> = (0..4)
                .map(|_| {
                    let begin = Instant::now();
                    work(plain.encode(inputs.clone(), mask.clone(), 0.0));
                    begin.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            times[1]
        };
        let labels = [vec![5, 1], vec![6, 7, 1], vec![8, 1]];
        let scored = infer(&|encoded| {
            std::hint::black_box(score_labels(&plain, encoded, mask.clone(), &labels).into_data());
        });
        let generated = infer(&|encoded| {
            std::hint::black_box(greedy(&plain, encoded, mask.clone(), 10, false)).expect("finite logits");
        });
        println!(
            "{size} {seq} slots: forward {forward:.0} ms, backward {backward:.0} ms, step {:.0} ms; \
             encode and score 3 labels {scored:.0} ms, encode and generate 10 tokens {generated:.0} ms",
            forward + backward
        );
    }
}
