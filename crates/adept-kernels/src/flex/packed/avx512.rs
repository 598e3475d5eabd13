//! Products with `vdpbf16ps` of AVX512-BF16: each instruction adds, to sixteen float32 sums, the products of two pairs
//! of bfloat16 numbers.
//!
//! Twelve rows and the 32 columns of a panel are 24 registers of sums; two more hold a line of each tile, one a pair of
//! a row. All of k goes through before a sum is stored.

#[cfg(not(target_arch = "x86_64"))]
pub(super) use elsewhere::{is_available, multiply_panel, outruns_float32, round_row, transpose};
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{is_available, multiply_panel, outruns_float32, round_row, transpose};

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use std::arch::x86_64::{
        __cpuid, __m512, __m512bh, __m512i, _mm512_castsi512_ps, _mm512_castsi512_si256, _mm512_cvtepu16_epi32,
        _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_extracti64x4_epi64, _mm512_load_si512, _mm512_mask_storeu_ps,
        _mm512_maskz_loadu_ps, _mm512_set_epi64, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_shuffle_epi8,
        _mm512_shuffle_i64x2, _mm512_slli_epi32, _mm512_store_si512, _mm512_sub_ps, _mm512_unpackhi_epi64,
        _mm512_unpacklo_epi64,
    };
    use std::mem::transmute;

    use crate::flex::packed::{LINES, Line, STEP};

    /// Rows whose sums are in registers together.
    const TOGETHER: usize = 12;

    pub(in crate::flex) fn is_available() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
    }

    /// Whether an instruction takes no longer than one of float32, which does half its work: AMD's do (Zen 4), Intel's
    /// take four times as long (Emerald Rapids; docs/measurements/2026-11-30-intel.md). Decided by the maker and not by
    /// a clock, so that a processor computes the same sums every time.
    pub(in crate::flex) fn outruns_float32() -> bool {
        // SAFETY: every processor of this architecture has the instruction.
        #[allow(unused_unsafe, reason = "the function is safe from Rust 1.94 on")]
        let vendor = unsafe { __cpuid(0) };
        let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
        name.as_flattened() == b"AuthenticAMD"
    }

    /// Rounds a row to lines of bfloat16 numbers, 32 each, filled up with zeros: the first from line `first` of `out`
    /// on, in steps of `apart`. With a second part, what the first leaves of a number is rounded to it, `beside` lines
    /// further.
    pub(in crate::flex) fn round_row(row: &[f32], out: &mut [Line], first: usize, apart: usize, beside: Option<usize>) {
        assert!(is_available(), "round_row: this processor has no AVX512-BF16");
        let last = first + row.len().div_ceil(STEP).saturating_sub(1) * apart + beside.unwrap_or(0);
        assert!(
            last < out.len(),
            "round_row: {} numbers to line {last} of {}",
            row.len(),
            out.len()
        );
        for (step, numbers) in row.chunks(STEP).enumerate() {
            let at = first + step * apart;
            // SAFETY: the processor has the instructions; the lines of both parts are among those of `out`, as asserted
            // for the last ones, and there are at most 32 numbers.
            unsafe {
                let high: *mut Line = out.as_mut_ptr().add(at);
                match beside {
                    None => round_line(numbers, high),
                    Some(beside) => split_line(numbers, high, out.as_mut_ptr().add(at + beside)),
                }
            }
        }
    }

    /// Up to sixteen numbers from the `half`th sixteen on, with zeros behind them.
    ///
    /// # Safety
    /// There are at most 32 numbers.
    #[target_feature(enable = "avx512f")]
    unsafe fn load(numbers: &[f32], half: usize) -> __m512 {
        let start = (half * 16).min(numbers.len());
        let mask = ((1u32 << (numbers.len() - start).min(16)) - 1) as u16;
        // SAFETY: the mask leaves only numbers of the slice to be read, from a pointer within it or one past its end.
        unsafe { _mm512_maskz_loadu_ps(mask, numbers.as_ptr().add(start)) }
    }

    /// # Safety
    /// There are at most 32 numbers; `out` may be written.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn round_line(numbers: &[f32], out: *mut Line) {
        // SAFETY: as the caller warrants; a line is aligned to its 64 bytes.
        unsafe {
            let values = _mm512_cvtne2ps_pbh(load(numbers, 1), load(numbers, 0));
            _mm512_store_si512(out.cast(), transmute::<__m512bh, __m512i>(values));
        }
    }

    /// # Safety
    /// There are at most 32 numbers; `high` and `low` may be written.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn split_line(numbers: &[f32], high: *mut Line, low: *mut Line) {
        // SAFETY: as the caller warrants; a line is aligned to its 64 bytes.
        unsafe {
            let values = [load(numbers, 0), load(numbers, 1)];
            let first = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(values[1], values[0]));
            let widened = [
                _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(first))),
                _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64::<1>(first))),
            ];
            let left = [
                _mm512_sub_ps(values[0], _mm512_castsi512_ps(widened[0])),
                _mm512_sub_ps(values[1], _mm512_castsi512_ps(widened[1])),
            ];
            let second = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(left[1], left[0]));
            _mm512_store_si512(high.cast(), first);
            _mm512_store_si512(low.cast(), second);
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

    /// Writes the products of all rows of `left` with a panel to columns `first..` of `out`, a piece for each row;
    /// columns beyond a piece's end are left out. Operands have `parts` parts; a row has a line for each step and part.
    pub(in crate::flex) fn multiply_panel(
        left: &[Line],
        panel: &[Line],
        parts: usize,
        out: &mut [&mut [f32]],
        first: usize,
    ) {
        assert!(is_available(), "multiply_panel: this processor has no AVX512-BF16");
        let stride = left.len() / out.len().max(1);
        assert!(
            matches!(parts, 1 | 2)
                && left.len() == out.len() * stride
                && stride.is_multiple_of(parts)
                && panel.len() == stride * LINES,
            "multiply_panel: {} lines of {} rows with {} lines, {parts} parts",
            left.len(),
            out.len(),
            panel.len()
        );
        for (rows, out) in left.chunks(TOGETHER * stride).zip(out.chunks_mut(TOGETHER)) {
            // SAFETY: the processor has the instructions; as asserted, each of the rows has `stride` lines, which are
            // those of the panel's steps and parts; the number of rows is the constant of the function.
            unsafe {
                match parts {
                    1 => rows_of_panel::<1>(rows, stride, panel, out, first),
                    _ => rows_of_panel::<2>(rows, stride, panel, out, first),
                }
            }
        }
    }

    /// # Safety
    /// There are up to twelve rows of `stride` lines, `P` for each step, and the panel has as many steps.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn rows_of_panel<const P: usize>(
        rows: &[Line],
        stride: usize,
        panel: &[Line],
        out: &mut [&mut [f32]],
        first: usize,
    ) {
        // SAFETY: as the caller warrants.
        unsafe {
            match out.len() {
                12 => block::<12, P>(rows, stride, panel, out, first),
                11 => block::<11, P>(rows, stride, panel, out, first),
                10 => block::<10, P>(rows, stride, panel, out, first),
                9 => block::<9, P>(rows, stride, panel, out, first),
                8 => block::<8, P>(rows, stride, panel, out, first),
                7 => block::<7, P>(rows, stride, panel, out, first),
                6 => block::<6, P>(rows, stride, panel, out, first),
                5 => block::<5, P>(rows, stride, panel, out, first),
                4 => block::<4, P>(rows, stride, panel, out, first),
                3 => block::<3, P>(rows, stride, panel, out, first),
                2 => block::<2, P>(rows, stride, panel, out, first),
                _ => block::<1, P>(rows, stride, panel, out, first),
            }
        }
    }

    /// Parts of the rows and of the panel whose products are added up, small ones first.
    const fn products<const P: usize>() -> &'static [(usize, usize)] {
        match P {
            1 => &[(0, 0)],
            _ => &[(1, 0), (0, 1), (0, 0)],
        }
    }

    /// # Safety
    /// There are `R` rows of `stride` lines, `P` for each step, and the panel has as many steps.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn block<const R: usize, const P: usize>(
        rows: &[Line],
        stride: usize,
        panel: &[Line],
        out: &mut [&mut [f32]],
        first: usize,
    ) {
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        let (rows, panel) = (rows.as_ptr(), panel.as_ptr());
        for step in 0..stride / P {
            for (of_rows, of_panel) in products::<P>() {
                for pair in 0..STEP / 2 {
                    // SAFETY: within the panel, as the caller warrants; lines are aligned to 64 bytes.
                    let lines: [__m512bh; 2] = unsafe {
                        let tile = panel.add((step * P + of_panel) * LINES + pair).cast::<__m512i>();
                        transmute([_mm512_load_si512(tile), _mm512_load_si512(tile.add(LINES / 2))])
                    };
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: within the rows, as the caller warrants.
                        let two: __m512bh = unsafe {
                            let line = rows.add(row * stride + step * P + of_rows);
                            transmute(_mm512_set1_epi32(line.cast::<i32>().add(pair).read()))
                        };
                        for (sum, line) in sums.iter_mut().zip(lines) {
                            *sum = _mm512_dpbf16_ps(*sum, two, line);
                        }
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
    use crate::flex::packed::Line;

    pub(in crate::flex) fn is_available() -> bool {
        false
    }

    pub(in crate::flex) fn outruns_float32() -> bool {
        false
    }

    pub(in crate::flex) fn round_row(_: &[f32], _: &mut [Line], _: usize, _: usize, _: Option<usize>) {
        unreachable!("only used where it is available")
    }

    pub(in crate::flex) fn transpose(_: &[Line], _: &mut [Line]) {
        unreachable!("only used where it is available")
    }

    pub(in crate::flex) fn multiply_panel(_: &[Line], _: &[Line], _: usize, _: &mut [&mut [f32]], _: usize) {
        unreachable!("only used where it is available")
    }
}
