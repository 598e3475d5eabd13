//! Logits of few rows under a tied head, as in every step of generation: products of rows with the rows of the
//! embedding matrix, which is read once and as it lies. A product that packs its operands first turns the whole matrix.

use burn::tensor::{Tensor, backend::Backend};
use pulp::{Arch, Simd, WithSimd};

use super::blocks;
use super::bridge::{contiguous, elements, from_plain, plain, tensor};
use super::pool::Buffer;
use super::table::Table;
use crate::Map;

/// Maximum number of rows for which this product is faster.
const ROWS: usize = 32;
/// Vocabulary entries per task.
const STRIP: usize = 512;

/// Whether the logits of this many rows are faster here.
pub(crate) fn are_few_states(rows: usize) -> bool {
    (1..=ROWS).contains(&rows)
}

/// `states` `[n, d]` times the transpose of a table `[v, d]`: `[n, v]`, not differentiated.
pub(crate) fn head_logits<B: Backend>(states: Tensor<B, 2>, table: Map<B>) -> Tensor<B, 2> {
    let ([n, d], [v, channels]) = (states.dims(), table.kept.dims());
    assert_eq!(d, channels, "head_logits: {d} channels times a table of {channels}");
    let packed = table.packed();
    let (states, table) = (contiguous(plain(states)), Table::of(plain(table.kept), packed));
    from_plain(tensor(logits(elements(&states), &table, n), [n, v]))
}

fn logits(states: &[f32], table: &Table, n: usize) -> Vec<f32> {
    let [v, d] = table.shape();
    let mut out = vec![0.0; n * v];
    let strips = blocks::strips(&mut out, v, STRIP);
    let tasks = strips.into_iter().enumerate().collect();
    blocks::run(tasks, n * d * v, |(strip, outs): (usize, Vec<&mut [f32]>)| {
        Arch::new().dispatch(Strip {
            outs,
            states,
            table,
            first: strip * STRIP,
            d,
        });
    });
    out
}

/// The logits of all rows for some entries of the vocabulary.
struct Strip<'a, 'o> {
    /// Those of each row.
    outs: Vec<&'o mut [f32]>,
    states: &'a [f32],
    table: &'a Table,
    /// The first entry.
    first: usize,
    d: usize,
}

impl WithSimd for Strip<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let entries = self.outs[0].len();
        let whole = entries / 4 * 4;
        let mut room = None;
        for entry in (0..whole).step_by(4) {
            self.entries::<S, 4>(simd, entry, &mut room);
        }
        for entry in whole..entries {
            self.entries::<S, 1>(simd, entry, &mut room);
        }
    }
}

impl Strip<'_, '_> {
    #[inline(always)]
    fn entries<S: Simd, const V: usize>(&mut self, simd: S, entry: usize, room: &mut Option<Buffer>) {
        let first = self.first + entry;
        let weights = self.table.rows(first..first + V, room);
        let (n, mut row) = (self.outs.len(), 0);
        while n - row >= 4 {
            self.block::<S, 4, V>(simd, row, entry, weights);
            row += 4;
        }
        while row < n {
            self.block::<S, 1, V>(simd, row, entry, weights);
            row += 1;
        }
    }

    /// The logits of `N` rows for `V` entries. A sum's order is the same in every block.
    #[inline(always)]
    fn block<S: Simd, const N: usize, const V: usize>(&mut self, simd: S, row: usize, entry: usize, weights: &[f32]) {
        let states: [_; N] = std::array::from_fn(
            #[inline(always)]
            |i| S::as_simd_f32s(&self.states[(row + i) * self.d..][..self.d]),
        );
        let weights: [_; V] = std::array::from_fn(
            #[inline(always)]
            |i| S::as_simd_f32s(&weights[i * self.d..][..self.d]),
        );
        let mut sums = [[simd.splat_f32s(0.0); N]; V];
        for part in 0..states[0].0.len() {
            for (sums, weight) in sums.iter_mut().zip(&weights) {
                for (sum, state) in sums.iter_mut().zip(&states) {
                    *sum = simd.mul_add_f32s(weight.0[part], state.0[part], *sum);
                }
            }
        }
        for (i, (sums, weight)) in sums.into_iter().zip(&weights).enumerate() {
            for (j, (sum, state)) in sums.into_iter().zip(&states).enumerate() {
                let mut logit = simd.reduce_sum_f32s(sum);
                for (weight, state) in weight.1.iter().zip(state.1) {
                    logit += weight * state;
                }
                self.outs[row + j][entry + i] = logit;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ROWS, Table, logits, tensor};
    use crate::flex::PackedWeight;

    /// Sums of up to a hundred products of order one in float32.
    const LIMIT: f64 = 2e-5;

    #[test]
    fn few_rows_times_the_rows_of_a_matrix() {
        let numbers =
            |count: usize, factor: f32| -> Vec<f32> { (0..count).map(|at| (at as f32 * factor).sin()).collect() };
        // Less than a register, registers with and without a rest; entries in one task and in several.
        for [d, v] in [[1, 1], [7, 9], [16, 4], [64, 3], [100, 1100]] {
            let (states, weight) = (numbers(ROWS * d, 0.37), numbers(v * d, 1.3));
            let table = Table::Whole(tensor(weight.clone(), [v, d]));
            let all = logits(&states, &table, ROWS);
            for (at, found) in all.iter().enumerate() {
                let (row, entry) = (at / v, at % v);
                let terms = states[row * d..][..d].iter().zip(&weight[entry * d..][..d]);
                let expected: f64 = terms.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                assert!(
                    (f64::from(*found) - expected).abs() < LIMIT,
                    "{d} x {v}, row {row}, entry {entry}: {found}, not {expected}"
                );
            }
            // Of two bytes an entry's number, the same bits.
            let cut: Vec<f32> = weight
                .iter()
                .map(|x| f32::from_bits(x.to_bits() & 0xffff_0000))
                .collect();
            let packed = PackedWeight::exact(&cut, [v, d]).map(std::sync::Arc::new);
            let halves = Table::of(tensor(vec![f32::NAN], [1, 1]), packed);
            let whole = Table::Whole(tensor(cut, [v, d]));
            assert_eq!(
                logits(&states, &halves, ROWS),
                logits(&states, &whole, ROWS),
                "{d} x {v}"
            );
            // A row's logits do not depend on what other rows there are.
            for rows in [1, 2, 3, 5, 8, 31] {
                let found = logits(&states[..rows * d], &table, rows);
                assert_eq!(found, all[..rows * v], "{rows} rows, {d} x {v}");
            }
        }
    }
}
