//! Super-blocks of 256 values.

use super::half_at;

/// `[scales and minima: 16 × (4 + 4 bits)] [values: 256 × 2 bits] [scale: f16] [minimum: f16]`
///
/// 16 groups of 16 values. In each half of the block, 32 bytes hold the first 32 values in their lowest two bits, the
/// next 32 in the two bits above, and so on.
pub(super) fn q2_k(block: &[u8], out: &mut [f32]) {
    let (groups, values) = (&block[..16], &block[16..80]);
    let (scale, minimum) = (half_at(block, 80), half_at(block, 82));
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = scale * f32::from(groups[group] & 0x0f);
        let minimum = minimum * f32::from(groups[group] >> 4);
        let (bytes, shift) = quarters(values, group);
        for (out, byte) in out.iter_mut().zip(bytes) {
            *out = scale * f32::from(byte >> shift & 3) - minimum;
        }
    }
}

/// `[third bits: 32] [values: 256 × 2 bits] [scales: 16 × 6 bits] [scale: f16]`
///
/// 16 groups of 16 values, their lower two bits as in Q2_K. A third bit of 0 subtracts 4.
pub(super) fn q3_k(block: &[u8], out: &mut [f32]) {
    let (third, values, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let scale = half_at(block, 108);
    for (group, out) in out.chunks_exact_mut(16).enumerate() {
        // Four bits in the first 8 bytes, low nibbles first; two more in the last 4 bytes.
        let low = packed[group % 8] >> (4 * (group / 8)) & 0x0f;
        let high = packed[8 + group % 4] >> (2 * (group / 4)) & 3;
        let scale = scale * (f32::from(low | high << 4) - 32.0);
        let (bytes, shift) = quarters(values, group);
        // The bit of each byte belongs to a run of 32 values.
        let third = third[16 * (group % 2)..].iter().map(|byte| byte >> (group / 2) & 1);
        for ((out, byte), third) in out.iter_mut().zip(bytes).zip(third) {
            *out = scale * (f32::from(byte >> shift & 3) - f32::from(4 * (1 - third)));
        }
    }
}

/// The bytes that hold a group of 16 two-bit values, and where in them.
fn quarters(values: &[u8], group: usize) -> (&[u8], usize) {
    let (half, run) = (group / 8, group % 8);
    (&values[32 * half + 16 * (run % 2)..][..16], 2 * (run / 2))
}

/// `[scale: f16] [minimum: f16] [scales and minima: 12] [nibbles: 128]`
///
/// 8 groups of 32 values. Two groups share 32 bytes, the first in the low nibbles.
pub(super) fn q4_k(block: &[u8], out: &mut [f32]) {
    let values = &block[16..];
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = group_factors(block, group);
        let shift = 4 * (group % 2);
        for (out, byte) in out.iter_mut().zip(&values[32 * (group / 2)..]) {
            *out = scale * f32::from(byte >> shift & 0x0f) - minimum;
        }
    }
}

/// Q4_K with `[fifth bits: 32]` before the nibbles: bit `g` of byte `i` belongs to value `i` of group `g`.
pub(super) fn q5_k(block: &[u8], out: &mut [f32]) {
    let (fifth, values) = (&block[16..48], &block[48..]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, minimum) = group_factors(block, group);
        let shift = 4 * (group % 2);
        for ((out, byte), fifth) in out.iter_mut().zip(&values[32 * (group / 2)..]).zip(fifth) {
            let value = byte >> shift & 0x0f | (fifth >> group & 1) << 4;
            *out = scale * f32::from(value) - minimum;
        }
    }
}

/// A group's scale and minimum in Q4_K and Q5_K: 6 bits each. The first four groups have a byte for either; of the
/// others, the lower four bits share a byte, and the upper two are at the top of the first groups' bytes.
fn group_factors(block: &[u8], group: usize) -> (f32, f32) {
    let packed = &block[4..16];
    let (scale, minimum) = match group {
        0..4 => (packed[group] & 0x3f, packed[group + 4] & 0x3f),
        _ => (
            packed[group + 4] & 0x0f | packed[group - 4] >> 6 << 4,
            packed[group + 4] >> 4 | packed[group] >> 6 << 4,
        ),
    };
    (
        half_at(block, 0) * f32::from(scale),
        half_at(block, 2) * f32::from(minimum),
    )
}

/// `[low nibbles: 128] [upper two bits: 64] [scales: i8 × 16] [scale: f16]`
///
/// 16 groups of 16 values. Each half of the block has 64 bytes of nibbles, low ones first, and 32 bytes of upper bits,
/// in runs of 32 values.
pub(super) fn q6_k(block: &[u8], out: &mut [f32]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half_at(block, 208);
    for (run, out) in out.chunks_exact_mut(32).enumerate() {
        let (half, run_in_half) = (run / 4, run % 4);
        let low = &low[64 * half + 32 * (run_in_half % 2)..];
        let high = &high[32 * half..];
        for (at, out) in out.iter_mut().enumerate() {
            let scale = scale * f32::from(scales[2 * run + at / 16].cast_signed());
            let value = low[at] >> (4 * (run_in_half / 2)) & 0x0f | (high[at] >> (2 * run_in_half) & 3) << 4;
            *out = scale * (f32::from(value) - 32.0);
        }
    }
}
