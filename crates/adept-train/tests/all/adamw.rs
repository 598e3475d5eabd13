//! AdamW, its groups, the schedule and global-norm clipping, compared with PyTorch's steps.
//!
//! The fixture is made by `tests/generators/adamw_reference.py`. Tolerances: parameters move by up to 0.3 per step, so
//! 3e-6 is a few float32 roundings; the group with the small rate moves by 1e-3 and has a tolerance of 1e-6.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use adept_train::gradient::GradientSet;
use adept_train::optim::{AdamW, AdamWConfig, GroupConfig};
use burn::backend::Autodiff;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use serde::Deserialize;

type AB = Autodiff<Flex>;

#[derive(Deserialize)]
struct Fixture {
    beta1: f64,
    epsilon: f64,
    rate_prompt: f64,
    rate_offset: f64,
    warmup: usize,
    total: usize,
    cases: Vec<Case>,
}

impl Fixture {
    fn config(&self, case: &Case) -> AdamWConfig {
        AdamWConfig {
            beta1: self.beta1,
            beta2: case.beta2,
            epsilon: self.epsilon,
        }
    }
}

#[derive(Deserialize)]
struct Case {
    name: String,
    beta2: f64,
    decay_prompt: f64,
    decay_offset: f64,
    clip: f64,
    initial: BTreeMap<String, Vec<f32>>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    gradients: BTreeMap<String, Vec<f32>>,
    norm: f32,
    after: BTreeMap<String, Vec<f32>>,
}

/// Paths `prompt.weight`, `offset.w_down`, `offset.b1`: a miniature adapter.
#[derive(Module, Debug)]
struct Toy<B: Backend> {
    prompt: Prompt<B>,
    offset: Offset<B>,
}

#[derive(Module, Debug)]
struct Prompt<B: Backend> {
    weight: Param<Tensor<B, 2>>,
}

#[derive(Module, Debug)]
struct Offset<B: Backend> {
    w_down: Param<Tensor<B, 2>>,
    b1: Param<Tensor<B, 1>>,
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<AB, D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Default::default())
}

impl Toy<AB> {
    fn new(values: &BTreeMap<String, Vec<f32>>) -> Self {
        Self {
            prompt: Prompt {
                weight: Param::from_tensor(tensor(&values["prompt.weight"], [3, 4])),
            },
            offset: Offset {
                w_down: Param::from_tensor(tensor(&values["offset.w_down"], [4, 2])),
                b1: Param::from_tensor(tensor(&values["offset.b1"], [2])),
            },
        }
    }

    /// A loss whose gradients are exactly the given ones: their inner product with the parameters.
    fn gradients(&self, given: &BTreeMap<String, Vec<f32>>) -> GradientSet<Flex> {
        let _alone = adept_train::learner::one_graph();
        let loss = (self.prompt.weight.val() * tensor(&given["prompt.weight"], [3, 4])).sum()
            + (self.offset.w_down.val() * tensor(&given["offset.w_down"], [4, 2])).sum()
            + (self.offset.b1.val() * tensor(&given["offset.b1"], [2])).sum();
        GradientSet::collect::<AB, _>(self, &mut loss.backward())
    }

    fn values(&self) -> BTreeMap<String, Vec<f32>> {
        let pairs = [
            ("prompt.weight", self.prompt.weight.val().into_data()),
            ("offset.w_down", self.offset.w_down.val().into_data()),
            ("offset.b1", self.offset.b1.val().into_data()),
        ];
        pairs
            .into_iter()
            .map(|(name, data)| (name.to_owned(), data.into_vec().unwrap()))
            .collect()
    }
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../data/adamw.json")).unwrap()
}

fn group(name: &str, learning_rate: f64, weight_decay: f64, warmup_steps: usize) -> GroupConfig {
    GroupConfig {
        name: name.into(),
        prefix: name.into(),
        learning_rate,
        weight_decay,
        warmup_steps,
    }
}

#[test]
fn steps_equal_pytorch() {
    let fixture = fixture();
    for case in &fixture.cases {
        let config = fixture.config(case);
        let groups = vec![
            group("prompt", fixture.rate_prompt, case.decay_prompt, fixture.warmup),
            group("offset", fixture.rate_offset, case.decay_offset, fixture.warmup),
        ];
        let mut optimizer = AdamW::<Flex>::new(config, groups);
        let mut toy = Toy::new(&case.initial);
        for (index, step) in case.steps.iter().enumerate() {
            let mut gradients = toy.gradients(&step.gradients);
            let norm = gradients.global_norm().unwrap();
            if case.clip > 0.0 {
                gradients.clip(&norm, case.clip);
            }
            let norm = norm.into_scalar();
            assert!(
                (norm - step.norm).abs() <= 1e-6 * step.norm,
                "{}: norm {norm}, torch {}",
                case.name,
                step.norm
            );
            let rates = optimizer.rates(index, fixture.total);
            toy = optimizer.step::<AB, _>(toy, gradients, &rates);
            for (name, found) in toy.values() {
                let limit = if name.starts_with("prompt") { 3e-6 } else { 1e-6 };
                for (found, expected) in found.iter().zip(&step.after[&name]) {
                    let deviation = (found - expected).abs();
                    assert!(
                        deviation <= limit,
                        "{}: step {index}, {name}: {found}, torch {expected}",
                        case.name
                    );
                }
            }
        }
    }
}

/// A step with rate 0 changes no parameter but advances moments and counts: skipping it gives other values.
#[test]
fn a_step_of_rate_zero_advances_the_moments() {
    let fixture = fixture();
    let case = &fixture.cases[0];
    let config = fixture.config(case);
    let mut optimizer = AdamW::<Flex>::new(config, vec![group("prompt", 0.3, 0.01, 0)]);
    let toy = Toy::new(&case.initial);
    let gradients = toy.gradients(&case.steps[0].gradients);
    let toy = optimizer.step::<AB, _>(toy, gradients, &[0.0]);
    assert_eq!(toy.values(), case.initial);
    assert_eq!(optimizer.state()["prompt.weight"].steps, 1);
    assert!(
        !optimizer.state().contains_key("offset.b1"),
        "a parameter without a group is not stepped"
    );
}

/// A scaled step equals a plain one whose rate is multiplied by the parameter's root mean square, or by the floor.
#[test]
fn a_scaled_step_moves_a_parameter_by_its_size() {
    let fixture = fixture();
    let case = &fixture.cases[0];
    let config = fixture.config(case);
    let all = || vec![group("", 0.1, 0.0, 0)];
    let step = |optimizer: AdamW<Flex>, rate: f64| {
        let mut optimizer = optimizer;
        let toy = Toy::new(&case.initial);
        let gradients = toy.gradients(&case.steps[0].gradients);
        optimizer.step::<AB, _>(toy, gradients, &[rate]).values()
    };
    let floor = 0.05;
    let scaled = step(AdamW::new(config, all()).scaled(floor), 0.1);
    let mut floored = 0;
    for (name, before) in &case.initial {
        let mean = before.iter().map(|x| f64::from(x * x)).sum::<f64>() / before.len() as f64;
        floored += usize::from(mean.sqrt() < floor);
        let plain = &step(AdamW::new(config, all()), 0.1 * mean.sqrt().max(floor))[name];
        assert_ne!(plain, before, "{name}: the step moves it");
        for (found, expected) in scaled[name].iter().zip(plain) {
            // Two more products than in the plain step.
            let deviation = (found - expected).abs();
            assert!(
                deviation <= 1e-6 * expected.abs().max(1.0),
                "{name}: {found}, expected {expected}"
            );
        }
    }
    assert!(floored < case.initial.len(), "some parameter is larger than the floor");
    // A step of rate 0 changes no bit.
    assert_eq!(step(AdamW::new(config, all()).scaled(floor), 0.0), case.initial);
}

#[test]
fn accumulated_gradients_are_summed() {
    let fixture = fixture();
    let case = &fixture.cases[0];
    let toy = Toy::new(&case.initial);
    let mut sum = toy.gradients(&case.steps[0].gradients);
    sum.accumulate(toy.gradients(&case.steps[1].gradients));
    let found: Vec<f32> = sum.remove("offset.b1").unwrap().into_data().into_vec().unwrap();
    let (first, second) = (
        &case.steps[0].gradients["offset.b1"],
        &case.steps[1].gradients["offset.b1"],
    );
    assert_eq!(found, first.iter().zip(second).map(|(a, b)| a + b).collect::<Vec<_>>());
}
