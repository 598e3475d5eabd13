//! Products with `vdpbf16ps` of AVX512-BF16: each instruction adds, to sixteen float32 sums, the products of two pairs
//! of bfloat16 numbers.
//!
//! Twelve rows and the 32 columns of a panel are 24 registers of sums; two more hold a line of each tile, one a pair of
//! a row. All of k goes through before a sum is stored.

#[cfg(not(target_arch = "x86_64"))]
pub(super) use elsewhere::{is_available, multiply_panel, round_row, transpose};
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{is_available, multiply_panel, round_row, transpose};

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use std::arch::x86_64::{
        __m256bh, __m256i, __m512bh, __m512i, _mm256_storeu_si256, _mm512_cvtneps_pbh, _mm512_dpbf16_ps,
        _mm512_load_si512, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set_epi64, _mm512_set1_epi32,
        _mm512_setzero_ps, _mm512_shuffle_epi8, _mm512_shuffle_i64x2, _mm512_store_si512, _mm512_unpackhi_epi64,
        _mm512_unpacklo_epi64,
    };
    use std::mem::transmute;

    use crate::flex::bf16::{LINES, Line, STEP};

    /// Rows whose sums are in registers together.
    const TOGETHER: usize = 12;

    pub(in crate::flex) fn is_available() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
    }

    /// Rounds a row to pairs of bfloat16 numbers; `out` is filled up with zeros.
    pub(in crate::flex) fn round_row(row: &[f32], out: &mut [u32]) {
        assert!(is_available(), "round_row: this processor has no AVX512-BF16");
        assert!(
            out.len().is_multiple_of(STEP / 2) && row.len() <= 2 * out.len(),
            "round_row: {} numbers into {} pairs",
            row.len(),
            out.len()
        );
        // SAFETY: the processor has the instructions, and the lengths are what the function asks for.
        unsafe { round_whole_row(row, out) }
    }

    /// # Safety
    /// `out` has a multiple of 16 pairs and at least as many numbers as `row`.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn round_whole_row(row: &[f32], out: &mut [u32]) {
        for (number, eight) in out.chunks_exact_mut(8).enumerate() {
            let left = row.len().saturating_sub(number * 16).min(16);
            let mask = ((1u32 << left) - 1) as u16;
            // SAFETY: the mask leaves only elements of the row to be read, from a pointer within it or one past its
            // end; eight pairs are the 32 bytes that are written.
            unsafe {
                let from = row.as_ptr().add((number * 16).min(row.len()));
                let values = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from));
                _mm256_storeu_si256(eight.as_mut_ptr().cast(), transmute::<__m256bh, __m256i>(values));
            }
        }
    }

    /// Writes the step of a panel, `from`, as the step of the transposed matrix's panel.
    pub(in crate::flex) fn transpose(from: &[Line], to: &mut [Line]) {
        assert!(is_available(), "transpose: this processor has no AVX512-BF16");
        assert!(
            from.len() == LINES && to.len() == LINES,
            "transpose: {} lines to {}",
            from.len(),
            to.len()
        );
        // SAFETY: the processor has the instructions, and both have the lines of a step.
        unsafe { transpose_step(from, to) }
    }

    /// Four numbers at a time, of two neighbouring rows and columns, are 64 bits; once the middle two have changed
    /// places, a step is a 16 × 16 matrix of these, transposed in quarters.
    ///
    /// # Safety
    /// Both have [`LINES`] lines.
    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn transpose_step(from: &[Line], to: &mut [Line]) {
        // Bytes of the four numbers in the order 0, 2, 1, 3, in each half of 128 bits.
        let (low, high) = (0x0706_0302_0504_0100, 0x0f0e_0b0a_0d0c_0908);
        let order = _mm512_set_epi64(high, low, high, low, high, low, high, low);
        let (from, to) = (from.as_ptr().cast::<__m512i>(), to.as_mut_ptr().cast::<__m512i>());
        for tile in 0..2 {
            for half in 0..2 {
                let x: [__m512i; 8] = std::array::from_fn(|line| {
                    // SAFETY: within the step; lines are aligned to 64 bytes.
                    let line = unsafe { _mm512_load_si512(from.add(tile * 16 + half * 8 + line)) };
                    _mm512_shuffle_epi8(line, order)
                });
                let pairs: [[__m512i; 2]; 4] = std::array::from_fn(|pair| {
                    let [a, b] = [x[2 * pair], x[2 * pair + 1]];
                    [_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)]
                });
                for odd in 0..2 {
                    let [a, b, c, d] = pairs.map(|pair| pair[odd]);
                    let [first, second] = [_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xdd>(a, b)];
                    let [third, fourth] = [_mm512_shuffle_i64x2::<0x88>(c, d), _mm512_shuffle_i64x2::<0xdd>(c, d)];
                    let columns = [
                        _mm512_shuffle_i64x2::<0x88>(first, third),
                        _mm512_shuffle_i64x2::<0x88>(second, fourth),
                        _mm512_shuffle_i64x2::<0xdd>(first, third),
                        _mm512_shuffle_i64x2::<0xdd>(second, fourth),
                    ];
                    for (number, column) in columns.into_iter().enumerate() {
                        // SAFETY: as above.
                        unsafe { _mm512_store_si512(to.add(half * 16 + tile * 8 + 2 * number + odd), column) };
                    }
                }
            }
        }
    }

    /// Writes the products of all rows of `left`, `stride` pairs each, with a panel to columns `first..` of `out`, a
    /// piece for each row; columns beyond a piece's end are left out.
    pub(in crate::flex) fn multiply_panel(
        left: &[u32],
        stride: usize,
        panel: &[Line],
        out: &mut [&mut [f32]],
        first: usize,
    ) {
        assert!(is_available(), "multiply_panel: this processor has no AVX512-BF16");
        assert!(
            left.len() == out.len() * stride && panel.len() == 2 * stride,
            "multiply_panel: {} pairs of {} rows with {} lines",
            left.len(),
            out.len(),
            panel.len()
        );
        for (rows, out) in left.chunks(TOGETHER * stride).zip(out.chunks_mut(TOGETHER)) {
            // SAFETY: the processor has the instructions; as asserted, each of the rows has `stride` pairs, which are
            // the pairs of the panel's steps; the number of rows is the constant of the function.
            unsafe {
                match out.len() {
                    12 => block::<12>(rows, stride, panel, out, first),
                    11 => block::<11>(rows, stride, panel, out, first),
                    10 => block::<10>(rows, stride, panel, out, first),
                    9 => block::<9>(rows, stride, panel, out, first),
                    8 => block::<8>(rows, stride, panel, out, first),
                    7 => block::<7>(rows, stride, panel, out, first),
                    6 => block::<6>(rows, stride, panel, out, first),
                    5 => block::<5>(rows, stride, panel, out, first),
                    4 => block::<4>(rows, stride, panel, out, first),
                    3 => block::<3>(rows, stride, panel, out, first),
                    2 => block::<2>(rows, stride, panel, out, first),
                    _ => block::<1>(rows, stride, panel, out, first),
                }
            }
        }
    }

    /// # Safety
    /// There are `R` rows of `stride` pairs, and the panel has two lines for each of these pairs.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn block<const R: usize>(rows: &[u32], stride: usize, panel: &[Line], out: &mut [&mut [f32]], first: usize) {
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        let (rows, panel) = (rows.as_ptr(), panel.as_ptr());
        for step in 0..stride / (STEP / 2) {
            for pair in 0..STEP / 2 {
                // SAFETY: within the panel, as the caller warrants; lines are aligned to 64 bytes.
                let lines: [__m512bh; 2] = unsafe {
                    let tile = panel.add(step * LINES + pair).cast::<__m512i>();
                    transmute([_mm512_load_si512(tile), _mm512_load_si512(tile.add(LINES / 2))])
                };
                for (row, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: within the rows, as the caller warrants.
                    let two: __m512bh = unsafe {
                        let at = rows.add(row * stride + step * (STEP / 2) + pair);
                        transmute(_mm512_set1_epi32((*at).cast_signed()))
                    };
                    for (sum, line) in sums.iter_mut().zip(lines) {
                        *sum = _mm512_dpbf16_ps(*sum, two, line);
                    }
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            for (tile, sum) in sums.into_iter().enumerate() {
                let start = (first + tile * 16).min(out.len());
                let mask = ((1u32 << (out.len() - start).min(16)) - 1) as u16;
                // SAFETY: the mask leaves only columns within the piece to be written.
                unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr().add(start), mask, sum) };
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere {
    use crate::flex::bf16::Line;

    pub(in crate::flex) fn is_available() -> bool {
        false
    }

    pub(in crate::flex) fn round_row(_: &[f32], _: &mut [u32]) {
        unreachable!("only used where it is available")
    }

    pub(in crate::flex) fn transpose(_: &[Line], _: &mut [Line]) {
        unreachable!("only used where it is available")
    }

    pub(in crate::flex) fn multiply_panel(_: &[u32], _: usize, _: &[Line], _: &mut [&mut [f32]], _: usize) {
        unreachable!("only used where it is available")
    }
}
