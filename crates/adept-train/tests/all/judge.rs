//! Squared gradients of a backbone's weights over training examples, by which LST chooses its channels.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use adept_core::{LinearPart, LinearSite, ReadWeights as _, Stack, Unchanged};
use adept_data::{Batch, Batcher};
use adept_models::{Backbone as _, T5};
use adept_train::TrainError;
use adept_train::initial::squared_gradients;
use adept_train::model::TaskModel as _;
use adept_train::observer::{Event, Observer};
use burn_flex::Flex;
use safetensors::tensor::{SafeTensors, TensorView};

use crate::common::{AB, backbone, example, options};

const SEED: u64 = 5;
const WEIGHT: &str = "encoder.block.0.layer.0.SelfAttention.v.weight";

#[derive(Default)]
struct Events {
    judged: Vec<(usize, usize)>,
    stop_after: Option<usize>,
}

impl Observer for Events {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::JudgingProgress { done, total } = event {
            self.judged.push((*done, *total));
        }
    }

    fn stop_requested(&mut self) -> bool {
        self.stop_after.is_some_and(|stop| self.judged.len() >= stop)
    }
}

/// The backbone in `folder` with `by` added to one value of a weight.
fn shifted(folder: &Path, index: usize, by: f32) -> T5<Flex> {
    let path = folder.join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut all: BTreeMap<_, _> = (tensors.tensors().into_iter())
        .map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    let data = &mut all.get_mut(WEIGHT).unwrap().2[4 * index..][..4];
    let value = f32::from_le_bytes((&*data).try_into().unwrap()) + by;
    data.copy_from_slice(&value.to_le_bytes());
    let views = all
        .iter()
        .map(|(name, (dtype, shape, data))| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    let other = tempfile::tempdir().unwrap();
    std::fs::write(
        other.path().join("model.safetensors"),
        safetensors::serialize(views, None).unwrap(),
    )
    .unwrap();
    std::fs::copy(folder.join("config.json"), other.path().join("config.json")).unwrap();
    T5::load(other.path(), &Default::default()).unwrap().model
}

fn value(model: &T5<Flex>, batch: &Batch) -> f64 {
    let loss = model.loss(&Unchanged, batch, 0.0.into(), &Default::default());
    f64::from(loss.into_scalar())
}

/// Against the slope of the loss between two models whose files differ in one value, row by row.
#[test]
fn they_are_those_of_single_examples() {
    let model = backbone();
    let rows: Vec<_> = (0..4).map(example).collect();
    let batcher = Batcher::new(&rows, options(1)).unwrap();
    let mut events = Events::default();
    let sum = squared_gradients::<AB, T5<AB>>(
        &model,
        std::slice::from_ref(&batcher),
        (100, SEED),
        &Default::default(),
        &mut events,
    )
    .unwrap();
    assert_eq!(
        events.judged,
        [(1, 4), (2, 4), (3, 4), (4, 4)],
        "no example is read twice"
    );

    let site = LinearSite::new(Stack::Encoder, 0, LinearPart::Value);
    let found = sum.weights().linear(site).unwrap().weight;
    let folder = tempfile::tempdir().unwrap();
    model.save_pretrained(folder.path()).unwrap();
    let mut largest: Vec<usize> = (0..found.len()).collect();
    largest.sort_by(|a, b| found[*b].total_cmp(&found[*a]));
    let step = 2e-2;
    for index in largest.into_iter().take(3) {
        // Read as [in, out], written as [out, in]: both have 16 rows here.
        let in_file = index % 16 * 16 + index / 16;
        let [above, below] = [step, -step].map(|by| shifted(folder.path(), in_file, by));
        let expected: f64 = (0..rows.len())
            .map(|number| {
                let example = batcher.train_batch(SEED, number).unwrap();
                let slope = (value(&above, &example) - value(&below, &example)) / (2.0 * f64::from(step));
                slope * slope
            })
            .sum();
        let found = f64::from(found[index]);
        // Float32 losses of about 4 over a step of 0.04: slopes are good to some 1e-5, and squares to a few per cent.
        assert!(
            (found - expected).abs() < 0.05 * expected + 1e-9,
            "{found} for {expected}"
        );
    }
}

#[test]
fn a_request_to_stop_ends_them() {
    let (model, rows) = (backbone(), [example(0), example(1)].to_vec());
    let batchers = [
        Batcher::new(&rows, options(1)).unwrap(),
        Batcher::new(&rows, options(1)).unwrap(),
    ];
    let mut events = Events {
        stop_after: Some(3),
        ..Events::default()
    };
    let stopped =
        squared_gradients::<AB, T5<AB>>(&model, &batchers, (100, SEED), &Default::default(), &mut events).unwrap_err();
    assert!(matches!(stopped, TrainError::Interrupted { step: 0 }), "{stopped}");
    assert_eq!(events.judged, [(1, 4), (2, 4), (3, 4)]);
}
