//! Product of few rows with a weight, as in every step of generation. It is limited by the memory bandwidth for the
//! weight, which a product that packs its operands does not reach.

use burn::tensor::{Tensor, backend::Backend};

use super::blocks;
use super::bridge::{contiguous, elements, from_plain, plain, tensor};
use super::rows::fast;

/// Maximum number of rows for which this product is faster.
const ROWS: usize = 16;
/// Minimum and maximum number of columns per task, 1 to 8 KiB of a row: memory is read fastest in long pieces, and the
/// accumulated outputs of a piece should stay in a cache. The number does not affect any sum.
const COLUMNS: std::ops::RangeInclusive<usize> = 256..=2048;
/// Weight rows processed together, so that an output is loaded and stored once for all of them.
const TOGETHER: usize = 4;

/// Whether the product of this many rows is faster here.
pub(crate) fn are_few(rows: usize) -> bool {
    (1..=ROWS).contains(&rows)
}

/// `x` `[n, in]` times `weight` `[in, out]`, not differentiated.
pub(crate) fn linear<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
    let ([n, inputs], [rows, outputs]) = (x.dims(), weight.dims());
    assert_eq!(inputs, rows, "linear: {inputs} channels times a weight of {rows} rows");
    let (x, weight) = (contiguous(plain(x)), contiguous(plain(weight)));
    let (x, weight) = (elements(&x), elements(&weight));
    let mut out = vec![0.0; n * outputs];
    let share = outputs.div_ceil(rayon::current_num_threads()).next_multiple_of(16);
    let width = share.clamp(*COLUMNS.start(), *COLUMNS.end());
    let mut strips: Vec<Vec<&mut [f32]>> = (0..outputs.div_ceil(width)).map(|_| Vec::with_capacity(n)).collect();
    for row in out.chunks_exact_mut(outputs) {
        for (strip, piece) in strips.iter_mut().zip(row.chunks_mut(width)) {
            strip.push(piece);
        }
    }
    let tasks = strips.into_iter().enumerate().collect();
    blocks::run(
        tasks,
        n * inputs * outputs,
        |(i, mut strip): (usize, Vec<&mut [f32]>)| {
            fast(
                #[inline(always)]
                || columns(&mut strip, x, &weight[i * width..], inputs, outputs),
            );
        },
    );
    from_plain(tensor(out, [n, outputs]))
}

/// Accumulates into a range of output columns; `weight` starts at the first of them.
#[inline(always)]
fn columns(outs: &mut [&mut [f32]], x: &[f32], weight: &[f32], inputs: usize, outputs: usize) {
    let width = outs[0].len();
    let whole = inputs / TOGETHER * TOGETHER;
    for first in (0..whole).step_by(TOGETHER) {
        let [a, b, c, d]: [&[f32]; TOGETHER] = std::array::from_fn(
            #[inline(always)]
            |i| &weight[(first + i) * outputs..][..width],
        );
        for (out, x) in outs.iter_mut().zip(x.chunks_exact(inputs)) {
            let x = &x[first..][..TOGETHER];
            let weights = a.iter().zip(b).zip(c.iter().zip(d));
            for (out, ((a, b), (c, d))) in out.iter_mut().zip(weights) {
                *out += (x[0] * a + x[1] * b) + (x[2] * c + x[3] * d);
            }
        }
    }
    for i in whole..inputs {
        let weight = &weight[i * outputs..][..width];
        for (out, x) in outs.iter_mut().zip(x.chunks_exact(inputs)) {
            for (out, w) in out.iter_mut().zip(weight) {
                *out += x[i] * w;
            }
        }
    }
}
