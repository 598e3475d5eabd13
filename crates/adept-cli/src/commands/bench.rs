//! `adept bench`: times training steps or inference with random weights.

use adept_lab::bench::{self, BenchError, BenchOptions};
use burn::tensor::backend::AutodiffBackend;

use super::Setting;
use crate::allocator;
use crate::args::{Bench, BenchCase};
use crate::device::{WithBackend, with_backend};
use crate::failure::{Failure, say};

/// Runs one case and prints its timings.
pub fn run(setting: &Setting, arguments: Bench) -> Result<(), Failure> {
    let (steps, case) = match arguments {
        Bench::Step(case) => (true, case),
        Bench::Infer(case) => (false, case),
    };
    with_backend(
        setting.device,
        Work {
            steps,
            json: case.json,
            options: options(&case),
        },
    )
}

/// The case that arguments describe.
pub(super) fn options(case: &BenchCase) -> BenchOptions {
    BenchOptions {
        size: case.size,
        method: case.method,
        precision: case.precision.into(),
        checkpoint: case.checkpoint.into(),
        recompute: case.recompute,
        depth: case.depth,
        batch: case.batch,
        tokens: case.tokens,
        target_tokens: case.target_tokens,
        virtual_tokens: case.virtual_tokens,
        rank: case.rank,
        labels: case.labels,
        new_tokens: case.new_tokens,
        warmup: case.warmup,
        steps: case.steps,
        seed: case.seed,
    }
}

struct Work {
    steps: bool,
    json: bool,
    options: BenchOptions,
}

impl WithBackend for Work {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let timed = if self.steps {
            bench::step::<AB>(&self.options, &device, allocator::give_back)
        } else {
            bench::infer::<AB>(&self.options, &device)
        };
        let report = timed.map_err(|cause| match cause {
            BenchError::Loss { .. } | BenchError::Device { .. } => Failure::run(cause),
            _ => Failure::input(cause),
        })?;
        if self.json {
            say(serde_json::to_string(&report).map_err(Failure::run)?)
        } else {
            say(&report)
        }
    }
}
