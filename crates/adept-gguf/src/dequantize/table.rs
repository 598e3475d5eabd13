//! Types whose 4-bit values index a table that is denser around zero.

use super::half_at;

const TABLE: [f32; 16] = [
    -127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0, 89.0, 113.0,
];

/// `[scale: f16] [nibbles: 16]`, 32 values
pub(super) fn iq4_nl(block: &[u8], out: &mut [f32]) {
    nibbles(half_at(block, 0), &block[2..], out);
}

/// `[scale: f16] [upper two bits of scales: 2] [lower four bits of scales: 4] [nibbles: 128]`
///
/// 8 groups of 32 values with scales of 6 bits.
pub(super) fn iq4_xs(block: &[u8], out: &mut [f32]) {
    let high = u16::from_le_bytes([block[2], block[3]]);
    let (low, values) = (&block[4..8], &block[8..]);
    for (group, out) in out.chunks_exact_mut(32).enumerate() {
        let low = u16::from(low[group / 2] >> (4 * (group % 2)) & 0x0f);
        let scale = f32::from(low | (high >> (2 * group) & 3) << 4) - 32.0;
        nibbles(half_at(block, 0) * scale, &values[16 * group..][..16], out);
    }
}

/// The low nibbles are the first 16 values, the high ones the last 16.
fn nibbles(scale: f32, bytes: &[u8], out: &mut [f32]) {
    for (at, byte) in bytes.iter().enumerate() {
        out[at] = scale * TABLE[usize::from(byte & 0x0f)];
        out[at + 16] = scale * TABLE[usize::from(byte >> 4)];
    }
}
