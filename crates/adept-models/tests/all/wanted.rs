//! States of some slots alone, compared with those among all slots.
#![allow(clippy::unwrap_used)]

use adept_core::AdaptedInput;
use adept_models::{Backbone, CausalBackbone, Decoder, Tape};
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, Int, Tensor};
use burn_flex::Flex;

use crate::common::{AB, B, FAMILIES_OF_DECODERS, close, decoder_config, draws_alone, numbers};

const ROWS: usize = 3;
const SLOTS: usize = 14;
/// The first slots of every row, which are alike.
const SHARED: usize = 4;
const CHANNELS: usize = 16;
/// Visible slots of each row: all of them, or with padding on the left, on the right and behind the shared ones.
const LAYOUTS: [[&str; ROWS]; 3] = [
    ["11111111111111", "11111111111111", "11111111111111"],
    ["00000111111111", "11111111000000", "11111111111111"],
    ["11110000011111", "11111110000000", "11111111111111"],
];

fn model(own: &str) -> Decoder<AB> {
    let inner = Decoder::<Flex>::random(&decoder_config(own), 5, &Default::default()).unwrap();
    let model = Module::<AB>::no_grad(Decoder::<AB>::from_inner(inner));
    assert_eq!(model.d_model(), CHANNELS);
    model
}

fn mask<T: Backend>(layout: [&str; ROWS]) -> Tensor<T, 2, Bool> {
    let shown: [[bool; SLOTS]; ROWS] = layout.map(|row| {
        let shown: Vec<bool> = row.chars().map(|slot| slot == '1').collect();
        shown.try_into().unwrap()
    });
    Tensor::from_data(shown, &Default::default())
}

fn positions<T: Backend>() -> Tensor<T, 2, Int> {
    let positions = Tensor::<T, 1, Int>::arange(0..SLOTS as i64, &Default::default());
    positions.reshape([1, SLOTS]).expand([ROWS, SLOTS])
}

/// Two or three visible slots of each row, the first of one row and the last among them, in no order.
fn wanted(layout: [&str; ROWS]) -> Vec<usize> {
    let mut slots: Vec<usize> = layout
        .iter()
        .enumerate()
        .flat_map(|(row, shown)| {
            let visible: Vec<usize> = shown.match_indices('1').map(|(slot, _)| slot).collect();
            [visible[row], visible[visible.len() / 2], visible[visible.len() - 1]].map(|slot| row * SLOTS + slot)
        })
        .collect();
    slots.swap(1, 7);
    slots
}

/// The wanted states and the gradient of what enters, from all states or from these alone.
fn figures(
    model: &Decoder<AB>,
    layout: [&str; ROWS],
    shared: usize,
    alone: bool,
    tape: Option<Tape<AB>>,
) -> [Vec<f32>; 2] {
    let slots = wanted(layout);
    let first = numbers([1, SHARED, CHANNELS], 0.3).expand([ROWS, SHARED, CHANNELS]);
    let own = numbers([ROWS, SLOTS - SHARED, CHANNELS], 0.7);
    let entering = Tensor::cat(vec![first, own], 1).require_grad();
    let input = AdaptedInput {
        shared,
        ..AdaptedInput::new(entering.clone(), mask(layout))
    };
    let states = if alone {
        model.hidden_at(tape.as_ref(), input, positions(), &slots, 0.0)
    } else {
        let all = model.hidden_on(tape.as_ref(), input, positions(), 0.0);
        let places: Vec<i32> = slots.iter().map(|&slot| slot as i32).collect();
        let places = Tensor::from_data(places.as_slice(), &Default::default());
        all.reshape([ROWS * SLOTS, CHANNELS]).select(0, places)
    };
    let value = (states.clone() * numbers([slots.len(), CHANNELS], 0.1)).sum();
    let mut gradient = None;
    let mut take = |found: &mut <AB as AutodiffBackend>::Gradients| {
        gradient = entering.grad_remove(found).or(gradient.take());
    };
    match tape {
        None => take(&mut value.backward()),
        Some(tape) => tape.backward(value, take),
    }
    let values = |data: burn::tensor::TensorData| data.iter::<f32>().collect();
    [values(states.into_data()), values(gradient.unwrap().into_data())]
}

#[test]
fn states_of_some_slots_are_those_among_all() {
    // A tape seeds.
    let _alone = draws_alone();
    for own in FAMILIES_OF_DECODERS {
        let model = model(own);
        for (number, layout) in LAYOUTS.into_iter().enumerate() {
            // Padding in front of the shared slots: not shared.
            let shared = if number == 1 { [0, 0] } else { [0, SHARED] };
            for shared in shared {
                let expected = figures(&model, layout, shared, false, None);
                for (tape, what) in [(None, "at once"), (Some(Tape::new(3)), "on a tape")] {
                    let found = figures(&model, layout, shared, true, tape);
                    for ((found, expected), part) in found.iter().zip(&expected).zip(["states", "gradient"]) {
                        let size = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
                        let what = format!("{own}, layout {number}, {shared} shared, {what}: {part}");
                        // The same sums in another order: a few units in the last place of the largest.
                        close(&what, found, expected, 1e-6 * size);
                    }
                }
            }
        }
    }
}

#[test]
fn of_no_slots_there_are_no_states() {
    let model = model(FAMILIES_OF_DECODERS[0]);
    let input = AdaptedInput::new(numbers([ROWS, SLOTS, CHANNELS], 0.5), mask(LAYOUTS[1]));
    let states = model.hidden_at(None, input, positions(), &[], 0.0);
    assert_eq!(states.dims(), [0, CHANNELS]);
}

/// Read in parts, the second longer than one slot.
#[test]
fn logits_of_the_last_slot_are_those_of_its_state() {
    for own in FAMILIES_OF_DECODERS {
        let model = model(own).valid();
        let mask = mask::<B>(LAYOUTS[0]);
        let (entering, positions) = (numbers([ROWS, SLOTS, CHANNELS], 0.5), positions::<B>());
        let (mut cache, mut other) = (model.new_cache(), model.new_cache());
        for (first, count) in [(0, 9), (9, 4), (13, 1)] {
            let part = (
                entering.clone().narrow(1, first, count),
                mask.clone().narrow(1, first, count),
                positions.clone().narrow(1, first, count),
            );
            let states = model.read_hidden(part.0.clone(), part.1.clone(), part.2.clone(), &mut cache);
            let states = states.narrow(1, count - 1, 1).reshape([ROWS, CHANNELS]);
            let expected: Vec<f32> = model.head(states).into_data().iter().collect();
            let found: Vec<f32> = model
                .read(part.0, part.1, part.2, &mut other)
                .into_data()
                .iter()
                .collect();
            close(&format!("{own}, from {first}"), &found, &expected, 1e-5);
        }
    }
}
