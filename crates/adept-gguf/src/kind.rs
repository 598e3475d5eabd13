//! Element types of tensors, and the layout of their blocks.

use std::fmt;

/// Storage type of a tensor. Quantised types store rows as blocks of values that share scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TensorType {
    /// 32-bit floats.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    BF16,
    /// 4 bits, a scale.
    Q4_0,
    /// 4 bits, a scale and a minimum.
    Q4_1,
    /// 5 bits, a scale.
    Q5_0,
    /// 5 bits, a scale and a minimum.
    Q5_1,
    /// 8 bits, a scale.
    Q8_0,
    /// 2 bits in super-blocks, with scales and minima of 4 bits.
    Q2K,
    /// 3 bits in super-blocks, with scales of 6 bits.
    Q3K,
    /// 4 bits in super-blocks, with scales and minima of 6 bits.
    Q4K,
    /// 5 bits in super-blocks, with scales and minima of 6 bits.
    Q5K,
    /// 6 bits in super-blocks, with scales of 8 bits.
    Q6K,
    /// 4 bits into a table of 16 values, a scale.
    IQ4NL,
    /// The same in super-blocks, with scales of 6 bits.
    IQ4XS,
}

/// Values in a super-block of the K types.
pub(crate) const SUPER_BLOCK: usize = 256;

/// Id in files, type, name, values per block, bytes per block.
const LAYOUTS: [(u32, TensorType, &str, usize, usize); 15] = [
    (0, TensorType::F32, "F32", 1, 4),
    (1, TensorType::F16, "F16", 1, 2),
    (30, TensorType::BF16, "BF16", 1, 2),
    (2, TensorType::Q4_0, "Q4_0", 32, 18),
    (3, TensorType::Q4_1, "Q4_1", 32, 20),
    (6, TensorType::Q5_0, "Q5_0", 32, 22),
    (7, TensorType::Q5_1, "Q5_1", 32, 24),
    (8, TensorType::Q8_0, "Q8_0", 32, 34),
    (10, TensorType::Q2K, "Q2_K", SUPER_BLOCK, 84),
    (11, TensorType::Q3K, "Q3_K", SUPER_BLOCK, 110),
    (12, TensorType::Q4K, "Q4_K", SUPER_BLOCK, 144),
    (13, TensorType::Q5K, "Q5_K", SUPER_BLOCK, 176),
    (14, TensorType::Q6K, "Q6_K", SUPER_BLOCK, 210),
    (20, TensorType::IQ4NL, "IQ4_NL", 32, 18),
    (23, TensorType::IQ4XS, "IQ4_XS", SUPER_BLOCK, 136),
];

/// Unsupported types, for error messages.
const OTHERS: [(u32, &str); 20] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

impl TensorType {
    /// The type with this id in files.
    ///
    /// # Errors
    /// The name of an unsupported type.
    pub(crate) fn numbered(number: u32) -> Result<Self, String> {
        if let Some(layout) = LAYOUTS.iter().find(|layout| layout.0 == number) {
            return Ok(layout.1);
        }
        let other = OTHERS.iter().find(|(other, _)| *other == number);
        Err(other.map_or_else(|| format!("number {number}"), |(_, name)| (*name).to_owned()))
    }

    fn layout(self) -> &'static (u32, Self, &'static str, usize, usize) {
        let layout = LAYOUTS.iter().find(|layout| layout.1 == self);
        layout.expect("every type has a layout")
    }

    /// Values in a block.
    #[must_use]
    pub fn block(self) -> usize {
        self.layout().3
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block_bytes(self) -> usize {
        self.layout().4
    }

    /// Names of all supported types.
    pub(crate) fn names() -> String {
        let names: Vec<&str> = LAYOUTS.iter().map(|layout| layout.2).collect();
        names.join(", ")
    }
}

/// llama.cpp's name.
impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.layout().2)
    }
}
