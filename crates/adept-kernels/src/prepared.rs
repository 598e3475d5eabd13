//! Frozen weights made ready for products in a precision.

use std::fmt;
#[cfg(feature = "flex")]
use std::sync::Arc;

#[cfg(feature = "flex")]
use burn::tensor::TensorData;
use burn::tensor::{Tensor, backend::Backend};

/// In what a frozen weight's products are computed. Sums are float32 in each of them, and so is everything between
/// products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// float32.
    #[default]
    F32,
    /// Both operands, and gradients on their way back, are split in two bfloat16 numbers each, 16 significant bits
    /// together: float32 in effect, and faster where the processor multiplies bfloat16 numbers more than three times as
    /// fast. Where nothing computes it, products are in float32.
    Bf16x3,
    /// Both operands, and gradients on their way back, are rounded to bfloat16: 8 significant bits.
    Bf16,
}

impl Precision {
    /// The fastest precision of a backend that is float32 in effect: three products of bfloat16 parts with AMX.
    #[must_use]
    pub fn fastest_exact<B: Backend>() -> Self {
        #[cfg(feature = "flex")]
        if crate::flex::route::<B>().is_some() && crate::flex::Kernel::chosen() == crate::flex::Kernel::Amx {
            return Self::Bf16x3;
        }
        Self::F32
    }

    /// What computes the products on a backend, as it stands in records: sums differ in their last bits. `None` for
    /// float32 products as any tensor's.
    #[must_use]
    pub fn kernel<B: Backend>(self) -> Option<&'static str> {
        if self == Self::F32 {
            return None;
        }
        #[cfg(feature = "flex")]
        if crate::flex::route::<B>().is_some() {
            let kernel = crate::flex::Kernel::chosen();
            let is_split = self == Self::Bf16x3;
            return (!is_split || kernel != crate::flex::Kernel::Rounded).then(|| kernel.name());
        }
        (self == Self::Bf16).then_some(ROUNDED)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::Bf16x3 => "bf16x3",
            Self::Bf16 => "bf16",
        })
    }
}

/// Name of rounded operands in float32 products, on every backend.
pub(crate) const ROUNDED: &str = "rounded";

/// What a precision has made of a frozen weight. On the flex backend the weight itself: for float32 as it is, where two
/// bytes hold each of its numbers; below that rounded or split and packed for products, in two bytes an element or in
/// four. Elsewhere nothing, and operands are rounded anew in each product.
#[derive(Debug, Clone)]
pub struct Prepared {
    #[cfg(feature = "flex")]
    packed: Option<Arc<crate::flex::PackedWeight>>,
}

impl Prepared {
    /// Prepares a weight `[in, out]`, and says what is to be kept of it: the weight, or nothing but its shape where it
    /// is packed. Nothing is prepared for two parts where nothing multiplies them, nor in float32 but for large weights
    /// that two bytes an element hold on the flex backend; their products are the same to the last bit.
    pub fn new<B: Backend>(weight: Tensor<B, 2>, precision: Precision) -> (Option<Self>, Tensor<B, 2>) {
        #[cfg(feature = "flex")]
        if let Some(route) = crate::flex::route::<B>() {
            let (shape, device) = (weight.dims(), weight.device());
            return match packed(route, weight.clone(), precision) {
                Some(packed) => {
                    let packed = Some(Arc::new(packed));
                    // One number in memory. Whoever takes it for the weight computes no number at all.
                    let number: Tensor<B, 2> = Tensor::full([1, 1], f32::NAN, &device);
                    (Some(Self { packed }), number.expand(shape))
                }
                None => (None, weight),
            };
        }
        if precision.kernel::<B>().is_none() {
            return (None, weight);
        }
        let prepared = Self {
            #[cfg(feature = "flex")]
            packed: None,
        };
        (Some(prepared), weight)
    }

    /// The weight `[in, out]`; `kept` is what [`Prepared::new`] has left of it. Packed weights are made anew, rounded
    /// if they were prepared for less than float32.
    pub fn weight<B: Backend>(&self, kept: Tensor<B, 2>) -> Tensor<B, 2> {
        #[cfg(feature = "flex")]
        if let (Some(_), Some(packed)) = (crate::flex::route::<B>(), &self.packed) {
            let values = TensorData::new(packed.values(), packed.shape());
            return Tensor::from_data(values, &kept.device());
        }
        kept
    }

    /// `x` `[n, in]` times the weight `[in, out]` that this was made of; the weight gets no gradient. `kept` is what
    /// [`Prepared::new`] has left of it.
    pub fn product<B: Backend>(&self, x: Tensor<B, 2>, kept: Tensor<B, 2>) -> Tensor<B, 2> {
        #[cfg(feature = "flex")]
        if let (Some(route), Some(packed)) = (crate::flex::route::<B>(), &self.packed) {
            return crate::flex::packed_product(route, x, packed);
        }
        crate::product(rounded(x), rounded(kept))
    }

    /// What the weight was prepared for.
    #[must_use]
    pub fn precision(&self) -> Precision {
        #[cfg(feature = "flex")]
        if let Some(packed) = &self.packed {
            return packed.precision();
        }
        Precision::Bf16
    }
}

/// What the flex backend makes of a weight for a precision, if anything.
#[cfg(feature = "flex")]
fn packed<B: Backend>(
    route: crate::flex::Route,
    weight: Tensor<B, 2>,
    precision: Precision,
) -> Option<crate::flex::PackedWeight> {
    let kernel = crate::flex::Kernel::chosen();
    let is_large = weight.shape().num_elements() > crate::sublayer::LARGE;
    match precision {
        Precision::F32 => is_large.then(|| crate::flex::exact_weight(route, weight)).flatten(),
        Precision::Bf16x3 if kernel == crate::flex::Kernel::Rounded => None,
        Precision::Bf16x3 => Some(crate::flex::packed_weight(route, weight, kernel, 2)),
        Precision::Bf16 => Some(crate::flex::packed_weight(route, weight, kernel, 1)),
    }
}

/// A matrix, prepared or not: the weight of a linear map, or a table of embeddings `[v, d]` in place of `[in, out]`.
#[derive(Debug, Clone)]
pub struct Map<B: Backend> {
    /// The weight `[in, out]`, or what [`Prepared::new`] has left of it.
    pub kept: Tensor<B, 2>,
    /// What it was prepared to.
    pub prepared: Option<Prepared>,
}

impl<B: Backend> From<Tensor<B, 2>> for Map<B> {
    fn from(kept: Tensor<B, 2>) -> Self {
        Self { kept, prepared: None }
    }
}

impl<B: Backend> Map<B> {
    /// What it was packed to, on the flex backend.
    #[cfg(feature = "flex")]
    pub(crate) fn packed(&self) -> Option<Arc<crate::flex::PackedWeight>> {
        self.prepared.as_ref()?.packed.clone()
    }

    /// The weight `[in, out]`, made anew if it is packed.
    pub fn weight(self) -> Tensor<B, 2> {
        match self.prepared {
            Some(prepared) => prepared.weight(self.kept),
            None => self.kept,
        }
    }
}

/// Rounds to the eight significant bits of bfloat16 in float32 arithmetic: adding `2¹⁶ · x` pushes the other sixteen
/// out. The gradient is that of the identity.
fn rounded<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    let scaled = x.clone().mul_scalar(65537.0);
    scaled.clone() - (scaled - x)
}
