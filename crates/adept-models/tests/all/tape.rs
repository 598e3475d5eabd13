//! Blocks on a tape: the same gradients with less kept.

use adept_core::{LinearChange, LowRank};
use adept_models::t5::T5Config;
use adept_models::{Backbone, Seq2SeqBackbone, T5, Tape};
use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::Backend as _;
use burn::tensor::{Bool, Tensor, TensorData};
use burn_flex::Flex;

use crate::common::draws_alone;

type AB = Autodiff<Flex>;

const ROWS: usize = 3;
const SLOTS: usize = 7;
const WIDTH: usize = 24;

/// With a low-rank change of every encoder's map that drops inputs at `rate`, unless it is 0.
fn model(rate: f64) -> T5<AB> {
    let config = T5Config {
        vocab_size: 40,
        d_model: WIDTH,
        d_kv: 6,
        d_ff: 30,
        num_layers: 3,
        num_decoder_layers: 1,
        num_heads: 4,
        ..T5Config::t5_small()
    };
    let inner = T5::<Flex>::random(&config, 1, &Default::default());
    let mut model = Module::<AB>::no_grad(T5::from_inner(inner));
    if rate > 0.0 {
        for linear in model.places().linears {
            let [inputs, outputs] = linear.weight.dims();
            let factor = |shape: [usize; 2]| {
                let values = (0..shape[0] * shape[1])
                    .map(|at| (at as f32 * 0.9).cos() * 0.3)
                    .collect();
                Tensor::from_data(TensorData::new(values, shape), &Default::default())
            };
            linear.change = Some(LinearChange {
                low_rank: Some(LowRank::new(factor([inputs, 2]), factor([2, outputs]), 1.0, rate)),
                ..LinearChange::none()
            });
        }
    }
    model
}

fn mask() -> Tensor<AB, 2, Bool> {
    let seen: [[bool; SLOTS]; ROWS] = std::array::from_fn(|row| std::array::from_fn(|slot| slot < SLOTS - row));
    Tensor::from_data(seen, &Default::default())
}

fn embeddings() -> Tensor<Flex, 3> {
    let values = (0..ROWS * SLOTS * WIDTH)
        .map(|at| (at as f32 * 1.7).sin() * 1.4)
        .collect();
    Tensor::from_data(TensorData::new(values, [ROWS, SLOTS, WIDTH]), &Default::default())
}

/// Rates of dropout.
#[derive(Clone, Copy, Default)]
struct Rates {
    model: f64,
    method: f64,
}

/// A value of the encoder's output at visible slots, and its gradient with respect to the embeddings.
fn value_and_gradient(at: Tensor<Flex, 3>, rates: Rates, recompute: bool) -> (f32, Tensor<Flex, 3>) {
    let (model, input) = (model(rates.method), Tensor::<AB, 3>::from_inner(at).require_grad());
    let tape = recompute.then(|| Tape::new(9));
    // As before each pass of training: the embeddings' own dropout is outside of the segments.
    AB::seed(&Default::default(), 3);
    // Twice its own input: a leaf behind other operations.
    let encoded = model.encode_on(tape.as_ref(), input.clone() * 2.0, mask(), rates.model);
    let seen = mask().unsqueeze_dim::<3>(2).float();
    // The final norm fixes the sum of a slot's squares: weighed, they differ.
    let weights = (0..WIDTH).map(|at| (at as f32).sin() + 1.5).collect();
    let weights = Tensor::<AB, 1>::from_data(TensorData::new(weights, [WIDTH]), &Default::default());
    let value = (encoded.clone() * encoded * weights.unsqueeze() * seen).mean();
    let figure = value.clone().into_scalar();
    let mut found = None;
    match tape {
        None => found = input.grad(&value.backward()),
        Some(tape) => tape.backward(value, |gradients| {
            if let Some(gradient) = input.grad_remove(gradients) {
                assert!(found.replace(gradient).is_none(), "the input is read once");
            }
        }),
    }
    (figure, found.expect("the input is tracked"))
}

#[test]
fn gradients_are_those_of_the_whole_graph() {
    let _alone = draws_alone();
    let (value, gradient) = value_and_gradient(embeddings(), Rates::default(), false);
    let (found, again) = value_and_gradient(embeddings(), Rates::default(), true);
    assert_eq!(value, found);
    again.into_data().assert_eq(&gradient.into_data(), true);
}

/// The slope along the gradient, by a difference: with other random numbers on the way back the gradient would be that
/// of another function.
fn gradient_is_the_slope(rates: Rates) {
    let _alone = draws_alone();
    let (_, gradient) = value_and_gradient(embeddings(), rates, true);
    let norm = gradient.clone().powf_scalar(2.0).sum().sqrt().into_scalar();
    let step = gradient.div_scalar(norm) * 1e-2;
    let at = |sign: f32| value_and_gradient(embeddings() + step.clone() * sign, rates, true).0;
    let slope = (at(1.0) - at(-1.0)) / 2e-2;
    // Second order in the step, and float32 differences of values of order one.
    assert!(
        (slope - norm).abs() < 0.02 * norm,
        "slope {slope}, gradient's norm {norm}"
    );
}

#[test]
fn the_models_dropout_is_the_same_on_the_way_back() {
    gradient_is_the_slope(Rates {
        model: 0.3,
        method: 0.0,
    });
}

#[test]
fn a_methods_dropout_is_the_same_on_the_way_back() {
    gradient_is_the_slope(Rates {
        model: 0.0,
        method: 0.3,
    });
}
