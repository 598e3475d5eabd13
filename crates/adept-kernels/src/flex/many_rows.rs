//! Product of many rows with a matrix, as in training: of up to [`MOST`] with 512-bit multiply-adds where the processor
//! has them, else by `gemm`.
//!
//! The matrix is read where it lies, in two bytes a number or in four, in its own order or as its transpose. A task
//! copies a panel of it, 32 columns of up to [`INPUTS`] inputs, widened and turned on the way, into a buffer that stays
//! in the second cache, and multiplies its rows with that: no copy of the whole matrix is made for any direction.
//!
//! Every sum is added up in the order of the inputs by one chain of multiply-adds, however the work is cut.

mod avx512;

use super::blocks;
use super::exact::{Stored, widen};
use super::matmul::multiply_together;
use super::packed::Line;
use super::pool::{Buffer, buffer};
use super::rows::fast;

/// Rows up to which the product is faster here than by `gemm`, which packs and turns the matrix at a cost that more
/// rows share; ours arranges the rows in one pass through memory, which `gemm` does in pieces that stay in a cache.
const MOST: usize = 1024;
/// Columns of a panel: two registers of sums a row.
const WIDTH: usize = 32;
/// Inputs of a panel: 96 KiB.
const INPUTS: usize = 768;
/// Panels of a task, at most, and blocks of rows that are multiplied with them in turn: together they take the second
/// cache of today's processors.
const PANELS: usize = 4;
const BLOCKS: usize = 12;
/// Tasks of a thread, where there are panels or rows enough.
const TASKS: usize = 4;
/// Rows whose sums are in registers together: with both tiles of a panel's line 24 of them, of 32.
const TOGETHER: usize = 12;
/// Numbers that a task widens or copies.
const COPIED: usize = 1 << 15;

/// The right operand of a product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a, W> {
    numbers: &'a [W],
    rows: usize,
    columns: usize,
    is_turned: bool,
}

impl<'a, W: Stored> Matrix<'a, W> {
    /// A matrix `[rows, columns]` that lies row by row.
    pub fn new(numbers: &'a [W], [rows, columns]: [usize; 2]) -> Self {
        assert_eq!(
            numbers.len(),
            rows * columns,
            "many_rows: a matrix of {rows} by {columns}"
        );
        Self {
            numbers,
            rows,
            columns,
            is_turned: false,
        }
    }

    /// Its transpose, where it lies.
    pub fn turned(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            is_turned: !self.is_turned,
            ..self
        }
    }

    /// A copy in float32, row by row.
    fn copy(self) -> Buffer {
        if self.is_turned {
            return blocks::transposed(self.numbers, self.columns, self.rows).into_values();
        }
        let mut out = buffer(self.numbers.len());
        let tasks = out.chunks_mut(COPIED).zip(self.numbers.chunks(COPIED)).collect();
        blocks::run(tasks, self.numbers.len(), |(out, numbers): (&mut [f32], &[W])| {
            fast(
                #[inline(always)]
                || widen(numbers, out),
            );
        });
        out
    }
}

/// `x` `[n, rows]` times a matrix `[rows, columns]`, `[n, columns]`, on all threads.
pub(super) fn many_rows<W: Stored>(x: &[f32], matrix: Matrix<'_, W>) -> Vec<f32> {
    let Matrix { rows, columns, .. } = matrix;
    let n = x.len() / rows.max(1);
    assert_eq!(x.len(), n * rows, "many_rows: rows of {rows} numbers");
    let mut out = vec![0.0; n * columns];
    if avx512::is_available() && n <= MOST && !out.is_empty() {
        multiply(&mut out, x, n, matrix);
    } else if let (Some(numbers), false) = (W::float32(matrix.numbers), matrix.is_turned) {
        multiply_together(&mut out, x, numbers, [n, rows, columns]);
    } else {
        multiply_together(&mut out, x, &matrix.copy(), [n, rows, columns]);
    }
    out
}

fn multiply<W: Stored>(out: &mut [f32], x: &[f32], n: usize, matrix: Matrix<'_, W>) {
    let Matrix {
        rows: k, columns: m, ..
    } = matrix;
    let x = interleaved(x, k);
    let (blocks, panels) = (n.div_ceil(TOGETHER), m.div_ceil(WIDTH));
    // A strip of panels is a task, or, where there are too few strips, several groups of its rows are.
    let wanted = TASKS * rayon::current_num_threads();
    let count = (panels / wanted).clamp(1, PANELS);
    let strips = panels.div_ceil(count);
    let group = blocks.div_ceil(wanted.div_ceil(strips)).max(BLOCKS.min(blocks));
    let mut tasks = Vec::with_capacity(blocks.div_ceil(group) * strips);
    for (out, x) in out.chunks_mut(group * TOGETHER * m).zip(x.chunks(group * TOGETHER * k)) {
        let strips = blocks::strips(out, m, count * WIDTH).into_iter().enumerate();
        tasks.extend(strips.map(|(i, pieces)| (i * count * WIDTH, pieces, x)));
    }
    blocks::run(tasks, n * k * m, |(column, mut pieces, x)| {
        let mut panels: Buffer<Line> = buffer(count * 2 * INPUTS.min(k));
        for first in (0..k).step_by(INPUTS) {
            let inputs = first..k.min(first + INPUTS);
            let places = (0..pieces[0].len()).step_by(WIDTH);
            let panels = &mut panels[..places.len() * 2 * inputs.len()];
            for (panel, place) in panels.chunks_exact_mut(2 * inputs.len()).zip(places.clone()) {
                let columns = column + place..m.min(column + place + WIDTH);
                avx512::fill(panel, matrix, inputs.clone(), columns);
            }
            let chunks = pieces.chunks_mut(BLOCKS * TOGETHER);
            for (pieces, x) in chunks.zip(x.chunks(BLOCKS * TOGETHER * k)) {
                for (panel, place) in panels.chunks_exact(2 * inputs.len()).zip(places.clone()) {
                    let rows = pieces.chunks_mut(TOGETHER).zip(x.chunks_exact(TOGETHER * k));
                    for (pieces, x) in rows {
                        let x = &x[TOGETHER * inputs.start..TOGETHER * inputs.end];
                        avx512::multiply_panel(x, panel, pieces, place, first > 0);
                    }
                }
            }
        }
    });
}

/// The rows `[n, k]` in blocks of twelve, in each of which the twelve numbers of an input are neighbours. The last
/// block may have anything in place of rows that there are not.
fn interleaved(x: &[f32], k: usize) -> Buffer {
    let mut out = buffer((x.len() / k).next_multiple_of(TOGETHER) * k);
    let rows = COPIED.div_ceil(TOGETHER * k) * TOGETHER;
    let tasks = out.chunks_mut(rows * k).zip(x.chunks(rows * k)).collect();
    blocks::run(tasks, x.len() * blocks::READ, |(out, x): (&mut [f32], &[f32])| {
        for (out, x) in out.chunks_exact_mut(TOGETHER * k).zip(x.chunks(TOGETHER * k)) {
            avx512::interleave(out, x, k);
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::{INPUTS, MOST, Matrix, TOGETHER, WIDTH, many_rows};
    use crate::flex::exact::{Bf16, F16, Stored};

    fn numbers(count: usize, factor: f32) -> Vec<f32> {
        (0..count).map(|at| (at as f32 * factor).sin()).collect()
    }

    fn transposed<W: Stored>(numbers: &[W], [rows, columns]: [usize; 2]) -> Vec<W> {
        let at = |to: usize| numbers[to % rows * columns + to / rows];
        (0..rows * columns).map(at).collect()
    }

    /// Rows, inputs and columns: below, at and above what is together in registers, in a panel and in a task; the last
    /// but one with more than one part of inputs, several panels a task and rows for more than one turn; the last one
    /// is `gemm`'s.
    const SHAPES: [[usize; 3]; 8] = [
        [1, 1, 1],
        [17, 16, WIDTH],
        [TOGETHER, 31, 16],
        [TOGETHER + 1, 33, WIDTH + 1],
        [2 * TOGETHER - 1, 100, 17],
        [150, INPUTS, 4 * WIDTH - 3],
        [301, INPUTS + 20, 40 * WIDTH + 5],
        [MOST + 1, 20, WIDTH + 1],
    ];

    /// Both directions of a matrix; the rows of `found` are compared at every seventh column, the last one among them.
    fn check<W: Stored>(of: impl Fn(f32) -> W) {
        for [n, k, m] in SHAPES {
            let x = numbers(n * k, 0.37);
            let matrix: Vec<W> = numbers(k * m, 1.3).into_iter().map(&of).collect();
            let turned = transposed(&matrix, [k, m]);
            let found = many_rows(&x, Matrix::new(&matrix, [k, m]));
            assert_eq!(found.len(), n * m);
            // One chain of multiply-adds of up to 800 products of order one, each rounded to 2⁻²⁴ of sums below 30.
            let limit = 1e-6 * (k as f64).sqrt().max(1.0) * 3.0;
            for (row, out) in found.chunks(m).enumerate() {
                for column in (0..m).rev().step_by(7) {
                    let terms = (0..k).map(|i| f64::from(x[row * k + i]) * f64::from(matrix[i * m + column].number()));
                    let (expected, found): (f64, f64) = (terms.sum(), out[column].into());
                    assert!(
                        (found - expected).abs() < limit,
                        "{n} rows, {k} x {m}: row {row}, column {column}: {found}, not {expected}"
                    );
                }
            }
            let from_turned = many_rows(&x, Matrix::new(&turned, [m, k]).turned());
            assert_eq!(from_turned, found, "{n} rows, {k} x {m}, from the transpose");
        }
    }

    #[test]
    fn many_rows_times_a_matrix_and_its_transpose() {
        check(|x| x);
        check(|x| Bf16((x.to_bits() >> 16) as u16));
        check(|x| F16(half::f16::from_f32(x).to_bits()));
    }

    #[test]
    fn sums_depend_neither_on_threads_nor_on_other_rows() {
        let [n, k, m] = [150, INPUTS + 20, 700];
        let (x, matrix) = (numbers(n * k, 0.37), numbers(k * m, 1.3));
        let all = many_rows(&x, Matrix::new(&matrix, [k, m]));
        for threads in [1, 3, 16] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let found = pool
                .expect("threads can be started")
                .install(|| many_rows(&x, Matrix::new(&matrix, [k, m])));
            assert!(found == all, "{threads} threads");
        }
        for rows in [1, 20, 149] {
            let found = many_rows(&x[..rows * k], Matrix::new(&matrix, [k, m]));
            assert!(found == all[..rows * m], "{rows} rows");
        }
    }

    /// What `gemm` multiplies where there is no AVX-512.
    #[test]
    fn copies_of_a_matrix_and_of_its_transpose() {
        let numbers: Vec<Bf16> = (0..35).map(|x| Bf16(0x3f80 + x)).collect();
        let values = |numbers: &[Bf16]| -> Vec<f32> { numbers.iter().map(|x| x.number()).collect() };
        let matrix = Matrix::new(&numbers, [5, 7]);
        assert_eq!(*matrix.copy(), values(&numbers));
        assert_eq!(*matrix.turned().copy(), values(&transposed(&numbers, [5, 7])));
    }
}
