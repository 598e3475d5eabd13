//! Shared by the fused sublayers: splitting rows into tasks, concatenated weights, sums over rows.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::grads::Gradients;
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::bridge::{elements, tensor};
use super::exact::Stored;
use super::matmul::{View, transpose};
use super::pool::{Buffer, buffer};
use super::rows::fast;

/// Maximum number of tasks per call. Fixed, so that the sums over tasks do not depend on the number of threads.
const TASKS: usize = 16;
/// Minimum number of rows per task: with fewer, a product is dominated by reading the weights.
const LEAST_ROWS: usize = 24;
/// Number of multiplications below which waking another thread costs more than it saves.
const ALONE: usize = 1 << 20;

/// Multiplications that take as long as reading a number of a weight from memory: with few rows, its work.
pub(super) const READ: usize = 8;

/// Number of `units` (of `rows` rows each) per task.
pub(super) fn units_a_task(units: usize, rows: usize) -> usize {
    units.div_ceil(TASKS).max(LEAST_ROWS.div_ceil(rows)).min(units).max(1)
}

/// Runs the tasks, on the calling thread only if they are small: `work` is their total number of multiplications.
pub(super) fn run<T: Send>(tasks: Vec<T>, work: usize, task: impl Fn(T) + Sync + Send) {
    if work < ALONE || tasks.len() == 1 || rayon::current_num_threads() == 1 {
        tasks.into_iter().for_each(task);
    } else {
        tasks.into_par_iter().with_max_len(1).for_each(task);
    }
}

/// The rows of an output `[n, columns]` cut into strips of a width, of each strip a piece a row.
pub(super) fn strips(out: &mut [f32], columns: usize, width: usize) -> Vec<Vec<&mut [f32]>> {
    let rows = out.len() / columns;
    let mut strips: Vec<_> = (0..columns.div_ceil(width)).map(|_| Vec::with_capacity(rows)).collect();
    for row in out.chunks_exact_mut(columns) {
        for (strip, piece) in strips.iter_mut().zip(row.chunks_mut(width)) {
            strip.push(piece);
        }
    }
    strips
}

/// Weights `[d, columns]` with a common input, concatenated into one `[d, Σ columns]` matrix, so that a single product
/// replaces several.
#[derive(Debug)]
pub(super) struct Weights {
    values: Buffer,
    rows: usize,
    columns: usize,
}

impl Weights {
    pub fn new(parts: &[&FlexTensor]) -> Self {
        let size = |part: &&FlexTensor| part.layout().shape()[1];
        let (rows, columns) = (parts[0].layout().shape()[0], parts.iter().map(size).sum());
        let mut values = buffer(rows * columns);
        let mut start = 0;
        for part in parts {
            let width = size(part);
            let source = elements(part).chunks_exact(width);
            for (row, source) in values.chunks_exact_mut(columns).zip(source) {
                row[start..start + width].copy_from_slice(source);
            }
            start += width;
        }
        Self { values, rows, columns }
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn values(&self) -> &[f32] {
        &self.values
    }

    pub fn into_values(self) -> Buffer {
        self.values
    }

    pub fn view(&self) -> View {
        matrix(self.rows, self.columns)
    }

    /// A transposed copy: a product with a matrix of non-contiguous rows packs it element by element, and each task
    /// would repeat that.
    pub fn transposed(&self) -> Self {
        transposed(&self.values, self.rows, self.columns)
    }
}

/// Columns per task of a transposition: a cache line's worth of several rows.
const TURNED: usize = 64;

/// Transposes a `[rows, columns]` matrix into float32.
pub(super) fn transposed<W: Stored>(source: &[W], rows: usize, columns: usize) -> Weights {
    let mut values = buffer(rows * columns);
    let tasks = values.chunks_mut(TURNED * rows).enumerate().collect();
    run(tasks, rows * columns, |(i, out): (usize, &mut [f32])| {
        let part = View::rows(i * TURNED, rows, out.len() / rows, columns);
        transpose(source, part, out);
    });
    Weights {
        values,
        rows: columns,
        columns: rows,
    }
}

/// View of `rows` contiguous rows of `columns` elements.
pub(super) fn matrix(rows: usize, columns: usize) -> View {
    View::rows(0, rows, columns, columns)
}

/// Splits into pieces of `length` elements (the last may be shorter); empty input yields `count` empty pieces.
pub(super) fn pieces(values: &mut [f32], length: usize, count: usize) -> Vec<&mut [f32]> {
    if values.is_empty() {
        return (0..count).map(|_| Default::default()).collect();
    }
    values.chunks_mut(length).collect()
}

/// Sums parts of equal length in a fixed order.
pub(super) fn summed(parts: &[f32], length: usize) -> Vec<f32> {
    let mut total = parts[..length].to_vec();
    for part in parts[length..].chunks_exact(length.max(1)) {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    total
}

/// Rows summed by one task; fixed, so that sums over rows do not depend on the number of threads.
const SUMMED: usize = 32;

/// Sums vectors of `d` elements over `n` rows: `add` adds the contribution of one row. Parts of a fixed number of rows
/// are summed separately, then added in order.
pub(super) fn over_rows(n: usize, d: usize, add: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    if n == 0 {
        return vec![0.0; d];
    }
    let mut parts = buffer(n.div_ceil(SUMMED) * d);
    let tasks = parts.chunks_exact_mut(d).enumerate().collect();
    run(tasks, n * d, |(i, part): (usize, &mut [f32])| {
        fast(
            #[inline(always)]
            || {
                part.fill(0.0);
                for row in i * SUMMED..n.min((i + 1) * SUMMED) {
                    add(row, part);
                }
            },
        );
    });
    summed(&parts, d)
}

/// Sum over all rows of `d` elements.
pub(super) fn column_sums(values: &[f32], d: usize) -> Vec<f32> {
    over_rows(
        values.len() / d,
        d,
        #[inline(always)]
        |row, total| {
            for (total, x) in total.iter_mut().zip(&values[row * d..][..d]) {
                *total += x;
            }
        },
    )
}

/// Registers the gradient `[rows, columns]` of a weight.
pub(super) fn register(grads: &mut Gradients, node: Option<NodeId>, values: Vec<f32>, shape: &[usize]) {
    if let Some(id) = node {
        grads.register::<Flex>(id, tensor(values, shape.to_vec()));
    }
}
