//! An optimiser step in one pass over parameter, gradient and moments.

use burn::tensor::{Tensor, backend::Backend};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::bridge::{contiguous, elements, elements_mut, from_plain, plain, tensor};
use super::rows::{fast, sum_of_squares as part_of_squares};
use crate::optimizer::AdamWStep;

/// Elements per task; fixed, so that sums do not depend on the number of threads.
const PART: usize = 16 * 1024;

pub(crate) fn adamw<B: Backend>(
    value: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    moments: Option<[Tensor<B, 1>; 2]>,
    step: AdamWStep,
) -> (Tensor<B, 1>, [Tensor<B, 1>; 2]) {
    let (mut value, gradient) = (contiguous(plain(value)), contiguous(plain(gradient)));
    let [mut first, mut second] = match moments {
        Some(moments) => moments.map(|moment| contiguous(plain(moment))),
        None => [(); 2].map(|()| {
            let count = elements(&gradient).len();
            tensor(vec![0.0; count], [count])
        }),
    };
    elements_mut(&mut value)
        .par_chunks_mut(PART)
        .zip(elements_mut(&mut first).par_chunks_mut(PART))
        .zip(elements_mut(&mut second).par_chunks_mut(PART))
        .zip(elements(&gradient).par_chunks(PART))
        .for_each(|(((value, first), second), gradient)| {
            fast(
                #[inline(always)]
                || update(value, first, second, gradient, step),
            )
        });
    (from_plain(value), [first, second].map(from_plain))
}

/// The update of one part; agrees with burn's operations up to a few rounding errors.
#[inline(always)]
fn update(value: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32], step: AdamWStep) {
    let (beta1, beta2) = (step.beta1 as f32, step.beta2 as f32);
    let (rest1, rest2) = ((1.0 - step.beta1) as f32, (1.0 - step.beta2) as f32);
    let (epsilon, shrink, size) = (step.epsilon as f32, step.shrink as f32, step.step_size as f32);
    // A product instead of a quotient: division is the bottleneck of this loop.
    let correction = (1.0 / step.correction) as f32;
    let moments = first.iter_mut().zip(second).zip(gradient);
    for (value, ((m, v), &g)) in value.iter_mut().zip(moments) {
        *m = *m * beta1 + g * rest1;
        *v = *v * beta2 + g * g * rest2;
        if size == 0.0 {
            *value *= shrink;
        } else {
            *value = *value * shrink - *m / (v.sqrt() * correction + epsilon) * size;
        }
    }
}

/// Float32 within a part, double precision over the parts in order.
pub(crate) fn sum_of_squares<B: Backend>(tensors: Vec<Tensor<B, 1>>) -> Option<Tensor<B, 1>> {
    let tensors: Vec<FlexTensor> = tensors.into_iter().map(|tensor| contiguous(plain(tensor))).collect();
    if tensors.is_empty() {
        return None;
    }
    let parts: Vec<&[f32]> = tensors
        .iter()
        .flat_map(|tensor| elements(tensor).chunks(PART))
        .collect();
    let sums: Vec<f32> = parts
        .into_par_iter()
        .map(|part| {
            fast(
                #[inline(always)]
                || part_of_squares(part),
            )
        })
        .collect();
    let total: f64 = sums.into_iter().map(f64::from).sum();
    Some(from_plain(tensor(vec![total as f32], [1])))
}

/// No-op for a factor of one, which is the common case in gradient clipping.
pub(crate) fn scale<B: Backend>(target: Tensor<B, 1>, factor: Tensor<B, 1>) -> Tensor<B, 1> {
    let factor = elements(&contiguous(plain(factor)))[0];
    if factor == 1.0 {
        return target;
    }
    let mut target = contiguous(plain(target));
    elements_mut(&mut target).par_chunks_mut(PART).for_each(|part| {
        fast(
            #[inline(always)]
            || {
                for x in part {
                    *x *= factor;
                }
            },
        );
    });
    from_plain(target)
}
