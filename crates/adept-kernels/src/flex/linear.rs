//! Products of rows with a weight, and the one of few rows, as in every step of generation. That is limited by the
//! memory bandwidth for the weight, which a product that packs its operands does not reach.

use burn::tensor::{Tensor, backend::Backend};

use super::blocks;
use super::bridge::{contiguous, elements, from_plain, plain, tensor};
use super::exact::Stored;
use super::many_rows::{Matrix, many_rows};
use super::rows::fast;

/// Maximum number of rows for which this product is faster.
const ROWS: usize = 16;
/// Minimum and maximum number of columns per task, 1 to 8 KiB of a row: memory is read fastest in long pieces, and the
/// accumulated outputs of a piece should stay in a cache. The number does not affect any sum.
const COLUMNS: std::ops::RangeInclusive<usize> = 256..=2048;
/// Rows and columns whose sums stay in registers: half of those of AVX-512.
const TOGETHER: usize = 4;
const LANES: usize = 64;
/// Inputs after which sums go back to memory. Of more inputs a strip of weights touches more pages; fewer rows read
/// them less often.
const INPUTS: usize = 16;
const FEW_INPUTS: usize = 8;

/// Whether the product of this many rows is faster here.
pub(super) fn are_few(rows: usize) -> bool {
    (1..=ROWS).contains(&rows)
}

/// `x` `[n, in]` times `weight` `[in, out]`, not differentiated, in the way that suits the number of rows.
pub(crate) fn linear<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
    let ([n, inputs], [rows, outputs]) = (x.dims(), weight.dims());
    assert_eq!(inputs, rows, "linear: {inputs} channels times a weight of {rows} rows");
    let (x, weight) = (contiguous(plain(x)), contiguous(plain(weight)));
    let out = match are_few(n) {
        true => few_rows(elements(&x), elements(&weight), [n, inputs, outputs]),
        false => many_rows(elements(&x), Matrix::new(elements(&weight), [inputs, outputs])),
    };
    from_plain(tensor(out, [n, outputs]))
}

/// `x` `[n, in]` times `weight` `[in, out]`, `[n, out]`.
pub(super) fn few_rows<W: Stored>(x: &[f32], weight: &[W], [n, inputs, outputs]: [usize; 3]) -> Vec<f32> {
    let mut out = vec![0.0; n * outputs];
    let share = outputs.div_ceil(rayon::current_num_threads()).next_multiple_of(LANES);
    let width = share.clamp(*COLUMNS.start(), *COLUMNS.end());
    let strips = blocks::strips(&mut out, outputs, width);
    let tasks = strips.into_iter().enumerate().collect();
    blocks::run(
        tasks,
        (n + blocks::READ) * inputs * outputs,
        |(i, mut strip): (usize, Vec<&mut [f32]>)| {
            fast(
                #[inline(always)]
                || columns(&mut strip, x, &weight[i * width..], inputs, outputs),
            );
        },
    );
    out
}

/// Accumulates into a range of output columns; `weight` starts at the first of them. Every sum is added up in the order
/// of the inputs, however the work is cut.
#[inline(always)]
fn columns<W: Stored>(outs: &mut [&mut [f32]], x: &[f32], weight: &[W], inputs: usize, outputs: usize) {
    let width = outs[0].len();
    let whole = width / LANES * LANES;
    let together = if outs.len() < TOGETHER { FEW_INPUTS } else { INPUTS };
    for first in (0..inputs).step_by(together) {
        let part = first..inputs.min(first + together);
        let weight = &weight[first * outputs..];
        for column in (0..whole).step_by(LANES) {
            let weight = &weight[column..];
            let mut row = 0;
            for outs in outs.chunks_mut(TOGETHER) {
                let x = |row: usize| &x[row * inputs..][part.clone()];
                match outs {
                    [a, b, c, d] => {
                        let inputs = [x(row), x(row + 1), x(row + 2), x(row + 3)];
                        rows([a, b, c, d].map(|out| &mut out[column..]), inputs, weight, outputs);
                    }
                    [a, b, rest @ ..] => {
                        rows(
                            [a, b].map(|out| &mut out[column..]),
                            [x(row), x(row + 1)],
                            weight,
                            outputs,
                        );
                        for (at, out) in rest.iter_mut().enumerate() {
                            rows([&mut out[column..]], [x(row + 2 + at)], weight, outputs);
                        }
                    }
                    [out] => rows([&mut out[column..]], [x(row)], weight, outputs),
                    [] => {}
                }
                row += outs.len();
            }
        }
        for (out, x) in outs.iter_mut().zip(x.chunks_exact(inputs)) {
            for (x, weight) in x[part.clone()].iter().zip(weight.chunks(outputs)) {
                for (out, weight) in out[whole..].iter_mut().zip(&weight[whole..]) {
                    *out += x * weight.number();
                }
            }
        }
    }
}

/// Accumulates into the first columns of some rows, whose sums stay in registers, as do the weights of an input.
#[inline(always)]
fn rows<W: Stored, const N: usize>(outs: [&mut [f32]; N], x: [&[f32]; N], weight: &[W], outputs: usize) {
    let mut sums = [[0.0; LANES]; N];
    for (sums, out) in sums.iter_mut().zip(&outs) {
        sums.copy_from_slice(&out[..LANES]);
    }
    for input in 0..x[0].len() {
        let row = &weight[input * outputs..][..LANES];
        let row: [f32; LANES] = std::array::from_fn(
            #[inline(always)]
            |lane| row[lane].number(),
        );
        for (sums, x) in sums.iter_mut().zip(&x) {
            let x = x[input];
            for (sum, weight) in sums.iter_mut().zip(&row) {
                *sum += x * weight;
            }
        }
    }
    for (out, sums) in outs.into_iter().zip(&sums) {
        out[..LANES].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::{ROWS, few_rows};
    use crate::flex::exact::{Bf16, F16, Stored};

    fn numbers(count: usize, factor: f32) -> Vec<f32> {
        (0..count).map(|at| (at as f32 * factor).sin()).collect()
    }

    /// Sums of up to a hundred products of order one in float32.
    const LIMIT: f64 = 2e-5;

    fn check<W: Stored>(of: impl Fn(f32) -> W) {
        // Below, at and above the widths of strips and the inputs of a part; the last has several tasks.
        for [inputs, outputs] in [[1, 1], [8, 63], [17, 64], [31, 65], [16, 130], [100, 700]] {
            let x = numbers(ROWS * inputs, 0.37);
            let weight: Vec<W> = numbers(inputs * outputs, 1.3).into_iter().map(&of).collect();
            let all = few_rows(&x, &weight, [ROWS, inputs, outputs]);
            for (row, out) in all.chunks(outputs).enumerate() {
                for (column, found) in out.iter().enumerate() {
                    let terms = (0..inputs)
                        .map(|i| f64::from(x[row * inputs + i]) * f64::from(weight[i * outputs + column].number()));
                    let expected: f64 = terms.sum();
                    assert!(
                        (f64::from(*found) - expected).abs() < LIMIT,
                        "{inputs} x {outputs}, row {row}, column {column}: {found}, not {expected}"
                    );
                }
            }
            // A row's sums do not depend on what other rows there are.
            for rows in 1..ROWS {
                let found = few_rows(&x[..rows * inputs], &weight, [rows, inputs, outputs]);
                assert_eq!(found, all[..rows * outputs], "{rows} rows, {inputs} x {outputs}");
            }
        }
    }

    #[test]
    fn few_rows_times_a_weight() {
        check(|x| x);
        check(|x| Bf16((x.to_bits() >> 16) as u16));
        check(|x| F16(half::f16::from_f32(x).to_bits()));
    }
}
