//! Blocks of 32 values with one scale. The low nibbles of the 16 bytes are the first half of the block, the high
//! nibbles the second. 5-bit types store the fifth bits in 32 bits before the nibbles.

use super::half_at;

/// Values in half a block.
const HALF: usize = 16;

/// `[scale: f16] [nibbles: 16]`
pub(super) fn q4_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    nibbles(&block[2..], out, |nibble, _| scale * (f32::from(nibble) - 8.0));
}

/// `[scale: f16] [minimum: f16] [nibbles: 16]`
pub(super) fn q4_1(block: &[u8], out: &mut [f32]) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    nibbles(&block[4..], out, |nibble, _| scale * f32::from(nibble) + minimum);
}

/// `[scale: f16] [fifth bits: 4] [nibbles: 16]`
pub(super) fn q5_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    let fifth = &block[2..6];
    nibbles(&block[6..], out, |nibble, at| {
        scale * (f32::from(nibble | fifth_bit(fifth, at)) - 16.0)
    });
}

/// `[scale: f16] [minimum: f16] [fifth bits: 4] [nibbles: 16]`
pub(super) fn q5_1(block: &[u8], out: &mut [f32]) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    let fifth = &block[4..8];
    nibbles(&block[8..], out, |nibble, at| {
        scale * f32::from(nibble | fifth_bit(fifth, at)) + minimum
    });
}

/// `[scale: f16] [values: i8 × 32]`
pub(super) fn q8_0(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 0);
    for (out, byte) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(byte.cast_signed()) * scale;
    }
}

fn nibbles(bytes: &[u8], out: &mut [f32], value: impl Fn(u8, usize) -> f32) {
    for (at, byte) in bytes.iter().enumerate() {
        out[at] = value(byte & 0x0f, at);
        out[at + HALF] = value(byte >> 4, at + HALF);
    }
}

/// The fifth bit of a value, in its place.
fn fifth_bit(bits: &[u8], at: usize) -> u8 {
    (bits[at / 8] >> (at % 8) & 1) << 4
}
