//! Effects of training on the loss, on the backbone, and on a split batch.
#![allow(clippy::unwrap_used)]

use crate::common::*;
use adept_core::{Method, Unchanged};
use adept_data::Batch;
use adept_train::TrainError;
use adept_train::config::TrainMethod;
use adept_train::gradient::GradientSet;
use adept_train::learner::{self, step_gradients};
use adept_train::target::{FullTarget, Target};
use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;

fn first_and_last_loss(name: &str) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let method = format!("adapter.method={name}");
    let overrides = [
        method.as_str(),
        "train.steps=60",
        "train.log_every=10",
        "evaluation.every=30",
        "train.backbone_dropout=0",
        "adapter.bottleneck_dropout=0",
    ];
    let mut overrides = overrides.to_vec();
    let own = own_rate(name);
    overrides.extend(own.iter().map(String::as_str));
    let (resolved, rows, backbone) = (config(&overrides), Rows::new(), backbone());
    let mut watcher = Watcher::default();
    if method.ends_with("full") {
        train(&resolved, &rows, &full_target(&backbone), folder.path(), &mut watcher).unwrap();
    } else {
        train(
            &resolved,
            &rows,
            &adapter_target(&resolved, &backbone),
            folder.path(),
            &mut watcher,
        )
        .unwrap();
    }
    (watcher.losses[0], *watcher.losses.last().unwrap())
}

#[test]
fn the_loss_falls_under_every_method() {
    let _turn = alone();
    for method in TrainMethod::all().map(TrainMethod::name) {
        let factor = if method == "full" { 0.5 } else { 0.95 };
        let (first, last) = first_and_last_loss(method);
        assert!(last < first * factor, "{method}: from {first} to {last}");
    }
}

/// A batch of chosen rows, all of the same width.
fn batch(rows: std::ops::Range<usize>) -> Batch {
    let rows: Vec<usize> = rows.collect();
    let (mut input_ids, mut mask, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let example = example(*row);
        let pads = WIDTH - example.source.len();
        input_ids.extend(
            example
                .source
                .iter()
                .map(|id| *id as i32)
                .chain(std::iter::repeat_n(0, pads)),
        );
        mask.extend(std::iter::repeat_n(true, WIDTH - pads).chain(std::iter::repeat_n(false, pads)));
        let pads = TARGET_WIDTH - example.target.len();
        labels.extend(
            example
                .target
                .iter()
                .map(|id| *id as i32)
                .chain(std::iter::repeat_n(-100, pads)),
        );
    }
    Batch {
        batch: rows.len(),
        rows,
        source_width: WIDTH,
        target_width: TARGET_WIDTH,
        input_ids,
        mask,
        labels,
        positions: Vec::new(),
    }
}

fn values(gradients: &GradientSet<Flex>) -> Vec<(String, Vec<f32>)> {
    let read = |path: &str| gradients.get(path).unwrap().to_data().into_vec().unwrap();
    gradients.paths().map(|path| (path.to_owned(), read(path))).collect()
}

/// Tolerance 1e-6: the same sums in another order, for gradients of up to 1e-1.
#[test]
fn a_batch_split_in_two_has_the_gradient_of_the_whole() {
    // ADePT's own dropout draws other numbers for other shapes: without it the two differ only by rounding.
    let (resolved, backbone) = (config(&["adapter.bottleneck_dropout=0"]), backbone());
    let target = adapter_target(&resolved, &backbone);
    let trained = target.initial();
    let device = Default::default();
    let gradients = |batches: &[Batch]| step_gradients::<AB, _>(&target, &trained, batches, (0.0, false), &device);
    let (whole_loss, whole) = gradients(&[batch(0..32)]);
    // Unequal parts and targets of unequal length: a plain mean of means would differ.
    let (split_loss, split) = gradients(&[batch(0..20), batch(20..32)]);
    let (whole_loss, split_loss) = (whole_loss.into_scalar(), split_loss.into_scalar());
    assert!(
        (whole_loss - split_loss).abs() <= 1e-6,
        "loss {whole_loss} and {split_loss}"
    );
    let (whole, split) = (values(&whole), values(&split));
    assert_eq!(whole.len(), 5, "prompt, w_down, b1, w_up, b2");
    for ((path, whole), (_, split)) in whole.iter().zip(&split) {
        for (one, other) in whole.iter().zip(split) {
            assert!((one - other).abs() <= 1e-6, "{path}: {one} and {other}");
        }
    }
    assert!(
        whole
            .iter()
            .any(|(_, values)| values.iter().any(|value| value.abs() > 1e-3)),
        "gradients are not all zero"
    );
}

fn parameters<B: Backend, M: Module<B>>(module: &M) -> usize {
    struct Count(usize);
    impl<B: Backend> ModuleVisitor<B> for Count {
        fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<B, D>>) {
            self.0 += 1;
        }
    }
    let mut count = Count(0);
    module.visit(&mut count);
    count.0
}

#[test]
fn a_frozen_backbone_gets_no_gradient() {
    let backbone = backbone();
    let device = Default::default();
    for method in Method::ALL {
        let resolved = config(&[&format!("adapter.method={method}")]);
        let target = adapter_target(&resolved, &backbone);
        let trained = target.initial();
        let (frozen, adapter) = target.parts(&trained);
        let _alone = learner::one_graph();
        let mut raw = learner::loss::<AB, _>(frozen, adapter, &batch(0..8), 0.1.into(), &device).backward();
        let found = GradientSet::collect::<AB, _>(frozen, &mut raw);
        assert!(found.is_empty(), "{method}: {:?}", found.paths().collect::<Vec<_>>());
        let found = GradientSet::collect::<AB, _>(&trained, &mut raw);
        assert_eq!(
            found.paths().count(),
            parameters::<AB, _>(&trained),
            "{method}: every adapter tensor has one"
        );
    }

    // Counter-check: the same backbone, made trainable, has a gradient for every parameter.
    let target: Full = full_target(&backbone);
    let trained = target.initial();
    let _alone = learner::one_graph();
    let mut raw = learner::loss::<AB, _>(&trained, &Unchanged, &batch(0..8), 0.1.into(), &device).backward();
    let found = GradientSet::collect::<AB, _>(&trained, &mut raw);
    assert_eq!(found.paths().count(), parameters::<AB, _>(&trained));
}

/// Full fine-tuning creates new tensors: the original backbone, shared with other runs, is unchanged.
#[test]
fn full_training_leaves_the_given_backbone_alone() {
    let _turn = beside_others();
    let folder = tempfile::tempdir().unwrap();
    let backbone = backbone();
    let before = backbone.clone();
    let resolved = config(&["adapter.method=full", "train.steps=3"]);
    let outcome = train(&resolved, &Rows::new(), &full_target(&backbone), folder.path(), &mut ()).unwrap();
    assert_eq!(outcome.progress.step, 3);
    let tensors = |model: &adept_models::T5<Flex>| {
        let target: Full = FullTarget::new(model, Box::new(|_, _| Ok(())), Box::new(|_| unreachable!()));
        target.initial().valid()
    };
    let difference = (tensors(&backbone).embedding().clone() - tensors(&before).embedding())
        .abs()
        .max()
        .into_scalar();
    assert_eq!(difference, 0.0);
    let trained = adept_models::T5::<Flex>::load(&folder.path().join("best"), &Default::default())
        .unwrap()
        .model;
    let moved = (trained.embedding() - before.embedding()).abs().max().into_scalar();
    assert!(moved > 0.0, "training moved the trained copy");
}

trait Embedding {
    fn embedding(&self) -> Tensor<Flex, 2>;
}

impl Embedding for adept_models::T5<Flex> {
    fn embedding(&self) -> Tensor<Flex, 2> {
        adept_models::Backbone::embedding_weight(self)
    }
}

/// The backbone with a NaN embedding for one token, which occurs in a single training row.
fn poisoned(token: usize) -> adept_models::T5<Flex> {
    struct Poison {
        token: usize,
        vocabulary: usize,
        done: bool,
    }
    impl ModuleMapper<Flex> for Poison {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<Flex, D>>) -> Param<Tensor<Flex, D>> {
            let shape = param.shape();
            if self.done || D != 2 || shape[0] != self.vocabulary {
                return param;
            }
            self.done = true;
            let mut values: Vec<f32> = param.val().into_data().into_vec().unwrap();
            let width = shape[1];
            values[self.token * width..(self.token + 1) * width].fill(f32::NAN);
            param.map(|tensor| Tensor::from_data(TensorData::new(values, shape), &tensor.device()))
        }
    }
    let mut poison = Poison {
        token,
        vocabulary: t5_config().vocab_size,
        done: false,
    };
    let model = backbone().map(&mut poison);
    assert!(poison.done);
    model
}

#[test]
fn a_loss_that_is_not_a_number_ends_the_run_before_anything_is_saved() {
    let _turn = beside_others();
    const TOKEN: usize = 38;
    let mut rows = Rows::new();
    let bad_row = 5;
    rows.train[bad_row].source[0] = TOKEN as u32;
    // Four batches of eight per epoch of 32 rows: the row occurs once in steps 0 to 3, and never in evaluation.
    rows.train.truncate(32);
    let backbone = poisoned(TOKEN);
    let mut steps = Vec::new();
    for check_every in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let check = format!("train.check_every={check_every}");
        let resolved = config(&[
            &check,
            "train.accumulation=1",
            "checkpoint.every=1",
            "evaluation.every=2",
            // An answer that begins with the token would be fed back and end the evaluation.
            "evaluation.max_new_tokens=1",
            "seed=1",
        ]);
        let mut watcher = Watcher::default();
        let error = train(
            &resolved,
            &rows,
            &adapter_target(&resolved, &backbone),
            folder.path(),
            &mut watcher,
        )
        .unwrap_err();
        let TrainError::NotFinite {
            step,
            loss,
            rows: named,
            rates,
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert!(loss.is_nan() && named.contains(&bad_row) && named.len() == 8, "{error}");
        assert_eq!(
            rates.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["prompt", "offset"]
        );
        assert!(
            error.to_string().starts_with(&format!("step {step}: loss NaN")),
            "{error}"
        );
        assert!(
            watcher.checkpoints.iter().all(|saved| saved <= step),
            "saved {:?}",
            watcher.checkpoints
        );
        steps.push(*step);
        // Running again encounters the same NaN from the previous checkpoint.
        if *step > 0 {
            let mut again = Watcher::default();
            let error = train(
                &resolved,
                &rows,
                &adapter_target(&resolved, &backbone),
                folder.path(),
                &mut again,
            )
            .unwrap_err();
            assert!(
                matches!(error, TrainError::NotFinite { step: second, .. } if second == *step),
                "{error}"
            );
            assert_eq!(again.resumed.len(), 1);
        }
    }
    assert_eq!(steps[0], steps[1], "a check put off names the same step");
    assert!(
        steps[0] > 0,
        "choose a seed that meets the row later than in the first step, to see a checkpoint survive"
    );
}

/// With rates of zero every evaluation has the same score: the first one is kept.
#[test]
fn equal_scores_keep_the_earlier_step() {
    let _turn = beside_others();
    let folder = tempfile::tempdir().unwrap();
    let resolved = config(&["optimizer.prompt.learning_rate=0", "optimizer.offset.learning_rate=0"]);
    let target = adapter_target(&resolved, &backbone());
    let outcome = train(&resolved, &Rows::new(), &target, folder.path(), &mut ()).unwrap();
    assert_eq!((outcome.progress.step, outcome.selection.step), (12, 4));
}
