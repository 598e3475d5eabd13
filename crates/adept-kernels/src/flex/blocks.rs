//! What the fused sublayers share: how rows are cut into tasks, weights side by side, the norm in front.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::grads::Gradients;
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::bridge::{elements, tensor};
use super::matmul::{View, transpose};
use super::pool::{Buffer, buffer};
use super::rows::fast;

/// Tasks that a call is cut into at most. Fixed, so that what tasks sum up does not depend on the number of threads.
const TASKS: usize = 16;
/// Rows that a task has at least: with fewer, a product spends its time on reading the weights.
const LEAST_ROWS: usize = 24;
/// Multiplications below which waking another thread costs more than it saves.
const ALONE: usize = 1 << 20;

/// How many of `units` (of `rows` rows each) a task works on.
pub(super) fn units_a_task(units: usize, rows: usize) -> usize {
    units.div_ceil(TASKS).max(LEAST_ROWS.div_ceil(rows)).min(units).max(1)
}

/// Runs the tasks, on this thread alone where they are small: `work` counts the multiplications of all.
pub(super) fn run<T: Send>(tasks: Vec<T>, work: usize, task: impl Fn(T) + Sync + Send) {
    if work < ALONE || tasks.len() == 1 || rayon::current_num_threads() == 1 {
        tasks.into_iter().for_each(task);
    } else {
        tasks.into_par_iter().with_max_len(1).for_each(task);
    }
}

/// Weights `[d, columns]` with the same input, copied side by side into one `[d, Σ columns]` matrix, so that one product
/// computes what several would.
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

    pub fn view(&self) -> View {
        matrix(self.rows, self.columns)
    }

    /// Rows and columns exchanged, written anew: a product with a matrix whose rows do not lie in one piece copies it
    /// element by element, and each task would do so again.
    pub fn transposed(&self) -> Self {
        transposed(&self.values, self.rows, self.columns)
    }
}

/// A `[rows, columns]` matrix with rows and columns exchanged.
pub(super) fn transposed(source: &[f32], rows: usize, columns: usize) -> Weights {
    let mut values = buffer(rows * columns);
    transpose(source, matrix(rows, columns), &mut values);
    Weights {
        values,
        rows: columns,
        columns: rows,
    }
}

/// `rows` whole rows of `columns` elements, one after another.
pub(super) fn matrix(rows: usize, columns: usize) -> View {
    View::rows(0, rows, columns, columns)
}

/// Pieces of `length` elements (the last may be shorter); of nothing, as many empty ones.
pub(super) fn pieces(values: &mut [f32], length: usize, count: usize) -> Vec<&mut [f32]> {
    if values.is_empty() {
        return (0..count).map(|_| Default::default()).collect();
    }
    values.chunks_mut(length).collect()
}

/// Sums parts of equal length in their order.
pub(super) fn summed(parts: &[f32], length: usize) -> Vec<f32> {
    let mut total = parts[..length].to_vec();
    for part in parts[length..].chunks_exact(length.max(1)) {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    total
}

/// Rows whose sum one task makes; fixed, so that sums over rows do not depend on the number of threads.
const SUMMED: usize = 32;

/// Sums vectors of `d` elements over `n` rows: `add` adds what one row gives. Parts of a fixed number of rows are summed
/// by themselves and then added in their order.
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

/// The sum of all rows of `d` elements.
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

/// Registers the gradients `[rows, columns]` of weights that were computed side by side or apart.
pub(super) fn register(grads: &mut Gradients, node: Option<NodeId>, values: Vec<f32>, shape: &[usize]) {
    if let Some(id) = node {
        grads.register::<Flex>(id, tensor(values, shape.to_vec()));
    }
}
