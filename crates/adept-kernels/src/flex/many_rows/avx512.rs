//! The instructions of [`many_rows`](super::many_rows): panels of a matrix, rows in blocks, and their products.

#[cfg(not(target_arch = "x86_64"))]
pub(super) use elsewhere::{fill, interleave, is_available, multiply_panel};
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{fill, interleave, is_available, multiply_panel};

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use std::arch::x86_64::{
        __m512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_fmadd_ps, _mm512_load_ps, _mm512_loadu_ps,
        _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_shuffle_f32x4,
        _mm512_store_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
    };
    use std::ops::Range;

    use crate::flex::exact::Stored;
    use crate::flex::many_rows::{Matrix, TOGETHER, WIDTH};
    use crate::flex::packed::Line;

    /// Numbers of a register.
    const LANES: usize = 16;

    pub(in crate::flex) fn is_available() -> bool {
        is_x86_feature_detected!("avx512f")
    }

    /// Writes a part of a matrix as a panel: two lines for each input, columns beyond the last one as zeros.
    pub(in crate::flex) fn fill<W: Stored>(
        panel: &mut [Line],
        matrix: Matrix<'_, W>,
        inputs: Range<usize>,
        columns: Range<usize>,
    ) {
        assert!(is_available(), "fill: this processor has no AVX-512");
        assert!(
            panel.len() == 2 * inputs.len() && columns.len() <= WIDTH,
            "fill: {} lines for inputs {inputs:?} and columns {columns:?}",
            panel.len()
        );
        // SAFETY: the processor has the instructions.
        unsafe {
            match matrix.is_turned {
                false => fill_straight(panel, matrix, inputs, columns),
                true => fill_turned(panel, matrix, inputs, columns),
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    fn fill_straight<W: Stored>(
        panel: &mut [Line],
        matrix: Matrix<'_, W>,
        inputs: Range<usize>,
        columns: Range<usize>,
    ) {
        let rows = matrix.numbers[inputs.start * matrix.columns..].chunks(matrix.columns);
        for (lines, row) in panel.chunks_exact_mut(2).zip(rows) {
            let row = &row[columns.clone()];
            let mut numbers = [0.0; WIDTH];
            match <&[W; WIDTH]>::try_from(row) {
                Ok(row) => numbers.iter_mut().zip(row).for_each(|(out, x)| *out = x.number()),
                Err(_) => numbers.iter_mut().zip(row).for_each(|(out, x)| *out = x.number()),
            }
            for (line, numbers) in lines.iter_mut().zip(numbers.chunks_exact(LANES)) {
                // SAFETY: sixteen numbers are a line, aligned to its 64 bytes.
                unsafe { _mm512_store_ps((&raw mut *line).cast(), _mm512_loadu_ps(numbers.as_ptr())) };
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    fn fill_turned<W: Stored>(panel: &mut [Line], matrix: Matrix<'_, W>, inputs: Range<usize>, columns: Range<usize>) {
        let length = matrix.rows;
        for (tile, columns) in [
            columns.start..columns.end.min(columns.start + LANES),
            columns.end.min(columns.start + LANES)..columns.end,
        ]
        .into_iter()
        .enumerate()
        {
            for first in (0..inputs.len()).step_by(LANES) {
                let count = LANES.min(inputs.len() - first);
                let mut rows = [_mm512_setzero_ps(); LANES];
                for (row, column) in rows.iter_mut().zip(columns.clone()) {
                    let source = &matrix.numbers[column * length + inputs.start + first..][..count];
                    let mut numbers = [0.0; LANES];
                    match <&[W; LANES]>::try_from(source) {
                        Ok(source) => numbers.iter_mut().zip(source).for_each(|(out, x)| *out = x.number()),
                        Err(_) => numbers.iter_mut().zip(source).for_each(|(out, x)| *out = x.number()),
                    }
                    // SAFETY: there are sixteen numbers.
                    *row = unsafe { _mm512_loadu_ps(numbers.as_ptr()) };
                }
                let turned = transpose(rows);
                for (lines, numbers) in panel[2 * first..].chunks_exact_mut(2).zip(turned).take(count) {
                    // SAFETY: sixteen numbers are a line, aligned to its 64 bytes.
                    unsafe { _mm512_store_ps((&raw mut lines[tile]).cast(), numbers) };
                }
            }
        }
    }

    /// A 16 × 16 matrix, transposed: pairs of rows within quarters of a register, then the quarters.
    #[target_feature(enable = "avx512f")]
    fn transpose(x: [__m512; LANES]) -> [__m512; LANES] {
        let mut pairs = [_mm512_setzero_ps(); LANES];
        for i in (0..LANES).step_by(2) {
            pairs[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
            pairs[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
        }
        // Of rows 4i to 4i + 3: column 4q + j in quarter q of `fours[4i + j]`.
        let mut fours = [_mm512_setzero_ps(); LANES];
        for i in (0..LANES).step_by(4) {
            for odd in 0..2 {
                let (a, b) = (_mm512_castps_pd(pairs[i + odd]), _mm512_castps_pd(pairs[i + 2 + odd]));
                fours[i + 2 * odd] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                fours[i + 2 * odd + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            }
        }
        let mut out = [_mm512_setzero_ps(); LANES];
        for j in 0..4 {
            let [a, b, c, d] = [fours[j], fours[4 + j], fours[8 + j], fours[12 + j]];
            let [even, odd] = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b)];
            let [even_below, odd_below] = [_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d)];
            out[j] = _mm512_shuffle_f32x4::<0x88>(even, even_below);
            out[4 + j] = _mm512_shuffle_f32x4::<0x88>(odd, odd_below);
            out[8 + j] = _mm512_shuffle_f32x4::<0xdd>(even, even_below);
            out[12 + j] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_below);
        }
        out
    }

    /// Writes the twelve numbers of each input side by side, of up to twelve rows `[n, k]`.
    pub(in crate::flex) fn interleave(out: &mut [f32], x: &[f32], k: usize) {
        assert!(is_available(), "interleave: this processor has no AVX-512");
        assert!(
            out.len() == TOGETHER * k && x.len() <= out.len() && x.len().is_multiple_of(k),
            "interleave: {} numbers in rows of {k} to {}",
            x.len(),
            out.len()
        );
        // SAFETY: the processor has the instructions.
        unsafe { interleave_rows(out, x, k) }
    }

    #[target_feature(enable = "avx512f")]
    fn interleave_rows(out: &mut [f32], x: &[f32], k: usize) {
        for (place, out) in out.chunks_mut(LANES * TOGETHER).enumerate() {
            let mut rows = [_mm512_setzero_ps(); LANES];
            let count = out.len() / TOGETHER;
            let mask = ((1u32 << count) - 1) as u16;
            for (row, x) in rows.iter_mut().zip(x.chunks_exact(k)) {
                let x = &x[place * LANES..][..count];
                // SAFETY: the mask leaves only numbers of the row to be read.
                *row = unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr()) };
            }
            for (out, numbers) in out.chunks_exact_mut(TOGETHER).zip(transpose(rows)) {
                // SAFETY: the mask leaves twelve numbers to be written.
                unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), (1 << TOGETHER) - 1, numbers) };
            }
        }
    }

    /// Writes the products of up to twelve rows, whose numbers of an input are neighbours, with a panel to the columns
    /// from `place` on of `out`, a piece for each row, or adds them to what is there.
    pub(in crate::flex) fn multiply_panel(
        x: &[f32],
        panel: &[Line],
        out: &mut [&mut [f32]],
        place: usize,
        accumulate: bool,
    ) {
        assert!(is_available(), "multiply_panel: this processor has no AVX-512");
        assert!(
            x.len() * 2 == panel.len() * TOGETHER && (1..=TOGETHER).contains(&out.len()),
            "multiply_panel: {} numbers times {} lines into {} rows",
            x.len(),
            panel.len(),
            out.len()
        );
        // SAFETY: the processor has the instructions; the number of pieces is the constant of the function.
        unsafe {
            match out.len() {
                12 => block::<12>(x, panel, out, place, accumulate),
                11 => block::<11>(x, panel, out, place, accumulate),
                10 => block::<10>(x, panel, out, place, accumulate),
                9 => block::<9>(x, panel, out, place, accumulate),
                8 => block::<8>(x, panel, out, place, accumulate),
                7 => block::<7>(x, panel, out, place, accumulate),
                6 => block::<6>(x, panel, out, place, accumulate),
                5 => block::<5>(x, panel, out, place, accumulate),
                4 => block::<4>(x, panel, out, place, accumulate),
                3 => block::<3>(x, panel, out, place, accumulate),
                2 => block::<2>(x, panel, out, place, accumulate),
                _ => block::<1>(x, panel, out, place, accumulate),
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    fn block<const R: usize>(x: &[f32], panel: &[Line], out: &mut [&mut [f32]], place: usize, accumulate: bool) {
        let left = out[0].len().saturating_sub(place).min(WIDTH);
        let masks = [left.min(LANES), left.saturating_sub(LANES)].map(|count| ((1u32 << count) - 1) as u16);
        let starts = [place, place + masks[0].count_ones() as usize];
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        if accumulate {
            for (sums, out) in sums.iter_mut().zip(out.iter()) {
                for ((sum, mask), start) in sums.iter_mut().zip(masks).zip(starts) {
                    // SAFETY: the mask leaves only columns within the piece to be read.
                    *sum = unsafe { _mm512_maskz_loadu_ps(mask, out.as_ptr().add(start)) };
                }
            }
        }
        for (lines, numbers) in panel.chunks_exact(2).zip(x.chunks_exact(TOGETHER)) {
            // SAFETY: a line is sixteen numbers, aligned to 64 bytes.
            let lines = [0, 1].map(|tile| unsafe { _mm512_load_ps((&raw const lines[tile]).cast()) });
            for (number, sums) in numbers.iter().zip(&mut sums) {
                let number = _mm512_set1_ps(*number);
                for (sum, line) in sums.iter_mut().zip(lines) {
                    *sum = _mm512_fmadd_ps(number, line, *sum);
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            for ((sum, mask), start) in sums.into_iter().zip(masks).zip(starts) {
                // SAFETY: the mask leaves only columns within the piece to be written.
                unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr().add(start), mask, sum) };
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere {
    use std::ops::Range;

    use crate::flex::exact::Stored;
    use crate::flex::many_rows::Matrix;
    use crate::flex::packed::Line;

    pub(in crate::flex) fn is_available() -> bool {
        false
    }

    pub(in crate::flex) fn fill<W: Stored>(_: &mut [Line], _: Matrix<'_, W>, _: Range<usize>, _: Range<usize>) {
        unreachable!("only used where it is available")
    }

    pub(in crate::flex) fn interleave(_: &mut [f32], _: &[f32], _: usize) {
        unreachable!("only used where it is available")
    }

    pub(in crate::flex) fn multiply_panel(_: &[f32], _: &[Line], _: &mut [&mut [f32]], _: usize, _: bool) {
        unreachable!("only used where it is available")
    }
}
