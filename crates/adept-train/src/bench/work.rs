//! The parts of a benchmark case: configuration, batch, adapter, optimiser, memory.

use adept_core::{AdapterConfig, FanIn, Method, PromptAdapter, PromptInit, budget};
use adept_data::Batch;
use adept_models::T5Config;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::{BenchError, BenchMethod, BenchOptions, BenchReport, BenchSize, Labels};
use crate::config::{GroupSection, OptimizerSection, TrainMethod};
use crate::optim::{AdamW, AdamWConfig, groups};

/// Steps of the paper's runs, for the schedule.
pub(super) const TOTAL_STEPS: usize = 30_000;
/// Prompt rows whose values are the budget of every method in the paper.
const BUDGET_ROWS: usize = 100;
/// DePT's table has a row for every position of the paper's longest inputs.
const DEPT_LENGTH: usize = 256;

/// Checks the options, fills in the rank, and finds the backbone's configuration.
pub(super) fn resolve(options: &BenchOptions) -> Result<(BenchOptions, T5Config), BenchError> {
    let mut options = options.clone();
    let full = options.method == BenchMethod::Full;
    for (option, found, least) in [
        ("batch", options.batch, 1),
        ("tokens", options.tokens, 2),
        ("target-tokens", options.target_tokens, 1),
        ("virtual-tokens", options.virtual_tokens, usize::from(!full)),
        ("labels", options.labels, 1),
        ("new-tokens", options.new_tokens, 1),
        ("steps", options.steps, 1),
    ] {
        if found < least {
            return Err(BenchError::TooSmall { option, found, least });
        }
    }
    let config = match options.size {
        BenchSize::T5Small => T5Config::t5_small(),
        BenchSize::T5Base => T5Config::t5_base(),
        BenchSize::Tiny => T5Config {
            vocab_size: 320,
            d_model: 32,
            d_kv: 8,
            d_ff: 64,
            num_layers: 2,
            num_decoder_layers: 2,
            num_heads: 4,
            ..T5Config::t5_small()
        },
    };
    if full {
        options.virtual_tokens = 0;
    }
    if full || options.method == BenchMethod::Pt {
        options.rank = 0;
    } else if options.rank == 0 {
        let (d, values, m) = (config.d_model, BUDGET_ROWS * config.d_model, options.virtual_tokens);
        let rank = match options.method {
            BenchMethod::Dept => budget::dept_rank(d, values, m, options.tokens.max(DEPT_LENGTH)),
            _ => budget::adept_bottleneck(d, values, m),
        };
        options.rank = rank.filter(|rank| *rank > 0).ok_or(BenchError::NoRank {
            method: options.method,
            virtual_tokens: m,
            budget_rows: BUDGET_ROWS,
        })?;
    }
    Ok((options, config))
}

/// The adapter's configuration; `None` for full fine-tuning. `options` must be resolved.
pub(super) fn adapter_config(options: &BenchOptions, d_model: usize) -> Option<AdapterConfig> {
    let (m, rank) = (options.virtual_tokens, options.rank);
    match options.method {
        BenchMethod::Pt => Some(AdapterConfig::pt(d_model, m)),
        BenchMethod::Dept => Some(AdapterConfig::dept(d_model, m, rank, options.tokens.max(DEPT_LENGTH))),
        BenchMethod::Adept => Some(AdapterConfig::adept(d_model, m, rank)),
        BenchMethod::Full => None,
    }
}

/// A new adapter with a random prompt.
pub(super) fn adapter<B: Backend>(
    config: &AdapterConfig,
    seed: u64,
    device: &B::Device,
) -> Result<PromptAdapter<B>, BenchError> {
    debug_assert!(config.method != Method::Pt || config.rank == 0);
    Ok(PromptAdapter::new(
        config,
        PromptInit::Random { std: 1.0 },
        FanIn::Reference,
        seed,
        device,
    )?)
}

/// A batch whose first row fills the width and whose others are padded by up to half of it. `bench/peer.py` has the same
/// formula.
pub(super) fn batch(options: &BenchOptions, vocabulary: usize) -> Batch {
    let (rows, width, target) = (options.batch, options.tokens, options.target_tokens);
    // Ids 0 to 2 are pad, end and unknown.
    let id = |row: usize, slot: usize| (3 + (row * 7919 + slot * 104_729 + 31) % (vocabulary - 3)) as i32;
    let mut batch = Batch {
        rows: (0..rows).collect(),
        batch: rows,
        source_width: width,
        target_width: target,
        input_ids: Vec::with_capacity(rows * width),
        mask: Vec::with_capacity(rows * width),
        labels: Vec::with_capacity(rows * target),
        positions: Vec::new(),
    };
    for row in 0..rows {
        let length = width - (row * 13) % (width / 2);
        for slot in 0..width {
            batch.input_ids.push(match slot {
                _ if slot + 1 < length => id(row, slot),
                _ if slot + 1 == length => 1,
                _ => 0,
            });
            batch.mask.push(slot < length);
        }
        batch
            .labels
            .extend((0..target).map(|slot| if slot + 1 < target { id(row, width + slot) } else { 1 }));
    }
    batch
}

/// As many labels as asked for, each as wide as the batch's targets.
pub(super) fn labels(batch: &Batch, count: usize) -> Labels {
    let first = &batch.labels[..batch.target_width];
    (0..count)
        .map(|label| {
            let other = |id: &i32| {
                if *id == 1 {
                    1
                } else {
                    id.unsigned_abs() + label as u32 % 100
                }
            };
            first.iter().map(other).collect()
        })
        .collect()
}

/// The paper's optimiser.
pub(super) fn optimizer<AB: AutodiffBackend>(method: TrainMethod) -> AdamW<AB::InnerBackend> {
    let section = |learning_rate| GroupSection {
        learning_rate,
        weight_decay: 0.01,
        warmup_steps: 500,
    };
    let section = OptimizerSection {
        beta1: 0.9,
        beta2: 0.98,
        epsilon: 1e-6,
        clip_norm: 0.0,
        prompt: section(0.3),
        offset: section(1e-4),
        full: section(1e-4),
    };
    let config = AdamWConfig {
        beta1: section.beta1,
        beta2: section.beta2,
        epsilon: section.epsilon,
    };
    AdamW::new(config, groups(method, &section))
}

/// A report without figures.
pub(super) fn report<AB: AutodiffBackend>(
    kind: &'static str,
    options: &BenchOptions,
    backbone_parameters: usize,
    device: &AB::Device,
) -> BenchReport {
    BenchReport {
        kind,
        options: options.clone(),
        backend: AB::name(device),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        backbone_parameters,
        trainable_parameters: 0,
        step: None,
        greedy: None,
        score: None,
        loss: None,
        peak_rss_bytes: None,
    }
}

/// Largest resident memory of this process so far (Linux; elsewhere none).
pub(super) fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_paper() {
        for (method, m, expected) in [
            (BenchMethod::Adept, 20, 39),
            (BenchMethod::Adept, 60, 19),
            (BenchMethod::Dept, 40, 45),
            (BenchMethod::Dept, 60, 30),
            (BenchMethod::Pt, 100, 0),
        ] {
            let options = BenchOptions {
                size: BenchSize::T5Base,
                method,
                virtual_tokens: m,
                ..BenchOptions::default()
            };
            let (resolved, config) = resolve(&options).unwrap();
            assert_eq!((resolved.rank, config.d_model), (expected, 768), "{method} m={m}");
        }
    }

    #[test]
    fn rows_end_in_the_end_token_and_pads_are_hidden() {
        let options = BenchOptions {
            batch: 5,
            tokens: 8,
            target_tokens: 3,
            ..BenchOptions::default()
        };
        let batch = batch(&options, 320);
        for (row, mask) in batch.mask.chunks(8).enumerate() {
            let ids = &batch.input_ids[row * 8..(row + 1) * 8];
            let length = mask.iter().filter(|attend| **attend).count();
            assert_eq!(length, [8, 7, 6, 5, 8][row]);
            assert_eq!(ids[length - 1], 1);
            assert!(ids[..length - 1].iter().all(|id| (3..320).contains(id)), "{ids:?}");
            assert!(ids[length..].iter().all(|id| *id == 0), "{ids:?}");
        }
        assert!(batch.labels.chunks(3).all(|labels| labels[2] == 1 && labels[0] > 2));
    }
}
