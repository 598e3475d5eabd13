//! Weights of which two bytes hold every number, as those of most checkpoints are. Float32 products widen them as they
//! read them: half of the memory, and no bit of a result changes.

use std::ops::Range;

use super::linear::few_rows;
use super::many_rows::{Matrix, many_rows};

/// A number of a weight, as it lies in memory.
pub(super) trait Stored: Copy + Sync {
    fn number(self) -> f32;

    /// The numbers themselves, if they lie in memory as float32.
    fn float32(_: &[Self]) -> Option<&[f32]> {
        None
    }
}

impl Stored for f32 {
    #[inline(always)]
    fn number(self) -> f32 {
        self
    }

    fn float32(numbers: &[f32]) -> Option<&[f32]> {
        Some(numbers)
    }
}

/// The upper half of a float32 number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bf16(pub u16);

impl Stored for Bf16 {
    #[inline(always)]
    fn number(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// IEEE's half precision: five bits of exponent. The largest of them, infinities and NaN elsewhere, goes on counting
/// here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct F16(pub u16);

impl F16 {
    /// What the exponents of both formats are apart: 127 - 15.
    const APART: f32 = f32::from_bits((127 + 112) << 23);
    const NEAR: f32 = f32::from_bits((127 - 112) << 23);

    /// The number with its last bits cut off, if it is not too large.
    fn cut(x: f32) -> Self {
        let bits = (x * Self::NEAR).to_bits();
        Self((bits >> 13 & 0x7fff) as u16 | (bits >> 16 & 0x8000) as u16)
    }
}

impl Stored for F16 {
    #[inline(always)]
    fn number(self) -> f32 {
        let bits = u32::from(self.0);
        let size = f32::from_bits((bits & 0x7fff) << 13) * Self::APART;
        f32::from_bits(size.to_bits() | (bits & 0x8000) << 16)
    }
}

/// The numbers of a matrix, row by row.
#[derive(Debug)]
enum Numbers {
    Bf16(Vec<Bf16>),
    F16(Vec<F16>),
}

/// A matrix `[rows, columns]` in two bytes an element.
#[derive(Debug)]
pub(super) struct TwoBytes {
    numbers: Numbers,
    rows: usize,
    columns: usize,
}

impl TwoBytes {
    /// The upper halves of numbers.
    pub fn of(halves: Vec<u16>, [rows, columns]: [usize; 2]) -> Self {
        let numbers = Numbers::Bf16(halves.into_iter().map(Bf16).collect());
        Self { numbers, rows, columns }
    }

    /// A matrix as it is, if bfloat16 or half precision holds each of its numbers.
    pub fn exact(values: &[f32], [rows, columns]: [usize; 2]) -> Option<Self> {
        let halves = all(values, |x| Bf16((x.to_bits() >> 16) as u16)).map(Numbers::Bf16);
        let numbers = halves.or_else(|| all(values, F16::cut).map(Numbers::F16))?;
        Some(Self { numbers, rows, columns })
    }

    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Row by row.
    pub fn values(&self) -> Vec<f32> {
        match &self.numbers {
            Numbers::Bf16(numbers) => numbers.iter().map(|x| x.number()).collect(),
            Numbers::F16(numbers) => numbers.iter().map(|x| x.number()).collect(),
        }
    }

    /// Some of the elements, counted row by row.
    #[inline(always)]
    pub fn widen(&self, range: Range<usize>, out: &mut [f32]) {
        match &self.numbers {
            Numbers::Bf16(numbers) => widen(&numbers[range], out),
            Numbers::F16(numbers) => widen(&numbers[range], out),
        }
    }

    /// Few rows `[n, rows]` times the matrix.
    pub fn few_products(&self, x: &[f32]) -> Vec<f32> {
        let sizes = [x.len() / self.rows, self.rows, self.columns];
        match &self.numbers {
            Numbers::Bf16(numbers) => few_rows(x, numbers, sizes),
            Numbers::F16(numbers) => few_rows(x, numbers, sizes),
        }
    }

    /// Rows `[n, rows]` times the matrix.
    pub fn products(&self, x: &[f32]) -> Vec<f32> {
        match &self.numbers {
            Numbers::Bf16(numbers) => many_rows(x, Matrix::new(numbers, self.shape())),
            Numbers::F16(numbers) => many_rows(x, Matrix::new(numbers, self.shape())),
        }
    }

    /// Rows `[n, columns]` times the transposed matrix.
    pub fn transposed_products(&self, x: &[f32]) -> Vec<f32> {
        match &self.numbers {
            Numbers::Bf16(numbers) => many_rows(x, Matrix::new(numbers, self.shape()).turned()),
            Numbers::F16(numbers) => many_rows(x, Matrix::new(numbers, self.shape()).turned()),
        }
    }
}

/// Every number in another form, if none changes.
fn all<W: Stored>(values: &[f32], form: impl Fn(f32) -> W) -> Option<Vec<W>> {
    let same = |x: &f32| form(*x).number().to_bits() == x.to_bits();
    values
        .iter()
        .all(same)
        .then(|| values.iter().map(|x| form(*x)).collect())
}

/// Numbers in float32.
#[inline(always)]
pub(super) fn widen<W: Stored>(numbers: &[W], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(numbers) {
        *out = x.number();
    }
}

#[cfg(test)]
mod tests {
    use super::{Bf16, F16, Stored, TwoBytes};

    /// Every number of half precision that is one, subnormal ones and both zeros among them.
    #[test]
    fn half_precision_is_widened_and_cut_without_a_change() {
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00) {
            let expected = half::f16::from_bits(bits).to_f32();
            let found = F16(bits).number();
            assert_eq!(
                found.to_bits(),
                expected.to_bits(),
                "{bits:#06x}: {found}, not {expected}"
            );
            assert_eq!(F16::cut(expected), F16(bits));
        }
        assert_eq!(Bf16(0x3fc0).number(), 1.5);
    }

    #[test]
    fn a_matrix_that_two_bytes_do_not_hold_is_left_alone() {
        let held = |values: [f32; 2]| {
            let held = TwoBytes::exact(&values, [1, 2])?;
            Some([0, 1].map(|at| held.values()[at].to_bits()))
        };
        // Few digits and any size, or up to eleven digits from 2⁻²⁴ to 65504.
        let few = [-0.0, -f32::MIN_POSITIVE, 2f32.powi(-140), 1.5e38 * 1.125, f32::INFINITY]
            .map(|x: f32| f32::from_bits(x.to_bits() & 0xffff_0000));
        let many = [1.0 + 2f32.powi(-10), 2f32.powi(-14) * (1.0 + 2f32.powi(-10)), -65504.0];
        for x in few.into_iter().chain(many) {
            assert_eq!(held([1.0, x]), Some([1.0, x].map(f32::to_bits)), "{x}");
        }
        for x in [
            1.0 + 2f32.powi(-11),
            2f32.powi(-24) * (1.0 + 2f32.powi(-9)),
            1e6 + 1.0,
            0.1,
        ] {
            assert_eq!(held([1.0, x]), None, "{x}");
        }
        assert_eq!(held([few[1], many[0]]), None, "a number of each kind");
    }
}
