//! Products whose operands are rounded to bfloat16 and whose sums are float32, with a frozen weight packed once.
//!
//! A packed matrix `[k, m]` is cut into panels of 32 columns. A panel is a list of steps of 32 rows; a step is two
//! tiles of 16 columns, a tile 16 lines of 64 bytes, and a line holds two neighbouring rows of each column. That is the
//! order in which `vdpbf16ps` (AVX512-BF16) and the tile products of AMX read their right operand. Both dimensions are
//! filled up with zeros.
//!
//! A weight is kept once, in two bytes an element. The way back reads a transposed copy in a buffer that the next
//! product uses again: turning a step of a panel takes as long as a thousandth of its products with 500 rows.

use super::avx512;
use super::blocks;
use super::matmul::multiply_together;
use super::pool::{Buffer, buffer};

/// Rows of a matrix in one step of a panel, and columns of a panel.
pub(super) const STEP: usize = 32;
/// Lines in one step of a panel.
pub(super) const LINES: usize = 32;
/// Rows per task: their rounded operands stay in the second cache.
const ROWS: usize = 96;
/// Panels per task: with the rows, enough work for a task and enough tasks for a few threads.
const PANELS: usize = 8;
/// Elements that a task widens.
const WIDENED: usize = 1 << 15;
/// Columns that a task turns into rows.
const TURNED: usize = 16;

/// One cache line of a panel: two rows of sixteen columns.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Line(pub [u16; 32]);

impl Line {
    pub(super) const ZERO: Self = Self([0; 32]);
}

/// How the products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// `vdpbf16ps`, which takes numbers below the smallest normal one for 0.
    Avx512,
    /// Rounded operands in float32 products, on any processor.
    Rounded,
}

impl Kernel {
    /// The fastest one on this processor.
    pub(crate) fn fastest() -> Self {
        match avx512::is_available() {
            true => Self::Avx512,
            false => Self::Rounded,
        }
    }
}

/// Nearest bfloat16, ties to even; NaN stays NaN.
pub(super) fn rounded(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

fn widened(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

/// How the elements of a weight lie.
#[derive(Debug)]
enum Elements {
    /// In panels.
    Panels(Vec<Line>),
    /// Row by row.
    Rows(Vec<u16>),
}

/// A frozen weight `[inputs, outputs]`, rounded and packed.
#[derive(Debug)]
pub(crate) struct PackedWeight {
    inputs: usize,
    outputs: usize,
    elements: Elements,
}

impl PackedWeight {
    pub(crate) fn new(kernel: Kernel, weight: &[f32], inputs: usize, outputs: usize) -> Self {
        let elements = match kernel {
            Kernel::Avx512 => Elements::Panels(panels(weight, inputs, outputs)),
            Kernel::Rounded => Elements::Rows(weight.iter().map(|x| rounded(*x)).collect()),
        };
        Self {
            inputs,
            outputs,
            elements,
        }
    }

    /// `[inputs, outputs]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.inputs, self.outputs]
    }

    /// The rounded elements, row by row.
    pub(crate) fn values(&self) -> Vec<f32> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let lines = match &self.elements {
            Elements::Rows(values) => return values.iter().map(|x| widened(*x)).collect(),
            Elements::Panels(lines) => lines,
        };
        let mut out = vec![0.0; inputs * outputs];
        let tasks = out.chunks_mut(STEP * outputs).enumerate().collect();
        blocks::run(tasks, inputs * outputs, |(step, out): (usize, &mut [f32])| {
            for (i, row) in out.chunks_exact_mut(outputs).enumerate() {
                for (panel, part) in row.chunks_mut(STEP).enumerate() {
                    let first = (panel * inputs.div_ceil(STEP) + step) * LINES + i / 2;
                    for (tile, part) in part.chunks_mut(16).enumerate() {
                        let Line(line) = lines[first + tile * 16];
                        for (x, two) in part.iter_mut().zip(line.chunks_exact(2)) {
                            *x = widened(two[i % 2]);
                        }
                    }
                }
            }
        });
        out
    }

    /// Rows `[n, inputs]` times the weight, `[n, outputs]`.
    pub(crate) fn product(&self, rows: &[f32]) -> Vec<f32> {
        let (k, m) = (self.inputs, self.outputs);
        match &self.elements {
            Elements::Panels(lines) => multiply(lines, rows, k, m),
            Elements::Rows(values) => {
                let mut weight = buffer(k * m);
                let tasks = weight.chunks_mut(WIDENED).zip(values.chunks(WIDENED)).collect();
                blocks::run(tasks, k * m, |(out, values): (&mut [f32], &[u16])| {
                    out.iter_mut().zip(values).for_each(|(out, x)| *out = widened(*x));
                });
                multiply_rounded(&weight, rows, k, m)
            }
        }
    }

    /// Rows `[n, outputs]` times the transposed weight, `[n, inputs]`.
    pub(crate) fn transposed_product(&self, rows: &[f32]) -> Vec<f32> {
        let (k, m) = (self.outputs, self.inputs);
        match &self.elements {
            Elements::Panels(lines) => multiply(&turned(lines, self.inputs, self.outputs), rows, k, m),
            Elements::Rows(values) => {
                let mut weight = buffer(k * m);
                let tasks = weight.chunks_mut(TURNED * m).enumerate().collect();
                blocks::run(tasks, k * m, |(part, out): (usize, &mut [f32])| {
                    for (at, out) in out.chunks_exact_mut(m).enumerate() {
                        let column = values[part * TURNED + at..].iter().step_by(k);
                        out.iter_mut().zip(column).for_each(|(out, x)| *out = widened(*x));
                    }
                });
                multiply_rounded(&weight, rows, k, m)
            }
        }
    }
}

/// Packs a matrix `[k, m]` into panels.
fn panels(values: &[f32], k: usize, m: usize) -> Vec<Line> {
    let steps = k.div_ceil(STEP);
    let mut lines = vec![Line::ZERO; m.div_ceil(STEP) * steps * LINES];
    let tasks = lines.chunks_exact_mut(steps * LINES).enumerate().collect();
    blocks::run(tasks, k * m, |(panel, lines): (usize, &mut [Line])| {
        for (number, Line(line)) in lines.iter_mut().enumerate() {
            let (step, tile, pair) = (number / LINES, number % LINES / 16, number % 16);
            let (i, j) = (step * STEP + 2 * pair, panel * STEP + tile * 16);
            for (column, two) in line.chunks_exact_mut(2).enumerate() {
                for (row, x) in two.iter_mut().enumerate() {
                    if i + row < k && j + column < m {
                        *x = rounded(values[(i + row) * m + j + column]);
                    }
                }
            }
        }
    });
    lines
}

/// The panels of the transposed matrix `[m, k]`, of those of a matrix `[k, m]`. A step of the one is a step of the
/// other.
fn turned(lines: &[Line], k: usize, m: usize) -> Buffer<Line> {
    let (steps, panels) = (k.div_ceil(STEP), m.div_ceil(STEP));
    let mut out = buffer(lines.len());
    let tasks = out.chunks_exact_mut(panels * LINES).enumerate().collect();
    blocks::run(tasks, k * m, |(step, out): (usize, &mut [Line])| {
        for (panel, out) in out.chunks_exact_mut(LINES).enumerate() {
            avx512::transpose(&lines[(panel * steps + step) * LINES..][..LINES], out);
        }
    });
    out
}

/// `rows` `[n, k]`, rounded, times a matrix `[k, m]` of rounded numbers, in float32.
fn multiply_rounded(weight: &[f32], rows: &[f32], k: usize, m: usize) -> Vec<f32> {
    let n = rows.len() / k;
    let mut left: Buffer<f32> = buffer(rows.len());
    for (out, x) in left.iter_mut().zip(rows) {
        *out = widened(rounded(*x));
    }
    let mut out = vec![0.0; n * m];
    multiply_together(&mut out, &left, weight, [n, k, m]);
    out
}

/// `rows` `[n, k]` times the panels of a matrix `[k, m]`. No sum depends on the number of threads.
fn multiply(panels: &[Line], rows: &[f32], k: usize, m: usize) -> Vec<f32> {
    let n = rows.len() / k;
    let mut out = vec![0.0; n * m];
    let width = k.div_ceil(STEP) * STEP;
    let mut left: Buffer<u32> = buffer(n * width / 2);
    let tasks = left
        .chunks_mut(ROWS * width / 2)
        .zip(rows.chunks(ROWS * k))
        .collect::<Vec<_>>();
    blocks::run(tasks, n * width, |(left, rows)| {
        for (left, row) in left.chunks_exact_mut(width / 2).zip(rows.chunks_exact(k)) {
            avx512::round_row(row, left);
        }
    });
    // The pieces of output rows that each task writes.
    let (strip, strips) = (PANELS * STEP, m.div_ceil(PANELS * STEP));
    let mut tasks = Vec::with_capacity(n.div_ceil(ROWS) * strips);
    for (out, left) in out.chunks_mut(ROWS * m).zip(left.chunks(ROWS * width / 2)) {
        let mut pieces: Vec<Vec<&mut [f32]>> = (0..strips).map(|_| Vec::with_capacity(ROWS)).collect();
        for row in out.chunks_exact_mut(m) {
            for (piece, part) in pieces.iter_mut().zip(row.chunks_mut(strip)) {
                piece.push(part);
            }
        }
        tasks.extend(pieces.into_iter().enumerate().map(|(i, pieces)| (i, pieces, left)));
    }
    let panel = width / STEP * LINES;
    blocks::run(tasks, n * k * m, |(i, mut pieces, left)| {
        let first = i * PANELS * panel;
        let lines = &panels[first..panels.len().min(first + PANELS * panel)];
        for (number, lines) in lines.chunks_exact(panel).enumerate() {
            avx512::multiply_panel(left, width / 2, lines, &mut pieces, number * STEP);
        }
    });
    out
}
