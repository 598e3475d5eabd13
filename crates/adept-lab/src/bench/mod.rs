//! `adept bench`: times training steps and prediction on a backbone with random weights.
//!
//! It times the code that runs use: the training loop's loss, gradients and optimiser, greedy generation and label
//! scoring, at shapes shared by all runs of a size. `bench/peer.py` times the same with PyTorch; `bench/compare.py`
//! runs both alternately.
//!
//! Neither side applies dropout or clips gradients. Ids and padding follow the same formula on both sides (see
//! `batch`); the values do not change the cost, but a mask that hides nothing could.

mod batch;
mod depth;
mod error;
mod memory;
mod options;
mod products;
mod report;
mod shape;
mod work;
mod write;

pub use depth::Depth;
pub use error::BenchError;
pub use memory::Memory;
pub use options::{BenchOptions, BenchSize};
pub use products::Products;
pub use report::{BenchReport, Timing};

use std::time::{Duration, Instant};

use adept_core::{Adapter, Intervention, Method, Unchanged};
use adept_data::Batch;
use adept_models::generate::{best_labels, greedy, score_labels};
use adept_models::{Backbone, CausalBackbone, Model, Seq2SeqBackbone, T5, Tape, unfreeze};
use adept_train::learner::{loss, pass};
use adept_train::model::Forward;
use adept_train::optim::AdamW;
use adept_train::upload;
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{ElementConversion, Tensor};

use write::Writing;

/// Times training steps (forward, loss, backward, optimiser). `give_back` returns freed memory to the system: what
/// making the backbone has left over would otherwise hide what the steps need.
///
/// # Errors
/// Invalid options, or a NaN loss.
pub fn step<AB: AutodiffBackend>(
    options: &BenchOptions,
    device: &AB::Device,
    give_back: impl Fn(),
) -> Result<BenchReport, BenchError> {
    let (options, shape) = work::resolve(options)?;
    let frozen = options
        .method
        .adapter()
        .map(|_| options.precision.on::<AB::InnerBackend>());
    let inner = shape.random::<AB::InnerBackend>(options.seed, device, (frozen, options.checkpoint))?;
    let batch = match options.size.is_causal() {
        true => batch::joined(&options, shape.vocabulary()),
        false => batch::pair(&options, shape.vocabulary()),
    };
    let mut report = work::report::<AB>("step", &options, inner.num_params(), device);
    report.products = Some(Products::of(&options, &shape.sites(), shape.vocabulary()));
    let loading = memory::peak();
    give_back();
    let loaded = memory::resident();
    let is_apart = memory::forget_peak().is_some();
    let (durations, last) = match work::adapter_config(&options, &shape.sites())? {
        Some(config) => {
            let optimizer = work::optimizer::<AB>(Some(&config));
            let adapter: Adapter<AB> = work::adapter(&config, &inner, options.seed, device)?;
            report.trainable_parameters = adapter.num_params();
            let frozen = Module::<AB>::no_grad(Model::<AB>::from_inner(inner));
            timed_steps::<AB, _>(&options, device, (adapter, optimizer), |adapter, tape| {
                loss::<AB, _>(&frozen, adapter, &batch, Forward { dropout: 0.0, tape }, device)
            })?
        }
        None => {
            report.trainable_parameters = report.backbone_parameters;
            let backbone = unfreeze(Model::<AB>::from_inner(inner));
            let optimizer = work::optimizer::<AB>(None);
            timed_steps::<AB, _>(&options, device, (backbone, optimizer), |backbone, _| {
                loss::<AB, _>(backbone, &Unchanged, &batch, 0.0.into(), device)
            })?
        }
    };
    report.step = Some(Timing::new(&durations, options.batch));
    report.loss = Some(last);
    let stepping = memory::peak();
    report.peak_rss_bytes = loading.max(stepping);
    if let (Some(loading_peak_bytes), Some(loaded_bytes), Some(step_peak_bytes), true) =
        (loading, loaded, stepping, is_apart)
    {
        report.memory = Some(Memory {
            loading_peak_bytes,
            loaded_bytes,
            step_peak_bytes,
        });
    }
    Ok(report)
}

/// Times prediction: for a T5, labels by greedy decoding and by scoring; for a decoder-only model, greedy decoding with
/// the soft prompt read once or once per row.
///
/// # Errors
/// Invalid options.
pub fn infer<AB: AutodiffBackend>(options: &BenchOptions, device: &AB::Device) -> Result<BenchReport, BenchError> {
    let (options, shape) = work::resolve(options)?;
    let frozen = Some(options.precision.on::<AB::InnerBackend>());
    let model = shape.random::<AB::InnerBackend>(options.seed, device, (frozen, options.checkpoint))?;
    let mut report = work::report::<AB>("infer", &options, model.num_params(), device);
    let adapter: Box<dyn Intervention<AB::InnerBackend>> = match work::adapter_config(&options, &shape.sites())? {
        Some(adapter) => {
            let adapter = work::adapter(&adapter, &model, options.seed, device)?;
            report.trainable_parameters = adapter.num_params();
            Box::new(adapter)
        }
        None => Box::new(Unchanged),
    };
    let (model, adapter) = (model.adapted(&*adapter), &*adapter);
    match &*model {
        Model::T5(model) => {
            let batch = batch::pair(&options, shape.vocabulary());
            time_labels::<AB>(&mut report, &options, (model, adapter), &batch, device)?;
        }
        Model::Decoder(model) => {
            let batch = batch::joined(&options, shape.vocabulary());
            time_writing::<AB, _>(&mut report, &options, (model, adapter), &batch, device)?;
        }
    }
    report.peak_rss_bytes = memory::peak();
    Ok(report)
}

fn time_labels<AB: AutodiffBackend>(
    report: &mut BenchReport,
    options: &BenchOptions,
    (model, adapter): (&T5<AB::InnerBackend>, &dyn Intervention<AB::InnerBackend>),
    batch: &Batch,
    device: &AB::Device,
) -> Result<(), BenchError> {
    let encode = || {
        let (ids, mask) = upload::source::<AB::InnerBackend>(batch, device);
        let input = adapter.forward(model.embed(ids), mask);
        (model.encode(input.embeddings, input.mask.clone(), 0.0), input.mask)
    };
    let durations = timed::<AB>(options, device, || {
        let (encoded, mask) = encode();
        // Reading the ids back waits for the device.
        drop(greedy(model, encoded, mask, options.new_tokens, false)?);
        Ok(())
    })?;
    report.greedy = Some(Timing::new(&durations, options.batch));
    let labels = batch::labels(batch, options.labels);
    let durations = timed::<AB>(options, device, || {
        let (encoded, mask) = encode();
        drop(best_labels(score_labels(model, encoded, mask, &labels))?);
        Ok(())
    })?;
    report.score = Some(Timing::new(&durations, options.batch));
    Ok(())
}

fn time_writing<AB: AutodiffBackend, M: CausalBackbone<AB::InnerBackend>>(
    report: &mut BenchReport,
    options: &BenchOptions,
    parts: (&M, &dyn Intervention<AB::InnerBackend>),
    batch: &Batch,
    device: &AB::Device,
) -> Result<(), BenchError> {
    let writing = Writing::new(parts, batch, options, device);
    let prefix = writing.prefix();
    let durations = timed::<AB>(options, device, || Ok(writing.behind(&prefix).map(drop)?))?;
    report.greedy = Some(Timing::new(&durations, options.batch));
    if options.virtual_tokens > 0 && options.method.adapter().is_some_and(Method::has_prompt) {
        let durations = timed::<AB>(options, device, || Ok(writing.whole().map(drop)?))?;
        report.reread = Some(Timing::new(&durations, options.batch));
    }
    Ok(())
}

/// Runs optimiser steps on `trained` and returns the timed durations and the last loss.
fn timed_steps<AB, T>(
    options: &BenchOptions,
    device: &AB::Device,
    (trained, mut optimizer): (T, AdamW<AB::InnerBackend>),
    forward: impl Fn(&T, Option<&Tape<AB>>) -> Tensor<AB, 1>,
) -> Result<(Vec<Duration>, f32), BenchError>
where
    AB: AutodiffBackend,
    T: AutodiffModule<AB>,
{
    // The optimiser takes and returns the module at every step.
    let mut module = Some(trained);
    let (mut steps, mut last) = (0, f32::NAN);
    let durations = timed::<AB>(options, device, || {
        let trained = module.take().expect("every step puts the module back");
        let tape = options.recompute.then(|| Tape::new(0));
        let value = forward(&trained, tape.as_ref());
        let (figure, gradients) = pass::<AB, _>(&trained, value, tape, 1.0);
        let rates = optimizer.rates(steps, work::TOTAL_STEPS);
        module = Some(optimizer.step::<AB, _>(trained, gradients, &rates));
        steps += 1;
        last = figure.into_scalar().elem::<f32>();
        if last.is_finite() {
            Ok(())
        } else {
            Err(BenchError::Loss { steps, loss: last })
        }
    })?;
    Ok((durations, last))
}

/// Runs `work` for the warm-up and then once per returned duration. The device is idle before and after each
/// repetition.
fn timed<AB: AutodiffBackend>(
    options: &BenchOptions,
    device: &AB::Device,
    mut work: impl FnMut() -> Result<(), BenchError>,
) -> Result<Vec<Duration>, BenchError> {
    let sync = || {
        AB::sync(device).map_err(|cause| BenchError::Device {
            cause: cause.to_string(),
        })
    };
    let mut durations = Vec::with_capacity(options.steps);
    for repetition in 0..options.warmup + options.steps {
        sync()?;
        let start = Instant::now();
        work()?;
        sync()?;
        if repetition >= options.warmup {
            durations.push(start.elapsed());
        }
    }
    Ok(durations)
}

/// Label ids as expected by `score_labels`.
type Labels = Vec<Vec<u32>>;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use adept_train::config::TrainMethod;

    use super::*;
    use burn::backend::Autodiff;
    use burn_flex::Flex;

    type AB = Autodiff<Flex>;

    fn tiny(size: BenchSize, method: TrainMethod) -> BenchOptions {
        BenchOptions {
            size,
            method,
            batch: 3,
            tokens: 8,
            virtual_tokens: if method == TrainMethod::Full { 0 } else { 4 },
            new_tokens: 3,
            warmup: 1,
            steps: 3,
            ..BenchOptions::default()
        }
    }

    #[test]
    fn every_method_is_timed() {
        for method in TrainMethod::all() {
            is_timed(&tiny(BenchSize::Tiny, method));
        }
        is_timed(&tiny(BenchSize::TinyCodeGen, TrainMethod::Adapter(Method::Adept)));
        is_timed(&tiny(BenchSize::TinyCodeGen, TrainMethod::Full));
        is_timed(&tiny(BenchSize::TinyLlama, TrainMethod::Adapter(Method::Dept)));
    }

    #[test]
    fn blocks_that_are_computed_again_change_nothing() {
        for size in [BenchSize::Tiny, BenchSize::TinyCodeGen, BenchSize::TinyLlama] {
            for method in TrainMethod::all() {
                let is_of_size = method
                    .adapter()
                    .is_some_and(|method| !size.is_causal() || !method.needs_encoder());
                let options = tiny(size, method);
                let again = BenchOptions {
                    recompute: true,
                    ..options.clone()
                };
                if method.adapter().is_none_or(Method::joins_blocks) {
                    let refused = step::<AB>(&again, &Default::default(), || ());
                    assert!(matches!(refused, Err(BenchError::Recompute { .. })), "{method}");
                } else if is_of_size {
                    // LST cannot narrow heads as small as these.
                    let Ok(whole) = step::<AB>(&options, &Default::default(), || ()) else {
                        assert_eq!((size.is_causal(), method.name()), (true, "lst"), "{size}");
                        continue;
                    };
                    let again = step::<AB>(&again, &Default::default(), || ()).unwrap();
                    let (whole, again) = (whole.loss.unwrap(), again.loss.unwrap());
                    // Sums of several gradients may be added in another order.
                    assert!(
                        (whole - again).abs() <= 2e-6 * whole,
                        "{size} {method}: {whole}, again {again}"
                    );
                }
            }
        }
    }

    fn is_timed(options: &BenchOptions) {
        let of = (options.size, options.method);
        let report = step::<AB>(options, &Default::default(), || ()).unwrap();
        let timing = report.step.as_ref().unwrap();
        assert_eq!(timing.all_ms.len(), 3, "{of:?}");
        assert!(
            timing.min_ms > 0.0 && timing.min_ms <= timing.median_ms,
            "{of:?}: {timing:?}"
        );
        assert!(report.loss.is_some_and(f32::is_finite), "{of:?}");
        assert!(report.trainable_parameters > 0, "{of:?}");
        // The network behind a prompt is larger than a tiny model, and so is one that makes networks.
        let has_network = matches!(
            options.method.adapter(),
            Some(Method::Residual | Method::PTuning | Method::Hyperformer | Method::Hyperdecoder)
        );
        assert!(
            has_network || report.trainable_parameters <= report.backbone_parameters,
            "{of:?}"
        );
        serde_json::to_string(&report).unwrap();

        let report = infer::<AB>(options, &Default::default()).unwrap();
        let found = [report.greedy.is_some(), report.score.is_some(), report.reread.is_some()];
        let has_prompt = options.method.adapter().is_some_and(Method::has_prompt);
        assert_eq!(
            found,
            [true, !options.size.is_causal(), options.size.is_causal() && has_prompt],
            "{of:?}"
        );
        assert!(report.step.is_none(), "{of:?}");
    }

    #[test]
    fn senseless_options_are_refused() {
        for change in [
            (|options| options.batch = 0) as fn(&mut BenchOptions),
            |options| options.tokens = 1,
            |options| options.steps = 0,
            |options| options.labels = 0,
            |options| {
                options.size = BenchSize::TinyLlama;
                options.target_tokens = 5;
            },
            |options| options.virtual_tokens = 0,
            // A prompt above the budget of 100 rows leaves no room for an offset.
            |options| options.virtual_tokens = 100,
        ] {
            let mut options = tiny(BenchSize::Tiny, TrainMethod::Adapter(Method::Adept));
            change(&mut options);
            assert!(step::<AB>(&options, &Default::default(), || ()).is_err(), "{options:?}");
        }
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for size in BenchSize::ALL {
            assert_eq!(size.name().parse::<BenchSize>().unwrap(), size);
        }
        assert!("t5-11b".parse::<BenchSize>().is_err());
        assert_eq!(BenchOptions::default().resolved().unwrap().1.to_string(), "6 + 6");
        let one = BenchOptions {
            size: BenchSize::CodeGen350M,
            depth: Some("3+1".parse().unwrap()),
            ..BenchOptions::default()
        };
        assert!(matches!(one.resolved(), Err(BenchError::Stacks { .. })));
        for method in TrainMethod::all() {
            assert_eq!(method.name().parse::<TrainMethod>().unwrap(), method);
        }
    }

    #[test]
    fn medians() {
        let timing = |ms: &[u64]| Timing::new(&ms.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>(), 32);
        assert_eq!(timing(&[30, 10, 20]).median_ms, 20.0);
        assert_eq!(timing(&[40, 10, 20, 30]).median_ms, 25.0);
        assert_eq!(timing(&[40, 10]).min_ms, 10.0);
        assert_eq!(timing(&[20]).samples_per_second, 1600.0);
    }
}
