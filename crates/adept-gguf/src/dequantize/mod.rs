//! Conversion of blocks to f32, bit for bit as in the `gguf` Python package.
//!
//! A block holds small integers and their scale, in some types also an offset: `value = scale × integer` or
//! `scale × integer ± minimum`. In the K types, the scales and minima of the 8 or 16 groups in a super-block of 256
//! values are small integers themselves, multiplied by two half-precision factors.

mod k_types;
mod plain;
mod table;
#[cfg(test)]
mod tests;

use half::{bf16, f16};

use crate::kind::TensorType;

/// Converts whole blocks; `bytes` and `values` must be of matching length.
pub(crate) fn dequantize(kind: TensorType, bytes: &[u8], values: &mut [f32]) {
    debug_assert_eq!(values.len() % kind.block(), 0);
    debug_assert_eq!(values.len() / kind.block() * kind.block_bytes(), bytes.len());
    let convert = match kind {
        TensorType::F32 => {
            |bytes: &[u8], out: &mut [f32]| out[0] = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        }
        TensorType::F16 => |bytes: &[u8], out: &mut [f32]| out[0] = half_at(bytes, 0),
        TensorType::BF16 => |bytes: &[u8], out: &mut [f32]| out[0] = bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        TensorType::Q4_0 => plain::q4_0,
        TensorType::Q4_1 => plain::q4_1,
        TensorType::Q5_0 => plain::q5_0,
        TensorType::Q5_1 => plain::q5_1,
        TensorType::Q8_0 => plain::q8_0,
        TensorType::Q2K => k_types::q2_k,
        TensorType::Q3K => k_types::q3_k,
        TensorType::Q4K => k_types::q4_k,
        TensorType::Q5K => k_types::q5_k,
        TensorType::Q6K => k_types::q6_k,
        TensorType::IQ4NL => table::iq4_nl,
        TensorType::IQ4XS => table::iq4_xs,
    };
    let blocks = bytes.chunks_exact(kind.block_bytes());
    for (block, out) in blocks.zip(values.chunks_exact_mut(kind.block())) {
        convert(block, out);
    }
}

/// The half-precision number at an offset.
fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}
