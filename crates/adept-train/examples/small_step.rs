//! Times full training steps (from batch to updated parameters) and label scoring of small random T5 models on the CPU.
//!
//! `cargo run --release -p adept-train --features adept-models/flex --example small_step -- MODEL WORK [STEPS]`
//!
//! MODEL is `d_model,layers,vocab,d_ff,heads` (heads of 32 channels, as many encoder as decoder layers), e.g.
//! `160,3,6144,512,5`. WORK is `method,batch,source,target[,prompt slots]`, e.g. `full,32,128,36` for pretraining or
//! `adept,32,32,3,20` for an adapter on a frozen backbone. Gradients are clipped to a global norm of 1. The minimum is
//! shown next to the median, since it is least affected by other load on the machine.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::time::Instant;

use adept_core::{Adapter, AdapterConfig, AdapterInit, AdapterMetadata, FanIn, Ia3Config, LoraConfig, PromptInit};
use adept_data::Batch;
use adept_models::generate::score_labels;
use adept_models::{Backbone, Seq2SeqBackbone, T5, T5Config};
use adept_train::config::TrainMethod;
use adept_train::learner::{mix, step_gradients};
use adept_train::optim::{AdamW, AdamWConfig, GroupConfig};
use adept_train::target::{AdapterTarget, FullTarget, Target};
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use burn_flex::Flex;

type AB = Autodiff<Flex>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn numbers(argument: &str) -> Vec<usize> {
    argument.split(',').filter_map(|part| part.parse().ok()).collect()
}

fn main() {
    // Inside the pool, this thread works on the tasks it hands out instead of waiting for others to wake up.
    rayon::scope(|_| work());
}

fn work() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, work, rest @ ..] = arguments.as_slice() else {
        panic!("expected MODEL WORK [STEPS]")
    };
    let steps = rest
        .first()
        .map_or(10, |steps| steps.parse().expect("STEPS is a number"));
    let &[d_model, layers, vocab, d_ff, heads] = numbers(model).as_slice() else {
        panic!("MODEL is d_model,layers,vocab,d_ff,heads")
    };
    let method = work.split(',').next().expect("split yields a first part");
    let sizes = numbers(work);
    let [batch, source, target] = [sizes[0], sizes[1], sizes[2]];
    let prompt = sizes.get(3).copied().unwrap_or(0);
    let config = T5Config {
        vocab_size: vocab,
        d_model,
        d_kv: 32,
        d_ff,
        num_layers: layers,
        num_decoder_layers: layers,
        num_heads: heads,
        ..T5Config::t5_small()
    };
    let device = Default::default();
    let backbone = T5::<Flex>::random(&config, 1, &device);
    let batch = made_up(batch, source, target, vocab);
    println!(
        "{model} {work}: {} parameters",
        burn::module::Module::num_params(&backbone)
    );
    match method {
        "full" => {
            let target =
                FullTarget::<AB, T5<AB>>::new(&backbone, Box::new(|_, _| Ok(())), Box::new(|_| unreachable!()));
            train(&target, &batch, steps, TrainMethod::Full);
        }
        name => {
            let config = match name {
                "pt" => AdapterConfig::pt(d_model, prompt),
                "adept" => AdapterConfig::adept(d_model, prompt, 8),
                "dept" => AdapterConfig::dept(d_model, prompt, 8, source.max(64)),
                "lora" => AdapterConfig::from(LoraConfig::new(8, 8.0)),
                "ia3" => AdapterConfig::from(Ia3Config::default()),
                other => panic!("method {other}: expected full, pt, dept, adept, lora or ia3"),
            };
            let start = AdapterInit {
                prompt: PromptInit::Random { std: 1.0 },
                fan_in: FanIn::Reference,
                seed: 1,
                weights: None,
                sources: None,
            };
            let method = TrainMethod::Adapter(config.method());
            let sites = backbone.config().sites();
            let adapter = Adapter::new(&config, &sites, start, &device).expect("the sizes make sense");
            let metadata = AdapterMetadata::new(config, "");
            train(
                &AdapterTarget::<AB, T5<AB>>::new(&backbone, adapter, metadata),
                &batch,
                steps,
                method,
            );
        }
    }
    let shape = [batch.batch, source];
    let ids = Tensor::<Flex, 2, Int>::from_data(TensorData::new(batch.input_ids.clone(), shape), &device);
    let mask = Tensor::<Flex, 2, Bool>::from_data(TensorData::new(batch.mask.clone(), shape), &device);
    let labels = [vec![5, 1], vec![6, 7, 1], vec![8, 1]];
    let times = (0..steps).map(|_| {
        let begin = Instant::now();
        let encoded = backbone.encode(backbone.embed(ids.clone()), mask.clone(), 0.0);
        std::hint::black_box(score_labels(&backbone, encoded, mask.clone(), &labels).into_data());
        begin.elapsed().as_secs_f64() * 1e3
    });
    show("score 3 labels", times.collect(), batch.batch);
}

fn train<T: Target<AB>>(target: &T, batch: &Batch, steps: usize, method: TrainMethod) {
    let device = Default::default();
    let group = GroupConfig {
        name: "all".to_owned(),
        prefix: String::new(),
        learning_rate: 1e-3,
        weight_decay: 0.01,
        warmup_steps: 0,
    };
    let config = AdamWConfig {
        beta1: 0.9,
        beta2: 0.98,
        epsilon: 1e-6,
    };
    let mut optimizer = AdamW::new(config, vec![group]);
    let mut trained = target.initial();
    let mut times = [const { Vec::new() }; 4];
    let mut last = 0.0;
    for step in 0..steps + 2 {
        <AB as Backend>::seed(&device, mix(1, step as u64));
        let begin = Instant::now();
        let (loss, mut gradients) =
            step_gradients::<AB, T>(target, &trained, std::slice::from_ref(batch), (0.0, false), &device);
        let passed = begin.elapsed().as_secs_f64() * 1e3;
        if let Some(norm) = gradients.global_norm() {
            gradients.clip(&norm, 1.0);
        }
        let clipped = begin.elapsed().as_secs_f64() * 1e3;
        trained = optimizer.step::<AB, _>(trained, gradients, &[1e-3]);
        let whole = begin.elapsed().as_secs_f64() * 1e3;
        last = loss.into_scalar();
        // The first rounds include the allocator's first use of its memory.
        if step >= 2 {
            for (times, time) in times.iter_mut().zip([passed, clipped - passed, whole - clipped, whole]) {
                times.push(time);
            }
        }
    }
    for (name, times) in ["passes", "norm, clip", "AdamW", "step"].iter().zip(times) {
        show(name, times, batch.batch);
    }
    println!("  {method:?}: loss after {steps} steps {last}");
}

fn show(name: &str, mut times: Vec<f64>, batch: usize) {
    times.sort_by(f64::total_cmp);
    let (least, median) = (times[0], times[times.len() / 2]);
    let rate = batch as f64 * 1e3 / least;
    println!("  {name:<15} least {least:7.2} ms, median {median:7.2} ms, at most {rate:6.0} samples/s");
}

/// Rows of which the first fills the width and others are up to a quarter shorter.
fn made_up(rows: usize, source: usize, target: usize, vocab: usize) -> Batch {
    let id = |row: usize, slot: usize| (3 + (row * 7919 + slot * 104_729 + 31) % (vocab - 3)) as i32;
    let mut batch = Batch {
        rows: (0..rows).collect(),
        batch: rows,
        source_width: source,
        target_width: target,
        input_ids: Vec::new(),
        mask: Vec::new(),
        labels: Vec::new(),
        positions: Vec::new(),
    };
    for row in 0..rows {
        let length = source - (row * 3) % (source / 4 + 1);
        let slots = (0..source).map(|slot| if slot < length { id(row, slot) } else { 0 });
        batch.input_ids.extend(slots);
        batch.mask.extend((0..source).map(|slot| slot < length));
        batch.labels.extend((0..target).map(|slot| id(row, source + slot)));
    }
    batch
}
