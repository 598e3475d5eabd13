//! Slots that all rows begin with, computed once for all of them: what leaves a decoder and its gradients, compared
//! with rows that have nothing in common.
#![allow(clippy::unwrap_used)]

use adept_core::AdaptedInput;
use adept_models::{Backbone, CausalBackbone, Decoder, Tape};
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use burn_flex::Flex;

use crate::common::{AB, FAMILIES_OF_DECODERS, close, decoder_config, draws_alone, numbers};

/// Slots in front of every row.
const SHARED: usize = 5;
const WIDTH: usize = 9;
/// Visible slots of each row behind them: padding on the left, on the right, and none.
const OWN: [std::ops::Range<usize>; 4] = [4..WIDTH, 0..3, 0..WIDTH, 8..WIDTH];
const CHANNELS: usize = 16;

fn mask() -> Tensor<AB, 2, Bool> {
    let rows = OWN.iter().flat_map(|own| {
        let shown = (0..WIDTH).map(|slot| own.contains(&slot));
        std::iter::repeat_n(true, SHARED).chain(shown)
    });
    let rows = TensorData::new(rows.collect::<Vec<_>>(), [OWN.len(), SHARED + WIDTH]);
    Tensor::from_data(rows, &Default::default())
}

/// What leaves the visible slots, and the gradients of the shared slots and of the rows' own.
fn figures(model: &Decoder<AB>, shared: usize, tape: Option<Tape<AB>>) -> [Vec<f32>; 3] {
    let (rows, slots) = (OWN.len(), SHARED + WIDTH);
    let first = numbers([SHARED, CHANNELS], 0.3).require_grad();
    let own = numbers([rows, WIDTH, CHANNELS], 0.7).require_grad();
    let prompts = first.clone().unsqueeze::<3>().expand([rows, SHARED, CHANNELS]);
    let input = AdaptedInput {
        shared,
        ..AdaptedInput::new(Tensor::cat(vec![prompts, own.clone()], 1), mask())
    };
    let positions = Tensor::<AB, 1, Int>::arange(0..slots as i64, &Default::default());
    let positions = positions.reshape([1, slots]).expand([rows, slots]);
    let seen = mask().unsqueeze_dim::<3>(2).float();
    let left = model.hidden_on(tape.as_ref(), input, positions, 0.0) * seen;
    let value = (left.clone() * numbers([rows, slots, CHANNELS], 0.1)).sum();
    let mut gradients = [None, None];
    let mut take = |found: &mut <AB as AutodiffBackend>::Gradients| {
        if let Some(found) = first.grad_remove(found) {
            gradients[0] = Some(found.into_data().iter::<f32>().collect::<Vec<_>>());
        }
        if let Some(found) = own.grad_remove(found) {
            gradients[1] = Some(found.into_data().iter::<f32>().collect::<Vec<_>>());
        }
    };
    match tape {
        None => take(&mut value.backward()),
        Some(tape) => tape.backward(value, take),
    }
    let [first, own] = gradients;
    [left.into_data().iter::<f32>().collect(), first.unwrap(), own.unwrap()]
}

fn check(own: &str) {
    // A tape seeds.
    let _alone = draws_alone();
    let inner = Decoder::<Flex>::random(&decoder_config(own), 5, &Default::default()).unwrap();
    let model = Module::<AB>::no_grad(Decoder::<AB>::from_inner(inner));
    assert_eq!(model.d_model(), CHANNELS);
    let expected = figures(&model, 0, None);
    for (found, what) in [
        (figures(&model, SHARED, None), "at once"),
        (figures(&model, SHARED, Some(Tape::new(3))), "on a tape"),
    ] {
        for ((found, expected), part) in found.iter().zip(&expected).zip(["states", "shared", "own"]) {
            let size = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
            // The same sums in another order: a few units in the last place of the largest.
            close(&format!("{own}, {what}: {part}"), found, expected, 1e-6 * size);
        }
    }
}

#[test]
fn shared_slots_are_those_of_rows_with_nothing_in_common() {
    FAMILIES_OF_DECODERS.iter().for_each(|own| check(own));
}
