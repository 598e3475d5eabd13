//! Blocks on a tape: the same gradients with less kept.

use adept_models::t5::T5Config;
use adept_models::{Seq2SeqBackbone, T5, Tape};
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

fn model() -> T5<AB> {
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
    Module::<AB>::no_grad(T5::from_inner(inner))
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

/// A value of the encoder's output at visible slots, and its gradient with respect to the embeddings.
fn value_and_gradient(at: Tensor<Flex, 3>, dropout: f64, recompute: bool) -> (f32, Tensor<Flex, 3>) {
    let (model, input) = (model(), Tensor::<AB, 3>::from_inner(at).require_grad());
    let tape = recompute.then(|| Tape::new(9));
    // As before each pass of training: the embeddings' own dropout is outside of the segments.
    AB::seed(&Default::default(), 3);
    // Twice its own input: a leaf behind other operations.
    let encoded = model.encode_on(tape.as_ref(), input.clone() * 2.0, mask(), dropout);
    let seen = mask().unsqueeze_dim::<3>(2).float();
    let value = (encoded.clone() * encoded * seen).mean();
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
    let (value, gradient) = value_and_gradient(embeddings(), 0.0, false);
    let (found, again) = value_and_gradient(embeddings(), 0.0, true);
    assert_eq!(value, found);
    again.into_data().assert_eq(&gradient.into_data(), true);
}

/// The slope along the gradient, by a difference: with other random numbers on the way back the gradient would be that
/// of another function.
#[test]
fn dropout_is_the_same_on_the_way_back() {
    let _alone = draws_alone();
    let (_, gradient) = value_and_gradient(embeddings(), 0.3, true);
    let norm = gradient.clone().powf_scalar(2.0).sum().sqrt().into_scalar();
    let step = gradient.div_scalar(norm) * 1e-2;
    let at = |sign: f32| value_and_gradient(embeddings() + step.clone() * sign, 0.3, true).0;
    let slope = (at(1.0) - at(-1.0)) / 2e-2;
    // Second order in the step, and float32 differences of values of order one.
    assert!(
        (slope - norm).abs() < 0.02 * norm,
        "slope {slope}, gradient's norm {norm}"
    );
}
