//! A bounds-checked interface to the `gemm` crate for strided matrices, within one thread.

use gemm::Parallelism;
use rayon::prelude::*;

use super::exact::Stored;
use super::rows::{dot, fast};

/// Number of multiplications up to which plain loops are faster than packing: the heads of a decoder after few tokens.
pub(super) const SMALL: usize = 4096;

/// A matrix within a slice: element (i, j) is at `start + i·row + j·column`.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub start: usize,
    pub rows: usize,
    pub columns: usize,
    pub row: usize,
    pub column: usize,
}

impl View {
    /// Rows of `columns` contiguous elements, `row` elements apart.
    pub fn rows(start: usize, rows: usize, columns: usize, row: usize) -> Self {
        Self {
            start,
            rows,
            columns,
            row,
            column: 1,
        }
    }

    /// The same elements as the transposed matrix.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row: self.column,
            column: self.row,
            ..self
        }
    }

    /// One past the last element's index.
    fn end(&self) -> usize {
        self.start + (self.rows - 1) * self.row + (self.columns - 1) * self.column + 1
    }
}

/// `out = left · right`, or `out += left · right` with `accumulate`, on the calling thread.
///
/// # Panics
/// If a view is empty or exceeds its slice, or the shapes do not match.
#[allow(unsafe_code)]
pub(super) fn multiply(out: &mut [f32], o: View, left: &[f32], l: View, right: &[f32], r: View, accumulate: bool) {
    assert!(o.rows > 0 && o.columns > 0 && l.columns > 0, "matmul: empty matrix");
    assert!(
        l.rows == o.rows && r.columns == o.columns && l.columns == r.rows,
        "matmul: {l:?} times {r:?} into {o:?}"
    );
    assert!(
        o.end() <= out.len() && l.end() <= left.len() && r.end() <= right.len(),
        "matmul: a view leaves its slice"
    );
    assert!(o.row >= o.columns && o.column == 1, "matmul: output rows overlap");
    if o.rows * o.columns * l.columns <= SMALL && (r.row == 1 || r.column == 1) {
        return fast(
            #[inline(always)]
            || small(out, o, left, l, right, r, accumulate),
        );
    }
    // SAFETY: the assertions above guarantee that every element in the three views is within its slice and that the
    // output's elements are distinct; the output cannot overlap the inputs since it is borrowed mutably.
    unsafe {
        gemm::gemm(
            o.rows,
            o.columns,
            l.columns,
            out.as_mut_ptr().add(o.start),
            o.column as isize,
            o.row as isize,
            accumulate,
            left.as_ptr().add(l.start),
            l.column as isize,
            l.row as isize,
            right.as_ptr().add(r.start),
            r.column as isize,
            r.row as isize,
            if accumulate { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Number of multiplications from which one product is shared by all threads.
const SHARED: usize = 192 * 192 * 192;

/// `out = left · right` for contiguous matrices `[n, k]` and `[k, m]`, on all threads if that pays.
///
/// # Panics
/// If the shapes do not match the slices.
#[allow(unsafe_code)]
pub(super) fn multiply_together(out: &mut [f32], left: &[f32], right: &[f32], [n, k, m]: [usize; 3]) {
    assert!(
        out.len() == n * m && left.len() == n * k && right.len() == k * m,
        "matmul: {} by {} into {}, for [{n}, {k}] by [{k}, {m}]",
        left.len(),
        right.len(),
        out.len()
    );
    let threads = match n * k * m >= SHARED {
        true => Parallelism::Rayon(0),
        false => Parallelism::None,
    };
    // SAFETY: as asserted, the three matrices fill their slices; the output is borrowed mutably.
    unsafe {
        gemm::gemm(
            n,
            m,
            k,
            out.as_mut_ptr(),
            1,
            m as isize,
            false,
            left.as_ptr(),
            1,
            k as isize,
            right.as_ptr(),
            1,
            m as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}

/// [`multiply`] with plain loops along the rows of `right` or, if it is transposed, of its transpose.
#[inline(always)]
fn small(out: &mut [f32], o: View, left: &[f32], l: View, right: &[f32], r: View, accumulate: bool) {
    for i in 0..o.rows {
        let row = &mut out[o.start + i * o.row..][..o.columns];
        if r.column == 1 {
            if !accumulate {
                row.fill(0.0);
            }
            for inner in 0..l.columns {
                let factor = left[l.start + i * l.row + inner * l.column];
                for (x, y) in row.iter_mut().zip(&right[r.start + inner * r.row..][..r.columns]) {
                    *x += factor * y;
                }
            }
            continue;
        }
        for (j, x) in row.iter_mut().enumerate() {
            let column = &right[r.start + j * r.column..][..r.rows];
            let product = if l.column == 1 {
                dot(&left[l.start + i * l.row..][..l.columns], column)
            } else {
                let pairs = column.iter().enumerate();
                pairs
                    .map(|(inner, y)| left[l.start + i * l.row + inner * l.column] * y)
                    .sum()
            };
            *x = if accumulate { *x + product } else { product };
        }
    }
}

/// Writes the transposed matrix in float32, one complete row after another.
pub(super) fn transpose<W: Stored>(source: &[W], view: View, out: &mut [f32]) {
    const B: usize = 16;
    let (rows, columns) = (view.rows, view.columns);
    let (whole_rows, whole_columns) = (rows / B * B, columns / B * B);
    for r in (0..whole_rows).step_by(B) {
        for c in (0..whole_columns).step_by(B) {
            let mut block = [[0.0f32; B]; B];
            for (i, line) in block.iter_mut().enumerate() {
                let source = &source[view.start + (r + i) * view.row + c..][..B];
                line.iter_mut().zip(source).for_each(|(x, stored)| *x = stored.number());
            }
            for j in 0..B {
                let mut line = [0.0f32; B];
                for i in 0..B {
                    line[i] = block[i][j];
                }
                out[(c + j) * rows + r..][..B].copy_from_slice(&line);
            }
        }
    }
    // The remainder at the right and at the bottom.
    for r in 0..rows {
        let first = if r < whole_rows { whole_columns } else { 0 };
        for c in first..columns {
            out[c * rows + r] = source[view.start + r * view.row + c].number();
        }
    }
}

/// One product of [`products`]: `leftᵀ · right` of two matrices with the same number of rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product<'a> {
    pub left: &'a [f32],
    pub l: View,
    pub right: &'a [f32],
    pub r: View,
}

/// Output rows per task.
const TILE: usize = 96;

/// The outputs `[left columns, right columns]` of several products, computed on all threads. Each tile sums over all
/// rows on one thread, so that the sums do not depend on the number of threads.
pub(super) fn products(list: &[Product<'_>]) -> Vec<Vec<f32>> {
    let mut outputs: Vec<Vec<f32>> = list
        .iter()
        .map(|product| vec![0.0; product.l.columns * product.r.columns])
        .collect();
    let mut tasks = Vec::new();
    for (product, output) in list.iter().zip(&mut outputs) {
        let rows = product.l.columns.div_ceil(product.l.columns.div_ceil(TILE));
        for (tile, out) in output.chunks_mut(rows * product.r.columns).enumerate() {
            tasks.push((product, tile * rows, out));
        }
    }
    tasks.into_par_iter().for_each(|(product, first, out)| {
        let Product { left, l, right, r } = *product;
        let place = View::rows(0, out.len() / r.columns, r.columns, r.columns);
        let tile = View {
            start: l.start + first * l.column,
            columns: place.rows,
            ..l
        };
        multiply(out, place, left, tile.transposed(), right, r, false);
    });
    outputs
}
