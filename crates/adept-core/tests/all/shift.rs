//! The cyclic shift of DePT's offsets, compared with values worked out by hand (paper, section 3.2).
#![allow(clippy::unwrap_used)]

use adept_core::PositionalOffset;
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_flex::Flex;

/// Four positions of rank 1 and width 2: `A = [1, 2, 3, 4]`, `B = [10, -1]`, s = 0.5.
/// The offsets are (5, -0.5), (10, -1), (15, -1.5), (20, -2).
fn offset<B: Backend>() -> PositionalOffset<B> {
    let device = Default::default();
    PositionalOffset::from_tensors(
        Tensor::from_data(TensorData::from([[1.0f32], [2.0], [3.0], [4.0]]), &device),
        Tensor::from_data(TensorData::from([[10.0f32, -1.0]]), &device),
        0.5,
    )
}

fn rows<B: Backend>(offset: &PositionalOffset<B>, first: usize, count: usize) -> Vec<f32> {
    offset.forward(first, count).into_data().to_vec().unwrap()
}

#[track_caller]
fn check(shift: usize, expected: [[f32; 2]; 4]) {
    let rolled = offset::<Flex>().rolled(shift);
    assert_eq!(rows(&rolled, 0, 4), expected.as_flattened(), "shift {shift}");
    assert_eq!(
        rows(&rolled, 1, 2),
        expected[1..3].as_flattened(),
        "shift {shift}, inner slots"
    );
    assert_eq!((rolled.max_length(), rolled.scale), (4, 0.5));
}

#[test]
fn rows_move_to_the_left_and_come_back_on_the_right() {
    let [one, two, three, four] = [[5.0, -0.5], [10.0, -1.0], [15.0, -1.5], [20.0, -2.0]];
    check(0, [one, two, three, four]);
    check(1, [two, three, four, one]);
    check(3, [four, one, two, three]);
    // A full cycle changes nothing.
    check(4, [one, two, three, four]);
    check(5, [two, three, four, one]);
}

#[test]
fn shifts_add_up() {
    let whole = offset::<Flex>().rolled(3);
    let parts = offset::<Flex>().rolled(2).rolled(1);
    assert_eq!(rows(&whole, 0, 4), rows(&parts, 0, 4));
}

#[test]
fn a_tracked_offset_can_be_shifted_and_stays_as_it_was() {
    let tracked = offset::<Autodiff<Flex>>();
    let rolled = tracked.rolled(1);
    assert_eq!(rows(&rolled, 0, 1), [10.0, -1.0]);
    assert_eq!(rows(&tracked, 0, 1), [5.0, -0.5]);
    let gradients = rolled.forward(0, 4).sum().backward();
    assert!(tracked.a.val().grad(&gradients).is_none(), "no gradient flows back");
}

/// Decoder rows are left-padded: each token gets the offset of its own position, whatever its slot.
#[test]
fn positions_of_their_own_pick_rows_of_the_table() {
    let device = Default::default();
    let a = Tensor::<Flex, 2>::from_data([[1.0], [2.0], [3.0]], &device);
    let b = Tensor::<Flex, 2>::from_data([[1.0, 10.0]], &device);
    let offset = PositionalOffset::from_tensors(a, b, 2.0);
    let positions = Tensor::<Flex, 2, burn::tensor::Int>::from_data([[0, 0, 1], [1, 2, 3]], &device);
    let found: Vec<f32> = offset.at(positions).into_data().into_vec().unwrap();
    let rows = [2.0, 2.0, 4.0, 4.0, 6.0, 0.0];
    let expected: Vec<f32> = rows.iter().flat_map(|row| [*row, 10.0 * row]).collect();
    assert_eq!(found, expected);
}
