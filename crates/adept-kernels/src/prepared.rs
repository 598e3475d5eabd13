//! Frozen weights made ready for products in a precision below float32.

#[cfg(feature = "flex")]
use std::sync::Arc;

use burn::tensor::{Tensor, backend::Backend};

/// In what a frozen weight's products are computed. Sums are float32 in each of them, and so is everything between
/// products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// float32.
    #[default]
    F32,
    /// Both operands, and gradients on their way back, are rounded to bfloat16: 8 significant bits.
    Bf16,
}

/// What [`Precision::Bf16`] has made of a weight. On the flex backend the weight is packed once for products with rows
/// and, when a gradient first needs it, once for the way back; elsewhere operands are rounded anew in each product.
#[derive(Debug, Clone)]
pub struct Prepared {
    #[cfg(feature = "flex")]
    packed: Option<Arc<crate::flex::PackedWeight>>,
}

impl Prepared {
    /// Prepares a weight `[in, out]`; nothing is to prepare in float32.
    pub fn new<B: Backend>(weight: Tensor<B, 2>, precision: Precision) -> Option<Self> {
        if precision == Precision::F32 {
            return None;
        }
        #[cfg(feature = "flex")]
        let packed = crate::flex::route::<B>().map(|route| {
            let kernel = crate::flex::Kernel::fastest();
            Arc::new(crate::flex::packed_weight(route, weight, kernel))
        });
        #[cfg(not(feature = "flex"))]
        let _ = weight;
        Some(Self {
            #[cfg(feature = "flex")]
            packed,
        })
    }

    /// `x` `[n, in]` times the weight `[in, out]` that this was made of; the weight gets no gradient.
    pub fn product<B: Backend>(&self, x: Tensor<B, 2>, weight: Tensor<B, 2>) -> Tensor<B, 2> {
        #[cfg(feature = "flex")]
        if let (Some(route), Some(packed)) = (crate::flex::route::<B>(), &self.packed) {
            return crate::flex::packed_product(route, x, weight, packed);
        }
        crate::product(rounded(x), rounded(weight))
    }

    /// What computes the products on a backend; sums differ in their last bits.
    #[must_use]
    pub fn kernel<B: Backend>() -> &'static str {
        #[cfg(feature = "flex")]
        if crate::flex::route::<B>().is_some() && crate::flex::Kernel::fastest() == crate::flex::Kernel::Avx512 {
            return "avx512-bf16";
        }
        "rounded operands"
    }
}

/// Rounds to the eight significant bits of bfloat16 in float32 arithmetic: adding `2¹⁶ · x` pushes the other sixteen
/// out. The gradient is that of the identity.
fn rounded<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    let scaled = x.clone().mul_scalar(65537.0);
    scaled.clone() - (scaled - x)
}
