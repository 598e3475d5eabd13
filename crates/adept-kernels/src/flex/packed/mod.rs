//! Products whose operands are bfloat16 numbers and whose sums are float32, with a frozen weight packed once.
//!
//! Operands are rounded, or split in two parts each (`bf16x3`): of the four products of parts all but that of the
//! second ones, a 2⁻¹⁶th of the sum or less, are added up.
//!
//! A weight is kept once, in two bytes an element and part. The way back reads a transposed copy in a buffer that the
//! next product uses again: turning a step of a panel takes as long as a thousandth of its products with 500 rows.

mod amx;
mod avx512;
mod kernel;
mod panels;

use std::sync::Arc;

pub(crate) use kernel::Kernel;
use panels::{LINES, STEP, Shape, rounded, widened};

pub(super) use panels::Line;

use super::blocks;
use super::bridge::Route;
use super::exact::TwoBytes;
use super::linear::are_few;
use super::pool::{Buffer, buffer};
use super::rows::fast;
use crate::Precision;

/// Rows per task of `vdpbf16ps`, and whose operands a task rounds: they stay in the second cache.
const ROWS: usize = 96;
/// Panels per task, at most: with the rows, enough work for a task and enough tasks for a few threads.
const PANELS: usize = 8;
/// Numbers of the left operand per task of AMX: a mebibyte, half of the second cache where there is AMX.
const TILED: usize = 1 << 19;
/// Least and greatest number of rows per task of AMX.
const TILED_ROWS: std::ops::RangeInclusive<usize> = 32..=512;
/// Least number of tasks of AMX where there are panels enough.
const TASKS: usize = 8;
/// Rows of which AMX would leave most of a tile empty, while memory limits both kernels.
const FEW: usize = 4;

/// Numbers that a task rounds to float32 operands.
const ROUNDED: usize = 1 << 15;

/// How the elements of a weight lie.
#[derive(Debug)]
enum Elements {
    /// In panels, for one of the kernels that read these.
    Panels(Kernel, Vec<Line>),
    /// Row by row, for products whose other operand is rounded.
    Rounded(TwoBytes),
    /// Row by row, for products in float32: nothing is rounded.
    Exact(Arc<TwoBytes>),
}

/// A frozen weight `[inputs, outputs]`, packed.
#[derive(Debug)]
pub(crate) struct PackedWeight {
    shape: Shape,
    elements: Elements,
}

impl PackedWeight {
    /// Packs a weight in one part or two an element. [`Kernel::Rounded`] knows one alone.
    pub(crate) fn new(kernel: Kernel, parts: usize, weight: &[f32], [inputs, outputs]: [usize; 2]) -> Self {
        assert!(
            parts == 1 || parts == 2 && kernel != Kernel::Rounded,
            "{parts} parts, {kernel:?}"
        );
        let shape = Shape {
            k: inputs,
            m: outputs,
            parts,
        };
        let elements = match kernel {
            Kernel::Amx | Kernel::Avx512 => Elements::Panels(kernel, panels::pack(weight, shape)),
            Kernel::Rounded => {
                let halves = weight.iter().map(|x| rounded(*x)).collect();
                Elements::Rounded(TwoBytes::of(halves, [inputs, outputs]))
            }
        };
        Self { shape, elements }
    }

    /// A weight for products in float32, if two bytes hold each of its numbers.
    pub(crate) fn exact(weight: &[f32], [inputs, outputs]: [usize; 2]) -> Option<Self> {
        let shape = Shape {
            k: inputs,
            m: outputs,
            parts: 1,
        };
        let elements = Elements::Exact(Arc::new(TwoBytes::exact(weight, [inputs, outputs])?));
        Some(Self { shape, elements })
    }

    /// `[inputs, outputs]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.shape.k, self.shape.m]
    }

    /// What it was packed for.
    pub(crate) fn precision(&self) -> Precision {
        match (&self.elements, self.shape.parts) {
            (Elements::Exact(_), _) => Precision::F32,
            (_, 2) => Precision::Bf16x3,
            _ => Precision::Bf16,
        }
    }

    /// Its elements, if they are those of the weight that it was made of.
    pub(super) fn two_bytes(&self) -> Option<&Arc<TwoBytes>> {
        match &self.elements {
            Elements::Exact(matrix) => Some(matrix),
            Elements::Rounded(_) | Elements::Panels(..) => None,
        }
    }

    /// The elements as they are multiplied, row by row.
    pub(crate) fn values(&self) -> Vec<f32> {
        match &self.elements {
            Elements::Rounded(matrix) => matrix.values(),
            Elements::Exact(matrix) => matrix.values(),
            Elements::Panels(_, lines) => panels::unpack(lines, self.shape),
        }
    }

    /// Rows `[n, inputs]` times the weight, `[n, outputs]`. Few rows have their own product where gradients are not
    /// asked for, as those of a float32 weight do ([`crate::sublayer::linear_rows`]).
    pub(crate) fn product(&self, rows: &[f32], route: Route) -> Vec<f32> {
        let few = route == Route::Plain && are_few(rows.len() / self.shape.k);
        match &self.elements {
            Elements::Panels(kernel, lines) => multiply(*kernel, lines, self.shape, rows),
            Elements::Rounded(matrix) if few => matrix.few_products(&rounded_rows(rows)),
            Elements::Rounded(matrix) => matrix.products(&rounded_rows(rows)),
            Elements::Exact(matrix) if few => matrix.few_products(rows),
            Elements::Exact(matrix) => matrix.products(rows),
        }
    }

    /// Rows `[n, outputs]` times the transposed weight, `[n, inputs]`.
    pub(crate) fn transposed_product(&self, rows: &[f32]) -> Vec<f32> {
        match &self.elements {
            Elements::Panels(kernel, lines) => {
                let shape = self.shape.transposed();
                multiply(*kernel, &panels::turned(lines, self.shape), shape, rows)
            }
            Elements::Rounded(matrix) => matrix.transposed_products(&rounded_rows(rows)),
            Elements::Exact(matrix) => matrix.transposed_products(rows),
        }
    }
}

/// The rows of a product with every number rounded.
fn rounded_rows(rows: &[f32]) -> Buffer<f32> {
    let mut left: Buffer<f32> = buffer(rows.len());
    let tasks = left.chunks_mut(ROUNDED).zip(rows.chunks(ROUNDED)).collect();
    blocks::run(tasks, rows.len() * blocks::READ, |(out, rows): (&mut [f32], &[f32])| {
        fast(
            #[inline(always)]
            || {
                for (out, x) in out.iter_mut().zip(rows) {
                    *out = widened(rounded(*x));
                }
            },
        );
    });
    left
}

/// `rows` `[n, k]` times the panels of a matrix `[k, m]`. No sum depends on the number of threads.
fn multiply(kernel: Kernel, panels: &[Line], shape: Shape, rows: &[f32]) -> Vec<f32> {
    let Shape { k, m, parts } = shape;
    let n = rows.len() / k;
    let in_tiles = kernel == Kernel::Amx && n > FEW;
    let mut out = vec![0.0; n * m];
    let left = left_operand(rows, n, shape, in_tiles);
    let width = shape.steps() * parts;
    let (together, count) = match in_tiles {
        true => {
            let most = TILED / (width * STEP) / TILED_ROWS.start() * TILED_ROWS.start();
            let together = most.clamp(*TILED_ROWS.start(), *TILED_ROWS.end());
            let count = (shape.panels() * n.div_ceil(together) / TASKS).clamp(1, PANELS);
            (together, count)
        }
        false => (ROWS, PANELS),
    };
    // The pieces of output rows that each task writes.
    let (strip, strips) = (count * STEP, m.div_ceil(count * STEP));
    let mut tasks = Vec::with_capacity(n.div_ceil(together) * strips);
    for (out, left) in out.chunks_mut(together * m).zip(left.chunks(together * width)) {
        tasks.extend(
            blocks::strips(out, m, strip)
                .into_iter()
                .enumerate()
                .map(|(i, pieces)| (i, pieces, left)),
        );
    }
    blocks::run(tasks, (n + blocks::READ) * k * m * parts, |(i, mut pieces, left)| {
        let first = i * count * shape.panel();
        let lines = &panels[first..panels.len().min(first + count * shape.panel())];
        if in_tiles {
            amx::multiply_panels(left, lines, parts, &mut pieces);
            return;
        }
        for (number, lines) in lines.chunks_exact(shape.panel()).enumerate() {
            avx512::multiply_panel(left, lines, parts, &mut pieces, number * STEP);
        }
    });
    out
}

/// The rows of a product in lines of bfloat16 numbers: row by row, or (`in_tiles`) sixteen rows after sixteen rows, of
/// each step and each part a line of every row. The last sixteen may end with lines of anything.
fn left_operand(rows: &[f32], n: usize, shape: Shape, in_tiles: bool) -> Buffer<Line> {
    let Shape { k, parts, .. } = shape;
    let width = shape.steps() * parts;
    // Lines from a part to the next, and rows that lie between.
    let apart = if in_tiles { amx::TILE } else { 1 };
    let mut left: Buffer<Line> = buffer(n.next_multiple_of(apart) * width);
    let tasks = left.chunks_mut(ROWS * width).zip(rows.chunks(ROWS * k)).collect();
    blocks::run(tasks, n * width * STEP, |(left, rows): (&mut [Line], &[f32])| {
        for (i, row) in rows.chunks_exact(k).enumerate() {
            let first = i / apart * apart * width + i % apart;
            avx512::round_row(row, left, first, parts * apart, (parts == 2).then_some(apart));
        }
    });
    left
}
