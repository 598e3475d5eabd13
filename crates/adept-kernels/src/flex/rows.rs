//! Vectorised building blocks of the kernels: exponentials, sums and maxima over one row.
//!
//! The functions are plain loops over sixteen lanes. They are inlined into closures that [`fast`] runs with the
//! processor's widest instruction set, which is what lets the compiler vectorise them.

const LANES: usize = 16;

/// Runs `work`, compiled for the processor's widest vector instructions.
///
/// The closure and everything it calls must be `#[inline(always)]`: out-of-line code is compiled for the baseline
/// processor and is several times slower.
#[inline]
pub(super) fn fast<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// `eˣ` with a relative error below 3e-7 for x in [−64, 88]; 0 below, NaN for NaN.
///
/// All callers add the exponential to a 1, so anything below e⁻⁶⁴ = 1.6e-28 would be lost anyway. If kept, its products
/// with slopes and states would be denormal numbers, each of which costs the processor a hundred cycles: a pretraining
/// step of a confident model took 1.6 times as long.
///
/// Range reduction to `2ⁿ·eʳ` with |r| ≤ ln 2 / 2, and a polynomial of degree six for `eʳ`. Adding and subtracting
/// 1.5·2²³ rounds to an integer and leaves it in the low bits of the sum.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-64.0, 88.0);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.987_569_2e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    let fraction = (p * r * r + r) + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -64.0 { 0.0 } else { fraction * power }
}

#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn reduce(row: &[f32], start: f32, lane: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (acc, &x) in lanes.iter_mut().zip(chunk) {
            *acc = lane(*acc, x);
        }
    }
    for (acc, &x) in lanes.iter_mut().zip(rest) {
        *acc = lane(*acc, x);
    }
    lanes.into_iter().fold(start, lane)
}

#[inline(always)]
pub(super) fn maximum(row: &[f32]) -> f32 {
    reduce(row, f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

/// `Σ e^(x − top)`; propagates NaN.
#[inline(always)]
pub(super) fn sum_of_exponentials(row: &[f32], top: f32) -> f32 {
    sum_of(
        row,
        #[inline(always)]
        |x| exp(x - top),
    )
}

/// Replaces every element by `e^(x − top)` and returns their sum.
#[inline(always)]
pub(super) fn sum_of_exponentials_in_place(row: &mut [f32], top: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut chunks = row.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for (acc, x) in lanes.iter_mut().zip(chunk) {
            *x = exp(*x - top);
            *acc += *x;
        }
    }
    for (acc, x) in lanes.iter_mut().zip(chunks.into_remainder()) {
        *x = exp(*x - top);
        *acc += *x;
    }
    lanes.into_iter().sum()
}

/// Adds bias and mask, if given, keeps masked sums finite, and returns the largest element.
#[inline(always)]
pub(super) fn maximum_of_sums(row: &mut [f32], bias: Option<&[f32]>, mask: Option<&[f32]>) -> f32 {
    if let Some(bias) = bias {
        for (x, bias) in row.iter_mut().zip(bias) {
            *x += bias;
        }
    }
    if let Some(mask) = mask {
        for (x, mask) in row.iter_mut().zip(mask) {
            let added = *x + mask;
            *x = if added < f32::MIN { f32::MIN } else { added };
        }
    }
    maximum(row)
}

/// `Σ term(x)` over a row, in sixteen partial sums.
#[inline(always)]
fn sum_of(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (acc, &x) in lanes.iter_mut().zip(chunk) {
            *acc += term(x);
        }
    }
    for (acc, &x) in lanes.iter_mut().zip(rest) {
        *acc += term(x);
    }
    lanes.into_iter().sum()
}

#[inline(always)]
pub(super) fn sum(row: &[f32]) -> f32 {
    sum_of(
        row,
        #[inline(always)]
        |x| x,
    )
}

/// `Σ (x − mean)²`.
#[inline(always)]
pub(super) fn centred_squares(row: &[f32], mean: f32) -> f32 {
    sum_of(
        row,
        #[inline(always)]
        |x| (x - mean) * (x - mean),
    )
}

/// `Σ left · (right − mean)`; both rows have the same length.
#[inline(always)]
pub(super) fn centred_dot(left: &[f32], right: &[f32], mean: f32) -> f32 {
    dot_of(
        left,
        right,
        #[inline(always)]
        |x, y| x * (y - mean),
    )
}

#[inline(always)]
pub(super) fn sum_of_squares(row: &[f32]) -> f32 {
    dot(row, row)
}

/// Dot product; both rows have the same length.
#[inline(always)]
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    dot_of(
        left,
        right,
        #[inline(always)]
        |x, y| x * y,
    )
}

/// `Σ term(left, right)` over two rows of the same length.
#[inline(always)]
fn dot_of(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (l, r) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest = (l.remainder(), r.remainder());
    for (a, b) in l.zip(r) {
        for ((acc, &x), &y) in lanes.iter_mut().zip(a).zip(b) {
            *acc += term(x, y);
        }
    }
    for ((acc, &x), &y) in lanes.iter_mut().zip(rest.0).zip(rest.1) {
        *acc += term(x, y);
    }
    lanes.into_iter().sum()
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn exponential_against_double_precision() {
        // Steps of 0.001 over the whole range; 3e-7 is two and a half units in the last place of float32.
        for i in -64_000..=88_000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 3e-7, "exp({x}): {}, expected {exact}", exp(x));
        }
        assert_eq!((exp(-64.5), exp(f32::MIN), exp(f32::NEG_INFINITY)), (0.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }
}
