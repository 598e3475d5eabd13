//! Matrices of bfloat16 numbers in the order in which products read their right operand.
//!
//! A packed matrix `[k, m]` is cut into panels of 32 columns. A panel is a list of steps of 32 rows; a step is two
//! tiles of 16 columns, a tile 16 lines of 64 bytes, and a line holds two neighbouring rows of each column. That is the
//! order in which both `vdpbf16ps` (AVX512-BF16) and the tile products of AMX read it. Both dimensions are filled up
//! with zeros.
//!
//! A number is rounded to one part, or split in two: the nearest bfloat16 number, and the one nearest to what is left,
//! 16 significant bits together. A step has its tiles of the first part, then those of the second.

use super::avx512;
use crate::flex::blocks;
use crate::flex::pool::{Buffer, buffer};

/// Rows of a matrix in one step of a panel, and columns of a panel.
pub(in crate::flex) const STEP: usize = 32;
/// Lines in one step of a panel, for each part.
pub(in crate::flex) const LINES: usize = 32;

/// One cache line: two rows of sixteen columns, or 32 numbers of a row of the left operand.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(in crate::flex) struct Line(pub [u16; 32]);

impl Line {
    pub(in crate::flex) const ZERO: Self = Self([0; 32]);
}

/// Nearest bfloat16, ties to even; NaN stays NaN.
#[inline(always)]
pub(super) fn rounded(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[inline(always)]
pub(super) fn widened(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

/// A part of a number.
fn part_of(x: f32, part: usize) -> u16 {
    let first = rounded(x);
    match part {
        0 => first,
        _ => rounded(x - widened(first)),
    }
}

/// Shape of a packed matrix `[k, m]` whose numbers have `parts` parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub k: usize,
    pub m: usize,
    pub parts: usize,
}

impl Shape {
    /// Steps of a panel.
    pub fn steps(self) -> usize {
        self.k.div_ceil(STEP)
    }

    pub fn panels(self) -> usize {
        self.m.div_ceil(STEP)
    }

    /// Lines of a panel.
    pub fn panel(self) -> usize {
        self.steps() * self.parts * LINES
    }

    fn multiplications(self) -> usize {
        self.k * self.m * self.parts
    }

    pub fn transposed(self) -> Self {
        Self {
            k: self.m,
            m: self.k,
            parts: self.parts,
        }
    }
}

/// Packs a matrix.
pub(super) fn pack(values: &[f32], shape: Shape) -> Vec<Line> {
    let Shape { k, m, parts } = shape;
    let mut lines = vec![Line::ZERO; shape.panels() * shape.panel()];
    let tasks = lines.chunks_exact_mut(shape.panel()).enumerate().collect();
    blocks::run(
        tasks,
        shape.multiplications(),
        |(panel, lines): (usize, &mut [Line])| {
            for (number, Line(line)) in lines.iter_mut().enumerate() {
                let (step, part) = (number / LINES / parts, number / LINES % parts);
                let (tile, pair) = (number % LINES / 16, number % 16);
                let (i, j) = (step * STEP + 2 * pair, panel * STEP + tile * 16);
                for (column, two) in line.chunks_exact_mut(2).enumerate() {
                    for (row, x) in two.iter_mut().enumerate() {
                        if i + row < k && j + column < m {
                            *x = part_of(values[(i + row) * m + j + column], part);
                        }
                    }
                }
            }
        },
    );
    lines
}

/// The numbers of a packed matrix, row by row: the sums of their parts.
pub(super) fn unpack(lines: &[Line], shape: Shape) -> Vec<f32> {
    let Shape { k, m, parts } = shape;
    let mut out = vec![0.0; k * m];
    let tasks = out.chunks_mut(STEP * m).enumerate().collect();
    blocks::run(tasks, shape.multiplications(), |(step, out): (usize, &mut [f32])| {
        for (i, row) in out.chunks_exact_mut(m).enumerate() {
            for (panel, columns) in row.chunks_mut(STEP).enumerate() {
                for part in 0..parts {
                    let first = ((panel * shape.steps() + step) * parts + part) * LINES + i / 2;
                    for (tile, columns) in columns.chunks_mut(16).enumerate() {
                        let Line(line) = lines[first + tile * 16];
                        for (x, two) in columns.iter_mut().zip(line.chunks_exact(2)) {
                            *x += widened(two[i % 2]);
                        }
                    }
                }
            }
        }
    });
    out
}

/// The panels of the transposed matrix, of those of a matrix of this shape. A step of the one is a step of the other.
pub(super) fn turned(lines: &[Line], shape: Shape) -> Buffer<Line> {
    let (steps, parts) = (shape.steps(), shape.parts);
    let mut out = buffer(lines.len());
    let tasks = out.chunks_exact_mut(shape.transposed().panel()).enumerate().collect();
    blocks::run(tasks, shape.multiplications(), |(step, out): (usize, &mut [Line])| {
        for (number, out) in out.chunks_exact_mut(LINES).enumerate() {
            let (panel, part) = (number / parts, number % parts);
            let first = ((panel * steps + step) * parts + part) * LINES;
            avx512::transpose(&lines[first..][..LINES], out);
        }
    });
    out
}
