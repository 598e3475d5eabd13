//! The arithmetic of an optimiser step on flat tensors: the AdamW update, a sum of squares over many tensors, a
//! scaling.
//!
//! On the flex backend each is one pass over memory, in place if a tensor's storage is not shared; other backends use
//! burn's operations. Sums run over parts of a fixed length, so that they do not depend on the number of threads.
//! operations do the same. Sums run over parts of a fixed length, so that they do not depend on the number of threads.

use burn::tensor::{Tensor, backend::Backend};

/// Constants of an AdamW step for one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the bias-corrected root of the second moment.
    pub epsilon: f64,
    /// Weight decay factor applied to the parameter before the step, `1 - rate · decay`.
    pub shrink: f64,
    /// `rate / (1 - beta1^t)`; if 0, the moments advance but the parameter does not change.
    pub step_size: f64,
    /// `sqrt(1 - beta2^t)`.
    pub correction: f64,
}

/// Updates a flat parameter and its two moments (initially zero): `p·shrink - step_size · m / (sqrt(v) / correction +
/// epsilon)`.
///
/// # Panics
/// If the tensors differ in length.
pub fn adamw<B: Backend>(
    value: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    moments: Option<[Tensor<B, 1>; 2]>,
    step: AdamWStep,
) -> (Tensor<B, 1>, [Tensor<B, 1>; 2]) {
    assert_eq!(value.dims(), gradient.dims(), "adamw: parameter and gradient differ");
    #[cfg(feature = "flex")]
    if crate::flex::route::<B>() == Some(crate::flex::Route::Plain) {
        return crate::flex::adamw(value, gradient, moments, step);
    }
    adamw_composed(value, gradient, moments, step)
}

/// [`adamw`] in burn's operations.
pub(crate) fn adamw_composed<B: Backend>(
    value: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    moments: Option<[Tensor<B, 1>; 2]>,
    step: AdamWStep,
) -> (Tensor<B, 1>, [Tensor<B, 1>; 2]) {
    let square = (gradient.clone() * gradient.clone()).mul_scalar(1.0 - step.beta2);
    let gradient = gradient.mul_scalar(1.0 - step.beta1);
    let (first, second) = match moments {
        Some([first, second]) => (
            first.mul_scalar(step.beta1) + gradient,
            second.mul_scalar(step.beta2) + square,
        ),
        None => (gradient, square),
    };
    let value = match step.shrink {
        1.0 => value,
        shrink => value.mul_scalar(shrink),
    };
    let value = if step.step_size == 0.0 {
        value
    } else {
        let denominator = second
            .clone()
            .sqrt()
            .div_scalar(step.correction)
            .add_scalar(step.epsilon);
        value - (first.clone() / denominator).mul_scalar(step.step_size)
    };
    (value, [first, second])
}

/// Sum of squares of all elements in all tensors, `[1]`; `None` if there are no tensors.
pub fn sum_of_squares<'a, B: Backend>(tensors: impl Iterator<Item = &'a Tensor<B, 1>>) -> Option<Tensor<B, 1>> {
    #[cfg(feature = "flex")]
    if crate::flex::route::<B>() == Some(crate::flex::Route::Plain) {
        return crate::flex::sum_of_squares(tensors.cloned().collect());
    }
    let squares: Vec<_> = tensors.map(|tensor| (tensor.clone() * tensor.clone()).sum()).collect();
    (!squares.is_empty()).then(|| Tensor::cat(squares, 0).sum())
}

/// Multiplies by a factor `[1]` on the device.
pub fn scale<B: Backend>(tensor: Tensor<B, 1>, factor: &Tensor<B, 1>) -> Tensor<B, 1> {
    #[cfg(feature = "flex")]
    if crate::flex::route::<B>() == Some(crate::flex::Route::Plain) {
        return crate::flex::scale(tensor, factor.clone());
    }
    tensor * factor.clone()
}
