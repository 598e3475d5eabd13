//! Products whose operands are rounded to bfloat16 and whose sums are float32, with a frozen weight packed once.
//!
//! A packed matrix `[k, m]` is cut into panels of 32 columns. A panel is a list of steps of 32 rows; a step is two
//! tiles of 16 columns, a tile 16 lines of 64 bytes, and a line holds two neighbouring rows of each column. That is the
//! order in which `vdpbf16ps` (AVX512-BF16) and the tile products of AMX read their right operand. Both dimensions are
//! filled up with zeros.

use std::sync::OnceLock;

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

/// One cache line of a panel: two rows of sixteen columns.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Line(pub [u16; 32]);

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

/// A matrix `[k, m]` as the right operand of products.
#[derive(Debug)]
enum Packed {
    Panels(Vec<Line>),
    Rounded(Vec<f32>),
}

impl Packed {
    /// Element (i, j) of the matrix is `at(i, j)`.
    fn new(kernel: Kernel, k: usize, m: usize, at: impl Fn(usize, usize) -> f32 + Sync) -> Self {
        if kernel == Kernel::Rounded {
            let value = |i: usize, j: usize| f32::from_bits(u32::from(rounded(at(i, j))) << 16);
            let values = (0..k * m).map(|at| value(at / m, at % m)).collect();
            return Self::Rounded(values);
        }
        let steps = k.div_ceil(STEP);
        let mut lines = vec![Line([0; 32]); m.div_ceil(STEP) * steps * LINES];
        let panels = lines.chunks_exact_mut(steps * LINES).enumerate().collect();
        blocks::run(panels, k * m, |(panel, lines): (usize, &mut [Line])| {
            for (number, Line(line)) in lines.iter_mut().enumerate() {
                let (step, tile, pair) = (number / LINES, number % LINES / 16, number % 16);
                let (i, j) = (step * STEP + 2 * pair, panel * STEP + tile * 16);
                for (column, two) in line.chunks_exact_mut(2).enumerate() {
                    for (row, x) in two.iter_mut().enumerate() {
                        if i + row < k && j + column < m {
                            *x = rounded(at(i + row, j + column));
                        }
                    }
                }
            }
        });
        Self::Panels(lines)
    }
}

/// A frozen weight `[inputs, outputs]`, packed for products with rows and, when first needed, with gradients.
#[derive(Debug)]
pub(crate) struct PackedWeight {
    kernel: Kernel,
    inputs: usize,
    outputs: usize,
    forward: Packed,
    backward: OnceLock<Packed>,
}

impl PackedWeight {
    pub(crate) fn new(kernel: Kernel, weight: &[f32], inputs: usize, outputs: usize) -> Self {
        Self {
            kernel,
            inputs,
            outputs,
            forward: Packed::new(kernel, inputs, outputs, |i, j| weight[i * outputs + j]),
            backward: OnceLock::new(),
        }
    }

    /// Rows `[n, inputs]` times the weight, `[n, outputs]`.
    pub(crate) fn product(&self, rows: &[f32]) -> Vec<f32> {
        multiply(&self.forward, rows, self.inputs, self.outputs)
    }

    /// Rows `[n, outputs]` times the transposed weight, `[n, inputs]`; `weight` is what this was made of.
    pub(crate) fn transposed_product(&self, rows: &[f32], weight: &[f32]) -> Vec<f32> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let packed = self
            .backward
            .get_or_init(|| Packed::new(self.kernel, outputs, inputs, |i, j| weight[j * outputs + i]));
        multiply(packed, rows, outputs, inputs)
    }
}

/// `rows` `[n, k]` times a packed matrix `[k, m]`. No sum depends on the number of threads.
fn multiply(packed: &Packed, rows: &[f32], k: usize, m: usize) -> Vec<f32> {
    let n = rows.len() / k;
    let mut out = vec![0.0; n * m];
    let panels = match packed {
        Packed::Panels(lines) => lines,
        Packed::Rounded(values) => {
            let mut left: Buffer = buffer(rows.len());
            for (out, x) in left.iter_mut().zip(rows) {
                *out = f32::from_bits(u32::from(rounded(*x)) << 16);
            }
            multiply_together(&mut out, &left, values, [n, k, m]);
            return out;
        }
    };
    let width = k.div_ceil(STEP) * STEP;
    let mut left = vec![0u32; n * width / 2];
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
