//! Which slots of a pass somebody reads: behind the last block's attention nothing is computed for the others.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// The slots of a batch whose states leave a pass.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// All of them: `[b, n, d]`.
    All,
    /// Each row's last: `[b, 1, d]`.
    Last,
    /// These, counted row by row: `[1, r, d]`.
    Slots(&'a [usize]),
}

impl Wanted<'_> {
    /// What is wanted of `[b, n, d]`.
    pub fn of<B: Backend>(self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match self {
            Self::All => x,
            Self::Last => Choice::Last.of(x),
            Self::Slots(slots) => Choice::places(slots.to_vec(), &x.device()).of(x),
        }
    }
}

/// Where wanted slots lie in the states of a pass.
#[derive(Debug, Clone)]
pub(crate) enum Choice<B: Backend> {
    /// Last in each row.
    Last,
    /// At these places of all rows' slots.
    Places(Tensor<B, 1, Int>),
}

impl<B: Backend> Choice<B> {
    pub(super) fn places(places: Vec<usize>, device: &B::Device) -> Self {
        let count = places.len();
        let places = places.into_iter().map(|place| place as i32).collect();
        Self::Places(Tensor::from_data(TensorData::new::<i32, _>(places, [count]), device))
    }

    /// The states of wanted slots.
    pub fn of(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [b, n, d] = x.dims();
        match self {
            Self::Last => x.narrow(1, n - 1, 1),
            Self::Places(places) => x.reshape([1, b * n, d]).select(1, places.clone()),
        }
    }
}
