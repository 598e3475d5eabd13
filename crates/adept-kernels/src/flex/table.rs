//! The embedding matrix of a look-up and of a tied head, read row by row: as it lies, or widened from two bytes an
//! element a few rows at a time.

use std::ops::Range;
use std::sync::Arc;

use burn_flex::FlexTensor;

use super::bridge::{contiguous, elements, tensor};
use super::exact::TwoBytes;
use super::packed::PackedWeight;
use super::pool::{Buffer, buffer};

/// A matrix `[v, d]`.
#[derive(Debug, Clone)]
pub(super) enum Table {
    Whole(FlexTensor),
    TwoBytes(Arc<TwoBytes>),
}

impl Table {
    /// The matrix that was packed, or that was kept.
    pub fn of(kept: FlexTensor, packed: Option<Arc<PackedWeight>>) -> Self {
        match packed {
            Some(packed) => match packed.two_bytes() {
                Some(matrix) => Self::TwoBytes(Arc::clone(matrix)),
                None => Self::Whole(tensor(packed.values(), packed.shape())),
            },
            None => Self::Whole(contiguous(kept)),
        }
    }

    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Whole(tensor) => {
                let shape = tensor.layout().shape();
                [shape[0], shape[1]]
            }
            Self::TwoBytes(matrix) => matrix.shape(),
        }
    }

    /// Some rows, one after another. `room` is where they are widened, if they are.
    #[inline(always)]
    pub fn rows<'a>(&'a self, rows: Range<usize>, room: &'a mut Option<Buffer>) -> &'a [f32] {
        let [_, d] = self.shape();
        let range = rows.start * d..rows.end * d;
        match self {
            Self::Whole(tensor) => &elements(tensor)[range],
            Self::TwoBytes(matrix) => {
                let size = range.len();
                let found = room.take().filter(|room| room.len() >= size);
                let room = room.insert(found.unwrap_or_else(|| buffer(size)));
                matrix.widen(range, &mut room[..size]);
                &room[..size]
            }
        }
    }
}
